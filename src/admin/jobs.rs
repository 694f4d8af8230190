//! `/v1/jobs`: what is to be done, what was, and what a person decides about it.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AdminState;
use super::body::Body;
use super::fault::Fault;
use super::guard::Caller;
use super::params::{CURSOR, Kind, LIMIT, NoParameters, Parameter, Parameters, Segment, no_such, text};
use crate::domain::{DeadReason, HoldReason, JobId, JobState, check_identifier};
use crate::store::{Consent, JobDetail, JobFilter, JobView, Page};

/// Reasons go into the audit record, where people read them.
const LONGEST_REASON_CHARS: usize = 500;

/// What the listing takes.
pub(super) const LISTED: &[Parameter] = &[
    Parameter { name: "state", about: "In this state, as shown.", kind: Kind::Word(states) },
    Parameter { name: "hold_reason", about: "Held for this reason.", kind: Kind::Word(hold_reasons) },
    Parameter { name: "dead_reason", about: "Given up for this reason.", kind: Kind::Word(dead_reasons) },
    text("provider", "At this provider."),
    text("source", "Whose first alert came from this source."),
    text("subject", "With this e-mail, user name or id, in the alert or as resolved."),
    CURSOR,
    LIMIT,
];

fn states() -> Vec<&'static str> {
    JobState::ALL.iter().map(|state| state.as_str()).collect()
}

fn hold_reasons() -> Vec<&'static str> {
    HoldReason::ALL.iter().map(|reason| reason.as_str()).collect()
}

fn dead_reasons() -> Vec<&'static str> {
    DeadReason::ALL.iter().map(|reason| reason.as_str()).collect()
}

/// Why an operator does something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// For the audit record. Default: nothing.
    #[serde(default)]
    pub reason: String,
}

/// An operator's yes to a held job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// For the audit record. Default: nothing.
    #[serde(default)]
    pub reason: String,
    /// The account to act on, where that was unclear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

impl Reason {
    /// The text, if it is fit for the record.
    pub(super) fn checked(self) -> Result<String, Fault> {
        checked(self.reason)
    }
}

fn checked(reason: String) -> Result<String, Fault> {
    if reason.chars().count() > LONGEST_REASON_CHARS {
        return Err(Fault::Malformed(format!("`reason` is longer than {LONGEST_REASON_CHARS} characters; shorten it")));
    }
    if reason.chars().any(char::is_control) {
        return Err(Fault::Malformed("`reason` has a control character; write it in one line".to_owned()));
    }
    Ok(reason)
}

pub(super) async fn list(
    State(state): State<AdminState>,
    parameters: Parameters,
) -> Result<Json<Page<JobView>>, Fault> {
    let parameters = parameters.only(LISTED)?;
    let filter = JobFilter {
        state: parameters.parsed("state")?,
        hold_reason: parameters.parsed("hold_reason")?,
        dead_reason: parameters.parsed("dead_reason")?,
        provider: parameters.parsed("provider")?,
        source: parameters.parsed("source")?,
        subject: parameters.text("subject").map(str::to_owned),
        cursor: parameters.cursor("cursor")?,
        limit: parameters.limit()?,
    };
    Ok(Json(state.operations.jobs(filter).await?))
}

pub(super) async fn show(
    State(state): State<AdminState>,
    id: Segment,
    _: NoParameters,
) -> Result<Json<JobDetail>, Fault> {
    state.job(id.named("job")?).await
}

pub(super) async fn requeue(
    State(state): State<AdminState>,
    id: Segment,
    caller: Caller,
    _: NoParameters,
    Body(reason): Body<Reason>,
) -> Result<Json<JobDetail>, Fault> {
    let id = id.named("job")?;
    state.operations.requeue(id, caller.actor(), reason.checked()?).await?;
    state.job(id).await
}

pub(super) async fn cancel(
    State(state): State<AdminState>,
    id: Segment,
    caller: Caller,
    _: NoParameters,
    Body(reason): Body<Reason>,
) -> Result<Json<JobDetail>, Fault> {
    let id = id.named("job")?;
    state.operations.cancel(id, caller.actor(), reason.checked()?).await?;
    state.job(id).await
}

pub(super) async fn approve(
    State(state): State<AdminState>,
    id: Segment,
    caller: Caller,
    _: NoParameters,
    Body(approval): Body<Approval>,
) -> Result<Json<JobDetail>, Fault> {
    let id = id.named("job")?;
    if let Some(Err(error)) = approval.account_id.as_deref().map(check_identifier) {
        return Err(Fault::Malformed(format!("`account_id` {error}; give the account's id as the provider shows it")));
    }
    let reason = checked(approval.reason)?;
    let consent = Consent { account_id: approval.account_id, reason, four_eyes: state.intake.four_eyes() };
    state.operations.approve(id, caller.actor(), consent).await?;
    state.job(id).await
}

impl AdminState {
    /// The job as it is now.
    async fn job(&self, id: JobId) -> Result<Json<JobDetail>, Fault> {
        self.operations.job(id).await?.map(Json).ok_or_else(|| no_such("job", id))
    }
}
