//! Processes that share a store: who is alive, and whether the others know it.
//!
//! Each tells, every few seconds, that it lives. Those who work divide what a provider takes, and each divides by those it
//! saw when it last asked. So somebody new waits until everyone who is alive has said that it counts the newcomer.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whoever has said nothing for so long counts as gone, and counts itself as gone: what it had of a provider's limits comes
/// back to the others.
pub const LIVE_FOR: Duration = Duration::from_secs(15);

/// Whoever was silent for longer comes back as somebody new. Shorter than [`LIVE_FOR`] by more than any statement takes:
/// others must not have left out one who goes on as if nothing had been.
pub(super) const SILENT_FOR: Duration = Duration::from_secs(9);

/// What a process does for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaRole {
    /// Takes alerts in.
    Intake,
    /// Works on jobs.
    Worker,
}

impl ReplicaRole {
    /// As shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Worker => "worker",
        }
    }
}

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Chosen when it starts.
    pub id: String,
    /// What it does.
    pub roles: Vec<ReplicaRole>,
    /// Of sever.
    pub version: String,
    /// When it began, by its own clock.
    pub started_at: Timestamp,
}

impl Replica {
    /// Whether it does this.
    #[must_use]
    pub fn does(&self, role: ReplicaRole) -> bool {
        self.roles.contains(&role)
    }
}

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Who lives.
    pub replica: Replica,
    /// Whom it counts, itself included: their [`Peer::joined`]. It says so once it goes by it.
    pub counts: Vec<i64>,
}

/// What came of a sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pulse {
    /// The store is this process's own.
    Alone,
    /// Others may be there.
    Shared {
        /// Our own number: the one before, or a new one where we counted as gone, or come for the first time.
        joined: i64,
        /// Everyone who is alive and works, in the order of their numbers; we too, if we do.
        workers: Vec<Peer>,
    },
}

/// One who is alive and works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Given to each that comes or comes back, and to no other ever.
    pub joined: i64,
    /// Whom it counts.
    pub counts: Vec<i64>,
}

/// A process that is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaView {
    /// Chosen when it started; its log tells it.
    pub id: String,
    /// What it does.
    pub roles: Vec<ReplicaRole>,
    /// Of sever.
    pub version: String,
    /// When it started, by its own clock.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// When it last said that it lives.
    #[schemars(with = "String")]
    pub seen_at: Timestamp,
}

impl ReplicaView {
    /// Seen at this time.
    #[must_use]
    pub fn new(replica: Replica, seen_at: Timestamp) -> Self {
        let Replica { id, roles, version, started_at } = replica;
        Self { id, roles, version, started_at, seen_at }
    }
}
