//! The operations of Okta that the stand-in knows, and the way from a raw request path to one of them.
//!
//! Source: Okta management OpenAPI 2026.06.3; `listUserClients` is of the same description.

use serde::{Deserialize, Serialize};

use super::auth::Permission;
use super::path;
use super::refusal::Refusal;

/// An operation, named by its `operationId`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// `DELETE /api/v1/users/{userId}/sessions`
    RevokeUserSessions,
    /// `GET /api/v1/sessions/{sessionId}`
    GetSession,
    /// `DELETE /api/v1/sessions/{sessionId}`
    RevokeSession,
    /// `GET /api/v1/users`
    ListUsers,
    /// `GET /api/v1/users/{id}`
    GetUser,
    /// `GET /api/v1/users/{userId}/clients`
    ListUserClients,
    /// `DELETE /api/v1/users/{userId}/clients/{clientId}/tokens`
    RevokeTokensForUserAndClient,
    /// `POST /oauth2/v1/token`
    Token,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 8] = [
        Self::RevokeUserSessions,
        Self::GetSession,
        Self::RevokeSession,
        Self::ListUsers,
        Self::GetUser,
        Self::ListUserClients,
        Self::RevokeTokensForUserAndClient,
        Self::Token,
    ];

    /// The HTTP method, upper case.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::RevokeUserSessions | Self::RevokeSession | Self::RevokeTokensForUserAndClient => "DELETE",
            Self::GetSession | Self::ListUsers | Self::GetUser | Self::ListUserClients => "GET",
            Self::Token => "POST",
        }
    }

    /// The path, with its parameters in braces.
    #[must_use]
    pub fn template(self) -> &'static str {
        match self {
            Self::RevokeUserSessions => "/api/v1/users/{userId}/sessions",
            Self::GetSession | Self::RevokeSession => "/api/v1/sessions/{sessionId}",
            Self::ListUsers => "/api/v1/users",
            Self::GetUser => "/api/v1/users/{id}",
            Self::ListUserClients => "/api/v1/users/{userId}/clients",
            Self::RevokeTokensForUserAndClient => "/api/v1/users/{userId}/clients/{clientId}/tokens",
            Self::Token => "/oauth2/v1/token",
        }
    }

    /// The query parameters; any other is refused.
    #[must_use]
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::RevokeUserSessions => &["oauthTokens", "forgetDevices"],
            Self::ListUsers => &["search", "filter", "q", "after", "limit", "sortBy", "sortOrder", "fields", "expand"],
            Self::GetUser => &["expand"],
            Self::GetSession
            | Self::RevokeSession
            | Self::ListUserClients
            | Self::RevokeTokensForUserAndClient
            | Self::Token => &[],
        }
    }

    /// What the caller must be allowed to do; `None` where no API credential is shown.
    #[must_use]
    pub fn permission(self) -> Option<Permission> {
        match self {
            Self::RevokeUserSessions | Self::RevokeTokensForUserAndClient => Some(Permission::UsersManage),
            Self::ListUsers | Self::GetUser | Self::ListUserClients => Some(Permission::UsersRead),
            Self::GetSession => Some(Permission::SessionsRead),
            Self::RevokeSession => Some(Permission::SessionsManage),
            Self::Token => None,
        }
    }
}

/// An operation and the path parameters, decoded once, in the order of the template.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) operation: Operation,
    pub(super) ids: Vec<String>,
}

/// The operation that a raw path names, as far as it names one.
pub(super) fn route(method: &str, raw_path: &str) -> Result<Route, Refusal> {
    let segments = path::segments(raw_path)?;
    let mut found = Operation::ALL.into_iter().filter_map(|operation| matched(operation, &segments)).peekable();
    if found.peek().is_none() {
        return Err(unknown_path(&segments));
    }
    found.find(|route| route.operation.method() == method).ok_or_else(|| Refusal::api("E0000022", ""))
}

/// The custom authorization server `default` knows none of the `okta.*` scopes; every other stranger is not found.
fn unknown_path(segments: &[String]) -> Refusal {
    match segments {
        [oauth2, default, v1, token] if [oauth2, default, v1, token] == ["oauth2", "default", "v1", "token"] => {
            Refusal::oauth(400, "invalid_scope", "One or more scopes are not configured for this server.")
        }
        _ => Refusal::api("E0000008", ""),
    }
}

fn matched(operation: Operation, segments: &[String]) -> Option<Route> {
    let template: Vec<&str> = operation.template().split('/').skip(1).collect();
    if template.len() != segments.len() {
        return None;
    }
    let mut ids = Vec::new();
    for (part, segment) in template.iter().zip(segments) {
        match part.starts_with('{') {
            true if !segment.is_empty() => ids.push(segment.clone()),
            false if part == segment => {}
            _ => return None,
        }
    }
    Some(Route { operation, ids })
}
