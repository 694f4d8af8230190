//! What deliveries are planned by: the rules of one config. A source holds those that it was loaded with, so that a
//! delivery is decoded and planned by one config from its first byte to its commit, whatever is reloaded meanwhile.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::source::SourceIntake;
use crate::domain::{ProviderName, SourceName};
use crate::policy::Policy;

/// Rules, guardrails, and where nothing is sent.
pub struct Planning {
    pub(super) policy: Arc<Policy>,
    pub(super) dry_providers: BTreeSet<ProviderName>,
}

impl Planning {
    /// By these rules. Jobs at `dry_providers` send nothing.
    #[must_use]
    pub fn new(policy: Arc<Policy>, dry_providers: BTreeSet<ProviderName>) -> Arc<Self> {
        Arc::new(Self { policy, dry_providers })
    }
}

/// The sources of one config.
pub(super) struct Sources {
    pub(super) by_name: HashMap<SourceName, Arc<SourceIntake>>,
    pub(super) planning: Arc<Planning>,
}

impl Sources {
    pub(super) fn new(sources: Vec<SourceIntake>, planning: Arc<Planning>) -> Self {
        let by_name = sources.into_iter().map(|source| (source.name().clone(), Arc::new(source))).collect();
        Self { by_name, planning }
    }
}
