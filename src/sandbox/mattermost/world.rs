//! The state of the server: people with their sessions and tokens, and the indexes by which they are found.
//!
//! Reads and revocations do not slow down with the number of people, so that a load test measures its subject.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::id;
use super::person::{Permission, Person, Role};
use super::rate::Limiter;
use super::session::{Device, Kind, MOST_SESSIONS, SIGN_IN_LIFETIME, Session, Sessions, TOKEN_LIFETIME};
use super::settings::Settings;

/// Everything that a call can read or change.
#[derive(Debug, Default)]
pub(super) struct World {
    users: HashMap<String, User>,
    /// Ids in the order added.
    order: Vec<String>,
    /// User names and e-mail addresses; neither kind can be mistaken for the other.
    names: HashMap<String, String>,
    /// Session ids and session tokens to the id of the session and of its user.
    sessions: HashMap<String, (String, String)>,
    /// By value.
    tokens: HashMap<String, AccessToken>,
    /// Id to value.
    token_ids: HashMap<String, String>,
    pub(super) settings: Settings,
    pub(super) limiter: Option<Limiter>,
}

/// A person and what they hold.
#[derive(Debug)]
pub(super) struct User {
    pub(super) person: Person,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) deleted_at: Option<Timestamp>,
    pub(super) sessions: Sessions,
    /// Ids of personal access tokens, oldest first.
    pub(super) token_ids: Vec<String>,
    pub(super) permissions: BTreeSet<Permission>,
}

impl User {
    pub(super) fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// By role, which is what protects a target from lesser roles.
    pub(super) fn is_system_admin(&self) -> bool {
        self.person.role == Role::SystemAdmin
    }
}

/// A personal access token.
#[derive(Debug, Clone)]
pub(super) struct AccessToken {
    pub(super) id: String,
    pub(super) user_id: String,
    pub(super) is_active: bool,
    /// `None` is never.
    pub(super) expires_at: Option<Timestamp>,
}

impl World {
    /// Adds a person, or replaces the one with this id.
    pub(super) fn add(&mut self, person: Person, now: Timestamp) {
        let id = person.id.clone();
        match self.users.get(&id).map(|user| user.token_ids.clone()) {
            None => self.order.push(id.clone()),
            Some(tokens) => {
                tokens.iter().for_each(|token| self.end_token(token, now));
                self.end_all(&id, now);
                self.names.retain(|_, owner| *owner != id);
            }
        }
        self.names.insert(person.username.clone(), id.clone());
        self.names.insert(person.email.clone(), id.clone());
        let permissions = person.role.permissions();
        let (sessions, token_ids) = (Sessions::default(), Vec::new());
        let user =
            User { person, created_at: now, updated_at: now, deleted_at: None, sessions, token_ids, permissions };
        self.users.insert(id, user);
    }

