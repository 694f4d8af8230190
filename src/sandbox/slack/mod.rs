//! A strict stand-in of Slack's admin API for Enterprise organizations, and the handle by which tests set up its people
//! and ask about them.
//!
//! Written from Slack's method pages, its list of common errors, its rate limits and its archived OpenAPI description.
//! Where a document is silent the comment at that place says what was chosen.

mod arguments;
mod auth;
mod disturb;
mod exchange;
mod identity;
mod jobs;
mod listing;
mod operation;
mod person;
mod quota;
mod refusal;
mod session;
mod sessions;
mod settings;
mod switches;
mod tripwire;
mod users;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

pub use auth::Permission;
pub use operation::Operation;
pub use person::{Person, Role, Team};
pub use refusal::ThrottleForm;
pub use session::Device;

use super::exchange::Exchange;
use super::faults::Faults;
use super::handle::handle;
use super::ledger::Ledger;
use super::server::{Bound, Listener};
use crate::clock::Clock;
use exchange::State;
use jobs::Reach;
use session::Session;
use world::World;

/// The stand-in of one Enterprise organization, which starts with two workspaces. Clones are handles to the same one. A
/// person is named by id, user name or e-mail address.
#[derive(Debug, Clone)]
pub struct SlackSandbox {
    state: Arc<State>,
    listener: Listener,
}

handle!(SlackSandbox, Operation);

impl SlackSandbox {
    /// Listens on `addr`; with port 0 on any free port.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start(addr: SocketAddr, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let bound = Bound::to(addr).await?;
        let url = format!("http://{}", bound.addr());
        let (world, faults, ledger) = (Mutex::new(World::new()), Faults::default(), Ledger::default());
        let state = Arc::new(State { url, clock, world, faults, ledger });
        let listener = bound.serve(Exchange(Arc::clone(&state)));
        Ok(Self { state, listener })
    }

    /// `http://127.0.0.1:port`; the methods are below `/api/`.
    #[must_use]
    pub fn url(&self) -> String {
        self.state.url.clone()
    }

    /// The id of the organization, which sessions may belong to instead of a workspace.
    #[must_use]
    pub fn enterprise_id(&self) -> String {
        self.with_world(|world| world.enterprise_id.clone())
    }

    /// The workspaces, in the order added.
    #[must_use]
    pub fn teams(&self) -> Vec<Team> {
        self.with_world(|world| world.teams.clone())
    }

    /// Adds a workspace and returns its id.
    pub fn add_team(&self, name: &str) -> String {
        self.with_world(|world| world.add_team(name))
    }

    /// Adds a person without sessions, or replaces the one with this id.
    pub fn add_person(&self, person: Person) {
        self.with_world(|world| world.add(person));
    }

    /// The person of this id, user name or e-mail address.
    #[must_use]
    pub fn person(&self, name: &str) -> Option<Person> {
        self.with_world(|world| world.user(&world.id_of(name)).map(|user| user.person.clone()))
    }

    /// Everybody, in the order added.
    #[must_use]
    pub fn people(&self) -> Vec<Person> {
        self.with_world(|world| world.users().map(|user| user.person.clone()).collect())
    }

    /// Deactivates a person, who loses all sessions by it.
    pub fn deactivate(&self, name: &str) {
        let (mut world, _) = self.state.settled();
        let id = world.id_of(name);
        if let Some(user) = world.user_mut(&id) {
            user.person.is_deleted = true;
        }
        world.end(&id, Reach::All, usize::MAX);
    }

    /// Opens a web session in the person's first workspace and returns its id.
    ///
    /// # Panics
    /// When nobody has this name: a mistake in the set-up of a test.
    pub fn sign_in(&self, name: &str) -> String {
        let teams = self.person(name).map(|person| person.teams).unwrap_or_default();
        self.sign_in_to(name, teams.first().map_or("", String::as_str), Device::Web)
    }

    /// Opens a session in this workspace, or in the organization itself, on this kind of device, and returns its id.
    ///
    /// # Panics
    /// When nobody has this name or there is no such workspace: a mistake in the set-up of a test.
    pub fn sign_in_to(&self, name: &str, team_id: &str, device: Device) -> String {
        let (mut world, _) = self.state.settled();
        let user_id = world.id_of(name);
        let id = world.open_session(&user_id, team_id, device);
        id.unwrap_or_else(|| panic!("{name} cannot sign in to {team_id}: one of them is unknown")).to_string()
    }

    /// Lets a session expire. Its id is still known.
    pub fn expire_session(&self, session_id: &str) {
        self.change_session(session_id, |session| session.has_expired = true);
    }

    /// Updates the client of a session, which then has a `recent` one besides the `created` one.
    pub fn change_client(&self, session_id: &str) {
        self.change_session(session_id, |session| session.has_changed = true);
    }

    /// How many sessions are alive, over all workspaces; 0 for a stranger.
    #[must_use]
    pub fn sessions_of(&self, name: &str) -> usize {
        self.session_ids_of(name).len()
    }

    /// The ids of the sessions that are alive, in the order in which they began.
    #[must_use]
    pub fn session_ids_of(&self, name: &str) -> Vec<String> {
        self.alive(name, |_| true)
    }

    /// The same of one workspace.
    #[must_use]
    pub fn session_ids_in(&self, name: &str, team_id: &str) -> Vec<String> {
        self.alive(name, |session| session.team_id == team_id)
    }

    /// The same on one kind of device.
    #[must_use]
    pub fn session_ids_on(&self, name: &str, device: Device) -> Vec<String> {
        self.alive(name, |session| session.device == device)
    }

    /// How many revocations reached a person, real and pretended; those still to take effect count.
    #[must_use]
    pub fn revocations_of(&self, name: &str) -> usize {
        let user_id = self.with_world(|world| world.id_of(name));
        self.state.ledger.revocations_of(&user_id)
    }

    fn alive(&self, name: &str, is_meant: impl Fn(&Session) -> bool) -> Vec<String> {
        self.with_world(|world| {
            let user_id = world.id_of(name);
            let sessions = world.sessions_of(&user_id).filter(|session| !session.has_expired);
            sessions.filter(|session| is_meant(session)).map(|session| session.id.to_string()).collect()
        })
    }

    fn change_session(&self, session_id: &str, change: impl FnOnce(&mut Session)) {
        self.with_world(|world| session_id.parse().ok().and_then(|id| world.session_mut(id)).map(change));
    }
}
