//! What operators see, put together from what any store finds.

use std::collections::BTreeMap;

use super::{Backlog, CircuitView, GateView, OutboxView, Page, StatusView};
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
        notify,
    }
}

/// What keeps this provider from being called.
pub(super) fn gate_of<'a>(gates: &'a [GateView], provider: &ProviderName) -> Option<&'a GateView> {
    gates.iter().find(|gate| gate.provider.as_ref().is_none_or(|name| name == provider))
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
