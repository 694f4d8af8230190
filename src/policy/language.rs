//! The dialect of CEL that rules are written in: the standard functions that cannot grow without bound, the severities
//! as constants, and `timestamp`.

use std::sync::{Arc, LazyLock};

use cel::common::types::{CelInt, CelString, STRING_TYPE};
use cel::common::value::CowVal;
use cel::{Context, Env, ExecutionError};
use jiff::Timestamp;

use super::facts::Time;
use crate::domain::Severity;

/// Functions, as `size(x)`.
pub(super) const FUNCTIONS: [&str; 9] =
    ["size", "int", "uint", "double", "string", "type", "matches", "timestamp", "bool"];

/// Methods, as `x.contains(y)`. The last four are of optional values: `alert.attributes.?ip.orValue("")`.
pub(super) const METHODS: [&str; 10] =
    ["contains", "startsWith", "endsWith", "matches", "size", "lowerAscii", "orValue", "or", "value", "hasValue"];

/// Names of types, for `type(alert.attributes.ip) == string`.
pub(super) const TYPES: [&str; 8] = ["bool", "int", "uint", "double", "string", "list", "map", "null_type"];

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // Both names are free in the standard library as it is built here, without chrono; a test evaluates them.
    drop(env.add_overload("timestamp", "string_to_timestamp", vec![STRING_TYPE], timestamp));
    drop(env.add_member_overload("lowerAscii", "string_lower_ascii", STRING_TYPE, vec![], lower_ascii));
    Arc::new(env)
});

/// What expressions are compiled with.
pub(super) fn env() -> Arc<Env> {
    Arc::clone(&ENV)
}

/// What every evaluation shares.
pub(super) fn root() -> Context<'static, 'static> {
    let mut root = Context::with_env(env());
    for severity in Severity::ALL {
        root.add_variable_as_val(severity.as_str(), Box::new(CelInt::from(i64::from(severity.rank()))));
    }
    root
}

fn timestamp<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = first_text(&arguments, "timestamp")?;
    let time: Timestamp = text.parse().map_err(|error| ExecutionError::function_error("timestamp", error))?;
    Ok(CowVal::owned(Time(time)))
}

fn lower_ascii<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let lower = first_text(&arguments, "lowerAscii")?.to_ascii_lowercase();
    Ok(CowVal::owned(CelString::from(lower)))
}

fn first_text<'a>(arguments: &'a [CowVal<'_, '_>], function: &str) -> Result<&'a str, ExecutionError> {
    let text = arguments.first().and_then(|argument| argument.downcast_ref::<CelString>());
    text.map(CelString::inner).ok_or_else(|| ExecutionError::function_error(function, "takes a string"))
}
