//! The Web API methods that the stand-in knows, with what each takes and needs.
//!
//! Source: the method pages of docs.slack.dev. The last three are no business of a revoker: they are here to be noticed.

use serde::{Deserialize, Serialize};

use super::auth::Permission;
use super::refusal::Refusal;

/// A Web API method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operation {
    /// Answers anybody.
    #[serde(rename = "api.test")]
    ApiTest,
    /// Whose token it is.
    #[serde(rename = "auth.test")]
    AuthTest,
    /// Finds a user by e-mail address.
    #[serde(rename = "users.lookupByEmail")]
    LookupByEmail,
    /// Reads a user by id.
    #[serde(rename = "users.info")]
    UsersInfo,
    /// Starts to end all sessions of a user.
    #[serde(rename = "admin.users.session.reset")]
    SessionReset,
    /// Enqueues the same for many users.
    #[serde(rename = "admin.users.session.resetBulk")]
    SessionResetBulk,
    /// Ends one session.
    #[serde(rename = "admin.users.session.invalidate")]
    SessionInvalidate,
    /// Lists sessions of a user in a workspace, or of everybody.
    #[serde(rename = "admin.users.session.list")]
    SessionList,
    /// Reads how long sessions may last.
    #[serde(rename = "admin.users.session.getSettings")]
    GetSettings,
    /// Sets how long sessions may last.
    #[serde(rename = "admin.users.session.setSettings")]
    SetSettings,
    /// Forgets how long sessions may last.
    #[serde(rename = "admin.users.session.clearSettings")]
    ClearSettings,
    /// Would revoke the caller's own token.
    #[serde(rename = "auth.revoke")]
    AuthRevoke,
    /// Would remove the caller's app from the organization.
    #[serde(rename = "apps.uninstall")]
    AppsUninstall,
    /// Would take an account out of a workspace.
    #[serde(rename = "admin.users.remove")]
    UsersRemove,
}

/// How often a method may be called: Slack's evolving rate limits, per method, organization and app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    Two,
    Three,
    Four,
    Special,
}

impl Tier {
    pub(super) fn calls_per_minute(self) -> u32 {
        match self {
            Self::Two => 20,
            Self::Three => 50,
            Self::Four => 100,
            // "Hundreds per minute" without a number; chosen.
            Self::Special => 300,
        }
    }
}

impl Operation {
    /// Every method.
    pub const ALL: [Self; 14] = [
        Self::ApiTest,
        Self::AuthTest,
        Self::LookupByEmail,
        Self::UsersInfo,
        Self::SessionReset,
        Self::SessionResetBulk,
        Self::SessionInvalidate,
        Self::SessionList,
        Self::GetSettings,
        Self::SetSettings,
        Self::ClearSettings,
        Self::AuthRevoke,
        Self::AppsUninstall,
        Self::UsersRemove,
    ];

    /// The name, as it stands in the path after `/api/`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiTest => "api.test",
            Self::AuthTest => "auth.test",
            Self::LookupByEmail => "users.lookupByEmail",
            Self::UsersInfo => "users.info",
            Self::SessionReset => "admin.users.session.reset",
            Self::SessionResetBulk => "admin.users.session.resetBulk",
            Self::SessionInvalidate => "admin.users.session.invalidate",
            Self::SessionList => "admin.users.session.list",
            Self::GetSettings => "admin.users.session.getSettings",
            Self::SetSettings => "admin.users.session.setSettings",
            Self::ClearSettings => "admin.users.session.clearSettings",
            Self::AuthRevoke => "auth.revoke",
            Self::AppsUninstall => "apps.uninstall",
            Self::UsersRemove => "admin.users.remove",
        }
    }

    /// The arguments besides `token`; any other is refused.
    #[must_use]
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::ApiTest => &["error", "foo"],
            Self::AuthTest => &[],
            Self::LookupByEmail => &["email"],
            Self::UsersInfo => &["user", "include_locale"],
            Self::SessionReset => &["user_id", "mobile_only", "web_only"],
            Self::SessionResetBulk => &["user_ids", "mobile_only", "web_only"],
            Self::SessionInvalidate => &["session_id", "team_id", "user_id"],
            Self::SessionList => &["team_id", "user_id", "limit", "cursor"],
            Self::GetSettings | Self::ClearSettings => &["user_ids"],
            Self::SetSettings => &["user_ids", "desktop_app_browser_quit", "duration"],
            Self::AuthRevoke => &["test"],
            Self::AppsUninstall => &["client_id", "client_secret"],
            Self::UsersRemove => &["team_id", "user_id"],
        }
    }

    /// The scope that a token needs.
    #[must_use]
    pub fn permission(self) -> Option<Permission> {
        match self {
            Self::ApiTest | Self::AuthTest | Self::AuthRevoke | Self::AppsUninstall => None,
            Self::LookupByEmail => Some(Permission::UsersReadEmail),
            Self::UsersInfo => Some(Permission::UsersRead),
            Self::SessionList | Self::GetSettings => Some(Permission::AdminUsersRead),
            Self::SessionReset
            | Self::SessionResetBulk
            | Self::SessionInvalidate
            | Self::SetSettings
            | Self::ClearSettings
            | Self::UsersRemove => Some(Permission::AdminUsersWrite),
        }
    }

    /// Behind a token, and of it only an Org Admin's or Owner's.
    pub(super) fn is_admin(self) -> bool {
        self.name().starts_with("admin.")
    }

    pub(super) fn needs_token(self) -> bool {
        self != Self::ApiTest
    }

    /// Only reads are described with GET. Slack takes GET in more places; it is refused here, for it puts ids into logs.
    pub(super) fn takes(self, method: &str) -> bool {
        let reads = matches!(self, Self::ApiTest | Self::AuthTest | Self::LookupByEmail | Self::UsersInfo);
        method == "POST" || (method == "GET" && reads)
    }

    /// The `users.*` methods are described with form bodies only.
    pub(super) fn takes_json(self) -> bool {
        !matches!(self, Self::LookupByEmail | Self::UsersInfo)
    }

    pub(super) fn tier(self) -> Tier {
        match self {
            Self::SessionReset | Self::SessionResetBulk | Self::SessionInvalidate | Self::SessionList => Tier::Two,
            Self::UsersRemove | Self::AppsUninstall => Tier::Two,
            Self::LookupByEmail | Self::AuthRevoke => Tier::Three,
            Self::ApiTest | Self::UsersInfo => Tier::Four,
            Self::GetSettings | Self::SetSettings | Self::ClearSettings => Tier::Four,
            Self::AuthTest => Tier::Special,
        }
    }
}

/// The method that a raw path names. An encoded letter is not the letter: documents are silent, refused.
pub(super) fn route(raw_path: &str) -> Result<Operation, Refusal> {
    let name = raw_path.strip_prefix("/api/").ok_or(Refusal::NotFoundPage)?;
    let found = Operation::ALL.into_iter().find(|operation| operation.name() == name);
    found.ok_or_else(|| Refusal::code("unknown_method"))
}
