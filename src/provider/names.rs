//! When two names at a provider are one: letter by letter, in any case, and no further.
//!
//! Guessing too wide would end the sessions of somebody else. [`fold`](crate::domain::fold) is for guardrails, where wide is
//! the safe side.

/// Whether `one` and `other` differ in case alone. A letter beyond ASCII never counts as one within, although the Kelvin sign
/// has `k` as its lower case.
#[must_use]
pub(super) fn same_in_any_case(one: &str, other: &str) -> bool {
    let is_same = |(one, other): (char, char)| {
        one == other || (one.is_ascii() == other.is_ascii() && one.to_lowercase().eq(other.to_lowercase()))
    };
    one.chars().count() == other.chars().count() && one.chars().zip(other.chars()).all(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_any_case_and_no_further() {
        for (one, other) in [
            ("Zoe@Example.com", "zoe@example.COM"),
            ("ÄNA@example.com", "äna@example.com"),
            ("ZOË@example.com", "zoë@example.com"),
        ] {
            assert!(same_in_any_case(one, other), "{one} is {other}");
        }
        for (one, other) in [
            ("zoe@example.com", "zoe@example.com.evil.example"),
            ("zoe@example.com", "zoe@example.co"),
            ("zoe@example.com", "zoe+1@example.com"),
            ("zoe@example.com", " zoe@example.com"),
            ("zoe@example.com", "zoë@example.com"),
            ("zoe@example.com", "\u{ff5a}oe@example.com"),
            ("kim@example.com", "\u{212a}im@example.com"),
            ("ana@example.com", "\u{430}na@example.com"),
            ("finance@example.com", "\u{fb01}nance@example.com"),
            ("strasse@example.com", "straße@example.com"),
            ("zo.e@example.com", "zoe@example.com"),
            ("", "zoe@example.com"),
        ] {
            assert!(!same_in_any_case(one, other), "{one} is not {other}");
            assert!(!same_in_any_case(other, one), "{other} is not {one}");
        }
    }
}
