//! `/v1/sources/{name}/refusals`: why deliveries were not taken. The sender is never told.

use axum::Json;
use axum::extract::State;

use super::AdminState;
use super::fault::Fault;
use super::params::{NoParameters, Segment, no_such};
use crate::domain::SourceName;
use crate::ingest::RefusalView;
use crate::store::Page;

/// The last refusals, newest first.
pub(super) async fn refusals(
    State(state): State<AdminState>,
    name: Segment,
    _: NoParameters,
) -> Result<Json<Page<RefusalView>>, Fault> {
    let name: SourceName = name.named("source")?;
    if !state.sources.contains(&name) {
        return Err(no_such("source", &name));
    }
    Ok(Json(Page { items: state.intake.refusals().of(&name), next_cursor: None }))
}
