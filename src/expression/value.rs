//! JSON as CEL values and back, and how large it is.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::HashMap;

use cel::ExecutionError;
use cel::common::traits::Comparer;
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelOptional, CelString, CelUInt, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

/// Up to here every whole number has a double of its own (2^53).
const EXACT_DOUBLES: f64 = 9_007_199_254_740_992.0;

/// What a value counts beside its text: about what it costs to copy, in bytes that could be compared in the same time.
const VALUE_WEIGHT: usize = 16;

/// How large a value is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// The length of the longest list or map.
    pub longest: usize,
    /// Bytes of text, with a supplement for each value.
    pub total: usize,
}

impl Size {
    /// Of a value with all that is in it.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Array(list) => Self::of_all(list.len(), list.iter().map(Self::of)),
            Value::Object(object) => Self::of_object(object),
            Value::String(text) => Self { longest: 0, total: VALUE_WEIGHT + text.len() },
            Value::Null | Value::Bool(_) | Value::Number(_) => Self { longest: 0, total: VALUE_WEIGHT },
        }
    }

    /// Of an object with all that is in it.
    #[must_use]
    pub fn of_object(object: &Map<String, Value>) -> Self {
        let entry = |(key, value): (&String, &Value)| {
            let size = Self::of(value);
            Self { total: size.total + key.len(), ..size }
        };
        Self::of_all(object.len(), object.iter().map(entry))
    }

    /// Of what lies at `path` in `value`, if there is anything.
    #[must_use]
    pub fn at(value: &Value, path: &[String]) -> Self {
        let found = path.iter().try_fold(value, |value, step| match value {
            Value::Object(object) => object.get(step),
            Value::Array(list) => list.get(step.parse::<usize>().ok()?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        });
        found.map_or(Self { longest: 0, total: VALUE_WEIGHT }, Self::of)
    }

    /// Of what lies at `path` in `object`, if there is anything.
    #[must_use]
    pub fn of_path(object: &Map<String, Value>, path: &[String]) -> Self {
        match path {
            [] => Self::of_object(object),
            [first, rest @ ..] => object.get(first).map_or(Self::at(&Value::Null, &[]), |value| Self::at(value, rest)),
        }
    }

    fn of_all(length: usize, sizes: impl Iterator<Item = Self>) -> Self {
        let start = Self { longest: length, total: VALUE_WEIGHT };
        sizes.fold(start, |sum, size| Self { longest: sum.longest.max(size.longest), total: sum.total + size.total })
    }
}

/// As CEL values that borrow its texts.
#[must_use]
pub fn json_value(value: &Value) -> Box<dyn Val + '_> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => json_number(number),
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(list) => Box::new(json_list(list)),
        Value::Object(entries) => Box::new(json_map(entries)),
    }
}

/// As CEL values that hold their texts.
#[must_use]
pub fn owned_value(value: Value) -> Box<dyn Val> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(value)),
        Value::Number(number) => json_number(&number),
        Value::String(text) => Box::new(CelString::from(text)),
        Value::Array(list) => Box::new(CelList::from(list.into_iter().map(owned_value).collect::<Vec<_>>())),
        Value::Object(entries) => {
            let entry = |(key, value)| (CelMapKey::from(key), owned_value(value));
            Box::new(CelMap::from(entries.into_iter().map(entry).collect::<HashMap<_, _>>()))
        }
    }
}

/// As a CEL list.
#[must_use]
pub fn json_list(list: &[Value]) -> CelList<'_> {
    CelList::from(list.iter().map(json_value).collect::<Vec<_>>())
}

/// As a CEL map.
#[must_use]
pub fn json_map(object: &Map<String, Value>) -> CelMap<'_> {
    text_map(object.iter().map(|(key, value)| (key.as_str(), json_value(value))))
}

/// A CEL map of these entries.
#[must_use]
pub fn text_map<'d>(entries: impl Iterator<Item = (&'d str, Box<dyn Val + 'd>)>) -> CelMap<'d> {
    CelMap::from(entries.map(|(key, value)| (CelMapKey::from(key), value)).collect::<HashMap<_, _>>())
}

