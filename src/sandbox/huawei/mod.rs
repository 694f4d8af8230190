//! A strict stand-in of Huawei Cloud IAM Identity Center, and the handle by which tests set up its people and ask about
//! them.
//!
//! Written from Huawei's API pages, error code pages and signing guide, and from the interface of its SDKs 3.1.219. Where
//! they are silent a comment or a field of [`Quirks`] says what was chosen.

mod auth;
mod disturb;
mod exchange;
mod instances;
mod operation;
mod pages;
mod path;
mod person;
mod quirks;
mod quota;
mod refusal;
mod sessions;
mod signature;
mod users;
mod world;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

pub use auth::Permission;
pub use operation::Operation;
pub use person::{Email, ExternalId, Person};
pub use quirks::{EmptySessions, ErrorShape, GoneSessions, LastPage, Quirks, SuccessBody};

use super::exchange::Exchange;
use super::faults::Faults;
use super::handle::handle;
use super::ledger::Ledger;
use super::server::{Bound, Listener};
use crate::clock::Clock;
use auth::{Key, Session};
use exchange::State;
use world::{User, World};

/// Longer than any test lets time pass, so that a session that is gone was ended by somebody.
const LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The stand-in of one instance and its identity store. Clones are handles to the same one. A person is named by id,
/// user name or e-mail address.
#[derive(Debug, Clone)]
pub struct HuaweiSandbox {
    state: Arc<State>,
    listener: Listener,
}

handle!(HuaweiSandbox, Operation);

impl HuaweiSandbox {
    /// Listens on `addr`; with port 0 on any free port.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start(addr: SocketAddr, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let bound = Bound::to(addr).await?;
        let url = format!("http://{}", bound.addr());
        let world = Mutex::new(World::reached_at(bound.addr().to_string()));
        let (faults, ledger) = (Faults::default(), Ledger::default());
        let state = Arc::new(State { url, clock, world, faults, ledger });
        let listener = bound.serve(Exchange(Arc::clone(&state)));
        Ok(Self { state, listener })
    }

    /// The base URL, `http://127.0.0.1:port`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.state.url.clone()
    }

    /// The id of the identity store, `d-` and ten more.
    #[must_use]
    pub fn identity_store_id(&self) -> String {
        self.state.world().identity_store_id.clone()
    }

    /// Takes calls whose `Host` is this one too; a host includes the port, unless it is the scheme's own.
    pub fn answer_to(&self, host: &str) {
        self.state.world().hosts.insert(host.to_owned());
    }

    /// Adds a person without sessions, or replaces the one with this id.
    pub fn add_person(&self, person: Person) {
        let mut world = self.state.world();
        let now = self.state.now(&world);
        world.add(person, now);
    }

    /// Deletes a person with all sessions.
    pub fn remove_person(&self, name: &str) {
        let mut world = self.state.world();
        let id = world.id_of(name);
        world.remove(&id);
    }

    /// The person of this id, user name or e-mail address.
    #[must_use]
    pub fn person(&self, name: &str) -> Option<Person> {
        self.look(name, |user| user.person.clone())
    }

    /// Everybody, in the order added.
    #[must_use]
    pub fn people(&self) -> Vec<Person> {
        let world = self.state.world();
        world.order().iter().filter_map(|id| world.user(id)).map(|user| user.person.clone()).collect()
    }

    /// Opens a session at the user portal and returns its id.
    ///
    /// # Panics
    /// When nobody has this name: a mistake in the set-up of a test.
    pub fn sign_in(&self, name: &str) -> String {
        self.sign_in_for(name, LIFETIME)
    }

    /// Opens a session that runs out after `lifetime`.
    ///
    /// # Panics
    /// When nobody has this name: a mistake in the set-up of a test.
    pub fn sign_in_for(&self, name: &str, lifetime: SignedDuration) -> String {
        let mut world = self.state.world();
        let (now, user_id) = (self.state.now(&world), world.id_of(name));
        let opened = world.open_session(&user_id, now, lifetime);
        opened.unwrap_or_else(|| panic!("{name} cannot sign in: nobody has this name"))
    }

    /// How many sessions are alive; 0 for a stranger.
    #[must_use]
    pub fn sessions_of(&self, name: &str) -> usize {
        self.session_ids_of(name).len()
    }

    /// The ids of the sessions that are alive, sorted.
    #[must_use]
    pub fn session_ids_of(&self, name: &str) -> Vec<String> {
        let now = self.state.now(&self.state.world());
        let alive = |user: &User| {
            let alive = user.sessions.iter().filter(|(_, session)| session.is_alive(now));
            alive.map(|(id, _)| id.clone()).collect()
        };
        self.look(name, alive).unwrap_or_default()
    }

    /// Accepts signatures of a permanent access key. It may do everything; see [`Self::deny`].
    pub fn accept_key(&self, access_key: &str, secret_key: &str) {
        self.accept(access_key, secret_key, None);
    }

    /// Accepts signatures of a temporary access key, with its security token, before `expires_at`.
    pub fn accept_temporary_key(&self, access_key: &str, secret_key: &str, token: &str, expires_at: Timestamp) {
        self.accept(access_key, secret_key, Some(Session { token: SecretString::from(token), expires_at }));
    }

    fn accept(&self, access_key: &str, secret_key: &str, session: Option<Session>) {
        let key = Key { secret: SecretString::from(secret_key), session, denied: BTreeSet::new() };
        self.state.world().keys.insert(access_key.to_owned(), key);
    }

    /// Revokes an access key.
    pub fn revoke_key(&self, access_key: &str) {
        self.state.world().keys.remove(access_key);
    }

    /// Takes a permission from an access key. Takes effect at once.
    pub fn deny(&self, access_key: &str, permission: Permission) {
        if let Some(key) = self.state.world().keys.get_mut(access_key) {
            key.denied.insert(permission);
        }
    }

    /// Gives a permission back.
    pub fn allow(&self, access_key: &str, permission: Permission) {
        if let Some(key) = self.state.world().keys.get_mut(access_key) {
            key.denied.remove(&permission);
        }
    }

    /// Enforces this many calls per second, access key and operation.
    pub fn limit_rate(&self, calls_per_second: u32) {
        self.state.world().quota.limit = Some(calls_per_second);
    }

    /// Lets Huawei's clock run ahead of ours, or behind.
    pub fn shift_clock(&self, by: SignedDuration) {
        self.state.world().clock_offset = by;
    }

    /// Decides what the documents leave open.
    pub fn set_quirks(&self, quirks: Quirks) {
        self.state.world().quirks = quirks;
    }

    /// How many revocations reached a person, real and pretended.
    #[must_use]
    pub fn revocations_of(&self, name: &str) -> usize {
        let user_id = self.state.world().id_of(name);
        self.state.ledger.revocations_of(&user_id)
    }

    fn look<T>(&self, name: &str, read: impl FnOnce(&User) -> T) -> Option<T> {
        let world = self.state.world();
        let id = world.id_of(name);
        world.user(&id).map(read)
    }
}
