//! What operators see, put together from what any store finds.

use std::collections::BTreeMap;

use super::{Backlog, BulkOrder, CircuitView, Decision, GateView, JobFilter, OutboxView, Page, StatusView};
use crate::domain::{HoldReason, JobState, ProviderName, Scope, SessionRef, Subject, TargetName, fold};

/// What is still open. Behind a closed gate, queued jobs count as held.
pub(super) fn status(
    backlog: Backlog,
    gates: Vec<GateView>,
    circuits: Vec<CircuitView>,
    notify: BTreeMap<TargetName, OutboxView>,
) -> StatusView {
    let mut jobs: BTreeMap<ProviderName, BTreeMap<JobState, u64>> = BTreeMap::new();
    let mut held: BTreeMap<ProviderName, BTreeMap<HoldReason, u64>> = BTreeMap::new();
    for (provider, state, count) in backlog.jobs {
        let gate = gate_of(&gates, &provider).filter(|_| state == JobState::Queued);
        if let Some(gate) = gate {
            *held.entry(provider.clone()).or_default().entry(gate.reason).or_default() += count;
        }
        let shown = if gate.is_some() { JobState::Held } else { state };
        *jobs.entry(provider).or_default().entry(shown).or_default() += count;
    }
    for (provider, reason, count) in backlog.held {
        *held.entry(provider).or_default().entry(reason).or_default() += count;
    }
    StatusView {
        jobs,
        held,
        gates,
        circuits,
        oldest_due_seconds: backlog.oldest_due.into_iter().map(|(name, age)| (name, age.as_secs_f64())).collect(),
        quarantine: backlog.quarantine.into_iter().map(|(source, entries, _)| (source, entries)).collect(),
        // The config has them.
        budgets: Vec::new(),
        shares: BTreeMap::new(),
        notify,
        replicas: Vec::new(),
    }
}

/// What keeps this provider from being called.
pub(super) fn gate_of<'a>(gates: &'a [GateView], provider: &ProviderName) -> Option<&'a GateView> {
    gates.iter().find(|gate| gate.provider.as_ref().is_none_or(|name| name == provider))
}

/// How a job has to show, as SQL: further conditions on its row.
pub(super) fn conditions(filter: &JobFilter, gates: &[GateView]) -> String {
    let mut sql = String::new();
    let gated = gated_sql(gates);
    if let Some(reason) = filter.hold_reason {
        sql.push_str(&held_for(reason, gates));
    }
    if let Some(reason) = filter.dead_reason {
        sql.push_str(&format!(" AND state = 5 AND finished_at IS NOT NULL AND dead_reason = '{}'", reason.as_str()));
    }
    match filter.state {
        None => {}
        Some(JobState::Held) => sql.push_str(&format!(" AND (state = 3 OR (state = 0 AND {gated}))")),
        Some(JobState::Queued) => sql.push_str(&format!(" AND state = 0 AND NOT {gated}")),
        // Always so, and what the index of those that ended wants to hear.
        Some(state) if state.is_final() => {
            sql.push_str(&format!(" AND state = {} AND finished_at IS NOT NULL", state as i64));
        }
        Some(state) => sql.push_str(&format!(" AND state = {}", state as i64)),
    }
    sql
}

/// In a state in which such a decision is made.
pub(super) fn decided_in(order: &BulkOrder) -> &'static str {
    match order.decision {
        Decision::Approve => "state = 3",
        Decision::Requeue => "state IN (3, 4, 5, 6)",
        Decision::Cancel => "state IN (0, 2, 3)",
    }
}

/// Behind a gate, a queued job shows the gate's reason.
fn held_for(reason: HoldReason, gates: &[GateView]) -> String {
    let stored = format!("state = 3 AND hold_reason = '{}'", reason.as_str());
    let shown: Vec<_> = gates.iter().filter(|gate| gate.reason == reason).cloned().collect();
    if shown.is_empty() {
        return format!(" AND {stored}");
    }
    format!(" AND (({stored}) OR (state = 0 AND {}))", gated_sql(&shown))
}

/// Provider names are checked when the config is read, so they hold no quotes.
fn gated_sql(gates: &[GateView]) -> String {
    if gates.iter().any(|gate| gate.provider.is_none()) {
        return "TRUE".to_owned();
    }
    let names: Vec<String> = gates.iter().flat_map(|gate| &gate.provider).map(|name| format!("'{name}'")).collect();
    if names.is_empty() { "FALSE".to_owned() } else { format!("(provider IN ({}))", names.join(", ")) }
}

/// Whether a job is about whoever has this name. Names are folded as everywhere else, which SQL cannot do beyond ASCII.
pub(super) fn is_about(subject: &Subject, account: Option<&str>, exact: &str, folded: &str) -> bool {
    let same = |name: &Option<String>| name.as_deref().is_some_and(|name| fold(name) == folded);
    account == Some(exact) || subject.id.as_deref() == Some(exact) || same(&subject.email) || same(&subject.username)
}

/// What was found is one more than the page may hold, where there is more.
pub(super) fn page<T>(mut found: Vec<(i64, T)>, limit: u32) -> Page<T> {
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = if more { found.last().map(|(seq, _)| seq.to_string()) } else { None };
    Page { items: found.into_iter().map(|(_, item)| item).collect(), next_cursor }
}

/// Those that were given.
pub(super) fn sessions(scope: Scope) -> Vec<SessionRef> {
    match scope {
        Scope::Sessions(sessions) => sessions,
        Scope::All | Scope::Web | Scope::Mobile => Vec::new(),
    }
}
