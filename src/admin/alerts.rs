//! `/v1/alerts`: what came in, and what it was made into.

use axum::Json;
use axum::extract::State;

use super::AdminState;
use super::fault::Fault;
use super::guard::Caller;
use super::params::{CURSOR, LIMIT, NoParameters, Parameters, Segment, no_such};
use crate::domain::AlertId;
use crate::store::{AlertView, Page, Receipt};

pub(super) async fn list(
    State(state): State<AdminState>,
    parameters: Parameters,
) -> Result<Json<Page<AlertView>>, Fault> {
    let parameters = parameters.only(&[CURSOR, LIMIT])?;
    Ok(Json(state.operations.alerts(parameters.cursor("cursor")?, parameters.limit()?).await?))
}

pub(super) async fn show(
    State(state): State<AdminState>,
    id: Segment,
    _: NoParameters,
) -> Result<Json<AlertView>, Fault> {
    let id: AlertId = id.named("alert")?;
    state.operations.alert(id).await?.map(Json).ok_or_else(|| no_such("alert", id))
}

/// Decodes and plans the delivery that the alert came with again.
pub(super) async fn replay(
    State(state): State<AdminState>,
    id: Segment,
    caller: Caller,
    _: NoParameters,
) -> Result<Json<Receipt>, Fault> {
    let id: AlertId = id.named("alert")?;
    let stored = state.operations.delivery_of(id).await?;
    state.replay(&stored.ok_or_else(|| no_such("alert", id))?, &caller).await
}
