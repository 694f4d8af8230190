//! What the outside is told of, besides receipts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of message. Its word is the `type` of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NoticeKind {
    /// Every job of an alert has ended.
    #[serde(rename = "alert.done")]
    AlertDone,
    /// Jobs wait for a person.
    #[serde(rename = "jobs.held")]
    JobsHeld,
    /// Jobs were given up.
    #[serde(rename = "jobs.dead")]
    JobsDead,
    /// A provider is not called: its credential or settings do not work, or an operator paused it.
    #[serde(rename = "provider.held")]
    ProviderHeld,
    /// It is called again.
    #[serde(rename = "provider.released")]
    ProviderReleased,
    /// The audit record was sealed.
    #[serde(rename = "audit.sealed")]
    AuditSealed,
}

impl NoticeKind {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::AlertDone,
        Self::JobsHeld,
        Self::JobsDead,
        Self::ProviderHeld,
        Self::ProviderReleased,
        Self::AuditSealed,
    ];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlertDone => "alert.done",
            Self::JobsHeld => "jobs.held",
            Self::JobsDead => "jobs.dead",
            Self::ProviderHeld => "provider.held",
            Self::ProviderReleased => "provider.released",
            Self::AuditSealed => "audit.sealed",
        }
    }
}
