//! Why a body is not an alert, bounded so that a hostile body cannot fill a log or a row.

use std::fmt;

use serde::Serialize;

/// Enough to mend a sender; the rest is counted.
const MOST_PROBLEMS: usize = 20;

/// Enough to see what is wrong with one element of many.
const PROBLEMS_OF_ELEMENT: usize = 3;

/// Long enough for every message of ours; longer ones quote the body.
const LONGEST_TEXT_CHARS: usize = 240;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The JSON path, for example `subjects[3].ids.okta`; `.` is the body itself.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ours read on from the path; those of the JSON parser stand by themselves.
        let reads_on = ["is ", "has ", "names ", "would ", "gives "].iter().any(|verb| self.message.starts_with(verb));
        write!(f, "{}{} {}", self.path, if reads_on { "" } else { ":" }, self.message)
    }
}

/// The body is authentic and is no alert: it goes to quarantine with these reasons.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DecodeError {
    /// What is wrong, at most 20 entries; never empty.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub omitted: usize,
}

impl DecodeError {
    /// The first problems only, for a list of many.
    pub(super) fn brief(mut self) -> String {
        self.omitted += self.problems.len().saturating_sub(PROBLEMS_OF_ELEMENT);
        self.problems.truncate(PROBLEMS_OF_ELEMENT);
        self.to_string()
    }

    /// With its paths below this one.
    pub(super) fn below(mut self, path: impl fmt::Display) -> Self {
        for problem in &mut self.problems {
            problem.path = shortened(&format!("{path}.{}", problem.path));
        }
        self
    }

    /// A single problem.
    pub(super) fn of(path: impl fmt::Display, message: impl fmt::Display) -> Self {
        let mut problems = Problems::default();
        problems.add(path, message);
        problems.into_error()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if position == 0 { "" } else { "; " })?;
        }
        if self.omitted > 0 { write!(f, "; and {} more", self.omitted) } else { Ok(()) }
    }
}

/// Collects problems.
#[derive(Debug, Default)]
pub(super) struct Problems {
    kept: Vec<Problem>,
    omitted: usize,
}

impl Problems {
    pub(super) fn add(&mut self, path: impl fmt::Display, message: impl fmt::Display) {
        if self.kept.len() == MOST_PROBLEMS {
            self.omitted += 1;
        } else {
            self.kept.push(Problem { path: shortened(&path.to_string()), message: shortened(&message.to_string()) });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn into_result<T>(self, value: T) -> Result<T, DecodeError> {
        if self.kept.is_empty() { Ok(value) } else { Err(self.into_error()) }
    }

    pub(super) fn into_error(self) -> DecodeError {
        DecodeError { problems: self.kept, omitted: self.omitted }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
