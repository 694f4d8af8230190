//! Accounts that are never touched.
//!
//! Guessing too wide is the safe side here: a pattern counts for every name of the account, whatever its kind, and what
//! merely looks like a protected name waits for a person.

use std::collections::HashMap;
use std::sync::LazyLock;

use unicode_security::confusable_detection::skeleton;

use super::globs::Globs;
use super::settings::{GuardrailSettings, ProtectedSettings};
use super::{KnownProviders, Problem};
use crate::domain::{Account, AlertSubject, ProviderName, Subject, fold};
use crate::expression::nearest;

/// What the guardrails say about an account. Ordered: the later, the graver.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing.
    Clear,
    /// A name looks like a protected one (UTS 39): it may be a disguise, or the real person may be the victim.
    LookAlike {
        /// The pattern it looks like.
        pattern: String,
    },
    /// The account is protected.
    Protected {
        /// The pattern that says so.
        pattern: String,
    },
}

/// The patterns of protected accounts, ready to be compared.
#[derive(Debug, Default)]
pub struct Guardrails {
    everywhere: Patterns,
    at: HashMap<ProviderName, Patterns>,
}

impl Guardrails {
    pub(super) fn new(settings: &GuardrailSettings, known: &KnownProviders, problems: &mut Vec<Problem>) -> Self {
        let mut guardrails = Self::default();
        for (position, protected) in settings.protected.iter().enumerate() {
            let path = format!("guardrails.protected[{position}]");
            match checked(protected, known) {
                Ok(pattern) => guardrails.add(protected.provider.as_ref(), pattern),
                Err(message) => problems.push((path, message)),
            }
        }
        guardrails
    }

    fn add(&mut self, provider: Option<&ProviderName>, pattern: &str) {
        match provider {
            Some(provider) => {
                self.at.entry(provider.clone()).or_default().add(pattern, &format!("{provider}: {pattern}"))
            }
            None => self.everywhere.add(pattern, pattern),
        }
    }

    /// Judges an account that was just read, by every name that it has there.
    #[must_use]
    pub fn judge(&self, provider: &ProviderName, account: &Account) -> Verdict {
        let id = Some(&account.id).filter(|id| !account.identifiers.contains(id));
        let names = account.identifiers.iter().chain(id);
        self.judge_names(provider, names.map(|name| (name.as_str(), true)))
    }

    /// Judges the names under which a job looks for its account.
    #[must_use]
    pub fn judge_subject(&self, provider: &ProviderName, subject: &Subject) -> Verdict {
        let names = [&subject.id, &subject.email, &subject.username];
        self.judge_names(provider, names.into_iter().flatten().map(|name| (name.as_str(), true)))
    }

    /// Judges everything that an alert says about a person, also the ids that it has elsewhere.
    #[must_use]
    pub fn judge_person(&self, provider: &ProviderName, person: &AlertSubject) -> Verdict {
        let names = [&person.email, &person.username].into_iter().flatten().map(|name| (name.as_str(), true));
        let ids = person.ids.iter().map(|(home, id)| (id.as_str(), home == provider));
        self.judge_names(provider, names.chain(ids))
    }

    /// Each name comes with whether it is meant at `provider`: patterns of one provider count for those only.
    fn judge_names<'n>(&self, provider: &ProviderName, names: impl Iterator<Item = (&'n str, bool)>) -> Verdict {
        let here = self.at.get(provider);
        if self.everywhere.is_empty() && here.is_none() {
            return Verdict::Clear;
        }
        names.fold(Verdict::Clear, |worst, (name, is_here)| {
            let folded = fold(name);
            let by_provider = here.filter(|_| is_here).map_or(Verdict::Clear, |here| here.judge(&folded));
            worst.max(by_provider).max(self.everywhere.judge(&folded))
        })
    }
}

