//! Expressions in CEL: checked when they are loaded, bounded when they are evaluated.
//!
//! Knows nothing of alerts, rules or formats: who uses it says in a [`Dialect`] which names there are. What holds for all:
//! names and functions are known before anything is evaluated, comprehensions do not nest, what an evaluation may cost
//! follows from the sizes of what it reads, and what cannot be evaluated is an error and never false.

mod check;
mod compile;
mod dialect;
mod pattern;
mod value;
mod work;

pub use compile::{Checked, evaluate, guarded, shortened};
pub use dialect::{Dialect, Function, Kind, Name, Variable};
pub use value::{Size, Time, json_list, json_map, json_value, owned_value, text_map, to_json};
pub use work::{LONGEST_LIST, Read, Sizes, Work};

/// Below this, a suggestion confuses more than it helps (Jaro-Winkler similarity, 0 to 1).
const LEAST_SIMILARITY: f64 = 0.8;

/// `; did you mean …?` if a known word is near.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    let scored = known.map(|known| (strsim::jaro_winkler(word, known), known));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(score, _)| *score >= LEAST_SIMILARITY)
        .map_or_else(String::new, |(_, known)| format!("; did you mean {known:?}?"))
}
