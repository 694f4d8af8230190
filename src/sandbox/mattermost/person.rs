//! The people of the server, and bots.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::id;

/// A user, as tests set them up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// 26 characters.
    pub id: String,
    /// Lower case, unique.
    pub username: String,
    /// Lower case, unique.
    pub email: String,
    /// What the roles of the user allow.
    pub role: Role,
    /// How the user signs in: empty, `email` or `ldap` know a password; `saml`, `gitlab` and the like do not.
    pub auth_service: String,
    /// A bot account holds tokens and cannot sign in.
    pub is_bot: bool,
    /// Whether a second factor is set up.
    pub mfa_active: bool,
    /// For `POST /users/login`; without one nobody signs in there.
    #[serde(skip)]
    pub password: Option<Password>,
}

/// A password, which does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    pub(super) fn is(&self, text: &str) -> bool {
        self.0 == text
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[withheld]")
    }
}

impl Person {
    /// An ordinary user with a fresh id. An e-mail address gives the user name, a user name the address.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let name = name.to_lowercase();
        let short = name.split('@').next().unwrap_or(&name);
        let email = if name.contains('@') { name.clone() } else { format!("{name}@example.com") };
        Self {
            id: id::fresh(),
            username: short.to_owned(),
            email,
            role: Role::User,
            auth_service: String::new(),
            is_bot: false,
            mfa_active: false,
            password: None,
        }
    }

    /// The same person under a given id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// The same person with another user name; Mattermost keeps it in lower case.
    #[must_use]
    pub fn username(mut self, username: &str) -> Self {
        self.username = username.to_lowercase();
        self
    }

    /// The same person with another e-mail address; Mattermost keeps it in lower case.
    #[must_use]
    pub fn email(mut self, email: &str) -> Self {
        self.email = email.to_lowercase();
        self
    }

    /// The same person with another role.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// The same person, signing in elsewhere.
    #[must_use]
    pub fn auth_service(mut self, service: &str) -> Self {
        service.clone_into(&mut self.auth_service);
        self
    }

    /// The same account as a bot.
    #[must_use]
    pub fn bot(mut self) -> Self {
        self.is_bot = true;
        self
    }

    /// The same person with a second factor. The code that works is the stand-in's own: `123456`.
    #[must_use]
    pub fn mfa(mut self) -> Self {
        self.mfa_active = true;
        self
    }

    /// The same person with a password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(Password(password.to_owned()));
        self
    }
}

/// What an account is for. Mattermost keeps permissions with roles, not with tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May everything, and is out of reach for lesser roles.
    SystemAdmin,
    /// Has `edit_other_users`, which does not reach system admins.
    UserManager,
    /// Nothing but their own account.
    User,
}

impl Role {
    /// The `roles` of the user object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SystemAdmin => "system_admin system_user",
            Self::UserManager => "system_user_manager system_user",
            Self::User => "system_user",
        }
    }

    /// What it grants, before single permissions are denied or allowed.
    pub(super) fn permissions(self) -> BTreeSet<Permission> {
        match self {
            Self::SystemAdmin => Permission::ALL.into(),
            Self::UserManager => [Permission::EditOtherUsers, Permission::ViewMembers].into(),
            Self::User => [Permission::ViewMembers].into(),
        }
    }
}

/// What an account may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Makes a system admin: reaches everybody, also those who do not exist.
    ManageSystem,
    /// Reaches everybody but system admins.
    EditOtherUsers,
    /// Needed to list personal access tokens.
    ReadUserAccessToken,
    /// Needed to end and to disable personal access tokens.
    RevokeUserAccessToken,
    /// Needed for the tokens of bots of others.
    ManageOthersBots,
    /// Sees all users. Guests lack it, and see those they share a channel with: here nobody.
    ViewMembers,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 6] = [
        Self::ManageSystem,
        Self::EditOtherUsers,
        Self::ReadUserAccessToken,
        Self::RevokeUserAccessToken,
        Self::ManageOthersBots,
        Self::ViewMembers,
    ];
}
