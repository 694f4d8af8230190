//! The dialect of CEL that mappings are written in, with its helpers.

use std::sync::LazyLock;

use cel::ExecutionError;
use cel::common::types::{CelDouble, CelInt, CelList, CelMap, CelMapKey, CelString, CelUInt};
use cel::common::value::{CowVal, Val};

use super::strict::read_json;
use super::time::any_spelling;
use crate::domain::Severity;
use crate::expression::{Dialect, Function, Kind, LONGEST_LIST, Name, Size, Time, Variable, owned_value, shortened};

/// Full stops in a key: more than any product nests.
const MOST_STEPS: usize = 8;

/// What a message quotes.
const LONGEST_QUOTE_CHARS: usize = 60;

/// The shortest values in a text, `0,`, have two bytes; as values, each counts sixteen and is then copied.
const PARSE_WEIGHT: usize = 16;

/// What may be looked at outside of an element.
const OUTSIDE: [Variable; 4] = [
    Variable::Plain(Name::large("payload", "payload", None)),
    Variable::Plain(Name::large("headers", "headers", Some(Kind::Map))),
    Variable::Plain(Name::large("event", "event", Some(Kind::Map))),
    Variable::Plain(Name::small("received_at", Kind::Time)),
];

const ITEM: Variable = Variable::Plain(Name::large("item", "item", None));

static DELIVERY: LazyLock<Dialect> = LazyLock::new(|| {
    let absent =
        &[("item", "it is an element of `each`, and is there only in the fields of an `alert` that has `each`")];
    dialect(OUTSIDE.into()).without(absent)
});

static ELEMENT: LazyLock<Dialect> = LazyLock::new(|| dialect(OUTSIDE.into_iter().chain([ITEM]).collect()));

/// The dialect of `each`, and of mappings without it.
pub(super) fn of_delivery() -> &'static Dialect {
    &DELIVERY
}

/// The dialect of the other fields where there is `each`.
pub(super) fn of_element() -> &'static Dialect {
    &ELEMENT
}

/// Severities are words here: what they are compared with comes from outside, and a number of somebody's scale is none.
fn dialect(variables: Vec<Variable>) -> Dialect {
    let word = |severity: Severity| Box::new(CelString::from(severity.as_str())) as Box<dyn Val>;
    let constants = Severity::ALL.map(|severity| (severity.as_str(), Kind::Text, word(severity)));
    let functions = vec![
        Function { name: "time", arguments: &[("dyn_to_time", 1)], kind: Some(Kind::Time), weight: 1, call: time },
        Function {
            name: "parse_json",
            arguments: &[("string_to_json", 1)],
            kind: None,
            weight: PARSE_WEIGHT,
            call: parse_json,
        },
        Function {
            name: "split",
            arguments: &[("string_split", 2)],
            kind: Some(Kind::List),
            weight: PARSE_WEIGHT,
            call: split,
        },
        Function { name: "key", arguments: &[("map_key", 2), ("map_key_or", 3)], kind: None, weight: 1, call: key },
    ];
    Dialect::new(variables, constants.into(), functions)
}

/// `time(x)`: a text or a number in one of the usual spellings.
fn time<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = argument(&arguments, 0, "time")?;
    let text = if let Some(text) = value.downcast_ref::<CelString>() {
        text.inner().to_owned()
    } else if let Some(number) = value.downcast_ref::<CelInt>() {
        number.inner().to_string()
    } else if let Some(number) = value.downcast_ref::<CelUInt>() {
        number.inner().to_string()
    } else if let Some(number) = value.downcast_ref::<CelDouble>() {
        // The shortest text that gives this number: what the sender wrote.
        number.inner().to_string()
    } else {
        let message = format!("takes a string or a number, and is given {}", value.get_type().name());
        return Err(ExecutionError::function_error("time", message));
    };
    let told =
        || format!("{:?} is no time with an offset, and no number of seconds", shortened(&text, LONGEST_QUOTE_CHARS));
    any_spelling(&text).map(|time| Time(time).value()).ok_or_else(|| ExecutionError::function_error("time", told()))
}

