//! The state of the instance: people with their sessions, access keys, markers of pages, quota.
//!
//! Reads and revocations by id do not slow down with the number of people, so that a load test measures its subject.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::auth::Key;
use super::person::{ExternalId, Person};
use super::quirks::Quirks;
use super::quota::Quota;
use crate::sandbox::ids;

/// Everything that a call can read or change.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) identity_store_id: String,
    pub(super) instance_id: String,
    /// Values of `Host` that lead here.
    pub(super) hosts: BTreeSet<String>,
    users: HashMap<String, User>,
    /// Ids in the order added, which is the order of listings.
    order: Vec<String>,
    /// Lower-case user name to id, in the order of names.
    names: BTreeMap<String, String>,
    external: HashMap<ExternalId, String>,
    /// Session id to user id, as long as it was not ended.
    owners: HashMap<String, String>,
    pub(super) keys: HashMap<String, Key>,
    pub(super) markers: HashMap<String, Marker>,
    pub(super) quota: Quota,
    pub(super) quirks: Quirks,
    pub(super) clock_offset: SignedDuration,
}

/// A person and their sessions, the ended ones too as long as a listing may still show them.
#[derive(Debug)]
pub(super) struct User {
    pub(super) person: Person,
    pub(super) created: Timestamp,
    pub(super) sessions: BTreeMap<String, Session>,
    /// How often sessions were ended.
    revocations: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    ended: Option<Ended>,
}

/// When and by which revocation of its user.
#[derive(Debug, Clone, Copy)]
struct Ended {
    at: Timestamp,
    revocation: u64,
}

/// Where a listing of users goes on, and what it lists.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    pub(super) user_name: Option<String>,
    pub(super) position: usize,
    /// The empty page before this one was sent.
    pub(super) announced: bool,
}

impl Session {
    pub(super) fn is_alive(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.expires_at
    }
}

impl User {
    /// Whether a batch may name this session.
    pub(super) fn knows(&self, session_id: &str, expired_too: bool, now: Timestamp) -> bool {
        let known = |session: &Session| session.is_alive(now) || (expired_too && session.ended.is_none());
        self.sessions.get(session_id).is_some_and(known)
    }

    /// The sessions as they stood at `then`; `undone` adds those that the latest revocation ended.
    pub(super) fn sessions_at(&self, then: Timestamp, undone: bool) -> impl Iterator<Item = (&String, &Session)> {
        let undone = undone.then_some(self.revocations);
        let stood = move |ended: &Ended| ended.at > then || Some(ended.revocation) == undone;
        let shown = move |session: &Session| session.created_at <= then && session.ended.as_ref().is_none_or(stood);
        self.sessions.iter().filter(move |(_, session)| shown(session))
    }
}

impl World {
    /// An empty store with fresh ids.
    pub(super) fn reached_at(host: String) -> Self {
        Self {
            identity_store_id: format!("d-{}", &Uuid::new_v4().simple().to_string()[..10]),
            instance_id: ids::random("ins-", 20),
            hosts: BTreeSet::from([host]),
            ..Self::default()
        }
    }

    /// Adds a person, or replaces the one with this id.
    pub(super) fn add(&mut self, person: Person, now: Timestamp) {
        self.remove(&person.id);
        let id = person.id.clone();
        self.names.insert(person.user_name.to_lowercase(), id.clone());
        if let Some(external) = person.external_id.clone() {
            self.external.insert(external, id.clone());
        }
        self.order.push(id.clone());
        self.users.insert(id, User { person, created: now, sessions: BTreeMap::new(), revocations: 0 });
    }

    /// Removes a person with all sessions.
    pub(super) fn remove(&mut self, id: &str) {
        let Some(user) = self.users.remove(id) else { return };
        self.order.retain(|known| known != id);
        self.names.retain(|_, known| known != id);
        self.external.retain(|_, known| known != id);
        user.sessions.keys().for_each(|session| drop(self.owners.remove(session)));
    }

    /// Ids in the order of listings.
    pub(super) fn order(&self) -> &[String] {
        &self.order
    }

    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id)
    }

    /// By user name, exactly.
    pub(super) fn user_named(&self, user_name: &str) -> Option<&User> {
        let hit = self.users.get(self.names.get(&user_name.to_lowercase())?);
        hit.filter(|user| user.person.user_name == user_name)
    }

    /// Ids of those whose user name begins so, in any case.
    pub(super) fn users_beginning(&self, prefix: &str) -> Vec<String> {
        let prefix = prefix.to_lowercase();
        let from = self.names.range(prefix.clone()..);
        from.take_while(|(name, _)| name.starts_with(&prefix)).map(|(_, id)| id.clone()).collect()
    }

    pub(super) fn user_of(&self, external: &ExternalId) -> Option<&User> {
        self.users.get(self.external.get(external)?)
    }

    /// For tests, which name people as they like: id, user name or e-mail address. A stranger's name is taken for an id.
    pub(super) fn id_of(&self, name: &str) -> String {
        let has_email = |user: &&User| user.person.emails.iter().any(|email| email.value.eq_ignore_ascii_case(name));
        let by_email = || self.order.iter().filter_map(|id| self.users.get(id)).find(has_email);
        let by_name = || self.users.get(self.names.get(&name.to_lowercase())?);
        let found = self.user(name).or_else(by_name).or_else(by_email);
        found.map_or_else(|| name.to_owned(), |user| user.person.id.clone())
    }

    /// A fresh session; `None` where there is no such user.
    pub(super) fn open_session(&mut self, user_id: &str, now: Timestamp, lifetime: SignedDuration) -> Option<String> {
        let user = self.users.get_mut(user_id)?;
        let id = Uuid::new_v4().to_string();
        user.sessions.insert(id.clone(), Session { created_at: now, expires_at: now + lifetime, ended: None });
        self.owners.insert(id.clone(), user_id.to_owned());
        Some(id)
    }

    /// Whose session this is, as long as it was not ended.
    pub(super) fn owner_of(&self, session_id: &str) -> Option<&str> {
        self.owners.get(session_id).map(String::as_str)
    }

    /// Ends these sessions of one user; how many were alive.
    pub(super) fn end_sessions(&mut self, user_id: &str, ids: &[String], now: Timestamp) -> usize {
        let Some(user) = self.users.get_mut(user_id) else { return 0 };
        user.revocations += 1;
        let ended = Some(Ended { at: now, revocation: user.revocations });
        let mut alive = 0;
        for id in ids {
            let Some(session) = user.sessions.get_mut(id).filter(|session| session.ended.is_none()) else { continue };
            alive += usize::from(session.is_alive(now));
            session.ended = ended;
            self.owners.remove(id);
        }
        let seen_since = now - SignedDuration::from_secs(self.quirks.list_lag_s);
        let shown = |ended: Ended| ended.revocation == user.revocations || ended.at > seen_since;
        user.sessions.retain(|_, session| session.ended.is_none_or(shown));
        alive
    }
}
