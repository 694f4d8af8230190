//! The operations of IAM Identity Center that the stand-in knows, and the way from a raw request path to one of them.
//!
//! Source: Huawei's API pages of these names; `DescribeUser` and `DisableUser` are known from its SDK
//! huaweicloudsdkidentitycenterstore 3.1.219.

use serde::{Deserialize, Serialize};

use super::auth::Permission;
use super::path;
use super::refusal::Refusal;

/// An operation, by the name of its API page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// `GET /v1/identity-stores/{identity_store_id}/users/{user_id}/sessions`
    ListSessions,
    /// `POST /v1/identity-stores/{identity_store_id}/users/{user_id}/sessions/batch-delete`
    BatchDeleteSessions,
    /// `POST /v1/identity-stores/{identity_store_id}/users/retrieve-user-id`
    GetUserId,
    /// `GET /v1/identity-stores/{identity_store_id}/users`
    ListUsers,
    /// `GET /v1/identity-stores/{identity_store_id}/users/{user_id}`
    DescribeUser,
    /// `POST /v1/identity-stores/{identity_store_id}/users/{user_id}/disable`: locks a person out, which nobody asked
    /// for who wants sessions ended. A tripwire here.
    DisableUser,
    /// `GET /v1/instances`. At Huawei this one has a host of its own.
    ListInstances,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 7] = [
        Self::ListSessions,
        Self::BatchDeleteSessions,
        Self::GetUserId,
        Self::ListUsers,
        Self::DescribeUser,
        Self::DisableUser,
        Self::ListInstances,
    ];

    /// The HTTP method, upper case.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::ListSessions | Self::ListUsers | Self::DescribeUser | Self::ListInstances => "GET",
            Self::BatchDeleteSessions | Self::GetUserId | Self::DisableUser => "POST",
        }
    }

    /// The path, with its parameters in braces.
    #[must_use]
    pub fn template(self) -> &'static str {
        match self {
            Self::ListSessions => "/v1/identity-stores/{identity_store_id}/users/{user_id}/sessions",
            Self::BatchDeleteSessions => {
                "/v1/identity-stores/{identity_store_id}/users/{user_id}/sessions/batch-delete"
            }
            Self::GetUserId => "/v1/identity-stores/{identity_store_id}/users/retrieve-user-id",
            Self::ListUsers => "/v1/identity-stores/{identity_store_id}/users",
            Self::DescribeUser => "/v1/identity-stores/{identity_store_id}/users/{user_id}",
            Self::DisableUser => "/v1/identity-stores/{identity_store_id}/users/{user_id}/disable",
            Self::ListInstances => "/v1/instances",
        }
    }

    /// The query parameters; any other is refused.
    #[must_use]
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::ListUsers => &["limit", "marker", "user_name"],
            Self::ListInstances => &["limit", "marker"],
            Self::ListSessions
            | Self::BatchDeleteSessions
            | Self::GetUserId
            | Self::DescribeUser
            | Self::DisableUser => &[],
        }
    }

    /// Whether it reads a body.
    pub(super) fn takes_body(self) -> bool {
        matches!(self, Self::BatchDeleteSessions | Self::GetUserId)
    }

    /// What the caller must be allowed to do.
    #[must_use]
    pub fn permission(self) -> Permission {
        match self {
            Self::ListSessions => Permission::ListSessions,
            Self::BatchDeleteSessions => Permission::BatchDeleteSessions,
            Self::GetUserId => Permission::GetUserId,
            Self::ListUsers => Permission::ListUsers,
            Self::DescribeUser => Permission::DescribeUser,
            Self::DisableUser => Permission::DisableUser,
            Self::ListInstances => Permission::ListInstances,
        }
    }
}

/// An operation and the path parameters, decoded once, in the order of the template.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) operation: Operation,
    pub(super) ids: Vec<String>,
    /// The path led here only after dot segments or encoded slashes were resolved.
    pub(super) detour: bool,
}

/// The operation that a raw path names, as far as it names one. The gateway knows no 405: an API is a method and a path.
pub(super) fn route(method: &str, raw_path: &str) -> Result<Route, Refusal> {
    let walked = path::walk(raw_path)?;
    let callable = Operation::ALL.into_iter().filter(|operation| operation.method() == method);
    let mut found = callable.filter_map(|operation| Some((operation, ids_of(operation, &walked.segments)?)));
    let (operation, ids) = found.next().ok_or_else(Refusal::no_such_api)?;
    Ok(Route { operation, ids, detour: walked.detour })
}

fn ids_of(operation: Operation, segments: &[String]) -> Option<Vec<String>> {
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
    Some(ids)
}
