//! Mattermost: ends all sessions of a user with one call, or given ones, and lists them, so that an end is seen.
//!
//! Mattermost is asked in its own words here and nowhere else: [`users`] finds the account, [`sessions`] reads sessions,
//! [`revoke`] ends them, [`tokens`] knows the personal access tokens that outlive them, [`errors`] says what an answer
//! means, [`api`] makes one call.

mod api;
mod check;
mod errors;
mod revoke;
mod sessions;
mod settings;
#[cfg(test)]
mod tests;
mod tokens;
mod users;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;

use self::api::Api;
use super::hint::Bounds;
use super::http::Http;
use super::pace::Pace;
use super::scrub::Scrub;
use super::{CallReport, CredentialReport, ListQuery, Provider, ProviderError, ProviderKind, SessionPage, Share};
use crate::clock::Clock;
use crate::domain::{Account, Look, Revocation, RevokeRequest, Scope, Subject};
use crate::settings::Secret;

pub use self::settings::{MattermostCredentials, MattermostSettings};

/// The calls we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    GetUser,
    FindByEmail,
    FindByUsername,
    ListSessions,
    RevokeAll,
    RevokeSession,
    ListTokens,
    RevokeToken,
    ReadOwner,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::GetUser => "get_user",
            Self::FindByEmail => "find_by_email",
            Self::FindByUsername => "find_by_username",
            Self::ListSessions => "list_sessions",
            Self::RevokeAll => "revoke_all",
            Self::RevokeSession => "revoke_session",
            Self::ListTokens => "list_tokens",
            Self::RevokeToken => "revoke_token",
            Self::ReadOwner => "read_token_owner",
        }
    }
}

/// A Mattermost server. Debug shows no secret.
#[derive(Debug)]
pub struct Mattermost {
    api: Api,
    revoke_access_tokens: bool,
}

impl Mattermost {
    fn new(
        settings: &MattermostSettings,
        base: Url,
        token: Secret,
        http: Http,
        scrub: Scrub,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let pace = Pace::new(settings.limits.rate, clock);
        let bounds = Bounds::new(settings.retry.longest.0);
        let api = Api { base, token, http, pace, bounds, scrub };
        Self { api, revoke_access_tokens: settings.revoke_access_tokens }
    }
}

#[async_trait]
impl Provider for Mattermost {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Mattermost
    }

    async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        self.api.resolve(subject).await
    }

    /// The sessions. Where personal access tokens are to be revoked as well, each of them too: what has to go has to be
    /// seen to go.
    async fn sessions(&self, account: &Account) -> Result<Option<Look>, ProviderError> {
        let mut look = self.api.look(account).await?;
        if self.revoke_access_tokens {
            self.api.look_at_tokens(account, &mut look).await?;
        }
        Ok(Some(look))
    }

    /// All at once: Mattermost does not page them.
    async fn list_sessions(&self, account: &Account, _query: &ListQuery) -> Result<Option<SessionPage>, ProviderError> {
        let sessions = self.api.look(account).await?.sessions;
        let total = Some(sessions.len() as u64);
        Ok(Some(SessionPage { sessions, next_cursor: None, total }))
    }

    async fn revoke(
        &self,
        account: &Account,
        request: &RevokeRequest,
        seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        match &request.scope {
            Scope::All => self.api.end_all(account, seen, self.revoke_access_tokens).await.map(Some),
            Scope::Sessions(given) => self.api.end_given(account, given, seen, self.revoke_access_tokens).await,
            Scope::Web | Scope::Mobile => {
                let words = "Mattermost ends all sessions or given ones, not those of a kind; use `scope: all`";
                Err(ProviderError::Refused(own(Operation::RevokeAll, words)))
            }
        }
    }

    async fn check(&self) -> Result<CredentialReport, ProviderError> {
        self.api.check(self.revoke_access_tokens).await
    }

    fn wait(&self) -> Option<Duration> {
        self.api.pace.wait(&[Operation::RevokeAll.as_str()])
    }

    fn room(&self) -> usize {
        self.api.pace.room()
    }

    fn divide(&self, share: Share) {
        self.api.pace.divide(share);
    }
}

/// A report of ours, about no answer in particular.
fn own(operation: Operation, message: &str) -> CallReport {
    CallReport { operation: operation.as_str(), message: message.to_owned(), ..CallReport::default() }
}

fn unclear(operation: Operation, message: &str) -> ProviderError {
    ProviderError::Unclear(own(operation, message))
}
