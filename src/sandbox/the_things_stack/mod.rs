//! A strict stand-in of The Things Stack, and the handle by which tests set up its users and ask about them.
//!
//! Written from the open source of The Things Stack v3.32 (protocol definitions, Identity Server, gateway) and The
//! Things Industries' documents. Where they are silent the comment at that place says what was chosen.

mod access;
mod caller;
mod credential;
mod disturb;
mod exchange;
mod operation;
mod path;
mod person;
mod query;
mod quota;
mod refusal;
mod right;
mod sessions;
mod users;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

pub use credential::Entity;
pub use operation::Operation;
pub use person::{Person, State};
pub use right::Right;

use super::exchange::Exchange;
use super::faults::Faults;
use super::handle::handle;
use super::ledger::Ledger;
use super::server::{Bound, Listener};
use crate::clock::Clock;
use world::User;

/// The stand-in of one Identity Server. Clones are handles to the same one. A person is named by user id or e-mail
/// address.
#[derive(Debug, Clone)]
pub struct TtsSandbox {
    state: Arc<exchange::State>,
    listener: Listener,
}

handle!(TtsSandbox, Operation);

impl TtsSandbox {
    /// Listens on `addr`; with port 0 on any free port.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start(addr: SocketAddr, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let bound = Bound::to(addr).await?;
        let url = format!("http://{}", bound.addr());
        let (world, faults, ledger) = (Mutex::default(), Faults::default(), Ledger::default());
        let state = Arc::new(exchange::State { url, clock, world, faults, ledger });
        let listener = bound.serve(Exchange(Arc::clone(&state)));
        Ok(Self { state, listener })
    }

    /// The base URL, `http://127.0.0.1:port`, without `/api/v3` and without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.state.url.clone()
    }

    /// Adds a person without sessions, or replaces the one with this id.
    ///
    /// # Panics
    /// When the id is none that the vendor allows: a mistake in the set-up of a test.
    pub fn add_person(&self, person: Person) {
        assert!(person::id_fault(&person.id).is_none(), "{} cannot be a user id", person.id);
        let now = self.state.clock.now();
        self.state.world().add(person, now);
    }

    /// The person of this user id or e-mail address; `None` also for deleted ones.
    #[must_use]
    pub fn person(&self, name: &str) -> Option<Person> {
        self.look(name, |user| user.person.clone())
    }

    /// Everybody who is not deleted, by user id.
    #[must_use]
    pub fn people(&self) -> Vec<Person> {
        let world = self.state.world();
        world.everybody().filter(|user| user.deleted_at.is_none()).map(|user| user.person.clone()).collect()
    }

    /// Changes a state as an admin would. Sessions stay.
    pub fn set_state(&self, name: &str, state: State) {
        self.change(name, |user| user.person.state = state);
    }

    /// Deletes a person as an admin would: their sessions end, and only listings of deleted users show them.
    pub fn delete_person(&self, name: &str) {
        let now = self.state.clock.now();
        self.change(name, |user| {
            user.sessions.clear();
            user.deleted_at = Some(now);
        });
    }

    /// Opens a session and returns its id, a UUID.
    ///
    /// # Panics
    /// When nobody has this name: a mistake in the set-up of a test.
    pub fn sign_in(&self, name: &str) -> String {
        self.open(name, None)
    }

    /// Opens a session that ends by itself. It stays in listings after its end.
    ///
    /// # Panics
    /// When nobody has this name: a mistake in the set-up of a test.
    pub fn sign_in_until(&self, name: &str, expires_at: Timestamp) -> String {
        self.open(name, Some(expires_at))
    }

    fn open(&self, name: &str, expires_at: Option<Timestamp>) -> String {
        let now = self.state.clock.now();
        let mut world = self.state.world();
        let user_id = world.id_of(name);
        let opened = world.open_session(&user_id, now, expires_at);
        opened.unwrap_or_else(|| panic!("{name} cannot sign in: nobody has this name"))
    }

    /// How many sessions are alive; 0 for a stranger. Those past their end do not count, although they are listed.
    #[must_use]
    pub fn sessions_of(&self, name: &str) -> usize {
        self.session_ids_of(name).len()
    }

    /// The ids of the sessions that are alive, sorted.
    #[must_use]
    pub fn session_ids_of(&self, name: &str) -> Vec<String> {
        let now = self.state.clock.now();
        let alive = |user: &User| {
            let alive = user.sessions.iter().filter(|(_, session)| session.is_alive(now));
            alive.map(|(id, _)| id.clone()).collect()
        };
        self.look(name, alive).unwrap_or_default()
    }

    /// How many sessions of a person were ended, real and pretended.
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

    fn change(&self, name: &str, write: impl FnOnce(&mut User)) {
        let mut world = self.state.world();
        let id = world.id_of(name);
        if let Some(user) = world.user_mut(&id) {
            write(user);
        }
    }
}
