//! A person's accounts. As many people are kept in memory as budgets count, and nearly all of them have one account, so they
//! are a list: a map takes half a kilobyte for the first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::domain::ProviderName;

/// One at most at each provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<ProviderName, String>")]
pub(super) struct Accounts(Vec<(ProviderName, String)>);

impl Accounts {
    pub(super) fn at(&self, provider: &ProviderName) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == provider).map(|(_, account)| account.as_str())
    }

    /// In place of the one that was there.
    pub(super) fn set(&mut self, provider: ProviderName, account: String) {
        match self.0.iter_mut().find(|(name, _)| *name == provider) {
            Some((_, known)) => *known = account,
            None => {
                self.0.reserve_exact(1);
                self.0.push((provider, account));
            }
        }
    }
}

impl From<BTreeMap<ProviderName, String>> for Accounts {
    fn from(map: BTreeMap<ProviderName, String>) -> Self {
        Self(map.into_iter().collect())
    }
}

impl Serialize for Accounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, account)| (name, account)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_has_one_and_it_is_stored_by_name() {
        let name = |text: &str| text.parse::<ProviderName>().expect("a name");
        let mut accounts = Accounts::default();
        for (provider, account) in [("okta", "00u1"), ("chat", "c1"), ("okta", "00u2")] {
            accounts.set(name(provider), account.to_owned());
        }
        assert_eq!((accounts.at(&name("okta")), accounts.at(&name("slack"))), (Some("00u2"), None));
        let stored = serde_json::to_string(&accounts).expect("JSON");
        assert_eq!(stored, r#"{"okta":"00u2","chat":"c1"}"#);
        let read: Accounts = serde_json::from_str(&stored).expect("accounts");
        assert_eq!(read.at(&name("chat")), Some("c1"));
    }
}
