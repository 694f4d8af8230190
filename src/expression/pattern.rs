//! `text.matches("pattern")`. The pattern stands in the config, and how often it is asked for is up to whoever sends alerts:
//! it is compiled once, for that takes far longer than any text of an alert takes to be looked through.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use cel::ExecutionError;
use cel::common::types::{CelBool, CelString};
use cel::common::value::CowVal;
use regex::Regex;

/// Patterns that are kept. More come together only by many changes of the config, and then they are compiled anew.
const MOST_KEPT: usize = 1000;

static KEPT: LazyLock<RwLock<HashMap<String, Arc<Regex>>>> = LazyLock::new(RwLock::default);

/// The function as CEL has it.
pub(super) fn matches<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = |place: usize| arguments.get(place)?.downcast_ref::<CelString>().map(CelString::inner);
    let (Some(text), Some(pattern)) = (text(0), text(1)) else {
        return Err(ExecutionError::function_error("matches", "takes a string and a pattern"));
    };
    let told = |error| ExecutionError::function_error("matches", format!("'{pattern}' not a valid regex:\n{error}"));
    let regex = compiled(pattern).map_err(told)?;
    Ok(CowVal::owned(CelBool::from(regex.is_match(text))))
}

fn compiled(pattern: &str) -> Result<Arc<Regex>, regex::Error> {
    if let Some(known) = KEPT.read().unwrap_or_else(PoisonError::into_inner).get(pattern) {
        return Ok(Arc::clone(known));
    }
    let regex = Arc::new(Regex::new(pattern)?);
    let mut kept = KEPT.write().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MOST_KEPT {
        kept.clear();
    }
    Ok(Arc::clone(kept.entry(pattern.to_owned()).or_insert(regex)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_compiled_once_and_not_too_many_are_kept() {
        let first = compiled("^once$").expect("a pattern");
        assert!(Arc::ptr_eq(&first, &compiled("^once$").expect("a pattern")));
        assert!(compiled("(").is_err());
        for number in 0..=MOST_KEPT {
            compiled(&format!("^{number}$")).expect("a pattern");
        }
        assert!(KEPT.read().expect("a lock").len() <= MOST_KEPT);
    }

    #[test]
    fn both_spellings_look_for_the_pattern_anywhere_in_the_text() {
        let answer = |list: &[&'static str]| {
            let arguments = list.iter().map(|text| CowVal::owned(CelString::from(*text))).collect();
            matches(arguments).ok()?.downcast_ref::<CelBool>().map(|found| *found.inner())
        };
        assert_eq!(answer(&["session_stolen", "_st"]), Some(true));
        assert_eq!(answer(&["session_stolen", "^st"]), Some(false));
        assert_eq!(answer(&["session_stolen", "("]), None);
        assert_eq!(answer(&["alone"]), None);
    }
}
