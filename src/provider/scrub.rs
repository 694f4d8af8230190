//! Makes a provider's own words fit for logs and for people: short, printable, and without our credential.

use std::sync::Arc;

use crate::settings::Secret;

/// Okta's longest error summaries are about 200 characters; more is not an explanation.
const LONGEST_TEXT_CHARS: usize = 300;

/// A code or a request id that is longer than this is none.
const LONGEST_WORD_CHARS: usize = 80;

/// A line of a key shorter than this says nothing about it, and would blot out ordinary words.
const SHORTEST_SECRET_BYTES: usize = 8;

/// The texts that must never show. Debug shows none of them. Every answer has a copy.
#[derive(Debug, Clone, Default)]
pub(super) struct Scrub(Arc<Vec<Secret>>);

impl Scrub {
    /// Hides `secret`, and each of its lines if there are several: a key in PEM may come back without its line ends.
    pub(super) fn hide(&mut self, secret: &Secret) {
        let hidden = Arc::make_mut(&mut self.0);
        hidden.push(secret.clone());
        let lines = secret.expose().lines().map(str::trim).filter(|line| !line.starts_with("-----"));
        hidden.extend(lines.filter(|line| line.len() >= SHORTEST_SECRET_BYTES).map(Secret::new));
    }

    /// These and one more.
    #[must_use]
    pub(super) fn with(&self, secret: &Secret) -> Self {
        let mut more = self.clone();
        more.hide(secret);
        more
    }

    /// A sentence, at most 300 characters.
    #[must_use]
    pub(super) fn text(&self, text: &str) -> String {
        self.clean(text, LONGEST_TEXT_CHARS)
    }

    /// A code or an id, at most 80 characters; `None` if nothing is left of it.
    #[must_use]
    pub(super) fn word(&self, text: &str) -> Option<String> {
        Some(self.clean(text, LONGEST_WORD_CHARS)).filter(|word| !word.is_empty())
    }

    fn clean(&self, text: &str, longest: usize) -> String {
        // Invisible characters go first: between the letters of a secret they would hide it from the search.
        let visible: String = text.chars().filter(|c| !is_invisible(*c)).collect();
        let safe = self.0.iter().fold(visible, |text, secret| text.replace(secret.expose(), "[not shown]"));
        let mut chars = safe.trim().chars();
        let short: String = chars.by_ref().take(longest).collect();
        if chars.next().is_some() { format!("{short}…") } else { short }
    }
}

/// Control characters, and the formatting ones that can reorder or hide what a terminal shows (Unicode category Cf).
fn is_invisible(c: char) -> bool {
    let formats = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    c.is_control() || formats || matches!(c, '\u{ad}' | '\u{feff}')
}

/// `text` without the words that could name a person: addresses, and ids of 15 letters or more that hold a digit.
#[must_use]
pub(super) fn without_names(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if may_name(word) { "…" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

fn may_name(word: &str) -> bool {
    word.contains('@') || (word.len() >= 15 && word.contains(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_says_is_short_printable_and_without_our_credential() {
        let mut scrub = Scrub::default();
        scrub.hide(&Secret::new("00QCjAl4MlV-WPXM"));
        assert_eq!(scrub.text("bad 00QCjAl4MlV-WPXM!"), "bad [not shown]!");
        assert_eq!(scrub.text("bad 00QCj\u{0}Al4M\u{200b}lV-WPXM\r\n"), "bad [not shown]");
        assert_eq!(scrub.text(&"x".repeat(5000)).chars().count(), 301);
        assert_eq!(scrub.word("\u{1b}[31mE0000007"), Some("[31mE0000007".into()));
        assert_eq!(scrub.word("\n"), None);
        assert!(!format!("{scrub:?}").contains("00QCj"));
    }

    #[test]
    fn each_line_of_a_key_is_hidden() {
        let mut scrub = Scrub::default();
        scrub.hide(&Secret::new("-----BEGIN PRIVATE KEY-----\nMIIabcdefgh\nijklmnopq\n-----END PRIVATE KEY-----"));
        assert_eq!(scrub.text("MIIabcdefgh ijklmnopq PRIVATE KEY"), "[not shown] [not shown] PRIVATE KEY");
    }

    #[test]
    fn summaries_lose_the_names_in_them() {
        let summary = "Not found: Resource not found: 00ub0oNGTSWTBKOLGLNR (User) ana@example.com";
        assert_eq!(without_names(summary), "Not found: Resource not found: … (User) …");
    }
}
