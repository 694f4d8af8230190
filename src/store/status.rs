//! How the whole service stands: what waits, and what keeps providers from being called.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outbox::OutboxView;
use super::replica::{ReplicaRole, ReplicaView};
use crate::domain::{
    Budget, CircuitState, HoldReason, JobState, ProviderName, Reserve, Severity, SourceName, TargetName,
};
use crate::settings;

/// Why a provider's jobs wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateView {
    /// Which; `None`: all of them.
    pub provider: Option<ProviderName>,
    /// Why.
    pub reason: HoldReason,
    /// In words.
    pub note: String,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
}

/// A provider that failed again and again. One whose circuit is closed has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CircuitView {
    /// Which.
    pub provider: ProviderName,
    /// Open, or half open while one job tries it.
    pub state: CircuitState,
    /// What the last failure was, in words.
    pub note: String,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// Until when it is left alone, or how long the one job that tries it may take.
    #[schemars(with = "String")]
    pub until: Timestamp,
}

/// How much is waiting.
#[derive(Debug, Clone, Default)]
pub struct Backlog {
    /// Jobs by provider and state.
    pub jobs: Vec<(ProviderName, JobState, u64)>,
    /// Held jobs by provider and reason, as stored (gates aside).
    pub held: Vec<(ProviderName, HoldReason, u64)>,
    /// How long the oldest due job of each provider has been due.
    pub oldest_due: Vec<(ProviderName, Duration)>,
    /// Quarantined deliveries by source: entries and bytes.
    pub quarantine: Vec<(SourceName, u64, u64)>,
}

/// What is still open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusView {
    /// Jobs by provider and state. Behind a closed gate, queued jobs count as held.
    pub jobs: BTreeMap<ProviderName, BTreeMap<JobState, u64>>,
    /// Held jobs by provider and reason.
    pub held: BTreeMap<ProviderName, BTreeMap<HoldReason, u64>>,
    /// What keeps providers from being called.
    pub gates: Vec<GateView>,
    /// Providers that fail, and are left alone for a while.
    #[serde(default)]
    pub circuits: Vec<CircuitView>,
    /// For how many seconds the oldest due job of each provider has been due.
    pub oldest_due_seconds: BTreeMap<ProviderName, f64>,
    /// Deliveries in quarantine, by source.
    pub quarantine: BTreeMap<SourceName, u64>,
    /// How full the budgets are.
    #[serde(default)]
    pub budgets: Vec<BudgetView>,
    /// Messages that were not taken yet, by target; a target without any is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notify: BTreeMap<TargetName, OutboxView>,
    /// The processes that are alive and share the store, the oldest first.
    #[serde(default)]
    pub replicas: Vec<ReplicaView>,
    /// What each process that works may use of every provider's limits.
    #[serde(default)]
    pub shares: BTreeMap<ProviderName, ShareView>,
}

/// What one process may use of a provider's limits, which are divided by those that work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShareView {
    /// How many divide them.
    pub workers: u32,
    /// Jobs that each may have at work there at the same time.
    pub concurrency: u32,
    /// Calls that each may make: so many in so long. `null`: no rate is configured.
    pub rate: Option<settings::Rate>,
}

/// How full a budget is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetView {
    /// Whose alerts it counts; `null`: everyone's.
    pub source: Option<SourceName>,
    /// Where it counts; `null`: everywhere.
    pub provider: Option<ProviderName>,
    /// Which rule's jobs it counts; `null`: every rule's.
    pub rule: Option<String>,
    /// How many people there may be.
    pub users: u32,
    /// In how long.
    pub per: settings::Duration,
    /// What is kept for grave alerts.
    pub reserve: Option<ReserveView>,
    /// How many people it counts now.
    pub used: u64,
}

/// What a budget keeps for grave alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReserveView {
    /// Of at least this severity.
    pub severity: Severity,
    /// So many of its people.
    pub users: u32,
}

impl BudgetView {
    /// A budget that counts so many people.
    #[must_use]
    pub fn new(budget: &Budget, used: u64) -> Self {
        let Budget { users, per, source, provider, rule, reserve } = budget.clone();
        let reserve = reserve.map(|Reserve { severity, users }| ReserveView { severity, users });
        Self { source, provider, rule, users, per: settings::Duration(per), reserve, used }
    }
}

impl StatusView {
    /// How many divide the limits of providers; at least one, who is to come.
    #[must_use]
    pub fn workers(&self) -> u32 {
        let workers = self.replicas.iter().filter(|replica| replica.roles.contains(&ReplicaRole::Worker)).count();
        u32::try_from(workers).unwrap_or(u32::MAX).max(1)
    }

    /// Where a provider's circuit stands.
    #[must_use]
    pub fn circuit(&self, provider: &ProviderName) -> CircuitState {
        let open = self.circuits.iter().find(|view| view.provider == *provider);
        open.map_or(CircuitState::Closed, |view| view.state)
    }
}
