//! A config file that was read, and its way into a type.

use std::io::Read;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::node::Node;
use super::parse::{Fault, parse};
use super::path::Path;
use super::problem::{Problem, Problems, Severity};
use super::{check, typed};

/// Bytes in a config file. A thousand sources take a third of it.
const MAX_SIZE: usize = 1 << 20;

/// YAML with the place of every key and value.
#[derive(Debug, Clone)]
pub struct Document {
    file: String,
    root: Arc<Node>,
    digest: [u8; 32],
}

impl Document {
    /// Reads the file at `path`, at most a megabyte.
    pub fn load(path: &std::path::Path) -> Result<Self, Problems> {
        let file = path.display().to_string();
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => Self::parse(bytes, &file),
            Err(error) => {
                Err(refused(&file, format!("it could not be read: {error}; mend the path or its permissions")))
            }
        }
    }

    /// Reads `text`, or says everything that is wrong with it as YAML. `file_name` is for messages.
    pub fn parse(text: impl AsRef<[u8]>, file_name: &str) -> Result<Self, Problems> {
        let bytes = text.as_ref();
        if bytes.len() > MAX_SIZE {
            return Err(refused(file_name, format!("it is larger than {MAX_SIZE} bytes; is it the right file?")));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(file_name, bytes, error.valid_up_to()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match parse(text) {
            Ok(root) => Ok(Self { file: file_name.to_owned(), root, digest: Sha256::digest(bytes).into() }),
            Err(faults) => Err(problems(file_name, faults)),
        }
    }

    /// The document as a `T`, or everything that is wrong with it.
    ///
    /// Keys are checked against the JSON schema of `T`: unknown and missing ones, values of the wrong kind and names that
    /// are not of a closed set are told at once, and typed decoding adds what it finds in the rest. A `#[serde(alias)]` is
    /// not in the schema and is therefore not known here.
    pub fn decode<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, Problems> {
        let schema = schemars::schema_for!(T).to_value();
        let faults = check::check(&self.root, &schema);
        typed::decode(&self.root, faults).map_err(|faults| problems(&self.file, faults))
    }

    /// The document as JSON. Plain scalars that readers of YAML disagree about are text.
    #[must_use]
    pub fn value(&self) -> Value {
        typed::value(&self.root)
    }

    /// Line and column of `path`, like `sources.edr.verify.secrets[0]`, or of its nearest ancestor that exists.
    /// `None` where not even the first key exists.
    #[must_use]
    pub fn locate(&self, path: &str) -> Option<(u32, u32)> {
        self.root.locate(&Path::parse(path)).map(|mark| (mark.line, mark.column))
    }

    /// An error at `path`, for checks that look at the decoded config.
    #[must_use]
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        let (line, column) = self.locate(path).unzip();
        Problem { path: path.to_owned(), line, column, message: message.into(), severity: Severity::Error }
    }

    /// An empty list of problems of this file.
    #[must_use]
    pub fn problems(&self) -> Problems {
        Problems::new(&self.file)
    }

    /// SHA-256 of what was read.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The name given when it was read.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.file
    }
}

fn refused(file_name: &str, message: String) -> Problems {
    let mut problems = Problems::new(file_name);
    problems.push(Problem::of_file(message));
    problems
}

fn not_utf8(file_name: &str, bytes: &[u8], valid: usize) -> Problems {
    let line = bytes[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
    refused(file_name, format!("line {line} is not UTF-8 text; save the file as UTF-8"))
}

fn problems(file_name: &str, faults: Vec<Fault>) -> Problems {
    let mut problems = Problems::new(file_name);
    problems.extend(faults.into_iter().map(Problem::from));
    problems
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let (line, column) = fault.mark.map(|mark| (mark.line, mark.column)).unzip();
        Self { path: fault.path.to_string(), line, column, message: fault.message, severity: Severity::Error }
    }
}
