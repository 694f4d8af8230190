//! The configured providers, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::settings::{CommonSettings, Problem, ProviderSettings};
use super::{Provider, ProviderKind};
use crate::clock::Clock;
use crate::domain::ProviderName;

/// A provider and the settings that every kind has.
#[derive(Clone)]
pub struct Configured {
    /// The client.
    pub provider: Arc<dyn Provider>,
    /// Limits, retry, proof, timeout and dry run.
    pub common: CommonSettings,
}

impl std::fmt::Debug for Configured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Configured").field("kind", &self.kind()).field("common", &self.common).finish()
    }
}

impl Configured {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> ProviderKind {
        self.provider.kind()
    }
}

/// Every configured provider.
#[derive(Debug, Clone, Default)]
pub struct Providers(BTreeMap<ProviderName, Configured>);

impl Providers {
    /// Makes all clients. All problems of all providers are reported at once, each field as `NAME.FIELD`.
    pub fn build(
        settings: &BTreeMap<ProviderName, ProviderSettings>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Vec<Problem>> {
        let (mut providers, mut problems) = (Self::default(), Vec::new());
        for (name, settings) in settings {
            match settings.build(name, Arc::clone(clock)) {
                Ok(provider) => providers.insert(name.clone(), provider, settings.common()),
                Err(found) => problems.extend(found.into_iter().map(|(field, mend)| (format!("{name}.{field}"), mend))),
            }
        }
        if problems.is_empty() { Ok(providers) } else { Err(problems) }
    }

    /// Adds one, or puts it in the place of the one of that name.
    pub fn insert(&mut self, name: ProviderName, provider: Arc<dyn Provider>, common: CommonSettings) {
        self.0.insert(name, Configured { provider, common });
    }

    /// The one of this name.
    #[must_use]
    pub fn get(&self, name: &ProviderName) -> Option<&Configured> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ProviderName, &Configured)> {
        self.0.iter()
    }
}
