//! Who is calling, and whom may they touch.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use jiff::Timestamp;

use super::person::Permission;
use super::refusal::{PERMISSIONS, Refusal, SESSION_EXPIRED};
use super::world::{User, World};

/// Longer tokens are cut off before they are looked up (ParseAuthTokenFromRequest).
const LONGEST_TOKEN: usize = 50;

/// A token as a call shows it.
pub(super) struct Shown {
    pub(super) token: String,
    pub(super) in_query: bool,
}

/// The session behind a call.
pub(super) struct Caller {
    pub(super) user_id: String,
    is_oauth: bool,
}

/// The token of a call, if it shows one. `query_token` is the parameter `access_token`.
pub(super) fn shown(headers: &HeaderMap, query_token: Option<String>) -> Option<Shown> {
    let lines: Vec<&str> = headers.get_all(AUTHORIZATION).iter().map(|line| line.to_str().unwrap_or("")).collect();
    // Two lines are ambiguous, and a cookie needs a CSRF header besides: the stand-in takes neither.
    let line = match lines.as_slice() {
        [line] if !headers.contains_key(COOKIE) => line,
        _ => "",
    };
    // The word is matched in any case, and what follows the blank is the token.
    let token = line.split_once(' ').filter(|(word, _)| ["bearer", "token"].contains(&word.to_lowercase().as_str()));
    let cut = |token: &str| token.chars().take(LONGEST_TOKEN).collect::<String>();
    match (token, query_token) {
        (Some((_, token)), _) => Some(Shown { token: cut(token), in_query: false }),
        (None, Some(token)) => Some(Shown { token: cut(&token), in_query: true }),
        (None, None) => None,
    }
}

/// Finds the session of a token, or makes the one of a personal access token.
pub(super) fn authenticate(world: &mut World, shown: Option<&Shown>, now: Timestamp) -> Result<Caller, Refusal> {
    let shown = shown.ok_or_else(|| Refusal::detailed(SESSION_EXPIRED, "UserRequired"))?;
    // Developer mode repeats the token, as the server does.
    let told = format!("token={}", shown.token);
    let caller = caller(world, &shown.token, now).ok_or_else(|| Refusal::detailed(SESSION_EXPIRED, told.clone()))?;
    match shown.in_query && !caller.is_oauth {
        true => Err(Refusal::detailed("api.context.token_provided.app_error", told)),
        false => Ok(caller),
    }
}

fn caller(world: &mut World, token: &str, now: Timestamp) -> Option<Caller> {
    if world.session_mut(token).is_none_or(|(_, session)| session.token != token) {
        world.open_with_token(token, now)?;
    }
    // A session that its token made lives on when tokens are switched off, and is refused all the same.
    if let Some(held) = world.token_by_value(token) {
        let is_bot = world.user(&held.user_id).is_some_and(|user| user.person.is_bot);
        let expired = held.expires_at.is_some_and(|at| at <= now);
        if expired || !(is_bot || world.settings.access_tokens) {
            return None;
        }
    }
    let (user_id, session) = world.session_mut(token)?;
    if !session.is_alive(now) {
        return None;
    }
    session.last_activity_at = now;
    let is_oauth = session.is_oauth();
    Some(Caller { user_id: user_id.to_owned(), is_oauth })
}

impl Caller {
    pub(super) fn may(&self, world: &World, permission: Permission) -> bool {
        world.user(&self.user_id).is_some_and(|user| user.may(permission))
    }

    pub(super) fn require(&self, world: &World, permission: Permission) -> Result<(), Refusal> {
        match self.may(world, permission) {
            true => Ok(()),
            false => Err(self.denied()),
        }
    }

    /// Whoever manages the system reaches everybody, without a look at whether they exist; everybody reaches
    /// themselves; `edit_other_users` reaches those who exist and are no system admins.
    pub(super) fn reaches(&self, world: &World, user_id: &str) -> Result<(), Refusal> {
        let edits = self.may(world, Permission::EditOtherUsers)
            && world.user(user_id).is_some_and(|user| !user.is_system_admin());
        match self.may(world, Permission::ManageSystem) || self.user_id == user_id || edits {
            true => Ok(()),
            false => Err(self.denied()),
        }
    }

    /// For tokens a bot is asked after first, and needs a permission of its own.
    pub(super) fn reaches_or_manages_bot(&self, world: &World, user_id: &str) -> Result<(), Refusal> {
        match world.user(user_id).is_some_and(|user| user.person.is_bot) {
            true => self.require(world, Permission::ManageOthersBots),
            false => self.reaches(world, user_id),
        }
    }

    pub(super) fn denied(&self) -> Refusal {
        Refusal::detailed(PERMISSIONS, format!("userId={}, permission=edit_other_users", self.user_id))
    }

    /// Whether the second factor stands in the way. Bots, OAuth apps and accounts of other services are exempt.
    pub(super) fn lacks_mfa(&self, world: &World) -> bool {
        let has_password = |user: &User| ["", "email", "ldap"].contains(&user.person.auth_service.as_str());
        let lacks = |user: &User| has_password(user) && !user.person.is_bot && !user.person.mfa_active;
        world.settings.enforce_mfa && !self.is_oauth && world.user(&self.user_id).is_some_and(lacks)
    }
}
