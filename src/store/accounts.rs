//! A person's accounts. As many people are kept in memory as budgets count, and nearly all of them have one account: a map
//! would take half a kilobyte for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::domain::ProviderName;

/// One at most at each provider, each as the provider's name, a colon, which no name has, and the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<ProviderName, String>")]
pub(super) struct Accounts(Box<[Box<str>]>);

impl Accounts {
    pub(super) fn at(&self, provider: &ProviderName) -> Option<&str> {
        self.iter().find(|(name, _)| *name == provider.as_str()).map(|(_, account)| account)
    }

    /// In place of the one that was there.
    pub(super) fn set(&mut self, provider: &ProviderName, account: &str) {
        let others = self.iter().filter(|(name, _)| *name != provider.as_str());
        self.0 = others.chain([(provider.as_str(), account)]).map(joined).collect();
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|both| both.split_once(':'))
    }
}

fn joined((provider, account): (&str, &str)) -> Box<str> {
    format!("{provider}:{account}").into()
}

impl From<BTreeMap<ProviderName, String>> for Accounts {
    fn from(map: BTreeMap<ProviderName, String>) -> Self {
        Self(map.iter().map(|(name, account)| joined((name.as_str(), account))).collect())
    }
}

impl Serialize for Accounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_has_one_and_it_is_stored_by_name() {
        let name = |text: &str| text.parse::<ProviderName>().expect("a name");
        let mut accounts = Accounts::default();
        for (provider, account) in [("okta", "00u1"), ("chat", "c:1"), ("okta", "00u2")] {
            accounts.set(&name(provider), account);
        }
        assert_eq!((accounts.at(&name("okta")), accounts.at(&name("slack"))), (Some("00u2"), None));
        let stored = serde_json::to_string(&accounts).expect("JSON");
        assert_eq!(stored, r#"{"chat":"c:1","okta":"00u2"}"#);
        let read: Accounts = serde_json::from_str(&stored).expect("accounts");
        assert_eq!(read.at(&name("chat")), Some("c:1"));
    }
}
