//! The part of the handle that sets up credentials, and the options of the server.

use jiff::{SignedDuration, Timestamp};

use super::TtsSandbox;
use super::credential::{self, ACCESS_TOKEN, API_KEY, Credential, Entity, Holder, SESSION_TOKEN, Token};
use super::operation::Operation;
use super::quota::Profile;
use super::right::Right;
use super::world::ClientState;

/// Access tokens of the Console live one hour.
const ACCESS_TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(1);

impl TtsSandbox {
    /// Accepts `key` as an API key of this person, with every right that the person has; see [`Self::deny`].
    ///
    /// # Panics
    /// When it is not of the form `NNSXS.<id>.<secret>`: a mistake in the set-up of a test.
    pub fn accept_key(&self, key: &str, owner: &str) {
        let owner = self.state.world().id_of(owner);
        self.accept(key, Holder::User(owner), None);
    }

    /// Accepts `key` as an API key of an application or organization, which has no right on any user.
    ///
    /// # Panics
    /// When it is not of the form `NNSXS.<id>.<secret>`: a mistake in the set-up of a test.
    pub fn accept_entity_key(&self, key: &str, owner: Entity) {
        self.accept(key, Holder::Entity(owner), None);
    }

    /// Gives a person a fresh API key with every right that the person has.
    #[must_use]
    pub fn issue_key(&self, owner: &str) -> String {
        let key = credential::fresh(API_KEY, None);
        self.accept_key(&key, owner);
        key
    }

    /// Gives an OAuth client an access token for a person. It outlives the person's sessions, and ends after an hour.
    #[must_use]
    pub fn issue_access_token(&self, name: &str, client_id: &str) -> String {
        let token = credential::fresh(ACCESS_TOKEN, None);
        let (user_id, client_id) = (self.state.world().id_of(name), client_id.to_owned());
        let end = self.state.clock.now() + ACCESS_TOKEN_LIFETIME;
        self.accept(&token, Holder::Client { user_id, client_id }, Some(end));
        token
    }

    /// The token that a session's cookie holds, good until the session ends.
    #[must_use]
    pub fn session_token(&self, name: &str, session_id: &str) -> String {
        let token = credential::fresh(SESSION_TOKEN, Some(session_id));
        let (user_id, session_id) = (self.state.world().id_of(name), session_id.to_owned());
        self.accept(&token, Holder::Session { user_id, session_id }, None);
        token
    }

    fn accept(&self, token: &str, holder: Holder, expires_at: Option<Timestamp>) {
        let parsed = Token::parse(token).expect("the form is <kind>.<id>.<secret>, and the kind of an API key NNSXS");
        let now = self.state.clock.now();
        let accepted = Credential { expires_at, ..Credential::new(parsed.secret, holder, now) };
        self.state.world().credentials.insert(parsed.id.to_owned(), accepted);
    }

    /// Deletes an API key or token.
    pub fn revoke_key(&self, token: &str) {
        if let Some(token) = Token::parse(token) {
            self.state.world().credentials.remove(token.id);
        }
    }

    /// Lets an API key or token end at this time.
    pub fn expire_key(&self, token: &str, at: Timestamp) {
        self.change_credential(token, |credential| credential.expires_at = Some(at));
    }

    /// Gives an API key or access token exactly these rights, and what they imply.
    pub fn set_rights(&self, token: &str, rights: &[Right]) {
        self.change_credential(token, |credential| credential.rights = rights.iter().copied().collect());
    }

    /// Takes a right from a credential, even if another implies it. Takes effect at once.
    pub fn deny(&self, token: &str, right: Right) {
        self.change_credential(token, |credential| {
            credential.denied.insert(right);
        });
    }

    /// Gives a right back.
    pub fn allow(&self, token: &str, right: Right) {
        self.change_credential(token, |credential| {
            credential.denied.remove(&right);
        });
    }

    fn change_credential(&self, token: &str, write: impl FnOnce(&mut Credential)) {
        let Some(token) = Token::parse(token) else { return };
        self.state.world().credentials.get_mut(token.id).map(write);
    }

    /// Suspends an OAuth client: its access tokens are refused.
    pub fn suspend_client(&self, client_id: &str) {
        self.state.world().clients.insert(client_id.to_owned(), ClientState::Suspended);
    }

    /// Rejects an OAuth client: its access tokens are refused.
    pub fn reject_client(&self, client_id: &str) {
        self.state.world().clients.insert(client_id.to_owned(), ClientState::Rejected);
    }

    /// `is.admin-rights.all`: whether admins have the rights whose names end in `_ALL` and `_KEYS`, too. Off by
    /// default, as at the vendor; without it no key ends another user's sessions.
    pub fn give_admins_all_rights(&self, all: bool) {
        self.state.world().admin_rights_all = all;
    }

    /// Whether accounts with an e-mail address that is not validated have reduced rights. Off by default.
    pub fn require_validated_email(&self, required: bool) {
        self.state.world().email_validation_required = required;
    }

    /// `is.pagination.default-limit`: the size of a page where a call asks for none. 100 by default.
    pub fn set_default_limit(&self, limit: u32) {
        self.state.world().default_limit = limit;
    }

    /// Writes rights and states as numbers, which protocol buffers allow, instead of words.
    pub fn write_enums_as_numbers(&self, numbers: bool) {
        self.state.world().enums_as_numbers = numbers;
    }

    /// Enforces a profile: so many calls per minute, and so many at once, for each method, credential and entity.
    pub fn limit_rate(&self, max_per_min: u32, max_burst: u32) {
        self.state.world().quota.general = Some(Profile { max_per_min, max_burst });
    }

    /// Enforces a profile for one method, which goes before the general one.
    pub fn limit_rate_of(&self, operation: Operation, max_per_min: u32, max_burst: u32) {
        self.state.world().quota.own.insert(operation, Profile { max_per_min, max_burst });
    }
}
