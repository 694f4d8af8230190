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
}

/// When each provider is to be asked next. A gate that closes again soon after it opened goes on waiting longer.
#[derive(Debug, Default)]
pub(super) struct Probes(Mutex<HashMap<ProviderName, Probe>>);

impl Probes {
    /// Whether it is time to ask; the next time is then further off.
    fn is_due(&self, provider: &ProviderName, now: Timestamp) -> bool {
        let mut probes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = Probe { next: now + FIRST_PROBE, wait: FIRST_PROBE };
        let probe = probes.entry(provider.clone()).or_insert(first);
        if now < probe.next {
            return false;
        }
        let wait = (probe.wait * 2).min(SLOWEST_PROBE);
        *probe = Probe { next: now + wait, wait };
        true
    }

    /// It did what it was asked: the next trouble is a new one.
    pub(super) fn forget(&self, provider: &ProviderName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(provider);
    }
}

impl Shared {
    pub(super) async fn probe_gates(&self) {
        self.adopt_circuits().await;
        let gates = match self.store.gates().await {
            Ok(gates) => gates,
            Err(error) => {
                tracing::warn!(error = %error, "the gates could not be read");
                return;
            }
        };
        // One provider that does not answer must not keep the others waiting.
        futures_util::future::join_all(gates.iter().map(|gate| self.probe(gate))).await;
    }

    async fn probe(&self, gate: &GateView) {
        let Some(name) = &gate.provider else { return };
        // A person paused it, and a person lets it go on.
        if !matches!(gate.reason, HoldReason::Credential | HoldReason::Misconfigured) {
            return;
        }
        let Some((station, _)) = self.stations.get(name) else { return };
        if !self.probes.is_due(name, self.clock.steady()) {
            return;
        }
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
