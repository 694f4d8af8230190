//! What a reload replaces, and in which order.
//!
//! Each part is replaced as a whole: whoever holds the old one ends with it. What did not change is kept, so that a limit
//! that is used up, or a wait that a provider asked for, is not forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;

use super::changes::{Changes, Summary};
use super::queues::Queues;
use super::{provider_infos, queues_of, source_intakes, station};
use crate::admin::{self, AdminState, Gauges, Hosts};
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::domain::{HoldReason, ProviderName};
use crate::ingest::{Intake, Planning};
use crate::live::Live;
use crate::provider::Providers;
use crate::store::{Retention, Store, StoreError};
use crate::worker::Worker;

/// Why a config is not taken on, although nothing is wrong with it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// A running process cannot.
    #[error("restart sever to change {}", .0.iter().cloned().collect::<Vec<_>>().join(", "))]
    Restart(BTreeSet<String>),
    /// It would not be in the record.
    #[error("the change could not be recorded: {0}")]
    Unrecorded(#[from] StoreError),
}

/// The parts that follow the config.
pub(super) struct Running {
    pub(super) store: Arc<dyn Store>,
    pub(super) intake: Arc<Intake>,
    pub(super) worker: Worker,
    pub(super) queues: Queues,
    pub(super) gauges: Arc<Gauges>,
    pub(super) retention: Live<Retention>,
    pub(super) admin: Option<AdminRoom>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) in_use: Live<InUse>,
}

/// The operator API, which is made anew for a new config.
pub(super) struct AdminRoom {
    pub(super) state: Live<AdminState>,
    pub(super) router: Live<Router>,
}

/// The config that holds.
pub(super) struct InUse {
    pub(super) config: Config,
    pub(super) providers: Providers,
    pub(super) summary: Summary,
}

impl Running {
    /// Takes a config on: the names of what changed. On an error nothing has changed. One at a time: the reloader sees to it.
    pub(super) async fn take(&self, mut loaded: Loaded) -> Result<Vec<String>, Refused> {
        let before = self.in_use.get();
        let summary = Summary::of(&loaded);
        let changes = Changes::between(&before.summary, &summary);
        if !changes.fixed.is_empty() {
            return Err(Refused::Restart(changes.fixed));
        }
        let changed: Vec<String> = changes.live.iter().cloned().collect();
        if changed.is_empty() {
            return Ok(changed);
        }
        // First, so that nothing is ever done by a config that is not in the record.
        self.store.record_reload(loaded.digest, changed.clone()).await?;
        self.store.set_routes(std::mem::take(&mut loaded.routes)).await?;
        keep_unchanged(&mut loaded.providers, &before.providers, &changes);
        self.replace(loaded, summary).await;
        Ok(changed)
    }

    async fn replace(&self, loaded: Loaded, summary: Summary) {
        let Loaded { config, verifiers, decoders, providers, policy, tokens, retention, .. } = loaded;
        let policy = Arc::new(policy);
        // The providers before the rules that name them.
        self.worker.replace(providers.iter().map(|(name, it)| (name.clone(), station(it))).collect(), &policy);
        let planning = Planning::new(policy, dry(&providers));
        let sources = source_intakes(&config, verifiers, decoders, &planning, &self.clock);
        self.intake.replace(sources, planning);
        self.gauges.also(config.providers.keys().cloned(), config.sources.keys().cloned()).await;
        if let (Some(room), Some(tokens), Some(settings)) = (&self.admin, tokens, &config.admin) {
            let state = room.state.get();
            room.furnish(AdminState {
                providers: Arc::new(provider_infos(&config, &providers)),
                clients: Arc::new(providers.clone()),
                sources: Arc::new(config.sources.keys().cloned().collect()),
                tokens: Arc::new(tokens),
                hosts: Arc::new(Hosts::instead_of(&state.hosts, settings)),
                ..AdminState::clone(&state)
            });
        }
        self.retention.set(retention);
        self.queues.consume(&queues_of(&config));
        self.in_use.set(InUse { config, providers, summary });
    }

    /// Jobs of a provider that left the config say what they wait for. Once it is back, the gate is probed open.
    pub(super) async fn hold_orphans(&self) -> Result<(), StoreError> {
        let backlog = self.store.backlog().await?;
        let in_use = self.in_use.get();
        let open = backlog.jobs.iter().filter(|(_, state, count)| !state.is_final() && *count > 0);
        let orphaned: BTreeSet<&ProviderName> = open
            .map(|(provider, ..)| provider)
            .filter(|provider| !in_use.config.providers.contains_key(*provider))
            .collect();
        let gates = if orphaned.is_empty() { Vec::new() } else { self.store.gates().await? };
        let is_held = |provider: &ProviderName| {
            gates.iter().any(|it| it.provider.as_ref() == Some(provider) && it.reason == HoldReason::Misconfigured)
        };
        for provider in orphaned.into_iter().filter(|provider| !is_held(provider)) {
            let note = "it is not in the config any more: put it back, or cancel its jobs".to_owned();
            tracing::error!(provider.name = %provider, "jobs wait for a provider that is not in the config");
            self.store.close_gate(provider, HoldReason::Misconfigured, note).await?;
        }
        Ok(())
    }

    /// No source takes webhooks, so without a broker no alert can come in.
    pub(super) fn is_queues_only(&self) -> bool {
        let in_use = self.in_use.get();
        let sources = &in_use.config.sources;
        !sources.is_empty() && sources.values().all(|source| !source.takes_webhooks())
    }
}

impl AdminRoom {
    /// Requests that come from now on meet this state.
    pub(super) fn furnish(&self, state: AdminState) {
        self.router.set(admin::router(state.clone()));
        self.state.set(state);
    }
}

/// A client whose settings and secrets are the same stays, with what it has learned.
fn keep_unchanged(providers: &mut Providers, before: &Providers, changes: &Changes) {
    for (name, configured) in before.iter() {
        if providers.get(name).is_some() && !changes.concern(&format!("providers.{name}")) {
            providers.insert(name.clone(), Arc::clone(&configured.provider), configured.common);
        }
    }
}

/// The providers to which nothing is sent.
pub(super) fn dry(providers: &Providers) -> BTreeSet<ProviderName> {
    providers.iter().filter(|(_, it)| it.common.dry_run).map(|(name, _)| name.clone()).collect()
}
