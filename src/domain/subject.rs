//! Whom an alert names, and what of that is left for one provider.

use std::collections::BTreeMap;

use caseless::default_case_fold_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::{ProviderName, SessionRef};

/// The longest identifier that any of the providers can hold is well below this (RFC 5321 ends at 254 octets).
const LONGEST_IDENTIFIER_BYTES: usize = 512;

/// A person, by the names that the sender knows. At least one of `email`, `username` and `ids` is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertSubject {
    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The user name or login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The account's id, by provider name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ids: BTreeMap<ProviderName, String>,
    /// Sessions known to be in wrong hands, by provider name. Used by rules with `scope: sessions`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sessions: BTreeMap<ProviderName, Vec<SessionRef>>,
}

impl AlertSubject {
    /// What is left for one provider.
    #[must_use]
    pub fn at(&self, provider: &ProviderName) -> Subject {
        Subject { id: self.ids.get(provider).cloned(), email: self.email.clone(), username: self.username.clone() }
    }

    /// Every name given, with the place it was given at.
    pub fn identifiers(&self) -> impl Iterator<Item = (String, &str)> {
        let ids = self.ids.iter().map(|(provider, id)| (format!("ids.{provider}"), id.as_str()));
        let email = self.email.as_deref().map(|email| ("email".to_owned(), email));
        let username = self.username.as_deref().map(|name| ("username".to_owned(), name));
        email.into_iter().chain(username).chain(ids)
    }
}

/// A person, by the names that are of use at one provider. Never empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The account's id at that provider. Wins over the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The user name or login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

impl Subject {
    /// The same for two subjects with exactly the same names. Names that merely look alike may be two people, and one
    /// of them would be left out; that two spellings are one account shows when they are resolved.
    #[must_use]
    pub fn key(&self) -> [u8; 16] {
        let mut digest = Sha256::new();
        for part in [&self.id, &self.email, &self.username] {
            let part = part.as_deref().unwrap_or_default();
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&digest.finalize()[..16]);
        key
    }
}

/// NFKC and case folded: how names of people are compared wherever guessing too wide is the safe side.
#[must_use]
pub fn fold(text: &str) -> String {
    let text = text.trim();
    // Most names. Normalization leaves ASCII as it is, and folds it to lower case.
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let folded = default_case_fold_str(&text.nfkc().collect::<String>());
    folded.nfkc().collect()
}

/// Why a name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Nothing, or blanks.
    #[error("is empty")]
    Empty,
    /// Longer than any real one.
    #[error("is longer than 512 bytes")]
    TooLong,
    /// A control character, line separator or bidirectional override, which no real identifier has.
    #[error("has a control or formatting character")]
    Control,
    /// A blank at either end.
    #[error("starts or ends with a blank")]
    Padded,
    /// A path segment that a server would read as another path, or as the caller.
    #[error("would be read as something other than a person")]
    Reserved,
}

/// Refuses names that are no one's: a provider might read them as someone else, or as everyone.
pub fn check_identifier(text: &str) -> Result<(), IdentifierError> {
    if text.trim().is_empty() {
        return Err(IdentifierError::Empty);
    }
    if text.len() > LONGEST_IDENTIFIER_BYTES {
        return Err(IdentifierError::TooLong);
    }
    if text.chars().any(is_invisible) {
        return Err(IdentifierError::Control);
    }
    if text.trim() != text {
        return Err(IdentifierError::Padded);
    }
    if is_reserved(text) {
        return Err(IdentifierError::Reserved);
    }
    Ok(())
}

fn is_invisible(c: char) -> bool {
    // U+200B..200F and U+202A..202E, U+2060..206F: zero-width and bidirectional formatting (Unicode, general category Cf).
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `.` and `..` are dot segments (RFC 3986 section 5.2.4), also when encoded; `me` is the caller at Okta and Mattermost.
fn is_reserved(text: &str) -> bool {
    let is_word = |text: &str| {
        // Most names are longer in ASCII, of which folding leaves as much.
        let text = text.trim();
        (text.len() <= 2 || !text.is_ascii()) && matches!(fold(text).as_str(), "." | ".." | "me" | "*" | "%")
    };
    is_word(text) || text.contains('%') && is_word(&percent_encoding::percent_decode_str(text).decode_utf8_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_identifiers_are_refused() {
        for text in ["", " ", "a\nb", "a\u{202e}b", " a"] {
            assert!(check_identifier(text).is_err(), "{text:?} was taken");
        }
        let encoded = ["%", "%2e%2e", "%2E", "%6De", "%20%2e%20", "%ef%bd%8de", "%ef%bd%8d%ef%bd%85", "%2a"];
        for text in [".", "..", "me", "ME", "*", "\u{ff4d}e", "\u{ff4d}\u{ff45}"].into_iter().chain(encoded) {
            assert_eq!(check_identifier(text), Err(IdentifierError::Reserved), "{text:?} was taken");
        }
        assert_eq!(check_identifier(&"x".repeat(513)), Err(IdentifierError::TooLong));
        for text in ["ana@example.com", "00ub0oNGTSWTBKOLGLNR", "a/b", "a?b", "Ünïcode", "mei", "m", "a%2e", "%6Dei"]
        {
            assert_eq!(check_identifier(text), Ok(()), "{text:?} was refused");
        }
    }

    #[test]
    fn ascii_is_folded_as_unicode_says() {
        let ascii: String = (0_u8..128).map(char::from).collect();
        for text in ascii.chars().map(String::from).chain([ascii.clone()]) {
            let folded = default_case_fold_str(&text.trim().nfkc().collect::<String>());
            assert_eq!(fold(&text), folded.nfkc().collect::<String>(), "{text:?}");
        }
    }

    #[test]
    fn people_are_one_only_where_their_names_are_exactly_the_same() {
        let named = |email: &str| Subject { email: Some(email.into()), ..Subject::default() };
        assert_eq!(named("strasse@example.com").key(), named("strasse@example.com").key());
        assert_ne!(named("strasse@example.com").key(), named("straße@example.com").key());
        let as_login = Subject { username: Some("ana".into()), ..Subject::default() };
        assert_ne!(named("ana").key(), as_login.key());
    }
}
