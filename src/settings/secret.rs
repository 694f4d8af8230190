//! References to secrets, and secrets that do not print.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Where a secret is to be found: `{env: NAME}`, `{file: PATH}`, or, against advice, `{value: TEXT}`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// The environment variable of this name.
    Env(String),
    /// The file at this path, without its trailing newline.
    File(PathBuf),
    /// The secret itself. Works, and `sever check` warns.
    Value(String),
}

impl std::fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Value(_) => f.write_str("value (not shown)"),
        }
    }
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("the environment variable {0} is not set; set it, or use {{file: PATH}}")]
    NotSet(String),
    /// The file could not be read.
    #[error("{path} could not be read: {source}; mend the path or its permissions")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// There was nothing in it.
    #[error("the secret from {0} is empty; an empty secret would let anyone in")]
    Empty(String),
}

impl SecretRef {
    /// Fetches the secret.
    #[expect(clippy::disallowed_methods, reason = "the home of environment reads")]
    pub fn resolve(&self) -> Result<Secret, SecretError> {
        let text = match self {
            Self::Env(name) => std::env::var(name).map_err(|_| SecretError::NotSet(name.clone()))?,
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|source| SecretError::Unreadable { path: path.display().to_string(), source })?,
            Self::Value(text) => text.clone(),
        };
        let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        if text.is_empty() { Err(SecretError::Empty(self.to_string())) } else { Ok(Secret::new(text)) }
    }
}

/// A secret text. Debug shows nothing of it, memory is wiped when the last copy goes.
#[derive(Clone)]
pub struct Secret(Arc<SecretString>);

impl Secret {
    /// Keeps `text` from being printed.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::new(SecretString::from(text)))
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(not shown)")
    }
}
