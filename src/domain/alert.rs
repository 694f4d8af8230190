//! What a sender tells us: whose sessions may be in wrong hands, and how bad it is.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AlertSubject;

/// How bad it is. Ordered: `informational` < `low` < `medium` < `high` < `critical`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Told for the record.
    Informational,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical: its jobs go first.
    Critical,
}

impl Severity {
    /// Every severity, mildest first.
    pub const ALL: [Self; 5] = [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word used in alerts, rules and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// 0 for `informational` up to 4 for `critical`. Stored, so it never changes.
    #[must_use]
    pub fn rank(self) -> u8 {
        self as u8
    }

    /// The inverse of [`Self::rank`].
    #[must_use]
    pub fn from_rank(rank: u8) -> Option<Self> {
        Self::ALL.get(usize::from(rank)).copied()
    }
}

/// A security alert, authentic and decoded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alert {
    /// The sender's id of the alert, 1 to 256 characters: the same alert never costs a second revocation.
    pub id: String,
    /// What happened, for example `session_stolen`.
    pub kind: String,
    /// How bad it is.
    pub severity: Severity,
    /// When it happened, by the sender's account.
    pub occurred_at: Timestamp,
    /// Whose sessions it is about; at least one.
    pub subjects: Vec<AlertSubject>,
    /// For people to read.
    pub reason: Option<String>,
    /// Anything else that rules may look at.
    pub attributes: serde_json::Map<String, serde_json::Value>,
    /// Plans and resolves, and sends nothing. May only weaken what the config says.
    pub dry_run: bool,
}
