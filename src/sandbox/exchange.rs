//! One call from raw request to answer, the same for every stand-in: faults, the deed, the ledger.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use hyper::{Request, Response};
use jiff::Timestamp;

use super::answer::Answer;
use super::faults::{Drawn, Fault, Faults};
use super::ledger::{Call, Ledger};
use super::server::{Lost, Respond};

/// A request whose body has been read.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) method: String,
    /// As sent, still percent-encoded.
    pub(super) path: String,
    /// As sent, without the question mark.
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What one provider does with a call.
pub(super) trait StandIn: Send + Sync + 'static {
    /// Its operations, by which faults are aimed.
    type Operation: Copy + PartialEq + Send;

    /// The operation that a call names, as far as it names one.
    fn operation(&self, call: &Incoming) -> Option<Self::Operation>;

    /// The faults in force.
    fn faults(&self) -> &Faults<Self::Operation>;

    /// Where calls are written down.
    fn ledger(&self) -> &Ledger;

    /// The time at the provider, whose clock may differ from ours.
    fn now(&self) -> Timestamp;

    /// Does what the call asks, or what the fault makes of it. Latencies and lost answers are seen to elsewhere;
    /// [`Fault::LyingSuccess`] means to answer as if it had been done.
    fn answer(&self, call: &Incoming, fault: Option<&Fault>) -> Answer;

    /// Whether the query of this call may carry a credential, which the ledger must not keep.
    fn withholds_query(&self, _call: &Incoming) -> bool {
        false
    }
}

/// Serves the listener of one stand-in.
#[derive(Debug)]
pub(super) struct Exchange<S>(pub(super) Arc<S>);

impl<S> Clone for Exchange<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: StandIn> Respond for Exchange<S> {
    async fn respond(self, request: Request<Bytes>) -> Result<Response<Body>, Lost> {
        let call = Incoming::from(request);
        let drawn = self.0.faults().draw(self.0.operation(&call));
        pause(drawn.latency).await;
        let late = late(&drawn);
        let answer = carry_out(self.0.as_ref(), &call, drawn.fault.as_ref());
        pause(late).await;
        answer.map(Answer::into_response)
    }
}

async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

fn late(drawn: &Drawn) -> Duration {
    match drawn.fault {
        Some(Fault::LateAnswer { duration_ms }) => Duration::from_millis(duration_ms),
        _ => Duration::ZERO,
    }
}

fn carry_out(stand_in: &impl StandIn, call: &Incoming, fault: Option<&Fault>) -> Result<Answer, Lost> {
    let at = stand_in.now();
    let answer = match fault {
        Some(Fault::LostBefore) => Answer::empty(0),
        fault => stand_in.answer(call, fault),
    };
    let lost = matches!(fault, Some(Fault::LostBefore | Fault::LostAfter));
    let withheld = stand_in.withholds_query(call) && !call.query.is_empty();
    stand_in.ledger().record(Call {
        at,
        method: call.method.clone(),
        path: call.path.clone(),
        query: if withheld { "[withheld]".to_owned() } else { call.query.clone() },
        status: (!lost).then_some(answer.status),
        error_code: answer.error_code.clone().filter(|_| !lost),
        body_len: call.body.len(),
        effect: answer.effect.clone(),
    });
    if lost { Err(Lost) } else { Ok(answer) }
}

impl From<Request<Bytes>> for Incoming {
    fn from(request: Request<Bytes>) -> Self {
        let (head, body) = request.into_parts();
        Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers,
            body,
        }
    }
}
