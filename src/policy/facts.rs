//! What a rule's expression can look at. Values are borrowed from the alert and made when they are asked for, so a rule
//! pays for what it reads.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::OnceLock;

use cel::ExecutionError;
use cel::common::traits::Comparer;
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::context::VariableResolver;
use jiff::Timestamp;
use serde_json::Value;

use crate::domain::{Alert, AlertSubject, SessionRef};

/// The longest list or map that an expression may be evaluated over: bounds the time of one evaluation.
pub(super) const LONGEST_LIST: usize = 10_000;

/// The most that a loop which reads the attributes anew in each round may cost: the longest list times everything there
/// is to read, in values and bytes. About a tenth of a second.
const MOST_LOOP_COST: usize = 100_000_000;

/// Lists that are not attributes are shorter than this: literals, and the sessions of a subject.
const LONGEST_OTHER_LIST: usize = 1000;

/// The fields of `alert`.
pub(super) const ALERT_FIELDS: [&str; 7] = ["id", "kind", "severity", "occurred_at", "reason", "attributes", "dry_run"];

/// The fields of `subject`.
pub(super) const SUBJECT_FIELDS: [&str; 4] = ["email", "username", "ids", "sessions"];

/// An alert, with its attributes turned into CEL values at most once.
pub(super) struct AlertFacts<'d> {
    alert: &'d Alert,
    source: &'d str,
    attributes: OnceLock<CelMap<'d>>,
    size: OnceLock<Size>,
}

impl<'d> AlertFacts<'d> {
    pub(super) fn new(alert: &'d Alert, source: &'d str) -> Self {
        Self { alert, source, attributes: OnceLock::new(), size: OnceLock::new() }
    }

    /// Why an expression that reads the attributes may not be evaluated, if so.
    pub(super) fn too_large(&self, in_loops: bool) -> Option<String> {
        let size = self.size.get_or_init(|| Size::of_object(&self.alert.attributes));
        if size.longest > LONGEST_LIST {
            return Some(format!("a list in alert.attributes has more than {LONGEST_LIST} elements"));
        }
        let cost = size.longest.max(LONGEST_OTHER_LIST).saturating_mul(size.total);
        let is_costly = in_loops && cost > MOST_LOOP_COST;
        is_costly.then(|| "alert.attributes is too large to be read inside all, exists, map and filter".to_owned())
    }

    fn attributes(&self) -> &CelMap<'d> {
        self.attributes.get_or_init(|| object(&self.alert.attributes))
    }
}

/// How large a value is.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// The length of the longest list or map.
    longest: usize,
    /// Values and bytes of text.
    total: usize,
}

impl Size {
    fn of(value: &Value) -> Self {
        match value {
            Value::Array(list) => Self::of_all(list.len(), list.iter()),
            Value::Object(object) => Self::of_object(object),
            Value::String(text) => Self { longest: 0, total: 1 + text.len() },
            Value::Null | Value::Bool(_) | Value::Number(_) => Self { longest: 0, total: 1 },
        }
    }

    fn of_object(object: &serde_json::Map<String, Value>) -> Self {
        Self::of_all(object.len(), object.values())
    }

    fn of_all<'d>(length: usize, values: impl Iterator<Item = &'d Value>) -> Self {
        let start = Self { longest: length, total: 1 };
        values
            .map(Self::of)
            .fold(start, |sum, size| Self { longest: sum.longest.max(size.longest), total: sum.total + size.total })
    }
}

/// An alert and one of its subjects.
pub(super) struct Facts<'f, 'd> {
    pub(super) alert: &'f AlertFacts<'d>,
    pub(super) subject: &'d AlertSubject,
}

impl VariableResolver for Facts<'_, '_> {
    /// Qualified names come whole, so `alert.kind` costs one borrowed string.
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let alert = self.alert.alert;
        Some(match name {
            "source" => text(self.alert.source),
            "alert.id" => text(&alert.id),
            "alert.kind" => text(&alert.kind),
            "alert.severity" => CowVal::owned(CelInt::from(i64::from(alert.severity.rank()))),
            "alert.occurred_at" => CowVal::owned(Time(alert.occurred_at)),
            "alert.reason" => text(alert.reason.as_deref().unwrap_or_default()),
            "alert.attributes" => CowVal::Borrowed(self.alert.attributes()),
            "alert.dry_run" => CowVal::owned(CelBool::from(alert.dry_run)),
            "subject.email" => text(self.subject.email.as_deref().unwrap_or_default()),
            "subject.username" => text(self.subject.username.as_deref().unwrap_or_default()),
            "subject.ids" => CowVal::owned(map(self.subject.ids.iter().map(|(at, id)| (at.as_str(), string(id))))),
            "subject.sessions" => CowVal::owned(map(self
                .subject
                .sessions
                .iter()
                .map(|(at, sessions)| (at.as_str(), session_ids(sessions))))),
            _ => return None,
        })
    }
}

fn text(text: &str) -> CowVal<'_, '_> {
    CowVal::owned(CelString::from(text))
}

fn string(text: &str) -> Box<dyn Val + '_> {
    Box::new(CelString::from(text))
}

fn session_ids(sessions: &[SessionRef]) -> Box<dyn Val + '_> {
    Box::new(CelList::from(sessions.iter().map(|session| string(session.id())).collect::<Vec<_>>()))
}

fn map<'d>(entries: impl Iterator<Item = (&'d str, Box<dyn Val + 'd>)>) -> CelMap<'d> {
    CelMap::from(entries.map(|(key, value)| (CelMapKey::from(key), value)).collect::<HashMap<_, _>>())
}

fn object(object: &serde_json::Map<String, Value>) -> CelMap<'_> {
    map(object.iter().map(|(key, value)| (key.as_str(), json(value))))
}

fn json(value: &Value) -> Box<dyn Val + '_> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => json_number(number),
        Value::String(text) => string(text),
        Value::Array(list) => Box::new(CelList::from(list.iter().map(json).collect::<Vec<_>>())),
        Value::Object(entries) => Box::new(object(entries)),
    }
}

/// CEL compares numbers of its three types by value, so nothing is lost by taking the narrowest.
fn json_number(number: &serde_json::Number) -> Box<dyn Val> {
    match (number.as_i64(), number.as_u64()) {
        (Some(number), _) => Box::new(CelInt::from(number)),
        (None, Some(number)) => Box::new(CelUInt::from(number)),
        (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
    }
}

static TIMESTAMP: Type = cel::common::types::TIMESTAMP_TYPE;

/// CEL's timestamp on the crate's own clock type: compares with other timestamps, and nothing else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Timestamp);

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
