//! The state of the organisation: people with their sessions and tokens, credentials, counters.
//!
//! Reads and revocations by id do not slow down with the number of people, so that a load test measures its subject.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::auth::Permission;
use super::person::Person;
use super::quota::Quota;
use super::token::App;

/// Longer than any test lets time pass, so that a session that is gone was ended by somebody.
const SESSION_LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Everything that a call can read or change.
#[derive(Debug, Default)]
pub(super) struct World {
    users: HashMap<String, User>,
    /// Ids in the order added, which is the order of listings.
    order: Vec<String>,
    /// Lower-case login to id.
    logins: HashMap<String, String>,
    session_owners: HashMap<String, String>,
    pub(super) api_tokens: HashMap<String, ApiToken>,
    pub(super) apps: HashMap<String, App>,
    pub(super) access_tokens: HashMap<String, AccessToken>,
    /// Client id and `jti` of every assertion that was accepted.
    pub(super) used_assertions: HashSet<(String, String)>,
    pub(super) cursors: HashMap<String, Cursor>,
    pub(super) quota: Quota,
    pub(super) classic_engine: bool,
    pub(super) join_link_headers: bool,
    pub(super) clock_offset: SignedDuration,
}

/// A person and what they hold.
#[derive(Debug)]
pub(super) struct User {
    pub(super) person: Person,
    pub(super) created: Timestamp,
    pub(super) last_login: Option<Timestamp>,
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) grants: Vec<Grant>,
    /// On how many devices the user's factors are remembered.
    pub(super) devices: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

/// A token that an app holds for a user.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) kind: GrantKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrantKind {
    Refresh,
    Access,
}

#[derive(Debug)]
pub(super) struct ApiToken {
    pub(super) owner: String,
    pub(super) denied: BTreeSet<Permission>,
    pub(super) last_used: Option<Timestamp>,
}

/// An access token of a service app.
#[derive(Debug)]
pub(super) struct AccessToken {
    pub(super) client_id: String,
    pub(super) scopes: Vec<String>,
    pub(super) expires_at: Timestamp,
}

/// Where a listing goes on, and the query it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    pub(super) query: String,
    pub(super) last_id: String,
}

impl User {
    /// Ends the grants that `ends` picks; how many there were.
    pub(super) fn end_grants(&mut self, ends: impl Fn(&Grant) -> bool) -> usize {
        let before = self.grants.len();
        self.grants.retain(|grant| !ends(grant));
        before - self.grants.len()
    }
}

impl Session {
    pub(super) fn is_alive(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

impl World {
    /// Adds a person, or replaces the one with this id.
    pub(super) fn add(&mut self, person: Person, now: Timestamp) {
        let id = person.id.clone();
        self.logins.insert(person.login.to_lowercase(), id.clone());
        let (sessions, grants) = (BTreeMap::new(), Vec::new());
        let user = User { person, created: now, last_login: None, sessions, grants, devices: 0 };
        if self.users.insert(id.clone(), user).is_none() {
            self.order.push(id);
        }
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

    /// By id, exactly, or by login, in any case, or by a short name that only one login has.
    pub(super) fn user_named(&self, name: &str) -> Option<&User> {
        let by_login = || self.users.get(self.logins.get(&name.to_lowercase())?);
        self.user(name).or_else(by_login).or_else(|| self.user_with_short_name(name))
    }

    fn user_with_short_name(&self, name: &str) -> Option<&User> {
        let prefix = format!("{}@", name.to_lowercase());
        let mut hits = self.logins.iter().filter(|(login, _)| login.starts_with(&prefix));
        let hit = hits.next().filter(|_| hits.next().is_none());
        hit.and_then(|(_, id)| self.user(id))
    }

    /// For tests, which name people as they like: id, login or e-mail address. A stranger's name is taken for an id.
    pub(super) fn id_of(&self, name: &str) -> String {
        let by_email = || self.users().find(|user| user.person.email.eq_ignore_ascii_case(name));
        self.user_named(name).or_else(by_email).map_or_else(|| name.to_owned(), |user| user.person.id.clone())
    }

    /// Everything that `user_id` holds of sessions ends; how many were alive.
    pub(super) fn end_sessions(&mut self, user_id: &str, now: Timestamp) -> usize {
        let Some(user) = self.users.get_mut(user_id) else { return 0 };
        let ended = std::mem::take(&mut user.sessions);
        ended.keys().for_each(|id| drop(self.session_owners.remove(id)));
        ended.values().filter(|session| session.is_alive(now)).count()
    }

    /// Ends one session.
    pub(super) fn end_session(&mut self, id: &str) {
        let owner = self.session_owners.remove(id);
        if let Some(user) = owner.and_then(|owner| self.users.get_mut(&owner)) {
            user.sessions.remove(id);
        }
    }

    /// Whether there was such a user to sign in.
    pub(super) fn open_session(&mut self, id: &str, user_id: &str, now: Timestamp) -> bool {
        let Some(user) = self.users.get_mut(user_id) else { return false };
        user.last_login = Some(now);
        user.sessions.insert(id.to_owned(), Session { created_at: now, expires_at: now + SESSION_LIFETIME });
        self.session_owners.insert(id.to_owned(), user_id.to_owned());
        true
    }

    /// A session that is alive, and whose it is.
    pub(super) fn session(&self, id: &str, now: Timestamp) -> Option<(&User, Session)> {
        let user = self.users.get(self.session_owners.get(id)?)?;
        user.sessions.get(id).filter(|session| session.is_alive(now)).map(|session| (user, *session))
    }
}
