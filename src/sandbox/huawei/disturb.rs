//! Faults as Huawei's answers, sent instead of carrying out the call.

use super::super::answer::Answer;
use super::super::disturb;
use super::super::faults::Fault;
use super::quota::throttled;
use super::refusal::Refusal;

/// A limit that the gateway's message might name.
const LIMIT: u32 = 10;

/// What `fault` puts in the place of the real answer; `None` where the call is carried out all the same. Huawei has one
/// kind of 429, whose seconds are the length of the window and stand in the message only; its code has two spellings.
pub(super) fn instead(fault: &Fault) -> Option<Result<Answer, Refusal>> {
    let refusal = match fault {
        Fault::RateLimit { reset_in_s } => throttled("APIGW.0308", LIMIT, *reset_in_s),
        Fault::ConcurrencyLimit { reset_in_s } => throttled("APIG.0308", LIMIT, *reset_in_s),
        Fault::RepeatedReset { .. } | Fault::ThrottleWithoutHint => Refusal::new(429, "APIGW.0308", ""),
        Fault::Error { status, code } if !code.is_empty() => Refusal::new(*status, code, ""),
        other => return disturb::anywhere(other).map(Ok),
    };
    Some(Err(refusal))
}
