//! `GET /v1/audit`: what happened, oldest first.

use axum::Json;
use axum::extract::State;

use super::AdminState;
use super::fault::Fault;
use super::params::{LIMIT, Parameter, Parameters, after};
use crate::store::{AuditView, Page};

/// What the listing takes.
pub(super) const LISTED: &[Parameter] = &[after("after"), LIMIT];

pub(super) async fn list(
    State(state): State<AdminState>,
    parameters: Parameters,
) -> Result<Json<Page<AuditView>>, Fault> {
    let parameters = parameters.only(LISTED)?;
    Ok(Json(state.operations.audit(parameters.cursor("after")?, parameters.limit()?).await?))
}
