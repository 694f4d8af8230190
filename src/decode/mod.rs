//! Authentic bytes to alerts.
//!
//! Whatever comes out of here has names that are someone's: every identifier went through
//! [`check_identifier`](crate::domain::check_identifier). What does not fit is refused as a whole, with every problem
//! and its place, so that half an alert never acts.

mod error;
pub mod sever;
mod strict;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use error::{DecodeError, Problem};

use crate::domain::Alert;

/// How a source spells its alerts: the config word `format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertFormat {
    /// Our own format, `schemas/alert.schema.json`.
    #[default]
    Sever,
}

impl AlertFormat {
    /// Reads the alerts of one delivery: all of them, or the reasons why none is taken.
    pub fn decode(self, body: &[u8]) -> Result<Vec<Alert>, DecodeError> {
        match self {
            Self::Sever => sever::decode(body),
        }
    }
}
