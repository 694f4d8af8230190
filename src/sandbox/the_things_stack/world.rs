//! The state of the network: users with their sessions, credentials, rate limits, options of the server.
//!
//! Reads and revocations by id do not slow down with the number of users, so that a load test measures its subject.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use uuid::Uuid;

use super::credential::Credential;
use super::person::Person;
use super::quota::Quota;

/// `is.pagination.default-limit`.
const DEFAULT_LIMIT: u32 = 100;

/// Everything that a call can read or change.
#[derive(Debug)]
pub(super) struct World {
    /// By user id, which is the order of listings.
    users: BTreeMap<String, User>,
    /// Lower-case e-mail address to user id.
    emails: HashMap<String, String>,
    /// By the id in the middle of the token.
    pub(super) credentials: HashMap<String, Credential>,
    /// OAuth clients that are not in order.
    pub(super) clients: HashMap<String, ClientState>,
    pub(super) quota: Quota,
    /// `is.admin-rights.all`
    pub(super) admin_rights_all: bool,
    /// `is.user-registration.contact-info-validation.required`
    pub(super) email_validation_required: bool,
    pub(super) default_limit: u32,
    pub(super) enums_as_numbers: bool,
}

/// A user and their sessions.
#[derive(Debug)]
pub(super) struct User {
    pub(super) person: Person,
    pub(super) created_at: Timestamp,
    /// Soft-deleted: only listings of deleted users show them.
    pub(super) deleted_at: Option<Timestamp>,
    /// By session id, which is the order of listings.
    pub(super) sessions: BTreeMap<String, Session>,
    /// The session that ended last, which a lagging replica still has.
    pub(super) last_ended: Option<(String, Session)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) created_at: Timestamp,
    /// Sessions of a login have none.
    pub(super) expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientState {
    Rejected,
    Suspended,
}

impl Session {
    pub(super) fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            users: BTreeMap::new(),
            emails: HashMap::new(),
            credentials: HashMap::new(),
            clients: HashMap::new(),
            quota: Quota::default(),
            admin_rights_all: false,
            email_validation_required: false,
            default_limit: DEFAULT_LIMIT,
            enums_as_numbers: false,
        }
    }
}

impl World {
    /// Adds a person, or replaces the one with this id.
    pub(super) fn add(&mut self, person: Person, now: Timestamp) {
        let id = person.id.clone();
        let email = person.email.to_lowercase();
        let (sessions, last_ended) = (BTreeMap::new(), None);
        let user = User { person, created_at: now, deleted_at: None, sessions, last_ended };
        if let Some(former) = self.users.insert(id.clone(), user) {
            self.emails.remove(&former.person.email.to_lowercase());
        }
        self.emails.insert(email, id);
    }

    /// Everybody, deleted users too, by id.
    pub(super) fn everybody(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id).filter(|user| user.deleted_at.is_none())
    }

    pub(super) fn user_mut(&mut self, id: &str) -> Option<&mut User> {
        self.users.get_mut(id).filter(|user| user.deleted_at.is_none())
    }

    /// For tests, which name people as they like: user id or e-mail address. A stranger's name is taken for an id.
    pub(super) fn id_of(&self, name: &str) -> String {
        let by_email = || self.emails.get(&name.to_lowercase()).cloned();
        if self.users.contains_key(name) { name.to_owned() } else { by_email().unwrap_or_else(|| name.to_owned()) }
    }

    /// The id of a new session, unless there is no such user.
    pub(super) fn open_session(
        &mut self,
        user_id: &str,
        created_at: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Option<String> {
        let id = Uuid::new_v4().to_string();
        self.user_mut(user_id)?.sessions.insert(id.clone(), Session { created_at, expires_at });
        Some(id)
    }
}

/// RFC 3339 with six digits of fraction, as PostgreSQL keeps times.
pub(super) fn micros(at: Timestamp) -> String {
    format!("{at:.6}")
}
