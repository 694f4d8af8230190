//! The switches of the handle: credentials, rate limit, and what makes an organization differ from the usual.

use jiff::{SignedDuration, Timestamp};

use super::SlackSandbox;
use super::auth::{Permission, Token};
use super::person::fresh_id;
use super::quota::Limit;
use super::refusal::ThrottleForm;
use super::world::{Switches, World};

impl SlackSandbox {
    /// Accepts `token` as a user token of an app on the whole organization, installed by this person, who needs an admin
    /// role for the admin methods. It has every scope; see [`Self::deny`].
    pub fn accept_token(&self, token: &str, owner: &str) {
        self.with_world(|world| {
            let owner = world.id_of(owner);
            world.tokens.insert(token.to_owned(), Token::of(owner));
        });
    }

    /// Accepts `token` as a user token of an app on this one workspace.
    pub fn accept_workspace_token(&self, token: &str, owner: &str, team_id: &str) {
        self.accept_token(token, owner);
        self.with_token(token, |token| token.team_id = Some(team_id.to_owned()));
    }

    /// Accepts `token` as a bot token; `owner` is the bot's user.
    pub fn accept_bot_token(&self, token: &str, owner: &str) {
        self.accept_token(token, owner);
        self.with_token(token, |token| token.bot_id = Some(fresh_id("B", 11)));
    }

    /// Revokes a token.
    pub fn revoke_token(&self, token: &str) {
        self.with_token(token, |token| token.is_revoked = true);
    }

    /// Lets a token that rotates run out at this time.
    pub fn expire_token_at(&self, token: &str, at: Timestamp) {
        self.with_token(token, |token| token.expires_at = Some(at));
    }

    /// Takes a permission from a token. Takes effect at once.
    pub fn deny(&self, token: &str, permission: Permission) {
        self.with_token(token, |token| token.held.retain(|held| *held != permission));
    }

    /// Gives a permission back.
    pub fn allow(&self, token: &str, permission: Permission) {
        self.with_token(token, |token| token.held.extend([permission]));
    }

    /// Enforces this many calls per minute and method.
    pub fn limit_rate(&self, calls_per_minute: u32) {
        self.with_world(|world| world.quota.limit = Limit::Each(calls_per_minute));
    }

    /// Enforces Slack's own tiers: 20 calls per minute to each of reset, resetBulk, invalidate and list.
    pub fn limit_rate_by_tier(&self) {
        self.with_world(|world| world.quota.limit = Limit::Tiers);
    }

    /// How too many calls are answered, also by faults.
    pub fn throttle_as(&self, form: ThrottleForm) {
        self.switch(|switches| switches.throttle_form = form);
    }

    /// Resets, single and bulk, answer at once and end the sessions this much later.
    pub fn delay_resets(&self, by: SignedDuration) {
        self.switch(|switches| switches.reset_delay = by);
    }

    /// Lets bulk resets fail for this person alone.
    pub fn fail_in_bulk(&self, name: &str, reason: &str) {
        self.with_world(|world| {
            let id = world.id_of(name);
            world.switches.bulk_failures.insert(id, reason.to_owned());
        });
    }

    /// Pages hold no more sessions than this, whatever the limit asks for.
    pub fn cap_pages(&self, sessions: usize) {
        self.switch(|switches| switches.page_cap = Some(sessions));
    }

    /// Puts an empty page, with a cursor, before each other page.
    pub fn insert_empty_pages(&self) {
        self.switch(|switches| switches.empty_pages = true);
    }

    /// The last page has no `next_cursor` instead of an empty one.
    pub fn omit_last_cursor(&self) {
        self.switch(|switches| switches.omit_last_cursor = true);
    }

    /// Listings still show sessions that have expired.
    pub fn list_expired_sessions(&self) {
        self.switch(|switches| switches.list_expired = true);
    }

    /// Reads of users no longer tell their workspaces (`enterprise_user`), which documents do not promise.
    pub fn withhold_workspaces(&self) {
        self.switch(|switches| switches.withhold_workspaces = true);
    }

    /// `users.lookupByEmail` refuses tokens of the whole organization.
    pub fn refuse_org_lookups(&self) {
        self.switch(|switches| switches.refuse_org_lookups = true);
    }

    /// The organization is on a plan without the admin methods.
    pub fn use_business_plan(&self) {
        self.switch(|switches| switches.is_business_plan = true);
    }

    /// Lets the organization's clock run ahead of ours, or behind: `Date` and late resets follow.
    pub fn shift_clock(&self, by: SignedDuration) {
        self.with_world(|world| world.clock_offset = by);
    }

    fn switch(&self, change: impl FnOnce(&mut Switches)) {
        self.with_world(|world| change(&mut world.switches));
    }

    fn with_token(&self, token: &str, change: impl FnOnce(&mut Token)) {
        self.with_world(|world| world.tokens.get_mut(token).map(change));
    }

    pub(super) fn with_world<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.state.settled().0)
    }
}
