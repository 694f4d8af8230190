//! `/v1/audit`: what happened, and what vouches for it.

use axum::Json;
use axum::extract::State;

use super::AdminState;
use super::fault::Fault;
use super::params::{CURSOR, Kind, LIMIT, NoParameters, Parameter, Parameters, after, text};
use crate::audit::{AuditEvent, Seal, Signed, Stub};
use crate::store::{AuditFilter, AuditView, Page};

/// What the listing takes.
pub(super) const LISTED: &[Parameter] = &[
    after("after"),
    LIMIT,
    text("job", "About the job with this id."),
    text("alert", "About the alert with this id."),
    text("actor", "By this actor, as recorded: `sever`, or `operator:` and the name of a token."),
    Parameter { name: "event", about: "Of this kind.", kind: Kind::Word(events) },
    text("since", "Not before this time (RFC 3339)."),
    text("until", "Before this time (RFC 3339)."),
    Parameter { name: "order", about: "Which first. Default: oldest.", kind: Kind::Word(orders) },
];

/// What the listing of seals takes.
pub(super) const SEALS: &[Parameter] = &[CURSOR, LIMIT];

fn events() -> Vec<&'static str> {
    AuditEvent::ALL.iter().map(|event| event.as_str()).collect()
}

fn orders() -> Vec<&'static str> {
    vec!["oldest", "newest"]
}

pub(super) async fn list(
    State(state): State<AdminState>,
    parameters: Parameters,
) -> Result<Json<Page<AuditView>>, Fault> {
    let parameters = parameters.only(LISTED)?;
    let newest_first = match parameters.text("order") {
        None | Some("oldest") => false,
        Some("newest") => true,
        Some(_) => return Err(Fault::Malformed("`order` is oldest or newest".to_owned())),
    };
    let filter = AuditFilter {
        job: parameters.parsed("job")?,
        alert: parameters.parsed("alert")?,
        actor: parameters.text("actor").map(str::to_owned),
        event: parameters.parsed("event")?,
        since: parameters.parsed("since")?,
        until: parameters.parsed("until")?,
        newest_first,
        after: parameters.cursor("after")?,
        limit: parameters.limit()?,
    };
    Ok(Json(state.operations.find_audit(filter).await?))
}

pub(super) async fn seals(
    State(state): State<AdminState>,
    parameters: Parameters,
) -> Result<Json<Page<Signed<Seal>>>, Fault> {
    let parameters = parameters.only(SEALS)?;
    Ok(Json(state.operations.seals(parameters.cursor("cursor")?, parameters.limit()?).await?))
}

/// One for each writer that has lost any rows: few.
pub(super) async fn stubs(State(state): State<AdminState>, _: NoParameters) -> Result<Json<Page<Signed<Stub>>>, Fault> {
    Ok(Json(Page { items: state.operations.stubs().await?, next_cursor: None }))
}
