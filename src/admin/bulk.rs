//! `/v1/jobs/approve|requeue|cancel`: one decision about every job that a filter picks.
//!
//! Whoever decides says how many they are. A repeat of a request does nothing: what it changed is not picked again.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AdminState;
use super::body::Body;
use super::fault::Fault;
use super::guard::Caller;
use super::jobs::Reason;
use super::params::NoParameters;
use crate::domain::{DeadReason, HoldReason, JobState, ProviderName, SourceName};
use crate::store::{BulkDone, BulkOrder, Decision, JobFilter};

/// Which jobs, and how many they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    /// Which; it has to say something.
    #[serde(default)]
    pub filter: BulkFilter,
    /// How many they are. Where they are not so many, nothing is changed, and the problem has their `count`.
    pub expect_count: u64,
    /// For the audit record. Default: nothing.
    #[serde(default)]
    pub reason: String,
}

/// Jobs for which all of this is true.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkFilter {
    /// In this state, as shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// Held for this reason, as shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_reason: Option<HoldReason>,
    /// Given up for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_reason: Option<DeadReason>,
    /// At this provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
    /// Whose first alert came from this source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// With this e-mail, user name or id, in the alert or as resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl BulkFilter {
    /// Nobody means everything by saying nothing, nor by a blank.
    fn checked(self, decision: Decision) -> Result<JobFilter, Fault> {
        if self == Self::default() {
            let words = "`filter` says nothing, which would be every job; name a state, a reason, a provider, a source or a subject";
            return Err(Fault::Malformed(words.to_owned()));
        }
        if self.subject.as_ref().is_some_and(|subject| subject.trim().is_empty()) {
            return Err(Fault::Malformed("`filter.subject` is empty; name somebody or leave it out".to_owned()));
        }
        let names_state = self.state.is_some() || self.hold_reason.is_some() || self.dead_reason.is_some();
        if decision == Decision::Requeue && !names_state {
            let words = "`filter` needs `state`, `hold_reason` or `dead_reason`: what is done would be done again";
            return Err(Fault::Malformed(words.to_owned()));
        }
        let Self { state, hold_reason, dead_reason, provider, source, subject } = self;
        Ok(JobFilter { state, hold_reason, dead_reason, provider, source, subject, cursor: None, limit: 0 })
    }
}

pub(super) async fn approve(
    state: State<AdminState>,
    caller: Caller,
    _: NoParameters,
    Body(request): Body<BulkRequest>,
) -> Result<Json<BulkDone>, Fault> {
    decide(&state, &caller, Decision::Approve, request).await
}

pub(super) async fn requeue(
    state: State<AdminState>,
    caller: Caller,
    _: NoParameters,
    Body(request): Body<BulkRequest>,
) -> Result<Json<BulkDone>, Fault> {
    decide(&state, &caller, Decision::Requeue, request).await
}

pub(super) async fn cancel(
    state: State<AdminState>,
    caller: Caller,
    _: NoParameters,
    Body(request): Body<BulkRequest>,
) -> Result<Json<BulkDone>, Fault> {
    decide(&state, &caller, Decision::Cancel, request).await
}

async fn decide(
    state: &AdminState,
    caller: &Caller,
    decision: Decision,
    request: BulkRequest,
) -> Result<Json<BulkDone>, Fault> {
    let order = BulkOrder {
        decision,
        filter: request.filter.checked(decision)?,
        expect_count: request.expect_count,
        actor: caller.actor(),
        reason: Reason { reason: request.reason }.checked()?,
        four_eyes: state.intake.four_eyes(),
    };
    Ok(Json(state.operations.decide(order).await?))
}
