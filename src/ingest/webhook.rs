//! The alert listener: a request becomes a delivery, a receipt or refusal becomes an answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use axum::{Json, Router};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::intake::{Intake, Taken};
use super::late::Late;
use super::peer::TrustedProxies;
use super::refusal::{Problem, Refusal};
use super::settings::{OnUndecodable, PublicUrl};
use super::source::SourceIntake;
use super::unread::{Room, Unread};
use crate::clock::Clock;
use crate::domain::{Delivery, HttpRequest};
use crate::lifecycle::Lifecycle;
use crate::store::{Receipt, ReceiptStatus};
use crate::tls::TlsPeer;
use crate::verify::Reason;

/// What the route needs besides the intake.
#[derive(Clone)]
pub struct WebhookLimits {
    /// The longest that a body may take.
    pub body_timeout: Duration,
    /// Proxies whose word about the peer counts.
    pub trusted_proxies: TrustedProxies,
    /// Where senders reach us, if not where they say.
    pub public_url: Option<PublicUrl>,
    /// How many answers to those who are told to wait may be late at once. Each keeps its connection meanwhile.
    pub late_answers: usize,
}

#[derive(Clone)]
struct Webhook {
    intake: Arc<Intake>,
    limits: WebhookLimits,
    clock: Arc<dyn Clock>,
    lifecycle: Lifecycle,
    unread: Arc<Unread>,
    late: Arc<Late>,
}

/// Bytes of bodies in memory that came in pieces, of all senders together; nobody knows yet who they are.
const UNREAD_BODIES: usize = 256 << 20;

/// About what an alert with one job takes up in a receipt.
const RECEIPT_BYTES: usize = 256;

/// `POST /v1/alerts/{source}` (and GET where the source's scheme asks by it), `GET /healthz` and whatever `ready` answers at `GET /readyz`.
pub fn router(
    intake: Arc<Intake>,
    limits: WebhookLimits,
    clock: Arc<dyn Clock>,
    lifecycle: Lifecycle,
    ready: MethodRouter,
) -> Router {
    let late = Arc::new(Late::new(limits.late_answers));
    let webhook = Webhook { intake, limits, clock, lifecycle, unread: Unread::new(UNREAD_BODIES), late };
    Router::new()
        .route("/v1/alerts/{source}", any(receive))
        .with_state(webhook)
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", ready)
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here") })
}

async fn receive(
    State(webhook): State<Webhook>,
    Path(name): Path<String>,
    ConnectInfo(connected): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let refusal = match webhook.take(&name, connected.ip(), request).await {
        Ok(answer) => return answer,
        Err(refusal) => refusal,
    };
    // A proxy sends everybody's deliveries over a few connections: one that is held keeps honest ones waiting.
    let is_own = !webhook.limits.trusted_proxies.trusts(connected.ip());
    if is_own && matches!(refusal, Refusal::Limited { .. }) {
        webhook.late.hold().await;
    }
    refusal.into_response()
}

impl WebhookLimits {
    /// What was asked for, as the sender wrote it: the proxy's word about that does not count, ours does.
    fn request(&self, parts: &Parts) -> HttpRequest {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let scheme = if parts.extensions.get::<TlsPeer>().is_some() { "https" } else { "http" };
        let url = match &self.public_url {
            Some(public) => public.with(target),
            None => asked_host(parts)
                .and_then(|host| Uri::builder().scheme(scheme).authority(host).path_and_query(target).build().ok()),
        };
        HttpRequest { method: parts.method.clone(), url }
    }
}

