//! A strict stand-in of Okta, and the handle by which tests set up its people and ask about them.
//!
//! Written from Okta's documents: management OpenAPI 2026.06.3, error codes 2026.08.1, and the guides on rate limits
//! and service apps. Where a document is silent the comment at that place says what was chosen.

mod assertion;
mod auth;
mod disturb;
mod exchange;
mod filter;
mod operation;
mod path;
mod person;
mod quota;
mod refusal;
mod sessions;
mod token;
mod users;
mod world;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;

pub use assertion::Algorithm;
pub use auth::Permission;
pub use operation::Operation;
pub use person::{Person, Status};
pub use token::App;

use super::exchange::Exchange;
use super::faults::Faults;
use super::handle::handle;
use super::ids;
use super::ledger::Ledger;
use super::server::{Bound, Listener};
use crate::clock::Clock;
use exchange::State;
use world::{ApiToken, Grant, GrantKind, User};

/// The stand-in of one Okta organisation. Clones are handles to the same one. A person is named by id, login or
/// e-mail address.
#[derive(Debug, Clone)]
pub struct OktaSandbox {
    state: Arc<State>,
    listener: Listener,
}

handle!(OktaSandbox, Operation);

impl OktaSandbox {
    pub(super) async fn start(addr: SocketAddr, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let bound = Bound::to(addr).await?;
        let url = format!("http://{}", bound.addr());
        let (world, faults, ledger) = (Mutex::default(), Faults::default(), Ledger::default());
        let state = Arc::new(State { url, clock, world, faults, ledger });
        let listener = bound.serve(Exchange(Arc::clone(&state)));
        Ok(Self { state, listener })
    }

    /// The base URL, `http://127.0.0.1:port`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.state.url.clone()
    }

    /// Adds a person without sessions, or replaces the one with this id.
    pub fn add_person(&self, person: Person) {
        let mut world = self.state.world();
        let now = self.state.now(&world);
        world.add(person, now);
    }

    /// The person of this id, login or e-mail address.
    #[must_use]
    pub fn person(&self, name: &str) -> Option<Person> {
        self.look(name, |user| user.person.clone())
    }

    /// Everybody, in the order added.
    #[must_use]
    pub fn people(&self) -> Vec<Person> {
        self.state.world().users().map(|user| user.person.clone()).collect()
    }

    /// Changes a status as an administrator would: who is suspended or deactivated loses all sessions.
    pub fn set_status(&self, name: &str, status: Status) {
        self.change(name, |user| user.person.status = status);
        if !status.holds_sessions() {
            let mut world = self.state.world();
            let (now, id) = (self.state.now(&world), world.id_of(name));
            world.end_sessions(&id, now);
        }
    }

    /// Opens a session and returns its id.
    ///
    /// # Panics
    /// When nobody has this name: a mistake in the set-up of a test.
    pub fn sign_in(&self, name: &str) -> String {
        let mut world = self.state.world();
        let now = self.state.now(&world);
        let (id, user_id) = (ids::random("102", 25), world.id_of(name));
        assert!(world.open_session(&id, &user_id, now), "{name} cannot sign in: nobody has this name");
        id
    }

    /// Gives a client a refresh token and an access token for a person.
    pub fn issue_tokens(&self, name: &str, client_id: &str) {
        let grant = |kind| Grant { client_id: client_id.to_owned(), kind };
        self.change(name, |user| user.grants.extend([grant(GrantKind::Refresh), grant(GrantKind::Access)]));
    }

    /// Remembers a person's factors on one more device.
    pub fn remember_device(&self, name: &str) {
        self.change(name, |user| user.devices += 1);
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

    /// How many refresh and access tokens clients hold for this person.
    #[must_use]
    pub fn tokens_of(&self, name: &str) -> usize {
        self.look(name, |user| user.grants.len()).unwrap_or_default()
    }

    /// On how many devices the person's factors are remembered.
    #[must_use]
    pub fn remembered_devices_of(&self, name: &str) -> usize {
        self.look(name, |user| user.devices).unwrap_or_default()
    }

    /// Accepts `token` as an SSWS API token that this person created. It may do everything; see [`Self::deny`].
    pub fn accept_ssws(&self, token: &str, owner: &str) {
        let mut world = self.state.world();
        let owner = world.id_of(owner);
        world.api_tokens.insert(token.to_owned(), ApiToken { owner, denied: BTreeSet::new(), last_used: None });
    }

    /// Revokes an API token.
    pub fn revoke_ssws(&self, token: &str) {
        self.state.world().api_tokens.remove(token);
    }

    /// Registers a service app, or replaces the one with this client id.
    pub fn register_app(&self, app: App) {
        self.state.world().apps.insert(app.client_id.clone(), app);
    }

    /// Takes a permission from an API token, or from the app with this client id. Takes effect at once.
    pub fn deny(&self, credential: &str, permission: Permission) {
        let mut world = self.state.world();
        if let Some(token) = world.api_tokens.get_mut(credential) {
            token.denied.insert(permission);
        } else if let Some(app) = world.apps.get_mut(credential) {
            match permission.scope() {
                Some(scope) => app.granted_scopes.retain(|granted| granted != scope),
                None => app.has_admin_role = false,
            }
        }
    }

    /// Gives a permission back.
    pub fn allow(&self, credential: &str, permission: Permission) {
        let mut world = self.state.world();
        if let Some(token) = world.api_tokens.get_mut(credential) {
            token.denied.remove(&permission);
        } else if let Some(app) = world.apps.get_mut(credential) {
            match permission.scope() {
                Some(scope) if app.granted_scopes.iter().any(|granted| granted == scope) => {}
                Some(scope) => app.granted_scopes.push(scope.to_owned()),
                None => app.has_admin_role = true,
            }
        }
    }

    /// Ends every access token of every service app before its time.
    pub fn expire_access_tokens(&self) {
        self.state.world().access_tokens.clear();
    }

    /// Enforces this many calls per minute and operation.
    pub fn limit_rate(&self, calls_per_minute: u32) {
        self.state.world().quota.limit = calls_per_minute;
    }

    /// Behaves as the Classic Engine, where `forgetDevices` defaults to false.
    pub fn use_classic_engine(&self) {
        self.state.world().classic_engine = true;
    }

    /// Sends the `Link` headers of a listing in one line instead of several.
    pub fn join_link_headers(&self) {
        self.state.world().join_link_headers = true;
    }

    /// Lets the organisation's clock run ahead of ours, or behind: `Date`, reset times and token checks follow.
    pub fn shift_clock(&self, by: SignedDuration) {
        self.state.world().clock_offset = by;
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

    fn change(&self, name: &str, write: impl FnOnce(&mut User)) {
        let mut world = self.state.world();
        let id = world.id_of(name);
        if let Some(user) = world.user_mut(&id) {
            write(user);
        }
    }
}