/// CEL compares numbers of its three types by value, so nothing is lost by taking the narrowest.
fn json_number(number: &Number) -> Box<dyn Val> {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(number), ..) => Box::new(CelInt::from(number)),
        (None, Some(number), _) => Box::new(CelUInt::from(number)),
        (None, None, Some(number)) if number.abs() < EXACT_DOUBLES => Box::new(CelDouble::from(number)),
        (None, None, number) => Box::new(Inexact(number.unwrap_or(f64::NAN))),
    }
}

/// As JSON; an error for what has no counterpart there, or more than `budget` of [`Size::total`].
pub fn to_json(value: &dyn Val, budget: &mut usize) -> Result<Value, String> {
    *budget = budget.checked_sub(VALUE_WEIGHT).ok_or("gives more than it may")?;
    if let Some(text) = value.downcast_ref::<CelString>() {
        *budget = budget.checked_sub(text.inner().len()).ok_or("gives more than it may")?;
        return Ok(Value::String(text.inner().to_owned()));
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        return list.inner().iter().map(|element| to_json(element.as_ref(), budget)).collect();
    }
    if let Some(map) = value.downcast_ref::<CelMap>() {
        return map.inner().iter().map(|(key, value)| entry_to_json(key, value.as_ref(), budget)).collect();
    }
    if let Some(optional) = value.downcast_ref::<CelOptional>() {
        return optional.option().map_or(Ok(Value::Null), |value| to_json(value, budget));
    }
    scalar_to_json(value).ok_or_else(|| format!("gives {}, which JSON has not", value.get_type().name()))
}

fn entry_to_json(key: &CelMapKey<'_>, value: &dyn Val, budget: &mut usize) -> Result<(String, Value), String> {
    let Some(key) = key.inner().downcast_ref::<CelString>() else {
        return Err("gives a map with a key that is not a string".to_owned());
    };
    *budget = budget.checked_sub(key.inner().len()).ok_or("gives more than it may")?;
    Ok((key.inner().to_owned(), to_json(value, budget)?))
}

fn scalar_to_json(value: &dyn Val) -> Option<Value> {
    if value.downcast_ref::<CelNull>().is_some() {
        return Some(Value::Null);
    }
    if let Some(value) = value.downcast_ref::<CelBool>() {
        return Some(Value::Bool(*value.inner()));
    }
    if let Some(number) = value.downcast_ref::<CelInt>() {
        return Some(Value::from(*number.inner()));
    }
    if let Some(number) = value.downcast_ref::<CelUInt>() {
        return Some(Value::from(*number.inner()));
    }
    if let Some(Time(time)) = value.downcast_ref::<Time>() {
        return Some(Value::String(time.to_string()));
    }
    let number = value.downcast_ref::<CelDouble>().map(|number| *number.inner());
    let number = number.or_else(|| value.downcast_ref::<Inexact>().map(|Inexact(number)| *number));
    number.and_then(Number::from_f64).map(Value::Number)
}

static INEXACT: Type = Type::new_unspecified_type("inexact_number");

/// A whole number with more digits than were read. Two ids that differ in the last digits would be one, so nothing can
/// be made of it.
#[derive(Debug, Clone, Copy)]
struct Inexact(f64);

impl Val for Inexact {
    fn get_type(&self) -> &Type {
        &INEXACT
    }

    fn cel_type() -> &'static Type {
        &INEXACT
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Inexact {}

static TIMESTAMP: Type = cel::common::types::TIMESTAMP_TYPE;

/// CEL's timestamp on the crate's own clock type: compares with other timestamps, and nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Time(
    /// The time.
    pub Timestamp,
);

impl Time {
    /// As a value.
    #[must_use]
    pub fn value<'b, 'v>(self) -> CowVal<'b, 'v> {
        CowVal::owned(self)
    }
}

impl Val for Time {
    fn get_type(&self) -> &Type {
        &TIMESTAMP
    }

    fn cel_type() -> &'static Type {
        &TIMESTAMP
    }

    fn as_comparer(&self) -> Option<&dyn Comparer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| self.0 == other.0)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Time {}

impl Comparer for Time {
    fn compare(&self, other: &dyn Val) -> Result<Ordering, ExecutionError> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0)).ok_or_else(|| {
            let types = [self.get_type(), other.get_type()].map(|of| of.name().to_owned());
            ExecutionError::no_such_overload("_<_", types.to_vec())
        })
    }
}
