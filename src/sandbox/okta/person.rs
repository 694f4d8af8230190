//! The people of the organisation.

use serde::{Deserialize, Serialize};

use crate::sandbox::ids;

/// Okta's user ids have 20 characters.
const ID_LENGTH: usize = 20;

/// A user, as tests set them up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// `00u…`, 20 characters, case-sensitive.
    pub id: String,
    /// The user name.
    pub login: String,
    /// Need not equal the login, need not be unique.
    pub email: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Life-cycle status.
    pub status: Status,
}

impl Person {
    /// An active person with a fresh id, whose e-mail address is the login.
    #[must_use]
    pub fn new(login: &str) -> Self {
        let short = login.split('@').next().unwrap_or(login);
        let (first, last) = short.split_once('.').unwrap_or((short, "Example"));
        Self {
            id: ids::random("00u", ID_LENGTH),
            login: login.to_owned(),
            email: login.to_owned(),
            first_name: first.to_owned(),
            last_name: last.to_owned(),
            status: Status::Active,
        }
    }

    /// The same person under a given id.
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

    /// The same person under another name.
    #[must_use]
    pub fn name(mut self, first: &str, last: &str) -> Self {
        first.clone_into(&mut self.first_name);
        last.clone_into(&mut self.last_name);
        self
    }

    /// The same person in another status.
    #[must_use]
    pub fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }
}

/// `UserStatus` of the Okta management OpenAPI 2026.06.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the vendor's words")]
pub enum Status {
    Active,
    Deprovisioned,
    LockedOut,
    PasswordExpired,
    Provisioned,
    Recovery,
    Staged,
    Suspended,
}

impl Status {
    /// The vendor's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Deprovisioned => "DEPROVISIONED",
            Self::LockedOut => "LOCKED_OUT",
            Self::PasswordExpired => "PASSWORD_EXPIRED",
            Self::Provisioned => "PROVISIONED",
            Self::Recovery => "RECOVERY",
            Self::Staged => "STAGED",
            Self::Suspended => "SUSPENDED",
        }
    }

    /// An API token dies when its admin is deactivated.
    pub(super) fn may_act(self) -> bool {
        !matches!(self, Self::Deprovisioned | Self::Suspended)
    }

    /// Suspending clears the sessions (Okta help, "Role permissions"); a deactivated user cannot hold any either.
    pub(super) fn holds_sessions(self) -> bool {
        self.may_act()
    }
}
