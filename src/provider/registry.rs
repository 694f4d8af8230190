//! The configured providers, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kind::ProviderSettings;
use super::settings::{CommonSettings, Problem};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn build(text: &str) -> Result<Providers, Vec<Problem>> {
        let settings = serde_saphyr::from_str(text).expect("settings");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        Providers::build(&settings, &clock)
    }

    #[test]
    fn problems_of_all_providers_are_named_by_their_place() {
        let good = "okta: {kind: okta, url: 'https://a.okta.com', credentials: {api_token: {value: 00QCjAl4}}}";
        let built = build(good).expect("providers");
        let okta = built.get(&"okta".parse().expect("a name")).expect("a provider");
        assert_eq!((okta.kind(), okta.common.limits.concurrency.get()), (ProviderKind::Okta, 8));
        assert!(!format!("{built:?}").contains("00QC"));
        let bad = good.replace("https://a", "http://a");
        let bad = format!("{bad}\n{}", good.replace("okta: {", "b: {").replace("a.okta", "a-admin.okta"));
        let fields: Vec<_> = build(&bad).expect_err("problems").into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["b.url", "okta.url"]);
    }
}
