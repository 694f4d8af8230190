//! Faults as Slack's answers, sent instead of carrying out the call.

use serde_json::json;

use super::super::answer::Answer;
use super::super::disturb;
use super::super::faults::Fault;
use super::refusal::{ThrottleForm, failed, throttled};

/// The answer that `fault` puts in the place of the real one; `None` where the call is carried out all the same.
pub(super) fn instead(fault: &Fault, form: ThrottleForm) -> Option<Answer> {
    let answer = match fault {
        // Slack tells its concurrency limit in no other way.
        Fault::RateLimit { reset_in_s } | Fault::ConcurrencyLimit { reset_in_s } => throttled(form, &[*reset_in_s]),
        Fault::RepeatedReset { resets_in_s } => throttled(form, resets_in_s),
        Fault::ThrottleWithoutHint => Answer { hints: false, ..throttled(form, &[]) },
        Fault::Error { status, code } if !code.is_empty() => failed(*status, code, json!({})),
        other => return disturb::anywhere(other),
    };
    Some(answer)
}