    /// Everybody, in the order added.
    pub(super) fn users(&self) -> impl Iterator<Item = &User> {
        self.order.iter().filter_map(|id| self.users.get(id))
    }

    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id)
    }

    pub(super) fn user_mut(&mut self, id: &str) -> Option<&mut User> {
        self.users.get_mut(id)
    }

    /// By user name or e-mail address, in lower case.
    pub(super) fn user_named(&self, name: &str) -> Option<&User> {
        self.users.get(self.names.get(name)?)
    }

    /// For tests, which name people as they like: id, user name, e-mail address, or the personal access token of one.
    /// A stranger's name is taken for an id.
    pub(super) fn id_of(&self, name: &str) -> String {
        let by_name = || self.names.get(&name.to_lowercase()).cloned();
        let by_token = || self.tokens.get(name).map(|token| token.user_id.clone());
        let known = self.users.contains_key(name).then(|| name.to_owned());
        known.or_else(by_name).or_else(by_token).unwrap_or_else(|| name.to_owned())
    }

    /// Opens a session; `None` for a stranger. Beyond the limit the least recently used one goes.
    pub(super) fn sign_in(&mut self, user_id: &str, device: Device, now: Timestamp) -> Option<Session> {
        self.open(user_id, id::fresh(), Kind::SignIn(device), SIGN_IN_LIFETIME, now)
    }

    fn open(
        &mut self,
        user_id: &str,
        token: String,
        kind: Kind,
        lifetime: SignedDuration,
        now: Timestamp,
    ) -> Option<Session> {
        let sessions = &self.users.get(user_id)?.sessions;
        if sessions.len() >= MOST_SESSIONS {
            let oldest: Vec<String> = sessions.least_recently_used().into_iter().collect();
            self.end(user_id, &oldest, now);
        }
        let (id, csrf, expires_at) = (id::fresh(), id::fresh(), Some(now + lifetime));
        let session = Session { id, token, csrf, kind, created_at: now, last_activity_at: now, expires_at };
        for key in [&session.id, &session.token] {
            self.sessions.insert(key.clone(), (session.id.clone(), user_id.to_owned()));
        }
        self.users.get_mut(user_id)?.sessions.insert(session.clone());
        Some(session)
    }

    /// The row that has this id or, as in Mattermost's store, this token, and whose it is.
    pub(super) fn session_mut(&mut self, id_or_token: &str) -> Option<(&str, &mut Session)> {
        let (id, user_id) = self.sessions.get(id_or_token)?;
        let session = self.users.get_mut(user_id)?.sessions.get_mut(id)?;
        Some((user_id, session))
    }

    /// Ends sessions by their ids; those that were there.
    pub(super) fn end(&mut self, user_id: &str, ids: &[String], now: Timestamp) -> Vec<Session> {
        let lag = self.settings.replica_lag;
        let Some(user) = self.users.get_mut(user_id) else { return Vec::new() };
        let ended = user.sessions.remove(ids, now, lag);
        for session in &ended {
            self.sessions.remove(&session.id);
            self.sessions.remove(&session.token);
        }
        ended
    }

    /// Ends all sessions, as deactivation does.
    pub(super) fn end_all(&mut self, user_id: &str, now: Timestamp) {
        let ids = |user: &User| user.sessions.rows().map(|session| session.id.clone()).collect::<Vec<_>>();
        let ids = self.user(user_id).map(ids).unwrap_or_default();
        self.end(user_id, &ids, now);
    }

    /// Gives a user a personal access token of this value; its id.
    pub(super) fn issue(&mut self, user_id: &str, value: &str) -> String {
        let id = id::fresh();
        let token = AccessToken { id: id.clone(), user_id: user_id.to_owned(), is_active: true, expires_at: None };
        self.tokens.insert(value.to_owned(), token);
        self.token_ids.insert(id.clone(), value.to_owned());
        if let Some(user) = self.users.get_mut(user_id) {
            user.token_ids.push(id.clone());
        }
        id
    }

    pub(super) fn token(&self, id: &str) -> Option<&AccessToken> {
        self.tokens.get(self.token_ids.get(id)?)
    }

    pub(super) fn token_mut(&mut self, id: &str) -> Option<&mut AccessToken> {
        self.tokens.get_mut(self.token_ids.get(id)?)
    }

    pub(super) fn token_by_value(&self, value: &str) -> Option<&AccessToken> {
        self.tokens.get(value)
    }

    /// Ends a personal access token and its session.
    pub(super) fn end_token(&mut self, id: &str, now: Timestamp) {
        self.end_token_session(id, now);
        let token = self.token_ids.remove(id).and_then(|value| self.tokens.remove(&value));
        if let Some(user) = token.and_then(|token| self.users.get_mut(&token.user_id)) {
            user.token_ids.retain(|held| held != id);
        }
    }

    /// Ends the session that a personal access token has made, if it made one.
    pub(super) fn end_token_session(&mut self, id: &str, now: Timestamp) {
        let found = self.token_ids.get(id).and_then(|value| self.sessions.get(value)).cloned();
        if let Some((session_id, user_id)) = found {
            self.end(&user_id, &[session_id], now);
        }
    }

    /// The session of a personal access token, made anew where it is gone: ending sessions does not end tokens.
    /// `None` where the token may not be used.
    pub(super) fn open_with_token(&mut self, value: &str, now: Timestamp) -> Option<Session> {
        let token = self.tokens.get(value).filter(|token| token.is_active)?;
        let alive = token.expires_at.is_none_or(|at| now < at);
        let owner = self.users.get(&token.user_id).filter(|user| user.deleted_at.is_none())?;
        if !alive || !(self.settings.access_tokens || owner.person.is_bot) {
            return None;
        }
        let (user_id, kind) = (token.user_id.clone(), Kind::AccessToken { token_id: token.id.clone() });
        self.open(&user_id, value.to_owned(), kind, TOKEN_LIFETIME, now)
    }
}
