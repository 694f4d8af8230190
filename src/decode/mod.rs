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
use crate::verify::Verified;

/// How a source spells its alerts: the config word `format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertFormat {
    /// Our own format, `schemas/alert.schema.json`.
    #[default]
    Sever,
}

impl AlertFormat {
    /// Reads alerts from bytes that nobody vouches for, as `sever plan` does. Nothing may act on them.
    pub fn parse(self, body: &[u8]) -> Result<Vec<Alert>, DecodeError> {
        match self {
            Self::Sever => sever::decode(body),
        }
    }
}

/// Reads the alerts of one authentic delivery: all of them, or the reasons why none is taken.
pub fn decode(format: AlertFormat, delivery: &Verified) -> Result<Vec<Alert>, DecodeError> {
    format.parse(delivery.body())
}
