//! Which names an expression may use: the standard functions that cannot grow without bound, and what its user adds.

use std::sync::Arc;

use cel::common::types::{CelString, STRING_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::{Context, Env, ExecutionError};
use jiff::Timestamp;

use super::pattern::matches;
use super::value::Time;

/// Functions of every dialect, as `size(x)`.
const FUNCTIONS: [&str; 9] = ["size", "int", "uint", "double", "string", "type", "matches", "timestamp", "bool"];

/// Methods of every dialect, as `x.contains(y)`. The last four are of optional values: `x.?ip.orValue("")`.
const METHODS: [&str; 10] =
    ["contains", "startsWith", "endsWith", "matches", "size", "lowerAscii", "orValue", "or", "value", "hasValue"];

/// Names of types, for `type(x) == string`.
const TYPES: [&str; 8] = ["bool", "int", "uint", "double", "string", "list", "map", "null_type"];

/// What an expression is known to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    Text,
    /// A timestamp.
    Time,
    /// A list.
    List,
    /// A map.
    Map,
    /// `null`.
    Null,
}

impl Kind {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Time => "a timestamp",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Null => "null",
        }
    }
}

/// A name with a value.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    /// As it is written.
    pub name: &'static str,
    /// What it gives, if that is always the same.
    pub kind: Option<Kind>,
    /// Its whole name, where a sender decides on its size: reading it is counted.
    pub large: Option<&'static str>,
    /// What to tell whoever compares it with something of another kind.
    pub note: &'static str,
}

impl Name {
    /// A small value of this kind.
    #[must_use]
    pub const fn small(name: &'static str, kind: Kind) -> Self {
        Self { name, kind: Some(kind), large: None, note: "" }
    }

    /// A value whose size the sender decides on. `whole` is `name`, or the record's name and `name`.
    #[must_use]
    pub const fn large(name: &'static str, whole: &'static str, kind: Option<Kind>) -> Self {
        Self { name, kind, large: Some(whole), note: "" }
    }
}

/// A variable.
#[derive(Debug, Clone, Copy)]
pub enum Variable {
    /// A value by itself.
    Plain(Name),
    /// Fields, each of which is always there. Not a value by itself.
    Record(&'static str, &'static [Name]),
}

impl Variable {
    fn name(&self) -> &'static str {
        match self {
            Self::Plain(plain) => plain.name,
            Self::Record(name, _) => name,
        }
    }
}

/// A function of one dialect.
#[derive(Clone)]
pub struct Function {
    /// As it is called.
    pub name: &'static str,
    /// How many arguments it takes, each number with an id of its own.
    pub arguments: &'static [(&'static str, usize)],
    /// What it gives, if that is always the same.
    pub kind: Option<Kind>,
    /// What it counts for each unit that it is given: more than 1 where it makes more of it.
    pub weight: usize,
    /// What it does.
    pub call: cel::common::functions::Function,
}

/// Which names an expression may use.
pub struct Dialect {
    env: Arc<Env>,
    root: Context<'static, 'static>,
    variables: Vec<Variable>,
    constants: Vec<(&'static str, Kind)>,
    pub(super) functions: Vec<Function>,
    /// Names that are not there, with the reason.
    pub(super) absent: &'static [(&'static str, &'static str)],
}

impl std::fmt::Debug for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialect").field("variables", &self.variables).finish_non_exhaustive()
    }
}

impl Dialect {
    /// The standard names, and these.
    #[must_use]
    pub fn new(
        variables: Vec<Variable>,
        constants: Vec<(&'static str, Kind, Box<dyn Val>)>,
        functions: Vec<Function>,
    ) -> Self {
        let env = Arc::new(env(&functions));
        let mut root = Context::with_env(Arc::clone(&env));
        let mut names = Vec::new();
        for (name, kind, value) in constants {
            root.add_variable_as_val(name, value);
            names.push((name, kind));
        }
        Self { env, root, variables, constants: names, functions, absent: &[] }
    }

    /// With a word about names that somebody may expect.
    #[must_use]
    pub fn without(self, absent: &'static [(&'static str, &'static str)]) -> Self {
        Self { absent, ..self }
    }

    /// What every evaluation shares.
    #[must_use]
    pub fn root(&self) -> &Context<'static, 'static> {
        &self.root
    }

    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    pub(super) fn function_names(&self) -> Vec<&'static str> {
        FUNCTIONS.into_iter().chain(self.functions.iter().map(|function| function.name)).collect()
    }

    pub(super) fn method_names(&self) -> &'static [&'static str] {
        &METHODS
    }

    /// Names that stand for a value wherever they occur.
    pub(super) fn plain_names(&self) -> impl Iterator<Item = &'static str> {
        let plain = self.variables.iter().filter_map(|variable| match variable {
            Variable::Plain(plain) => Some(plain.name),
            Variable::Record(..) => None,
        });
        self.constants.iter().map(|(name, _)| *name).chain(plain).chain(TYPES)
    }

    /// Every name that is taken.
    pub(super) fn all_names(&self) -> Vec<&'static str> {
        self.plain_names().chain(self.variables.iter().map(Variable::name)).collect()
    }

    /// The fields of a record.
    pub(super) fn record(&self, name: &str) -> Option<&'static [Name]> {
        self.variables.iter().find_map(|variable| match variable {
            Variable::Record(known, fields) if *known == name => Some(*fields),
            Variable::Record(..) | Variable::Plain(_) => None,
        })
    }

    /// The variable of this name.
    pub(super) fn plain(&self, name: &str) -> Option<&Name> {
        self.variables.iter().find_map(|variable| match variable {
            Variable::Plain(plain) if plain.name == name => Some(plain),
            Variable::Plain(_) | Variable::Record(..) => None,
        })
    }

    /// What the variable or constant of this name gives.
    pub(super) fn kind_of(&self, name: &str) -> Option<Kind> {
        let constant = self.constants.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        constant.or_else(|| self.plain(name)?.kind)
    }
}

fn env(functions: &[Function]) -> Env {
    let mut env = Env::stdlib();
    // All of these are free in the standard library as it is built here, without chrono and regex; a test evaluates them.
    drop(env.add_overload("matches", "string_matches_pattern", vec![STRING_TYPE, STRING_TYPE], matches));
    drop(env.add_member_overload("matches", "matches_pattern", STRING_TYPE, vec![STRING_TYPE], matches));
    drop(env.add_overload("timestamp", "string_to_timestamp", vec![STRING_TYPE], timestamp));
    drop(env.add_member_overload("lowerAscii", "string_lower_ascii", STRING_TYPE, vec![], lower_ascii));
    for function in functions {
        for (id, arguments) in function.arguments {
            let types: Vec<Type> = (0..*arguments).map(|_| cel::common::types::DYN_TYPE).collect();
            drop(env.add_overload(function.name, id, types, function.call));
        }
    }
    env
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
