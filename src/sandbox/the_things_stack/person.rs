//! The users of the network.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The longest user id (`identifiers.proto`).
const LONGEST_ID: usize = 36;

/// A user, as tests set them up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The user id, which is the login name: lower-case letters, digits and single hyphens.
    pub id: String,
    /// Primary e-mail address. No two users have the same.
    pub email: String,
    /// Whether the address has been validated.
    pub email_validated: bool,
    /// Full name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// State of the account.
    pub state: State,
    /// Whether the user administers the network.
    pub admin: bool,
    /// Free key-value pairs.
    pub attributes: BTreeMap<String, String>,
}

impl Person {
    /// An approved user. `name` is a user id, or an e-mail address whose local part becomes the id.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let local = name.split('@').next().unwrap_or(name).to_lowercase().replace(['.', '_', '+'], "-");
        let email = if name.contains('@') { name.to_owned() } else { format!("{name}@example.com") };
        Self {
            id: local,
            email,
            email_validated: true,
            name: String::new(),
            description: String::new(),
            state: State::Approved,
            admin: false,
            attributes: BTreeMap::new(),
        }
    }

    /// The same person under a given user id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// The same person with another e-mail address.
    #[must_use]
    pub fn email(mut self, email: &str) -> Self {
        email.clone_into(&mut self.email);
        self
    }

    /// The same person, who has not yet shown that the e-mail address is theirs.
    #[must_use]
    pub fn unvalidated(mut self) -> Self {
        self.email_validated = false;
        self
    }

    /// The same person under another full name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The same person with a description.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }

    /// The same person in another state.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// The same person as an admin.
    #[must_use]
    pub fn admin(mut self) -> Self {
        self.admin = true;
        self
    }

    /// The same person with one more attribute.
    #[must_use]
    pub fn attribute(mut self, key: &str, value: &str) -> Self {
        self.attributes.insert(key.to_owned(), value.to_owned());
        self
    }
}

/// `State` of `enums.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the vendor's words")]
pub enum State {
    #[serde(rename = "STATE_REQUESTED")]
    Requested = 0,
    #[serde(rename = "STATE_APPROVED")]
    Approved = 1,
    #[serde(rename = "STATE_REJECTED")]
    Rejected = 2,
    #[serde(rename = "STATE_FLAGGED")]
    Flagged = 3,
    #[serde(rename = "STATE_SUSPENDED")]
    Suspended = 4,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Requested, Self::Approved, Self::Rejected, Self::Flagged, Self::Suspended];

    /// The vendor's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "STATE_REQUESTED",
            Self::Approved => "STATE_APPROVED",
            Self::Rejected => "STATE_REJECTED",
            Self::Flagged => "STATE_FLAGGED",
            Self::Suspended => "STATE_SUSPENDED",
        }
    }

    /// The vendor's number. The first is the default value, which JSON leaves out.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// What is wrong with a user id: `^[a-z0-9](?:[-]?[a-z0-9]){1,}$`, at most 36 characters.
pub(super) fn id_fault(id: &str) -> Option<&'static str> {
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if id.chars().count() > LONGEST_ID {
        return Some("value length must be at most 36 runes");
    }
    match id.len() >= 2 && id.split('-').all(is_word) {
        true => None,
        false => Some("value does not match regex pattern \"^[a-z0-9](?:[-]?[a-z0-9]){1,}$\""),
    }
}
