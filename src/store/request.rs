//! What workers and operators ask of the store, and what they are answered.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::Actor;
use crate::domain::{DeadReason, HoldReason, JobId, JobState, ProviderName, SourceName};

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Whose jobs.
    pub provider: ProviderName,
    /// At most so many.
    pub limit: u32,
    /// For how long.
    pub lease: Duration,
}

/// Whether the call may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// Make it.
    Proceed,
    /// Another job does or did this; ours is cancelled.
    Merged(JobId),
    /// Another job's call for this account is in flight; ours is queued again.
    Busy,
    /// A budget has no room, as it says; ours is held until a person approves it.
    Held(String),
}

/// An operator's yes to a held job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consent {
    /// The account to act on, where that was unclear.
    pub account_id: Option<String>,
    /// Why.
    pub reason: String,
    /// Whether it takes somebody else than those who asked for the job.
    pub four_eyes: bool,
}

/// What an operator decides about many jobs at once.
#[derive(Debug, Clone)]
pub struct BulkOrder {
    /// What.
    pub decision: Decision,
    /// About which; its cursor and limit mean nothing.
    pub filter: JobFilter,
    /// How many they are. If they are not so many, nothing is done. They are counted once, before anything is changed.
    pub expect_count: u64,
    /// Who decides.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// Whether it takes somebody else than those who asked for a job to approve it.
    pub four_eyes: bool,
}

/// What is decided about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Goes on: held jobs.
    Approve,
    /// Is due now, as if new: jobs that have ended or are held.
    Requeue,
    /// Ends: jobs that are open and no worker holds.
    Cancel,
}

/// What became of many jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkDone {
    /// How many were changed.
    pub changed: u64,
    /// How many were left as they are.
    pub left_count: u64,
    /// The first 100 of those, with the reason for each.
    pub left: Vec<LeftJob>,
}

/// A job that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftJob {
    /// Its id.
    pub id: JobId,
    /// Why.
    pub reason: String,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// In this state, as shown.
    pub state: Option<JobState>,
    /// Held for this reason, as shown.
    pub hold_reason: Option<HoldReason>,
    /// Given up for this reason.
    pub dead_reason: Option<DeadReason>,
    /// Whose first alert came from this source.
    pub source: Option<SourceName>,
    /// At this provider.
    pub provider: Option<ProviderName>,
    /// With this e-mail, user name or id, in the alert or as resolved.
    pub subject: Option<String>,
    /// After this one of the page before.
    pub cursor: Option<i64>,
    /// At most so many.
    pub limit: u32,
}
