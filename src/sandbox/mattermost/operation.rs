//! The operations of Mattermost that the stand-in knows, and the way from a raw request path to one of them.
//!
//! Two of them are traps, which no honest client calls: they do nothing here but are written down.

use serde::{Deserialize, Serialize};

use super::path;
use super::refusal::{Refusal, UNKNOWN_PATH};

/// An operation, named by its `operationId`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operation {
    /// `POST /users/{user_id}/sessions/revoke/all`
    RevokeAllSessions,
    /// `POST /users/{user_id}/sessions/revoke`
    RevokeSession,
    /// `GET /users/{user_id}/sessions`
    GetSessions,
    /// `GET /users/{user_id}`, also with `me`
    GetUser,
    /// `GET /users/email/{email}`
    GetUserByEmail,
    /// `GET /users/username/{username}`
    GetUserByUsername,
    /// `GET /users/{user_id}/tokens`
    GetUserAccessTokensForUser,
    /// `POST /users/tokens/revoke`
    RevokeUserAccessToken,
    /// `POST /users/tokens/disable`
    DisableUserAccessToken,
    /// `POST /users/login`
    Login,
    /// `GET /system/ping`
    GetPing,
    /// `POST /users/sessions/revoke/all`: a trap, for it ends the sessions of everybody.
    RevokeSessionsFromAllUsers,
    /// `DELETE /users/{user_id}`: a trap, for it deactivates the account.
    DeleteUser,
}

impl Operation {
    /// Every operation. A fixed word comes before a parameter in the same place.
    pub const ALL: [Self; 13] = [
        Self::RevokeSessionsFromAllUsers,
        Self::RevokeUserAccessToken,
        Self::DisableUserAccessToken,
        Self::Login,
        Self::GetPing,
        Self::GetUserByEmail,
        Self::GetUserByUsername,
        Self::RevokeAllSessions,
        Self::RevokeSession,
        Self::GetSessions,
        Self::GetUserAccessTokensForUser,
        Self::GetUser,
        Self::DeleteUser,
    ];

    /// The HTTP method, upper case.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::RevokeAllSessions
            | Self::RevokeSession
            | Self::RevokeUserAccessToken
            | Self::DisableUserAccessToken
            | Self::Login
            | Self::RevokeSessionsFromAllUsers => "POST",
            Self::GetSessions
            | Self::GetUser
            | Self::GetUserByEmail
            | Self::GetUserByUsername
            | Self::GetUserAccessTokensForUser
            | Self::GetPing => "GET",
            Self::DeleteUser => "DELETE",
        }
    }

    /// The path below `/api/v4`, with its parameters in braces.
    #[must_use]
    pub fn template(self) -> &'static str {
        match self {
            Self::RevokeAllSessions => "/users/{user_id}/sessions/revoke/all",
            Self::RevokeSession => "/users/{user_id}/sessions/revoke",
            Self::GetSessions => "/users/{user_id}/sessions",
            Self::GetUser | Self::DeleteUser => "/users/{user_id}",
            Self::GetUserByEmail => "/users/email/{email}",
            Self::GetUserByUsername => "/users/username/{username}",
            Self::GetUserAccessTokensForUser => "/users/{user_id}/tokens",
            Self::RevokeUserAccessToken => "/users/tokens/revoke",
            Self::DisableUserAccessToken => "/users/tokens/disable",
            Self::Login => "/users/login",
            Self::GetPing => "/system/ping",
            Self::RevokeSessionsFromAllUsers => "/users/sessions/revoke/all",
        }
    }

    /// The query parameters; any other is refused, although Mattermost passes over it.
    #[must_use]
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::GetUserAccessTokensForUser => &["page", "per_page"],
            _ => &[],
        }
    }

    /// The members of the request body; any other is refused, although Mattermost passes over it.
    #[must_use]
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            Self::RevokeSession => &["session_id"],
            Self::RevokeUserAccessToken | Self::DisableUserAccessToken => &["token_id"],
            Self::Login => &["login_id", "password", "token", "device_id"],
            _ => &[],
        }
    }

    /// Whether a caller must be known.
    pub(super) fn needs_login(self) -> bool {
        !matches!(self, Self::Login | Self::GetPing)
    }
}

/// An operation and the parameters of its path, decoded, in the order of the template.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) operation: Operation,
    pub(super) names: Vec<String>,
}

/// The operation that a raw path names, as far as it names one, on a server below `subpath`.
pub(super) fn route(method: &str, raw_path: &str, subpath: &str) -> Result<Route, Refusal> {
    let segments = path::segments(raw_path)?;
    let below = path::segments(subpath)?;
    let Some(inside) = segments.strip_prefix(below.as_slice()) else {
        // A server below a path sends everything else there (server/channels/app/server.go).
        return Err(Refusal::Moved { to: format!("{subpath}/{}", segments.join("/")) });
    };
    let inside: Vec<&str> = inside.iter().map(String::as_str).collect();
    let ["api", "v4", api @ ..] = inside.as_slice() else {
        // The web app lives everywhere else: it is shown for any path, and takes nothing but GET.
        return Err(Refusal::Page { status: if method == "GET" { 200 } else { 404 } });
    };
    // A wrong method is an unknown path too: a route that takes the rest comes last.
    let mut routes = Operation::ALL.into_iter().filter(|operation| operation.method() == method);
    routes.find_map(|operation| matched(operation, api)).ok_or_else(|| Refusal::api(UNKNOWN_PATH))
}

fn matched(operation: Operation, segments: &[&str]) -> Option<Route> {
    let template: Vec<&str> = operation.template().split('/').skip(1).collect();
    // `{email:.+}` takes slashes too.
    let email: String;
    let segments = match (operation, segments) {
        (Operation::GetUserByEmail, ["users", "email", rest @ ..]) if !rest.is_empty() => {
            email = rest.join("/");
            vec!["users", "email", email.as_str()]
        }
        (_, segments) => segments.to_vec(),
    };
    if template.len() != segments.len() {
        return None;
    }
    let mut names = Vec::new();
    for (part, segment) in template.iter().zip(segments) {
        match part.starts_with('{') {
            true if fits(part, segment) => names.push(segment.to_owned()),
            false if *part == segment => {}
            _ => return None,
        }
    }
    Some(Route { operation, names })
}

/// The patterns of Mattermost's router (server/channels/api4/api.go).
fn fits(parameter: &str, segment: &str) -> bool {
    let letters = |more: &str| segment.chars().all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter));
    !segment.is_empty()
        && match parameter {
            "{email}" => true,
            "{username}" => letters("_-."),
            _ => letters(""),
        }
}
