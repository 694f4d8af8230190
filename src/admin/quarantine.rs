//! `/v1/quarantine`: authentic deliveries that could not be decoded or planned.

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AdminState;
use super::fault::Fault;
use super::guard::Caller;
use super::params::{CURSOR, LIMIT, NoParameters, Parameters, Segment, no_such};
use crate::store::{DeliveryStatus, Page, QuarantineView, Receipt, StoredDelivery};

/// A delivery in quarantine with all that it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineDetail {
    /// As in the listing.
    #[serde(flatten)]
    pub delivery: QuarantineView,
    /// The headers that were kept; those that authenticate never are.
    pub headers: Vec<HeaderView>,
    /// How `body` is written.
    pub body_encoding: BodyEncoding,
    /// The body.
    pub body: String,
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeaderView {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodyEncoding {
    /// As it is.
    Text,
    /// As base64, because it is not UTF-8.
    Base64,
}

pub(super) async fn list(
    State(state): State<AdminState>,
    parameters: Parameters,
) -> Result<Json<Page<QuarantineView>>, Fault> {
    let parameters = parameters.only(&[CURSOR, LIMIT])?;
    Ok(Json(state.operations.quarantine(parameters.cursor("cursor")?, parameters.limit()?).await?))
}

/// Shows the body. The store records who read it.
pub(super) async fn show(
    State(state): State<AdminState>,
    id: Segment,
    caller: Caller,
    _: NoParameters,
) -> Result<Json<QuarantineDetail>, Fault> {
    let stored = state.delivery(&id).await?;
    match stored.status {
        DeliveryStatus::Quarantined => {
            state.operations.record_reading(stored.seq, caller.actor()).await?;
            Ok(Json(detail(stored)))
        }
        DeliveryStatus::Accepted | DeliveryStatus::Ignored => {
            Err(Fault::NotFound(format!("delivery {} is not in quarantine", stored.seq)))
        }
    }
}

/// Decodes and plans it again. One that has left the quarantine may be replayed too: what was done is not done again.
pub(super) async fn replay(
    State(state): State<AdminState>,
    id: Segment,
    caller: Caller,
    _: NoParameters,
) -> Result<Json<Receipt>, Fault> {
    let stored = state.delivery(&id).await?;
    state.replay(&stored, &caller).await
}

impl AdminState {
    async fn delivery(&self, id: &Segment) -> Result<StoredDelivery, Fault> {
        let seq: i64 = id.named("delivery")?;
        self.operations.delivery(seq).await?.ok_or_else(|| no_such("delivery", seq))
    }
}

fn detail(stored: StoredDelivery) -> QuarantineDetail {
    let size_bytes = stored.body.len() as u64;
    let (body_encoding, body) = match String::from_utf8(stored.body.into()) {
        Ok(text) => (BodyEncoding::Text, text),
        Err(error) => (BodyEncoding::Base64, STANDARD.encode(error.as_bytes())),
    };
    QuarantineDetail {
        delivery: QuarantineView {
            id: stored.seq,
            source: stored.source,
            delivery_id: stored.delivery_id,
            reason: stored.reason.unwrap_or_default(),
            elements: stored.elements,
            size_bytes,
            received_at: stored.received_at,
        },
        headers: stored.headers.into_iter().map(|(name, value)| HeaderView { name, value }).collect(),
        body_encoding,
        body,
    }
}
