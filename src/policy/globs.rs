//! Patterns with a `*`, found by how they begin: hundreds of them cost a name little more than one.

use std::collections::{BTreeSet, HashMap};

use wildmatch::WildMatchPattern;

/// `*` alone is special: NUL, which no identifier has, takes the place of the single-character wildcard.
type Glob = WildMatchPattern<'*', '\0'>;

/// Patterns in the order in which they were added, by the text before their first `*`.
#[derive(Debug, Default)]
pub(super) struct Globs {
    by_beginning: HashMap<Box<[u8]>, Vec<(usize, Glob)>>,
    lengths: BTreeSet<usize>,
    count: usize,
}

impl Globs {
    pub(super) fn add(&mut self, pattern: &str) {
        let beginning = pattern.split('*').next().unwrap_or_default().as_bytes();
        self.lengths.insert(beginning.len());
        self.by_beginning.entry(beginning.into()).or_default().push((self.count, Glob::new(pattern)));
        self.count += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The place of the first pattern that matches the whole of `name`.
    pub(super) fn first_match(&self, name: &str) -> Option<usize> {
        let beginnings = self.lengths.iter().map_while(|length| name.as_bytes().get(..*length));
        let begun_so = beginnings.filter_map(|beginning| self.by_beginning.get(beginning)).flatten();
        begun_so.filter(|(_, glob)| glob.matches(name)).map(|(place, _)| *place).min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_pattern_that_matches_counts_however_it_begins() {
        let mut globs = Globs::default();
        for pattern in ["break-*", "*@acme.com", "*", "break-glass-*", "bré*"] {
            globs.add(pattern);
        }
        let table = [
            ("break-glass-1@acme.com", Some(0)),
            ("ana@acme.com", Some(1)),
            ("break", Some(2)),
            ("", Some(2)),
            ("br\u{e9}", Some(2)),
        ];
        for (name, place) in table {
            assert_eq!(globs.first_match(name), place, "{name}");
        }
        assert_eq!(Globs::default().first_match("break"), None);
    }

    proptest! {
        #[test]
        fn nothing_is_missed(patterns in proptest::collection::vec("[abé*]{0,4}", 0..8), name in "[abé]{0,5}") {
            let mut globs = Globs::default();
            patterns.iter().for_each(|pattern| globs.add(pattern));
            let first = patterns.iter().position(|pattern| Glob::new(pattern).matches(&name));
            prop_assert_eq!(globs.first_match(&name), first);
        }
    }
}
