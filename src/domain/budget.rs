//! How many people may lose their sessions in how long, and who counts as one person.
//!
//! Guessing too narrow is the safe side here: two people who are taken for one would let one more be acted on than the
//! budget allows, so people are joined only by what their providers say of them.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Account, ProviderName, Severity, SourceName};

/// At most so many people in any stretch of time so long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// People.
    pub users: u32,
    /// The stretch of time.
    pub per: Duration,
    /// Counts what this source asked for alone.
    pub source: Option<SourceName>,
    /// Counts what is done at this provider alone.
    pub provider: Option<ProviderName>,
    /// Counts what this rule asked for alone.
    pub rule: Option<String>,
    /// What is kept for grave alerts.
    pub reserve: Option<Reserve>,
}

/// A part of a budget that only grave alerts may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    /// Alerts of at least this severity.
    pub severity: Severity,
    /// People, of those that the budget has.
    pub users: u32,
}

impl Budget {
    /// Whether it counts a job of this kind.
    #[must_use]
    pub fn counts(&self, provider: &ProviderName, source: &SourceName, rules: &[String]) -> bool {
        self.provider.as_ref().is_none_or(|name| name == provider)
            && self.source.as_ref().is_none_or(|name| name == source)
            && self.rule.as_ref().is_none_or(|name| rules.contains(name))
    }

    /// How many people there may be, the one of a job of this severity among them.
    #[must_use]
    pub fn limit(&self, severity: Severity) -> u32 {
        match self.reserve {
            Some(reserve) if severity < reserve.severity => self.users.saturating_sub(reserve.users),
            Some(_) | None => self.users,
        }
    }

    /// Under which it is counted. The same for a budget of another size or reserve, so that a change of those forgets
    /// nobody.
    #[must_use]
    pub fn key(&self) -> i64 {
        let per = self.per.as_micros().to_be_bytes();
        let text = |text: Option<&str>| [&[u8::from(text.is_some())], text.unwrap_or_default().as_bytes()].concat();
        let source = text(self.source.as_ref().map(SourceName::as_str));
        let provider = text(self.provider.as_ref().map(ProviderName::as_str));
        let digest = digest(&[&per, &source, &provider, &text(self.rule.as_deref())]);
        i64::from_be_bytes(std::array::from_fn(|place| digest[place]))
    }

    /// Why a job of this severity has to wait.
    #[must_use]
    pub fn refusal(&self, severity: Severity, used: u64) -> String {
        let kept = match self.reserve {
            Some(reserve) if severity < reserve.severity => {
                format!(", and {} are kept for what is at least {}", reserve.users, reserve.severity.as_str())
            }
            Some(_) | None => String::new(),
        };
        format!(
            "the budget of {self} has no room: {used} of {} are used{kept}; approve it to go on past the budget, or \
             cancel it",
            self.users
        )
    }
}

/// `20 people per 10m from edr`
impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let people = if self.users == 1 { "person" } else { "people" };
        write!(f, "{} {people} per {}", self.users, humantime::format_duration(self.per))?;
        if let Some(source) = &self.source {
            write!(f, " from {source}")?;
        }
        if let Some(provider) = &self.provider {
            write!(f, " at {provider}")?;
        }
        match &self.rule {
            Some(rule) => write!(f, " by the rule {rule:?}"),
            None => Ok(()),
        }
    }
}

/// What an account's person is known by at other providers: its e-mail addresses, as the provider shows them. Of user
/// names one cannot tell: `admin` is somebody else everywhere. Names in alerts never count, for whoever sends alerts
/// could make many people one.
///
/// Case is no difference here, and nothing else is left out of account: `straße@` and `strasse@` may be two people.
#[must_use]
pub fn person_marks(account: &Account) -> Vec<[u8; 16]> {
    let is_address =
        |name: &&String| name.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    let mut marks: Vec<_> = account
        .identifiers
        .iter()
        .filter(is_address)
        .map(|name| digest(&[b"address", name.to_lowercase().as_bytes()]))
        .collect();
    let mut seen = std::collections::HashSet::new();
    marks.retain(|mark| seen.insert(*mark));
    marks
}

/// What an account is known by itself.
#[must_use]
pub fn account_mark(provider: &ProviderName, account: &str) -> [u8; 16] {
    digest(&[b"account", provider.as_str().as_bytes(), account.as_bytes()])
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut key = [0; 16];
    key.copy_from_slice(&digest.finalize()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        let per = Duration::from_secs(600);
        Budget { users: 20, per, source: None, provider: None, rule: None, reserve: None }
    }

    #[test]
    fn a_budget_counts_what_it_names() {
        let (okta, edr) = ("okta".parse().expect("a name"), "edr".parse().expect("a name"));
        let rules = ["stolen".to_owned()];
        let other = |name: &str| Some(name.parse().expect("a name"));
        assert!(budget().counts(&okta, &edr, &rules));
        let all =
            Budget { source: Some(edr.clone()), provider: Some(okta.clone()), rule: Some("stolen".into()), ..budget() };
        assert!(all.counts(&okta, &edr, &rules));
        assert!(!Budget { source: other("siem"), ..all.clone() }.counts(&okta, &edr, &rules));
        assert!(!Budget { rule: Some("other".into()), ..all.clone() }.counts(&okta, &edr, &rules));
        assert!(!Budget { provider: Some("slack".parse().expect("a name")), ..all }.counts(&okta, &edr, &rules));
    }

    #[test]
    fn a_reserve_is_for_the_grave() {
        let reserve = Some(Reserve { severity: Severity::Critical, users: 5 });
        let budget = Budget { reserve, ..budget() };
        assert_eq!((budget.limit(Severity::High), budget.limit(Severity::Critical)), (15, 20));
        assert!(
            budget
                .refusal(Severity::High, 15)
                .contains("15 of 20 are used, and 5 are kept for what is at least critical")
        );
    }

    #[test]
    fn budgets_of_different_things_are_counted_apart() {
        let named = |name: &str| Some(name.parse().expect("a name"));
        let keys = [
            budget().key(),
            Budget { per: Duration::from_secs(60), ..budget() }.key(),
            Budget { source: named("okta"), ..budget() }.key(),
            Budget { provider: Some("okta".parse().expect("a name")), ..budget() }.key(),
            Budget { rule: Some("okta".into()), ..budget() }.key(),
            Budget { rule: Some(String::new()), ..budget() }.key(),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(budget().key(), Budget { users: 5, ..budget() }.key(), "a budget of another size is the same one");
    }

    #[test]
    fn only_addresses_join_people() {
        let marks = |names: &[&str]| person_marks(&Account::new("1", names.iter().map(|&name| name.into()).collect()));
        assert_eq!(marks(&["1", "ANA@Example.com", "ana", "ana@example.com", "@", "a@"]), marks(&["ana@example.com"]));
        assert_ne!(marks(&["straße@example.com"]), marks(&["strasse@example.com"]));
        assert!(marks(&["admin", "1"]).is_empty());
    }
}
