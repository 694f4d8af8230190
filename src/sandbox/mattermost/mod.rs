//! A strict stand-in of Mattermost (API v4), and the handle by which tests set up its people and ask about them.
//!
//! Written from the source of the server (repository mattermost/mattermost: api4/user.go, app/session.go,
//! app/authorization.go, app/ratelimit.go, web/context.go, web/handlers.go) and its API reference. Where they are
//! silent, or the stand-in is stricter, the comment at that place says what was chosen.

mod auth;
mod body;
mod disturb;
mod exchange;
mod id;
mod login;
mod operation;
mod path;
mod person;
mod rate;
mod refusal;
mod session;
mod sessions;
mod settings;
mod switches;
mod tokens;
mod users;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

pub use operation::Operation;
pub use person::{Password, Permission, Person, Role};
pub use rate::LimitBy;
pub use session::Device;

use super::exchange::Exchange;
use super::faults::Faults;
use super::handle::handle;
use super::ledger::Ledger;
use super::server::{Bound, Listener};
use crate::clock::Clock;
use exchange::State;
use world::User;

/// The stand-in of one Mattermost server. Clones are handles to the same one. A person is named by id, user name or
/// e-mail address.
#[derive(Debug, Clone)]
pub struct MattermostSandbox {
    state: Arc<State>,
    listener: Listener,
}

handle!(MattermostSandbox, Operation);

impl MattermostSandbox {
    /// Listens on `addr`.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start(addr: SocketAddr, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let bound = Bound::to(addr).await?;
        let url = format!("http://{}", bound.addr());
        let (world, faults, ledger) = (Mutex::default(), Faults::default(), Ledger::default());
        let state = Arc::new(State { url, clock, world, faults, ledger });
        let listener = bound.serve(Exchange(Arc::clone(&state)));
        Ok(Self { state, listener })
    }

    /// The base URL, `http://127.0.0.1:port` and the sub-path if there is one, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.state.url, self.state.world().settings.subpath)
    }

    /// Adds a person without sessions, or replaces the one with this id.
    pub fn add_person(&self, person: Person) {
        let mut world = self.state.world();
        let now = self.state.now(&world);
        world.add(person, now);
    }

    /// The person of this id, user name or e-mail address.
    #[must_use]
    pub fn person(&self, name: &str) -> Option<Person> {
        self.look(name, |user| user.person.clone())
    }

    /// Everybody, in the order added.
    #[must_use]
    pub fn people(&self) -> Vec<Person> {
        self.state.world().users().map(|user| user.person.clone()).collect()
    }

    /// Deactivates an account as an administrator would: its sessions end.
    pub fn deactivate(&self, name: &str) {
        let mut world = self.state.world();
        let (now, id) = (self.state.now(&world), world.id_of(name));
        world.end_all(&id, now);
        if let Some(user) = world.user_mut(&id) {
            (user.deleted_at, user.updated_at) = (Some(now), now);
        }
    }

    /// Opens a session in a browser and returns its id.
    ///
    /// # Panics
    /// When nobody has this name: a mistake in the set-up of a test.
    pub fn sign_in(&self, name: &str) -> String {
        self.sign_in_from(name, Device::Web)
    }

    /// Opens a session of this kind and returns its id.
    ///
    /// # Panics
    /// When nobody has this name: a mistake in the set-up of a test.
    pub fn sign_in_from(&self, name: &str, device: Device) -> String {
        let mut world = self.state.world();
        let (now, user_id) = (self.state.now(&world), world.id_of(name));
        let session = world.sign_in(&user_id, device, now);
        session.unwrap_or_else(|| panic!("{name} cannot sign in: nobody has this name")).id
    }

    /// The token of a session, with which its holder calls the API.
    #[must_use]
    pub fn session_token(&self, session_id: &str) -> Option<String> {
        self.state.world().session_mut(session_id).map(|(_, session)| session.token.clone())
    }

    /// Lets a session expire now; its row stays, and is listed, until [`Self::clean_up`].
    pub fn expire_session(&self, session_id: &str) {
        let mut world = self.state.world();
        let now = self.state.now(&world);
        if let Some((_, session)) = world.session_mut(session_id) {
            session.expires_at = Some(now);
        }
    }

    /// Lets a session live for ever, which an `expires_at` of 0 says.
    pub fn keep_session(&self, session_id: &str) {
        if let Some((_, session)) = self.state.world().session_mut(session_id) {
            session.expires_at = None;
        }
    }

    /// Removes the rows of expired sessions, as the server's job does.
    pub fn clean_up(&self) {
        let mut world = self.state.world();
        let now = self.state.now(&world);
        let expired = |user: &User| {
            let rows = user.sessions.rows().filter(|session| !session.is_alive(now));
            (user.person.id.clone(), rows.map(|session| session.id.clone()).collect::<Vec<_>>())
        };
        let expired: Vec<_> = world.users().map(expired).filter(|(_, ids)| !ids.is_empty()).collect();
        for (user_id, ids) in expired {
            world.end(&user_id, &ids, now);
        }
    }

    /// How many sessions are alive; 0 for a stranger.
    #[must_use]
    pub fn sessions_of(&self, name: &str) -> usize {
        self.session_ids_of(name).len()
    }

    /// The ids of the sessions that are alive, those of personal access tokens too, sorted.
    #[must_use]
    pub fn session_ids_of(&self, name: &str) -> Vec<String> {
        let now = self.state.now(&self.state.world());
        let alive = |user: &User| {
            let alive = user.sessions.rows().filter(|session| session.is_alive(now));
            alive.map(|session| session.id.clone()).collect()
        };
        self.look(name, alive).unwrap_or_default()
    }

    /// How many rows the session table holds for this person, expired ones too.
    #[must_use]
    pub fn rows_of(&self, name: &str) -> usize {
        self.look(name, |user| user.sessions.len()).unwrap_or_default()
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
