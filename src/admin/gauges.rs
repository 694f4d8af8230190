//! The gauges that tell what is in the store. They are set when someone looks, so that counting costs nothing before.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::domain::{CircuitState, HoldReason, JobState, ProviderName, SourceName, TargetName};
use crate::store::{Operations, StatusView, StoreError};
use crate::telemetry::{Metrics, ProviderOnly, ProviderReason, ProviderState, SourceOnly, TargetOnly};

/// Every metric, with the gauges as they are now.
pub struct Gauges {
    metrics: Arc<Metrics>,
    operations: Arc<dyn Operations>,
    seen: Mutex<Seen>,
}

/// Whoever was told about once is told about for ever: a series that stops would keep its last value in the reader's
/// eyes, so it goes to zero instead.
struct Seen {
    providers: BTreeSet<ProviderName>,
    sources: BTreeSet<SourceName>,
    targets: BTreeSet<TargetName>,
}

impl Gauges {
    /// The configured providers and sources have their series from the start.
    #[must_use]
    pub fn new(
        metrics: Arc<Metrics>,
        operations: Arc<dyn Operations>,
        providers: impl IntoIterator<Item = ProviderName>,
        sources: impl IntoIterator<Item = SourceName>,
    ) -> Self {
        let (providers, sources) = (providers.into_iter().collect(), sources.into_iter().collect());
        let seen = Seen { providers, sources, targets: BTreeSet::new() };
        Self { metrics, operations, seen: Mutex::new(seen) }
    }

    /// These too, from now on.
    pub async fn also(
        &self,
        providers: impl IntoIterator<Item = ProviderName>,
        sources: impl IntoIterator<Item = SourceName>,
    ) {
        let mut seen = self.seen.lock().await;
        seen.providers.extend(providers);
        seen.sources.extend(sources);
    }

    /// The exposition text, counted just now.
    pub async fn render(&self) -> Result<String, StoreError> {
        // One at a time, or an older count could overwrite a newer one.
        let mut seen = self.seen.lock().await;
        let status = self.operations.status().await?;
        seen.providers.extend(status.jobs.keys().cloned());
        seen.sources.extend(status.quarantine.keys().cloned());
        for provider in &seen.providers {
            self.set_provider(provider, &status);
        }
        for source in &seen.sources {
            let labels = SourceOnly { source: source.to_string() };
            self.metrics.quarantine.get_or_create(&labels).set(gauge(status.quarantine.get(source)));
        }
        seen.targets.extend(status.notify.keys().cloned());
        for target in &seen.targets {
            let (labels, found) = (TargetOnly { target: target.to_string() }, status.notify.get(target));
            self.metrics.notify_waiting.get_or_create(&labels).set(gauge(found.map(|found| &found.waiting)));
            self.metrics.notify_dead.get_or_create(&labels).set(gauge(found.map(|found| &found.dead)));
        }
        self.metrics.replicas_live.set(i64::try_from(status.replicas.len()).unwrap_or(i64::MAX));
        Ok(self.metrics.render())
    }

    fn set_provider(&self, name: &ProviderName, status: &StatusView) {
        let provider = name.to_string();
        for state in JobState::ALL {
            let count = status.jobs.get(name).and_then(|jobs| jobs.get(state));
            let labels = ProviderState { provider: provider.clone(), state: state.as_str() };
            self.metrics.jobs.get_or_create(&labels).set(gauge(count));
        }
        for reason in HoldReason::ALL {
            let count = status.held.get(name).and_then(|held| held.get(reason));
            let labels = ProviderReason { provider: provider.clone(), reason: reason.as_str() };
            self.metrics.held.get_or_create(&labels).set(gauge(count));
        }
        let circuit = status.circuit(name);
        for state in CircuitState::ALL {
            let labels = ProviderState { provider: provider.clone(), state: state.as_str() };
            self.metrics.circuit.get_or_create(&labels).set(i64::from(circuit == *state));
        }
        let oldest = status.oldest_due_seconds.get(name).copied().unwrap_or(0.0);
        self.metrics.oldest_due.get_or_create(&ProviderOnly { provider }).set(oldest);
    }
}

fn gauge(count: Option<&u64>) -> i64 {
    count.map_or(0, |count| i64::try_from(*count).unwrap_or(i64::MAX))
}
