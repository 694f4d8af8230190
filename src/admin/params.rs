//! What stands in the URL: parts of the path, and parameters behind the `?`.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;

use super::fault::Fault;

/// Items in a part of a listing, where the request names no number.
const DEFAULT_LIMIT: u32 = 100;

/// The most items in a part of a listing.
const LARGEST_LIMIT: u32 = 1000;

/// The one variable part of a path, decoded.
pub(super) struct Segment(String);

impl Segment {
    /// What it names. What cannot be a name of such a thing names none.
    pub(super) fn named<T: FromStr>(&self, what: &str) -> Result<T, Fault> {
        self.0.parse().map_err(|_| no_such(what, &self.0))
    }
}

/// 404 for this name.
pub(super) fn no_such(what: &str, name: impl std::fmt::Display) -> Fault {
    Fault::NotFound(format!("there is no {what} {:?}", name.to_string()))
}

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(_) => Err(Fault::NotFound("the path is not UTF-8".to_owned())),
        }
    }
}

/// A parameter that a route takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) about: &'static str,
    /// What it may be.
    pub(super) kind: Kind,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Any text that is not empty.
    Text,
    /// A whole number.
    Number {
        /// The smallest.
        least: i64,
        /// The largest.
        most: i64,
    },
    /// One of these.
    Word(fn() -> Vec<&'static str>),
}

/// Where the part before ended.
pub(super) const CURSOR: Parameter = after("cursor");

/// How many items at most.
pub(super) const LIMIT: Parameter = Parameter {
    name: "limit",
    about: "At most so many items. Default: 100.",
    kind: Kind::Number { least: 1, most: LARGEST_LIMIT as i64 },
};

/// A cursor under this name.
pub(super) const fn after(name: &'static str) -> Parameter {
    Parameter { name, about: "`next_cursor` of the part before.", kind: Kind::Number { least: 0, most: i64::MAX } }
}

/// A parameter that is any text.
pub(super) const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about, kind: Kind::Text }
}

/// The parameters behind the `?`.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Refuses parameters that are not among `known`, given twice, or empty: nothing that was asked for is ignored.
    pub(super) fn only(self, known: &[Parameter]) -> Result<Self, Fault> {
        for (position, (name, value)) in self.0.iter().enumerate() {
            if !known.iter().any(|known| known.name == name) {
                return Err(Fault::Malformed(format!("{name:?} is no parameter here; {}", those(known))));
            }
            if self.0[..position].iter().any(|(earlier, _)| earlier == name) {
                return Err(Fault::Malformed(format!("`{name}` is given twice; give it once")));
            }
            if value.is_empty() {
                return Err(Fault::Malformed(format!("`{name}` is empty; give it a value or leave it out")));
            }
        }
        Ok(self)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is one of a kind, with the reason where it is not.
    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Fault>
    where
        T::Err: std::fmt::Display,
    {
        let wrong = |error: T::Err| Fault::Malformed(format!("`{name}`: {error}"));
        self.text(name).map(|text| text.parse().map_err(wrong)).transpose()
    }

    /// Where the page before ended.
    pub(super) fn cursor(&self, name: &str) -> Result<Option<i64>, Fault> {
        let wrong = || Fault::Malformed(format!("`{name}` is not a cursor; use `next_cursor` of the part before"));
        let read = |text: &str| text.parse().ok().filter(|cursor: &i64| *cursor >= 0).ok_or_else(wrong);
        self.text(name).map(read).transpose()
    }

    pub(super) fn limit(&self) -> Result<u32, Fault> {
        let wrong = || Fault::Malformed(format!("`limit` is a whole number from 1 to {LARGEST_LIMIT}"));
        let read = |text: &str| text.parse().ok().filter(|n| (1..=LARGEST_LIMIT).contains(n)).ok_or_else(wrong);
        self.text("limit").map_or(Ok(DEFAULT_LIMIT), read)
    }
}

fn those(known: &[Parameter]) -> String {
    let names: Vec<&str> = known.iter().map(|known| known.name).collect();
    match names.as_slice() {
        [] => "there are none".to_owned(),
        _ => format!("there are {}", names.join(", ")),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(_) => Err(Fault::Malformed("the part behind the `?` cannot be read; write name=value&…".to_owned())),
        }
    }
}

/// Nothing behind the `?`: a parameter that is no parameter here is not passed over in silence.
pub(super) struct NoParameters;

impl<S: Send + Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        Parameters::from_request_parts(parts, state).await?.only(&[]).map(|_| Self)
    }
}
