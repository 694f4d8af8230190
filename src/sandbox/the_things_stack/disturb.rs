//! Faults as answers of The Things Stack, sent instead of carrying out the call.

use serde_json::json;

use super::super::answer::Answer;
use super::super::disturb;
use super::super::faults::Fault;
use super::quota::{AVAILABLE, LIMIT, RESET, RETRY};
use super::refusal::Refusal;

/// The answer that `fault` puts in the place of the real one; `None` where the call is carried out all the same.
pub(super) fn instead(fault: &Fault) -> Option<Answer> {
    let answer = match fault {
        Fault::RateLimit { reset_in_s } => throttled("60", &[*reset_in_s]),
        // There is no such limit here; the headers say what they would say of an exhausted one.
        Fault::ConcurrencyLimit { reset_in_s } => throttled("0", &[*reset_in_s]),
        // The web server and gRPC may each add the headers; unlike elsewhere, the larger wait counts.
        Fault::RepeatedReset { resets_in_s } => throttled("60", resets_in_s),
        Fault::ThrottleWithoutHint => Answer { hints: false, ..refused() },
        Fault::Error { status, code } if !code.is_empty() => Refusal::of_code(code).into_answer_with(*status),
        other => return disturb::anywhere(other),
    };
    Some(answer)
}

/// 429 whose waits are in seconds from now.
fn throttled(limit: &str, waits_s: &[i64]) -> Answer {
    waits_s.iter().fold(refused(), |answer, wait| {
        let answer = answer.header(LIMIT, limit).header(AVAILABLE, "0");
        answer.header(RESET, &wait.to_string()).header(RETRY, &wait.to_string())
    })
}

fn refused() -> Answer {
    Refusal::named("rate_limit_exceeded", json!({"key": "grpc:method", "rate": 60})).into_answer()
}
