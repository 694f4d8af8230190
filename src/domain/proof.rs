//! What a look at an account shows, and what has to be gone before a job is proven.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Account, Revocation, SessionRef, TeamSession};

/// A session that is alive, as the provider shows it. What it does not tell is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// Its id at the provider.
    pub id: String,
    /// The workspace it belongs to (Slack).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<String>,
    /// When it began, by the provider's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub created_at: Option<Timestamp>,
    /// When it was last used, by the provider's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last_active_at: Option<Timestamp>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
    /// The address it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The browser, app or device, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Whether it is a browser's or a phone's, where that is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
}

impl Session {
    /// By which it can be ended.
    #[must_use]
    pub fn reference(&self) -> SessionRef {
        match &self.team_id {
            Some(team_id) => SessionRef::InTeam(TeamSession { id: self.id.clone(), team_id: team_id.clone() }),
            None => SessionRef::Id(self.id.clone()),
        }
    }
}

/// What a session runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// A browser.
    Web,
    /// A phone or tablet.
    Mobile,
}

/// The sessions of an account at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Those that are alive, each once. What has expired is left out.
    pub sessions: Vec<Session>,
    /// Whether every place was seen in which the account can hold sessions.
    pub complete: bool,
    /// When that was, by the provider's clock; `None`: it did not say.
    pub at: Option<Timestamp>,
}

/// What is known of a job's sessions around its calls. Stored just before the first call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Whose sessions.
    pub account: Account,
    /// The sessions that the calls have to end; `None`: nobody could look before the first call.
    pub earlier: Option<BTreeSet<SessionRef>>,
    /// Whether that look left out places in which more of them may be.
    #[serde(default)]
    pub partial: bool,
    /// Whether a call that may have worked, for all that is known of its answer, was made before anybody could look: it may
    /// have ended what nobody has seen.
    #[serde(default)]
    pub blind: bool,
    /// When the first call began, by the provider's clock where it tells. What begins later is not this job's.
    pub called_at: Timestamp,
    /// Calls that the provider said yes to.
    pub calls: u32,
    /// Looks since the latest of them.
    pub looks: u32,
    /// The yes, with what all calls have ended so far.
    pub said: Option<Revocation>,
}
