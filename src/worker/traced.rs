//! What the trace of an attempt tells: the same words as the log's line about it, and nothing of the person.

use std::future::Future;

use jiff::Timestamp;

use crate::domain::{AttemptClass, Claim, Next, Settlement};
use crate::provider::ProviderError;
use crate::telemetry::trace::{self, Span, Tracer};

/// An attempt, in the traces of the alerts behind it.
pub(super) fn attempt(tracer: &Tracer, claim: &Claim, at: Timestamp) -> Span {
    let mut span = tracer.continuation(|| format!("attempt {}", claim.provider), &claim.traces, at);
    span.record(|said| {
        said.text("job.id", claim.job.to_string());
        said.number("job.attempt", claim.attempt);
        said.text("alert.id", claim.alert.to_string());
        said.text("source.name", claim.source.to_string());
        said.text("provider.name", claim.provider.to_string());
    });
    span
}

/// How it ended; `None`: the store has settled it, for another job does its work or a budget has no room.
pub(super) fn ended(mut span: Span, settlement: Option<&Settlement>) {
    span.record(|said| {
        let Some(Settlement { attempt, next, .. }) = settlement else { return };
        said.text("class", attempt.class.as_str());
        said.text("next", word(next));
        if let Next::Done(outcome) = next {
            said.text("outcome", outcome.as_str());
        }
        if let Some(operation) = &attempt.operation {
            said.text("operation", operation.clone());
        }
        if is_failure(attempt.class) {
            said.error(attempt.class.as_str());
        }
    });
    span.end();
}

/// Asks the provider something, as a part of the attempt that runs.
pub(super) fn asked<T>(
    what: &'static str,
    call: impl Future<Output = Result<T, ProviderError>>,
) -> impl Future<Output = Result<T, ProviderError>> {
    trace::part(what, call, |error| error.class().as_str())
}

fn word(next: &Next) -> &'static str {
    match next {
        Next::Done(_) => "done",
        Next::Dead(_) => "dead",
        Next::Held(_) => "held",
        Next::Prove { .. } => "prove",
        Next::Retry { .. } => "retry",
        Next::LookAgain { .. } => "look_again",
        Next::Release => "release",
        Next::CloseGate(_) => "close_gate",
    }
}

fn is_failure(class: AttemptClass) -> bool {
    match class {
        AttemptClass::Contradicted
        | AttemptClass::Unavailable
        | AttemptClass::Unauthorized
        | AttemptClass::Misconfigured
        | AttemptClass::Refused
        | AttemptClass::Lost => true,
        AttemptClass::Ok
        | AttemptClass::Absent
        | AttemptClass::Throttled
        | AttemptClass::Unclear
        | AttemptClass::Guarded
        | AttemptClass::DryRun
        | AttemptClass::Released
        | AttemptClass::Merged => false,
    }
}
