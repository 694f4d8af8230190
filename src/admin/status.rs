//! `GET /v1/status`: what is still open.

use axum::Json;
use axum::extract::State;

use super::AdminState;
use super::fault::Fault;
use super::params::NoParameters;
use crate::store::StatusView;

pub(super) async fn show(State(state): State<AdminState>, _: NoParameters) -> Result<Json<StatusView>, Fault> {
    Ok(Json(state.operations.status().await?))
}