/// `parse_json(text)`: what the text holds.
fn parse_json<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let wrong = |message: String| ExecutionError::function_error("parse_json", message);
    let value = argument(&arguments, 0, "parse_json")?;
    let Some(text) = value.downcast_ref::<CelString>() else {
        return Err(wrong(format!("takes a string, and is given {}", value.get_type().name())));
    };
    let json = read_json(text.inner().as_bytes()).map_err(|error| wrong(format!("is given no JSON: {error}")))?;
    if Size::of(&json).longest > LONGEST_LIST {
        return Err(wrong(format!("is given a list of more than {LONGEST_LIST} elements")));
    }
    Ok(CowVal::Owned(owned_value(json)))
}

/// `split(text, ":")`: its parts.
fn split<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let wrong = |message: &str| ExecutionError::function_error("split", message.to_owned());
    let (value, separator) = (argument(&arguments, 0, "split")?, argument(&arguments, 1, "split")?);
    let texts = value.downcast_ref::<CelString>().zip(separator.downcast_ref::<CelString>());
    let Some((text, separator)) = texts.filter(|(_, separator)| !separator.inner().is_empty()) else {
        return Err(wrong("takes two strings, and the second is not empty"));
    };
    let parts: Vec<&str> = text.inner().split(separator.inner()).take(LONGEST_LIST + 1).collect();
    if parts.len() > LONGEST_LIST {
        return Err(wrong("gives more than 10000 parts"));
    }
    let owned = |part: &&str| Box::new(CelString::from((*part).to_owned())) as Box<dyn Val>;
    Ok(CowVal::owned(CelList::from(parts.iter().map(owned).collect::<Vec<_>>())))
}

/// `key(map, "a.b")`: what lies under the key `a.b`, or under `b` in what lies under `a`. A third argument is given back
/// where there is neither.
fn key<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let wrong = |message: String| ExecutionError::function_error("key", message);
    let value = argument(&arguments, 0, "key")?;
    let path = argument(&arguments, 1, "key")?;
    let Some(map) = value.downcast_ref::<CelMap>() else {
        return Err(wrong(format!("takes a map first, and is given {}", value.get_type().name())));
    };
    let Some(path) = path.downcast_ref::<CelString>().map(CelString::inner) else {
        return Err(wrong(format!("takes a string second, and is given {}", path.get_type().name())));
    };
    if path.matches('.').count() > MOST_STEPS {
        return Err(wrong(format!("is given a key of more than {MOST_STEPS} steps")));
    }
    match (find(map, path), arguments.get(2)) {
        (Some(found), _) => Ok(CowVal::Owned(found.clone_as_boxed())),
        (None, Some(default)) => Ok(CowVal::Owned(default.clone_as_boxed())),
        (None, None) => Err(wrong(format!("finds no {:?}", shortened(path, LONGEST_QUOTE_CHARS)))),
    }
}

/// The key as it is comes before any way to divide it.
fn find<'m, 'v>(map: &'m CelMap<'v>, path: &'m str) -> Option<&'m (dyn Val + 'v)> {
    if let Some(value) = map.inner().get(&CelMapKey::from(path)) {
        return Some(value.as_ref());
    }
    path.match_indices('.').find_map(|(at, _)| {
        let inner = map.inner().get(&CelMapKey::from(&path[..at]))?;
        find(inner.downcast_ref::<CelMap>()?, &path[at + 1..])
    })
}

fn argument<'a, 'b, 'v>(
    arguments: &'a [CowVal<'b, 'v>],
    position: usize,
    function: &str,
) -> Result<&'a CowVal<'b, 'v>, ExecutionError> {
    arguments.get(position).ok_or_else(|| ExecutionError::function_error(function, "is given too little"))
}
