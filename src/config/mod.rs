//! The config file: YAML in which every key and value remembers its line, so that all problems are reported at once,
//! each where a person can mend it.
//!
//! A [`Document`] is read first, then decoded into a type whose JSON schema tells which keys exist. What YAML would
//! silently turn into something else (`0123`, `1e3`, `no`) is never guessed: text is expected as text.

mod advice;
mod check;
mod document;
mod load;
mod node;
mod parse;
mod parts;
mod path;
mod problem;
mod relations;
mod root;
mod secrets;
mod shape;
#[cfg(test)]
mod tests;
mod typed;

pub use document::Document;
pub use load::{Doors, Loaded};
pub use parts::known_providers;
pub use problem::{Problem, Problems, Severity};
pub use root::{Config, RetentionSettings, SecretUrl, StoreSettings};
pub use secrets::secret_files;
