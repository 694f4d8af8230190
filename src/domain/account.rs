//! What a subject turned out to be at a provider.

use serde::{Deserialize, Serialize};

/// An account that was read from the provider just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The provider's own id, by which the account is addressed from here on.
    pub id: String,
    /// Every name it goes by there: id, login, user name, all e-mail addresses. Guardrails look at each.
    pub identifiers: Vec<String>,
    /// The workspaces it is a member of, where the provider has such and tells (Slack).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
}

impl Account {
    /// An account without workspaces.
    #[must_use]
    pub fn new(id: impl Into<String>, identifiers: Vec<String>) -> Self {
        Self { id: id.into(), identifiers, teams: Vec::new() }
    }
}
