//! Who is calling, and may they: user tokens of the organization or of one workspace, and bot tokens.

use std::collections::BTreeSet;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::refusal::Refusal;
use super::world::World;

/// What a token may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Scope `admin.users:read`.
    AdminUsersRead,
    /// Scope `admin.users:write`.
    AdminUsersWrite,
    /// Scope `users:read`.
    UsersRead,
    /// Scope `users:read.email`.
    UsersReadEmail,
    /// The role of an Org Admin or Owner, which the admin methods need besides their scope.
    AdminRole,
}

impl Permission {
    pub(super) const ALL: [Self; 5] =
        [Self::AdminUsersRead, Self::AdminUsersWrite, Self::UsersRead, Self::UsersReadEmail, Self::AdminRole];

    /// The OAuth scope of this name; `None` for the role.
    #[must_use]
    pub fn scope(self) -> Option<&'static str> {
        match self {
            Self::AdminUsersRead => Some("admin.users:read"),
            Self::AdminUsersWrite => Some("admin.users:write"),
            Self::UsersRead => Some("users:read"),
            Self::UsersReadEmail => Some("users:read.email"),
            Self::AdminRole => None,
        }
    }
}

/// What an app was given, and by whom.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) owner: String,
    /// The one workspace that it is for; `None`: installed on the whole organization.
    pub(super) team_id: Option<String>,
    /// `B…`, of a bot token.
    pub(super) bot_id: Option<String>,
    pub(super) held: BTreeSet<Permission>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) is_revoked: bool,
}

impl Token {
    pub(super) fn of(owner: String) -> Self {
        let held = BTreeSet::from(Permission::ALL);
        Self { owner, team_id: None, bot_id: None, held, expires_at: None, is_revoked: false }
    }

    /// As `x-oauth-scopes` says them.
    pub(super) fn scopes(&self) -> String {
        let scopes: Vec<&str> = self.held.iter().filter_map(|permission| permission.scope()).collect();
        scopes.join(",")
    }

    pub(super) fn has(&self, permission: Permission) -> bool {
        self.held.contains(&permission)
    }
}

/// The token that a call shows, in its header or in its form.
pub(super) fn identify(
    world: &World,
    headers: &HeaderMap,
    of_form: Option<&str>,
    now: Timestamp,
) -> Result<Token, Refusal> {
    let token = world.tokens.get(shown(headers, of_form)?).ok_or_else(|| Refusal::code("invalid_auth"))?;
    if token.is_revoked {
        return Err(Refusal::code("token_revoked"));
    }
    if token.expires_at.is_some_and(|at| at <= now) {
        return Err(Refusal::code("token_expired"));
    }
    match world.user(&token.owner).is_some_and(|owner| !owner.person.is_deleted) {
        true => Ok(token.clone()),
        false => Err(Refusal::code("account_inactive")),
    }
}

/// One place, one token: which of two would win is not documented, so two are refused.
fn shown<'call>(headers: &'call HeaderMap, of_form: Option<&'call str>) -> Result<&'call str, Refusal> {
    let lines: Vec<&str> = headers.get_all(AUTHORIZATION).iter().map(|line| line.to_str().unwrap_or("")).collect();
    match (lines.as_slice(), of_form) {
        ([], None | Some("")) => Err(Refusal::code("not_authed")),
        ([], Some(token)) => Ok(token),
        ([line], None) => line.strip_prefix("Bearer ").ok_or_else(|| Refusal::code("invalid_auth")),
        _ => Err(Refusal::code("invalid_auth")),
    }
}

/// Whether the token suffices for `operation`.
pub(super) fn permit(world: &World, token: &Token, operation: Operation) -> Result<(), Refusal> {
    if operation.is_admin() && token.bot_id.is_some() {
        return Err(Refusal::code("not_allowed_token_type"));
    }
    if let Some(needed) = operation.permission().filter(|needed| !token.has(*needed)) {
        let needed = needed.scope().unwrap_or_default();
        return Err(Refusal::MissingScope { needed, provided: token.scopes() });
    }
    if operation.is_admin() {
        return permit_admin(world, token);
    }
    let is_org_lookup = operation == Operation::LookupByEmail && token.team_id.is_none();
    match is_org_lookup && world.switches.refuse_org_lookups {
        true => Err(Refusal::code("enterprise_is_restricted")),
        false => Ok(()),
    }
}

fn permit_admin(world: &World, token: &Token) -> Result<(), Refusal> {
    if world.switches.is_business_plan {
        return Err(Refusal::code("feature_not_enabled"));
    }
    // The app must be installed on the whole organization. Which code says so is not documented for these methods.
    if token.team_id.is_some() {
        return Err(Refusal::code("team_access_not_granted"));
    }
    let is_admin = world.user(&token.owner).is_some_and(|owner| owner.person.role.is_admin());
    match is_admin && token.has(Permission::AdminRole) {
        true => Ok(()),
        false => Err(Refusal::code("not_an_admin")),
    }
}
