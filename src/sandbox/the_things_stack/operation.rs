//! The operations that the stand-in knows, the paths that no honest client calls, and the way from a raw request to
//! either.
//!
//! Source: `api.swagger.json` of The Things Stack v3.32; the prefix `/api/v3` is of `rpcserver.go`.

use serde::{Deserialize, Serialize};

use super::path;
use super::refusal::Refusal;

/// An operation, named by its `operationId`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operation {
    /// `GET /users/{user_ids.user_id}/sessions`
    #[serde(rename = "UserSessionRegistry_List")]
    ListSessions,
    /// `DELETE /users/{user_ids.user_id}/sessions/{session_id}`
    #[serde(rename = "UserSessionRegistry_Delete")]
    DeleteSession,
    /// `GET /auth_info`
    #[serde(rename = "EntityAccess_AuthInfo")]
    AuthInfo,
    /// `GET /search/users`
    #[serde(rename = "EntityRegistrySearch_SearchUsers")]
    SearchUsers,
    /// `GET /users`
    #[serde(rename = "UserRegistry_List")]
    ListUsers,
    /// `GET /users/{user_ids.user_id}`
    #[serde(rename = "UserRegistry_Get")]
    GetUser,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 6] =
        [Self::ListSessions, Self::DeleteSession, Self::AuthInfo, Self::SearchUsers, Self::ListUsers, Self::GetUser];

    /// The HTTP method, upper case.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::DeleteSession => "DELETE",
            Self::ListSessions | Self::AuthInfo | Self::SearchUsers | Self::ListUsers | Self::GetUser => "GET",
        }
    }

    /// The path below `/api/v3`, with its parameters in braces.
    #[must_use]
    pub fn template(self) -> &'static str {
        match self {
            Self::ListSessions => "/users/{user_ids.user_id}/sessions",
            Self::DeleteSession => "/users/{user_ids.user_id}/sessions/{session_id}",
            Self::AuthInfo => "/auth_info",
            Self::SearchUsers => "/search/users",
            Self::ListUsers => "/users",
            Self::GetUser => "/users/{user_ids.user_id}",
        }
    }

    /// The query parameters; any other is refused. `attributes_contain[string]` stands for any key in the brackets.
    #[must_use]
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::ListSessions => &["user_ids.email", "order", "limit", "page"],
            Self::DeleteSession => &["user_ids.email"],
            Self::AuthInfo => &[],
            Self::ListUsers => &["field_mask", "order", "limit", "page", "deleted"],
            Self::GetUser => &["user_ids.email", "field_mask"],
            Self::SearchUsers => &[
                "query",
                "id_contains",
                "name_contains",
                "description_contains",
                "attributes_contain[string]",
                "state",
                "field_mask",
                "order",
                "limit",
                "page",
                "deleted",
            ],
        }
    }

    /// The method of the gRPC service, by which operators write rate limits.
    #[must_use]
    pub fn grpc_method(self) -> &'static str {
        match self {
            Self::ListSessions => "/ttn.lorawan.v3.UserSessionRegistry/List",
            Self::DeleteSession => "/ttn.lorawan.v3.UserSessionRegistry/Delete",
            Self::AuthInfo => "/ttn.lorawan.v3.EntityAccess/AuthInfo",
            Self::SearchUsers => "/ttn.lorawan.v3.EntityRegistrySearch/SearchUsers",
            Self::ListUsers => "/ttn.lorawan.v3.UserRegistry/List",
            Self::GetUser => "/ttn.lorawan.v3.UserRegistry/Get",
        }
    }
}

/// Calls that exist at the real server and that a client which ends sessions never means, with what they would do.
const TRIPWIRES: [(&str, &str, &str); 11] = [
    ("DELETE", "/users/{}", "delete the user"),
    ("DELETE", "/users/{}/purge", "delete the user for good"),
    ("POST", "/users/{}/restore", "bring a deleted user back"),
    ("PUT", "/users/{}", "change the user's profile, state or e-mail address"),
    ("PUT", "/users/{}/password", "change the user's password"),
    ("POST", "/users/{}/temporary_password", "mail the user a temporary password"),
    ("POST", "/users/{}/api-keys", "give the user one more API key"),
    ("PUT", "/users/{}/api-keys/{}", "change or delete an API key of the user"),
    ("DELETE", "/users/{}/api-keys/{}", "delete an API key of the user"),
    // Users and organizations share their ids.
    ("DELETE", "/organizations/{}", "delete an organization"),
    ("DELETE", "/organizations/{}/purge", "delete an organization for good"),
];

/// Where a request leads.
#[derive(Debug)]
pub(super) enum Route {
    /// An operation and its path parameters, in the order of the template.
    Call { operation: Operation, ids: Vec<String> },
    /// See [`TRIPWIRES`].
    Tripwire { would: &'static str },
}

/// Where this raw path leads, as far as it leads anywhere.
pub(super) fn route(method: &str, raw_path: &str) -> Result<Route, Refusal> {
    let segments = path::segments(raw_path)?;
    let below: Vec<&str> = match segments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["api", "v3", below @ ..] => below.to_vec(),
        _ => return Err(Refusal::plain(5, "Not Found")),
    };
    if let Some((.., would)) =
        TRIPWIRES.iter().find(|(with, path, _)| *with == method && matched(path, &below).is_some())
    {
        return Ok(Route::Tripwire { would });
    }
    called(method, &below).unwrap_or_else(|| Err(stranger(&below)))
}

/// `None` where no operation has this path.
fn called(method: &str, below: &[&str]) -> Option<Result<Route, Refusal>> {
    let hits = |operation: &Operation| matched(operation.template(), below).map(|ids| (*operation, ids));
    let mut found = Operation::ALL.iter().filter_map(hits).peekable();
    found.peek()?;
    let call = found.find(|(operation, _)| operation.method() == method);
    Some(call.map(|(operation, ids)| Route::Call { operation, ids }).ok_or_else(not_implemented))
}

/// A path of the OAuth authorization registry exists at the real server; what it answers is not known well enough to
/// be played here.
fn stranger(below: &[&str]) -> Refusal {
    match below {
        ["users", _, "authorizations", ..] => not_implemented(),
        _ => Refusal::plain(5, "Not Found"),
    }
}

/// grpc-gateway answers so to a known path with another method, too.
fn not_implemented() -> Refusal {
    Refusal::plain(12, "Method Not Allowed")
}

fn matched(template: &str, segments: &[&str]) -> Option<Vec<String>> {
    let template: Vec<&str> = template.split('/').skip(1).collect();
    if template.len() != segments.len() {
        return None;
    }
    let mut ids = Vec::new();
    for (part, segment) in template.iter().zip(segments) {
        match part.starts_with('{') {
            true if !segment.is_empty() => ids.push((*segment).to_owned()),
            false if part == segment => {}
            _ => return None,
        }
    }
    Some(ids)
}
