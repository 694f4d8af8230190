//! Faults as Okta's answers, sent instead of carrying out the call.

use jiff::Timestamp;
use serde_json::json;

use super::super::answer::Answer;
use super::super::disturb;
use super::super::faults::Fault;
use super::refusal::Refusal;

const LIMIT: &str = "x-rate-limit-limit";
const REMAINING: &str = "x-rate-limit-remaining";
const RESET: &str = "x-rate-limit-reset";

/// The answer that `fault` puts in the place of the real one; `None` where the call is carried out all the same.
pub(super) fn instead(fault: &Fault, now: Timestamp) -> Option<Answer> {
    let answer = match fault {
        Fault::RateLimit { reset_in_s } => throttled("600", &[*reset_in_s], now),
        Fault::ConcurrencyLimit { reset_in_s } => throttled("0", &[*reset_in_s], now),
        Fault::RepeatedReset { resets_in_s } => throttled("600", resets_in_s, now),
        Fault::ThrottleWithoutHint => Answer { hints: false, ..throttled("600", &[], now) },
        Fault::Error { status, code } if !code.is_empty() => error(*status, code),
        other => return disturb::anywhere(other),
    };
    Some(answer)
}

/// In the shape that belongs to the code: codes of the API are an `E` and digits.
fn error(status: u16, code: &str) -> Answer {
    if !code.starts_with('E') {
        return Answer::json(status, &json!({"error": code, "error_description": code})).coded(code);
    }
    Refusal::Api { status, code: code.to_owned(), detail: String::new() }.into_answer()
}

/// 429 E0000047: of the rate limit, or, with a limit of 0, of the concurrency limit.
fn throttled(limit: &str, resets_in_s: &[i64], now: Timestamp) -> Answer {
    let answer = error(429, "E0000047").header(LIMIT, limit).header(REMAINING, "0");
    let resets = resets_in_s.iter().map(|seconds| (now.as_second() + seconds).to_string());
    resets.fold(answer, |answer, reset| answer.header(RESET, &reset))
}