fn checked<'s>(settings: &'s ProtectedSettings, known: &KnownProviders) -> Result<&'s str, String> {
    let given: Vec<&String> = [&settings.email, &settings.username, &settings.id].into_iter().flatten().collect();
    let [pattern] = given[..] else {
        return Err("has to have exactly one of email, username and id".to_owned());
    };
    if let Some(provider) = &settings.provider {
        if settings.id.is_none() {
            return Err(
                "has a provider, which goes with id only; leave it out to protect the name everywhere".to_owned()
            );
        }
        if !known.contains_key(provider) {
            return Err(format!(
                "names the provider {provider}, which is not configured{}",
                nearest_provider(provider, known)
            ));
        }
    }
    if fold(pattern).chars().all(|c| c == '*') {
        return Err("has an empty pattern, or one that protects everyone; for that, set guardrails.dry_run".to_owned());
    }
    Ok(pattern)
}

pub(super) fn nearest_provider(name: &ProviderName, known: &KnownProviders) -> String {
    nearest(name.as_str(), known.keys().map(ProviderName::as_str))
}

/// Patterns by how they are compared: exact ones cost one look-up however many there are.
#[derive(Debug, Default)]
struct Patterns {
    exact: HashMap<String, String>,
    alike: HashMap<String, String>,
    exact_globs: Globs,
    alike_globs: Globs,
    glob_labels: Vec<String>,
}

impl Patterns {
    fn add(&mut self, pattern: &str, label: &str) {
        let (exact, label) = (fold(pattern), label.to_owned());
        let alike = exact.split('*').map(disguise).collect::<Vec<_>>().join("*");
        if exact.contains('*') {
            self.exact_globs.add(&exact);
            self.alike_globs.add(&alike);
            self.glob_labels.push(label);
        } else {
            self.exact.insert(exact, label.clone());
            self.alike.insert(alike, label);
        }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.exact_globs.is_empty()
    }

    fn judge(&self, folded: &str) -> Verdict {
        let label = |globs: &Globs, name: &str| globs.first_match(name).and_then(|place| self.glob_labels.get(place));
        if let Some(pattern) = self.exact.get(folded).or_else(|| label(&self.exact_globs, folded)) {
            return Verdict::Protected { pattern: pattern.clone() };
        }
        let alike = disguise(folded);
        match self.alike.get(&alike).or_else(|| label(&self.alike_globs, &alike)) {
            Some(pattern) => Verdict::LookAlike { pattern: pattern.clone() },
            None => Verdict::Clear,
        }
    }
}

/// The same for all texts that look the same: the skeleton of UTS 39 section 4. Folded again, because a skeleton has
/// capitals (`0` becomes `O`) that the names beside it no longer have.
fn disguise(folded: &str) -> String {
    disguise_ascii(folded).unwrap_or_else(|| fold(&skeleton(folded).collect::<String>()))
}

/// The same for nearly all names. `None`: for what stands in this one, it takes Unicode's tables.
fn disguise_ascii(folded: &str) -> Option<String> {
    let mut looks = Vec::with_capacity(2 * folded.len());
    for byte in folded.bytes() {
        let (first, second) = (*ASCII_LOOKS.get(usize::from(byte))?)?;
        looks.push(first);
        looks.extend(second);
    }
    Some(String::from_utf8(looks).ok()?.trim().to_owned())
}

/// One character of ASCII, or two.
type Look = (u8, Option<u8>);

