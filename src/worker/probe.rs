//! Closed gates: asks each provider, ever less often, whether it takes us again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Shared;
use crate::domain::{HoldReason, ProviderName};
use crate::store::GateView;

/// The first question comes this long after the gate was seen closed.
const FIRST_PROBE: Duration = Duration::from_secs(5);

/// Later ones come at most this far apart. A new token is noticed within a minute.
const SLOWEST_PROBE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
struct Probe {
    next: Timestamp,
    wait: Duration,
    /// A question is on its way, and its answer may take longer than the wait.
    asking: bool,
}

/// When each provider is to be asked next. A gate that closes again soon after it opened goes on waiting longer.
#[derive(Debug, Default)]
pub(super) struct Probes(Mutex<HashMap<ProviderName, Probe>>);

impl Probes {
    /// Whether it is time to ask; the next time is then further off.
    fn is_due(&self, provider: &ProviderName, now: Timestamp) -> bool {
        let mut probes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = Probe { next: now + FIRST_PROBE, wait: FIRST_PROBE, asking: false };
        let probe = probes.entry(provider.clone()).or_insert(first);
        if probe.asking || now < probe.next {
            return false;
        }
        let wait = (probe.wait * 2).min(SLOWEST_PROBE);
        *probe = Probe { next: now + wait, wait, asking: true };
        true
    }

    /// The question was answered, or given up.
    fn answered(&self, provider: &ProviderName) {
        if let Some(probe) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(provider) {
            probe.asking = false;
        }
    }

    /// It did what it was asked: the next trouble is a new one.
    pub(super) fn forget(&self, provider: &ProviderName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(provider);
    }
}

/// However a question ends, the next may be asked.
struct Answered<'p> {
    probes: &'p Probes,
    name: &'p ProviderName,
}

impl Drop for Answered<'_> {
    fn drop(&mut self) {
        self.probes.answered(self.name);
    }
}

impl Shared {
    /// Asks every provider that it is time to ask, and waits for all answers.
    pub(super) async fn probe_gates(&self) {
        self.adopt_circuits().await;
        let due = self.gates_due().await;
        futures_util::future::join_all(due.iter().map(|gate| self.probe(gate))).await;
    }

    /// The closed gates whose providers are to be asked now, each by [`Self::probe`].
    pub(super) async fn gates_due(&self) -> Vec<GateView> {
        match self.store.gates().await {
            Ok(gates) => gates.into_iter().filter(|gate| self.is_due(gate)).collect(),
            Err(error) => {
                tracing::warn!(error = %error, "the gates could not be read");
                Vec::new()
            }
        }
    }

    fn is_due(&self, gate: &GateView) -> bool {
        // A person paused it, and a person lets it go on.
        let is_ours = matches!(gate.reason, HoldReason::Credential | HoldReason::Misconfigured);
        let known = gate.provider.as_ref().filter(|name| is_ours && self.bays.get().contains_key(*name));
        known.is_some_and(|name| self.probes.is_due(name, self.clock.steady()))
    }

    /// Asks one provider, and opens its gate if it takes us.
    pub(super) async fn probe(&self, gate: &GateView) {
        let Some(name) = &gate.provider else { return };
        let bays = self.bays.get();
        let Some(station) = bays.get(name).map(|bay| &bay.station) else { return };
        let _answered = Answered { probes: &self.probes, name };
        match station.provider.check().await {
            Ok(_) => self.open_gate(name, gate.reason).await,
            Err(error) => {
                tracing::warn!(provider.name = %name, error = %error, "still does not take us; its jobs wait");
            }
        }
    }

    async fn open_gate(&self, name: &ProviderName, reason: HoldReason) {
        match self.store.open_gate(name, reason).await {
            Ok(()) => tracing::info!(provider.name = %name, reason = reason.as_str(), "takes us again; its jobs go on"),
            Err(error) => tracing::warn!(provider.name = %name, error = %error, "the gate could not be opened"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_is_slow_to_answer_is_not_asked_twice_at_once() {
        let (probes, name) = (Probes::default(), "chat".parse().expect("a name"));
        let mut now = Timestamp::UNIX_EPOCH;
        assert!(!probes.is_due(&name, now), "the first question waits");
        now += FIRST_PROBE;
        assert!(probes.is_due(&name, now));
        now += SLOWEST_PROBE * 10;
        assert!(!probes.is_due(&name, now), "the answer is still to come");
        probes.answered(&name);
        assert!(probes.is_due(&name, now));
    }
}
