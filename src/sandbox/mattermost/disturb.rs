//! Faults as Mattermost's answers, sent instead of carrying out the call.

use axum::body::Body;
use jiff::Timestamp;

use super::super::answer::Answer;
use super::super::disturb;
use super::super::faults::Fault;
use super::rate::{LIMIT, REMAINING, RESET, RETRY_AFTER};
use super::refusal::Refusal;
use super::settings::Settings;

/// A burst of 100 and the call itself, which is what a server says that limits by default values.
const DEFAULT_LIMIT: &str = "101";

/// The answer that `fault` puts in the place of the real one; `None` where the call is carried out all the same.
pub(super) fn instead(fault: &Fault, settings: &Settings, language: &str, now: Timestamp) -> Option<Answer> {
    let answer = match fault {
        Fault::RateLimit { reset_in_s } => {
            throttled(DEFAULT_LIMIT, &[*reset_in_s]).header(RETRY_AFTER, &reset_in_s.to_string())
        }
        // Mattermost has no such limit; the counters stand for a proxy in front, which knows times since 1970 only.
        Fault::ConcurrencyLimit { reset_in_s } => throttled("0", &[now.as_second() + reset_in_s]),
        Fault::RepeatedReset { resets_in_s } => {
            let waits = resets_in_s.iter().map(ToString::to_string);
            waits.fold(throttled(DEFAULT_LIMIT, resets_in_s), |answer, wait| answer.header(RETRY_AFTER, &wait))
        }
        Fault::ThrottleWithoutHint => Answer { hints: false, ..limit_exceeded() },
        Fault::Error { status, code } if !code.is_empty() => {
            Refusal::with_status(*status, code, "").into_answer(settings, language)
        }
        other => return disturb::anywhere(other),
    };
    Some(answer)
}

fn throttled(limit: &str, resets: &[i64]) -> Answer {
    let answer = limit_exceeded().header(LIMIT, limit).header(REMAINING, "0");
    resets.iter().fold(answer, |answer, reset| answer.header(RESET, &reset.to_string()))
}

/// 429, which is text and not the API's error body.
pub(super) fn limit_exceeded() -> Answer {
    let answer = Answer::with_body(429, "text/plain; charset=utf-8", Body::from("limit exceeded\n"));
    answer.header("x-content-type-options", "nosniff")
}
