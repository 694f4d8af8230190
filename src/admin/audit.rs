//! `GET /v1/audit`: what happened, oldest first.

use axum::Json;
use axum::extract::State;

use super::AdminState;
use super::fault::Fault;
use super::params::Parameters;
use crate::store::{AuditView, Page};

pub(super) async fn list(
    State(state): State<AdminState>,
    parameters: Parameters,
) -> Result<Json<Page<AuditView>>, Fault> {
    let parameters = parameters.only(&["after", "limit"])?;
    Ok(Json(state.operations.audit(parameters.cursor("after")?, parameters.limit()?).await?))
}