/// The only `Host`, unless the request names one itself (RFC 9112 section 3.2.2).
fn asked_host(parts: &Parts) -> Option<&str> {
    if let Some(authority) = parts.uri.authority() {
        return Some(authority.as_str());
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

impl Webhook {
    async fn take(&self, source: &str, connected: IpAddr, request: Request) -> Result<Response, Refusal> {
        let source = self.intake.source(source).filter(|source| source.takes_webhooks);
        let source = &source.ok_or(Refusal::UnknownSource)?;
        let (parts, body) = request.into_parts();
        let peer = self.limits.trusted_proxies.peer(connected, &parts.headers);
        // Before anything of the request is looked at, so that strangers learn nothing of what is taken here.
        if let Err(reason) = source.admits(parts.extensions.get(), self.clock.now()) {
            return Err(self.stranger(source, reason, parts.extensions.get(), peer));
        }
        if parts.method != Method::POST {
            return self.other_method(source, &parts, peer);
        }
        // The room that it takes up is given back once it is taken or not: until then it may wait for its turn.
        let read = self.read(source, &parts.headers, body, peer).await;
        let (body, _room) = read.map_err(|refusal| self.refused(source, refusal, peer))?;
        let request = self.limits.request(&parts);
        let delivery = Delivery::new(source.name().clone(), parts.headers, body, self.clock.now()).requested(request);
        match self.intake.receive(source, delivery, Some(peer)).await? {
            Taken::Stored(receipt) => Ok(self.answer(source, receipt).await),
            Taken::Answered(answer) => Ok(Json(answer).into_response()),
        }
    }

    /// A refusal for a certificate that is missing or not the right one.
    fn stranger(&self, source: &SourceIntake, reason: Reason, secured: Option<&TlsPeer>, peer: IpAddr) -> Refusal {
        let refusal = self.intake.limited(Refusal::Forged(reason), Some(peer));
        let is_told = self.intake.refuse(source, &refusal, Some(peer), 0);
        let shown = secured.and_then(|secured| secured.certificate.as_ref());
        if let (true, Some(certificate)) = (is_told, shown) {
            let subject = certificate.subject();
            // Whoever keeps the list has to know what to write into it.
            tracing::warn!(source.name = %source.name(), subject, "a client certificate that the source does not take");
        }
        refusal
    }

    /// A refusal before the body was read.
    fn refused(&self, source: &SourceIntake, refusal: Refusal, peer: IpAddr) -> Refusal {
        let refusal = self.intake.limited(refusal, Some(peer));
        self.intake.refuse(source, &refusal, Some(peer), 0);
        refusal
    }

    /// A GET may be a question of the scheme; everything else is a mistake.
    fn other_method(&self, source: &SourceIntake, parts: &Parts, peer: IpAddr) -> Result<Response, Refusal> {
        let is_get = parts.method == Method::GET;
        let answer = if is_get { self.intake.answer_get(source, &parts.headers, Some(peer)) } else { None };
        Ok(Json(answer.unwrap_or(Err(Refusal::Method { allow: source.methods() }))?).into_response())
    }

    /// The body's exact bytes, within the source's limits, and what they take up. Nothing is read that is not wanted.
    async fn read(
        &self,
        source: &SourceIntake,
        headers: &HeaderMap,
        body: Body,
        peer: IpAddr,
    ) -> Result<(Bytes, Room), Refusal> {
        if self.lifecycle.is_draining() {
            return Err(Refusal::Unavailable);
        }
        if !source.accepts(headers.get(header::CONTENT_TYPE)) {
            return Err(Refusal::UnsupportedType);
        }
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > source.max_body) {
            return Err(Refusal::TooLarge);
        }
        let read = collect(Limited::new(body, source.max_body), self.unread.room(peer));
        tokio::time::timeout(self.limits.body_timeout, read).await.unwrap_or(Err(Refusal::TooSlow))
    }

    /// A receipt of thousands of alerts is written where it keeps nobody waiting.
    async fn answer(&self, source: &SourceIntake, receipt: Receipt) -> Response {
        let on_undecodable = source.on_undecodable;
        let size_bytes = receipt.alerts.len() * RECEIPT_BYTES;
        let answer = self.intake.heavy.run(size_bytes, move || answer(receipt, on_undecodable)).await;
        answer.unwrap_or_else(IntoResponse::into_response)
    }
}

/// The whole body. What has come so far takes up `room`.
async fn collect(mut body: Limited<Body>, mut room: Room) -> Result<(Bytes, Room), Refusal> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| unreadable(error.as_ref()))?.into_data() else { continue };
        // Nearly always the body comes in one piece, which is not copied.
        if whole.is_empty() && body.is_end_stream() {
            return Ok((data, room));
        }
        if !room.grow(data.len()) {
            return Err(Refusal::Unavailable);
        }
        whole.extend_from_slice(&data);
    }
    Ok((whole.freeze(), room))
}

fn unreadable(error: &(dyn std::error::Error + 'static)) -> Refusal {
    if error.is::<LengthLimitError>() { Refusal::TooLarge } else { Refusal::Malformed }
}

fn answer(receipt: Receipt, on_undecodable: OnUndecodable) -> Response {
    match status(receipt.status, on_undecodable) {
        StatusCode::UNPROCESSABLE_ENTITY => unprocessable(&receipt),
        status => (status, Json(receipt)).into_response(),
    }
}

/// The status of a receipt.
pub(super) fn status(receipt: ReceiptStatus, on_undecodable: OnUndecodable) -> StatusCode {
    match receipt {
        ReceiptStatus::Accepted | ReceiptStatus::Ignored => StatusCode::ACCEPTED,
        ReceiptStatus::Duplicate => StatusCode::OK,
        ReceiptStatus::Quarantined => match on_undecodable {
            OnUndecodable::Accepted => StatusCode::ACCEPTED,
            OnUndecodable::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        },
    }
}

/// The sender is authentic and may know that its alert waits for a person; the operator sees why.
fn unprocessable(receipt: &Receipt) -> Response {
    let detail = format!(
        "delivery {} is authentic and was kept, but could not be decoded or planned; an operator can replay it",
        receipt.delivery_id
    );
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "quarantined", "The delivery is in quarantine")
        .detail(detail)
        .into_response()
}
