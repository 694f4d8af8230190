//! Who is calling, and may they: `SSWS` API tokens and `Bearer` access tokens.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use super::world::World;

/// An API token dies after 30 days without use; each call renews it (Okta help, "Manage Okta API tokens").
const SSWS_IDLE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What a credential may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Scope `okta.users.read`.
    UsersRead,
    /// Scope `okta.users.manage`.
    UsersManage,
    /// Scope `okta.sessions.read`.
    SessionsRead,
    /// Scope `okta.sessions.manage`.
    SessionsManage,
    /// An admin role, which every call needs besides its scope.
    AdminRole,
}

impl Permission {
    /// The OAuth scope of this name; `None` for the role.
    #[must_use]
    pub fn scope(self) -> Option<&'static str> {
        match self {
            Self::UsersRead => Some("okta.users.read"),
            Self::UsersManage => Some("okta.users.manage"),
            Self::SessionsRead => Some("okta.sessions.read"),
            Self::SessionsManage => Some("okta.sessions.manage"),
            Self::AdminRole => None,
        }
    }
}

/// Who a call acts for: the owner of an API token, or a service app, which has no user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    Admin { user_id: String },
    App,
}

impl Caller {
    /// The id that `me` stands for.
    pub(super) fn me(&self) -> Option<&str> {
        match self {
            Self::Admin { user_id } => Some(user_id),
            Self::App => None,
        }
    }
}

/// Checks the credential of a call and whether it suffices.
pub(super) fn authorize(
    world: &mut World,
    headers: &HeaderMap,
    needed: Permission,
    now: Timestamp,
) -> Result<Caller, Refusal> {
    let shown: Vec<&str> = headers.get_all(AUTHORIZATION).iter().map(|value| value.to_str().unwrap_or("")).collect();
    let credential = match shown.as_slice() {
        [] => return Err(Refusal::api("E0000005", "")),
        [credential] => *credential,
        _ => return Err(Refusal::api("E0000011", "")),
    };
    // The scheme words are exact, and exactly one blank follows.
    match credential.split_once(' ') {
        Some(("SSWS" | "Bearer", "")) => Err(Refusal::api("E0000004", "")),
        Some(("SSWS", token)) => with_api_token(world, token, needed, now),
        Some(("Bearer", token)) => with_access_token(world, token, needed, now),
        _ => Err(Refusal::api("E0000011", "")),
    }
}

fn with_api_token(world: &mut World, token: &str, needed: Permission, now: Timestamp) -> Result<Caller, Refusal> {
    let invalid = || Refusal::api("E0000011", "");
    let owner = world.api_tokens.get(token).ok_or_else(invalid)?.owner.clone();
    let alive = world.user(&owner).is_some_and(|user| user.person.status.may_act());
    let api_token = world.api_tokens.get_mut(token).ok_or_else(invalid)?;
    let idle = now.duration_since(api_token.last_used.unwrap_or(now));
    if !alive || idle > SSWS_IDLE {
        return Err(invalid());
    }
    api_token.last_used = Some(now);
    let denied = |permission| api_token.denied.contains(&permission);
    match denied(needed) || denied(Permission::AdminRole) {
        true => Err(Refusal::api("E0000006", "")),
        false => Ok(Caller::Admin { user_id: owner }),
    }
}

fn with_access_token(world: &World, token: &str, needed: Permission, now: Timestamp) -> Result<Caller, Refusal> {
    let invalid = || Refusal::api("E0000011", "");
    let granted = world.access_tokens.get(token).filter(|granted| now < granted.expires_at).ok_or_else(invalid)?;
    let app = world.apps.get(&granted.client_id).ok_or_else(invalid)?;
    let scope = needed.scope().unwrap_or_default();
    let has = |scopes: &[String]| scopes.iter().any(|held| held == scope);
    if !has(&granted.scopes) || !has(&app.granted_scopes) {
        return Err(Refusal::InsufficientScope);
    }
    if !app.has_admin_role {
        return Err(Refusal::api("E0000006", ""));
    }
    Ok(Caller::App)
}
