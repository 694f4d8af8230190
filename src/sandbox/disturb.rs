//! Faults that look the same at every provider, sent instead of carrying out the call.

use std::time::Duration;

use axum::body::Body;

use super::answer::Answer;
use super::body::{Drip, Huge};
use super::faults::Fault;

/// The answer that `fault` puts in the place of the real one; `None` where it looks different at each provider, or where
/// the call is carried out all the same.
pub(super) fn anywhere(fault: &Fault) -> Option<Answer> {
    let answer = match fault {
        Fault::Error { status, code } if code.is_empty() => Answer::page(*status, "The service is not available"),
        Fault::Html => Answer::page(200, "Sign in"),
        Fault::MalformedJson => broken(Body::from("[{\"id\":\"00u")),
        Fault::HugeBody { size_bytes } => broken(Body::new(Huge::new(*size_bytes))),
        Fault::SlowBody { size_bytes, every_ms } => {
            broken(Body::new(Drip::new(*size_bytes, Duration::from_millis(*every_ms))))
        }
        Fault::Redirect { to } => Answer::empty(302).header("location", to),
        Fault::Error { .. }
        | Fault::RateLimit { .. }
        | Fault::ConcurrencyLimit { .. }
        | Fault::RepeatedReset { .. }
        | Fault::ThrottleWithoutHint
        | Fault::Latency { .. }
        | Fault::LateAnswer { .. }
        | Fault::LostBefore
        | Fault::LostAfter
        | Fault::LyingSuccess
        | Fault::StaleSearch { .. }
        | Fault::StaleList
        | Fault::SignInAgain
        | Fault::Partial { .. } => return None,
    };
    Some(answer)
}

fn broken(body: Body) -> Answer {
    Answer::with_body(200, "application/json", body)
}
