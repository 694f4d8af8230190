//! The people of the organization, and its workspaces.

use serde::{Deserialize, Serialize};

use crate::sandbox::ids;

/// `W` and ten characters, like the ids that Slack gives today.
const ID_LENGTH: usize = 11;

/// A user, as tests set them up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// `W…` or `U…`, case-sensitive.
    pub id: String,
    /// The user name, which no method finds people by.
    pub name: String,
    /// The address; each belongs to one user.
    pub email: String,
    /// For show.
    pub real_name: String,
    /// What they may do in the organization.
    pub role: Role,
    /// Bots hold no sessions.
    pub is_bot: bool,
    /// Deactivated.
    pub is_deleted: bool,
    /// Ids of the workspaces that they are in; empty means the organization's first.
    pub teams: Vec<String>,
}

/// A role in the organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// No admin.
    Member,
    /// May use the admin methods.
    OrgAdmin,
    /// May use the admin methods.
    OrgOwner,
    /// There is one, whose sessions nobody else may end.
    PrimaryOwner,
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Team {
    /// `T…`
    pub id: String,
    /// For show.
    pub name: String,
}

impl Person {
    /// A member with a fresh id, named after the address.
    #[must_use]
    pub fn new(email: &str) -> Self {
        let name = email.split('@').next().unwrap_or(email);
        Self {
            id: fresh_id("W", ID_LENGTH),
            name: name.to_owned(),
            email: email.to_owned(),
            real_name: name.to_owned(),
            role: Role::Member,
            is_bot: false,
            is_deleted: false,
            teams: Vec::new(),
        }
    }

    /// The same person under a given id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// The same person under another user name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The same person in another role.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// The same, but a bot.
    #[must_use]
    pub fn bot(mut self) -> Self {
        self.is_bot = true;
        self
    }

    /// The same person in one more workspace.
    #[must_use]
    pub fn team(mut self, team_id: &str) -> Self {
        self.teams.push(team_id.to_owned());
        self
    }
}

impl Role {
    /// Whether an admin method listens to them.
    pub(super) fn is_admin(self) -> bool {
        self != Self::Member
    }
}

/// Upper-case letters and digits after `prefix`, `length` characters in all.
pub(super) fn fresh_id(prefix: &str, length: usize) -> String {
    ids::random(prefix, length).to_ascii_uppercase()
}
