//! The rest of the handle: credentials, permissions and the server's settings.

use jiff::SignedDuration;

use super::MattermostSandbox;
use super::id;
use super::person::Permission;
use super::rate::{LimitBy, Limiter};
use super::world::World;

impl MattermostSandbox {
    /// Accepts `token` as a personal access token of this person, whose role says what it may do; its id.
    ///
    /// # Panics
    /// When nobody has this name: a mistake in the set-up of a test.
    pub fn accept_token(&self, token: &str, owner: &str) -> String {
        let mut world = self.state.world();
        let owner_id = world.id_of(owner);
        assert!(world.user(&owner_id).is_some(), "{owner} cannot hold a token: nobody has this name");
        world.issue(&owner_id, token)
    }

    /// Gives a person a fresh personal access token: its id and its value.
    ///
    /// # Panics
    /// When nobody has this name: a mistake in the set-up of a test.
    pub fn issue_token(&self, owner: &str) -> (String, String) {
        let value = id::fresh();
        (self.accept_token(&value, owner), value)
    }

    /// The ids of a person's personal access tokens that work.
    #[must_use]
    pub fn tokens_of(&self, name: &str) -> Vec<String> {
        let world = self.state.world();
        let held = world.user(&world.id_of(name)).map(|user| user.token_ids.clone()).unwrap_or_default();
        held.into_iter().filter(|id| world.token(id).is_some_and(|token| token.is_active)).collect()
    }

    /// Ends a personal access token, named by its value.
    pub fn revoke_token(&self, token: &str) {
        let mut world = self.state.world();
        let now = self.state.now(&world);
        if let Some(id) = world.token_by_value(token).map(|token| token.id.clone()) {
            world.end_token(&id, now);
        }
    }

    /// Lets a personal access token, named by its value, expire now.
    pub fn expire_token(&self, token: &str) {
        let mut world = self.state.world();
        let now = self.state.now(&world);
        let id = world.token_by_value(token).map(|token| token.id.clone());
        if let Some(token) = id.and_then(|id| world.token_mut(&id)) {
            token.expires_at = Some(now);
        }
    }

    /// Takes a permission from an account, which is named as a person is or by a personal access token. Takes effect at
    /// once.
    pub fn deny(&self, name: &str, permission: Permission) {
        self.change(|world| {
            let id = world.id_of(name);
            world.user_mut(&id).map(|user| user.permissions.remove(&permission));
        });
    }

    /// Gives a permission, or gives it back.
    pub fn allow(&self, name: &str, permission: Permission) {
        self.change(|world| {
            let id = world.id_of(name);
            world.user_mut(&id).map(|user| user.permissions.insert(permission));
        });
    }

    /// Serves below a path such as `/chat`, and sends whoever calls beside it there. [`Self::url`] follows.
    pub fn serve_under(&self, subpath: &str) {
        let subpath = subpath.trim_end_matches('/').to_owned();
        self.change(|world| world.settings.subpath = subpath);
    }

    /// Limits calls, as `RateLimitSettings` do: this many per second, after a burst. Mattermost's defaults, once it is
    /// switched on, are 10, 100 and the remote address.
    pub fn limit_rate(&self, per_second: u32, burst: u32, by: LimitBy) {
        self.change(|world| world.limiter = Some(Limiter::new(per_second, burst, by)));
    }

    /// Says in `X-RateLimit-Reset` when it resets, in seconds since 1970, as the API reference has it, instead of how
    /// long that takes, as the server's code does.
    pub fn tell_reset_as_epoch(&self) {
        self.change(|world| world.limiter.iter_mut().for_each(|limiter| limiter.reset_as_epoch = true));
    }

    /// Lets the database replica lag behind: it is asked which sessions there are.
    pub fn lag_replica(&self, by: SignedDuration) {
        self.change(|world| world.settings.replica_lag = by);
    }

    /// Switches personal access tokens off for everybody but bots.
    pub fn disable_access_tokens(&self) {
        self.change(|world| world.settings.access_tokens = false);
    }

    /// Shows e-mail addresses to system admins and to their owners alone.
    pub fn hide_emails(&self) {
        self.change(|world| world.settings.show_emails = false);
    }

    /// Lets nobody call who has a password and no second factor.
    pub fn enforce_mfa(&self) {
        self.change(|world| world.settings.enforce_mfa = true);
    }

    /// Answers every 5xx as a bare 500.
    pub fn harden(&self) {
        self.change(|world| world.settings.hardened = true);
    }

    /// Puts details into errors, among them the token of a call that is refused for it.
    pub fn use_developer_mode(&self) {
        self.change(|world| world.settings.developer = true);
    }

    /// Lets the server's clock run ahead of ours, or behind.
    pub fn shift_clock(&self, by: SignedDuration) {
        self.change(|world| world.settings.clock_offset = by);
    }

    fn change(&self, write: impl FnOnce(&mut World)) {
        write(&mut self.state.world());
    }
}
