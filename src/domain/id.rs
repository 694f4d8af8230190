//! Names that people give and ids that we make.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A name in the config that is neither empty, long nor unfit for a URL path or a metric label.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a name: use 1 to 63 of a-z, 0-9, '-' and '_', starting with a letter or digit")]
pub struct NameError(pub String);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The name as written in the config.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(NameError(text.to_owned())) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A source of alerts: one webhook path with its own keys.
    SourceName
}

name! {
    /// A configured provider. The key under `providers:` and in a subject's `ids`.
    ProviderName
}

name! {
    /// Somebody who is told what became of alerts. The key under `notify:`.
    TargetName
}

fn is_name(text: &str) -> bool {
    let fits = (1..=63).contains(&text.len());
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    fits && starts_well
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[schemars(with = "String")]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id. Ids made later sort later (UUID version 7, RFC 9562 section 5.7).
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default id would not be the same twice")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// Our id of an alert. The sender's own is [`super::Alert::id`].
    AlertId
}

id! {
    /// A job's id.
    JobId
}