/// What each character of ASCII looks like, folded, where that is ASCII as well: an `m` looks like `rn`. None of them joins
/// with its neighbours.
static ASCII_LOOKS: LazyLock<[Option<Look>; 128]> = LazyLock::new(|| {
    std::array::from_fn(|code| {
        let looks: String = skeleton(&String::from(code as u8 as char)).collect();
        match looks.to_ascii_lowercase().as_bytes() {
            [first] => Some((*first, None)),
            [first, second] if looks.is_ascii() => Some((*first, Some(*second))),
            _ => None,
        }
    })
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> ProviderName {
        text.parse().expect("a name")
    }

    fn guardrails() -> Guardrails {
        let mut guardrails = Guardrails::default();
        guardrails.add(None, "breakglass-*@acme.com");
        guardrails.add(None, "ceo@acme.com");
        guardrails.add(None, "Straße");
        guardrails.add(Some(&name("okta")), "00u1abcdefghijklmnop");
        guardrails
    }

    fn judge(identifier: &str) -> Verdict {
        let account = Account::new("x1", vec!["someone".to_owned(), identifier.to_owned()]);
        guardrails().judge(&name("okta"), &account)
    }

    #[test]
    fn ascii_looks_as_unicode_says() {
        let ascii: Vec<String> = (0_u8..128).map(|code| char::from(code).to_string()).collect();
        for (one, other) in ascii.iter().flat_map(|one| ascii.iter().map(move |other| (one, other))) {
            let text = format!("{one}{other}");
            assert_eq!(disguise(&text), fold(&skeleton(&text).collect::<String>()), "{text:?}");
        }
    }

    #[test]
    fn a_protected_account_is_known_by_any_name_in_any_spelling() {
        let table = [
            "ceo@acme.com",
            "CEO@Acme.COM",
            "\u{ff43}\u{ff45}\u{ff4f}@acme.com", // full width
            " ceo@acme.com ",
            "breakglass-1@acme.com",
            "BreakGlass-@acme.com",
            "STRASSE",
            "00U1ABCDEFGHIJKLMNOP",
        ];
        for identifier in table {
            assert!(matches!(judge(identifier), Verdict::Protected { .. }), "{identifier} got through");
        }
    }

    #[test]
    fn a_look_alike_is_told_apart() {
        let table = [
            "c\u{435}o@acme.com",          // Cyrillic е
            "ceo@\u{430}cme.com",          // Cyrillic а
            "CEO@\u{410}CME.COM",          // Cyrillic А
            "ce0@acme.com",                // a zero
            "c\u{200b}eo@acme.com",        // a zero-width space
            "bre\u{430}kglass-7@acme.com", // in a pattern with a star
            "00u1abcdefghijk1mnop",        // 1 for l
        ];
        for identifier in table {
            assert!(matches!(judge(identifier), Verdict::LookAlike { .. }), "{identifier}: {:?}", judge(identifier));
        }
        for identifier in ["cfo@acme.com", "ceo@acme.com.evil.example", "breakglass@acme.com", "00u1", "a?c"] {
            assert_eq!(judge(identifier), Verdict::Clear, "{identifier}");
        }
    }

    #[test]
    fn an_id_of_one_provider_says_nothing_about_another() {
        let person = AlertSubject {
            ids: [(name("slack"), "00u1abcdefghijklmnop".to_owned())].into(),
            ..AlertSubject::default()
        };
        assert_eq!(guardrails().judge_person(&name("okta"), &person), Verdict::Clear);
        assert_eq!(guardrails().judge_person(&name("slack"), &person), Verdict::Clear);
        let person =
            AlertSubject { ids: [(name("slack"), "ceo@acme.com".to_owned())].into(), ..AlertSubject::default() };
        assert!(matches!(guardrails().judge_person(&name("okta"), &person), Verdict::Protected { .. }));
    }

    #[test]
    fn a_question_mark_is_a_question_mark() {
        let mut guardrails = Guardrails::default();
        guardrails.add(None, "a?c*");
        let judge =
            |id: &str| guardrails.judge_subject(&name("okta"), &Subject { id: Some(id.into()), ..Subject::default() });
        assert_eq!(judge("abc"), Verdict::Clear);
        assert!(matches!(judge("a?cd"), Verdict::Protected { .. }));
    }

    proptest! {
        #[test]
        fn case_never_matters(upper in proptest::collection::vec(any::<bool>(), 21)) {
            let mixed: String = "breakglass-1@acme.com".chars().zip(upper)
                .map(|(c, upper)| if upper { c.to_ascii_uppercase() } else { c }).collect();
            prop_assert!(matches!(judge(&mixed), Verdict::Protected { .. }), "{} got through", mixed);
        }

        #[test]
        fn what_is_protected_as_written_is_protected_as_folded(text in "\\PC{1,20}") {
            let mut guardrails = Guardrails::default();
            prop_assume!(!fold(&text).is_empty() && !fold(&text).contains('*'));
            guardrails.add(None, &text);
            let subject = Subject { username: Some(text.clone()), ..Subject::default() };
            let verdict = guardrails.judge_subject(&name("okta"), &subject);
            prop_assert!(matches!(verdict, Verdict::Protected { .. }), "{:?} got through", text);
        }
    }
}
