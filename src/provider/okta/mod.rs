//! Okta: ends all sessions of a user with one call, or given ones. It has no way to list them, so its best outcome is
//! `confirmed`.
//!
//! Okta is asked in its own words here and nowhere else: [`users`] finds the account, [`sessions`] ends sessions,
//! [`errors`] says what an answer means, [`auth`] signs us in, [`api`] makes one call.

mod api;
mod assertion;
mod auth;
mod check;
mod errors;
mod sessions;
mod settings;
#[cfg(test)]
mod tests;
mod users;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;

use self::api::Api;
use self::auth::Auth;
use super::hint::Bounds;
use super::http::Http;
use super::pace::Pace;
use super::scrub::Scrub;
use super::{CredentialReport, ListQuery, Provider, ProviderError, ProviderKind, SessionPage, Share};
use crate::clock::Clock;
use crate::domain::{Account, Look, Revocation, RevokeRequest, Scope, Subject};

pub use self::assertion::SigningAlgorithm;
pub use self::settings::{OktaCredentials, OktaOauth, OktaSettings};

/// The calls we make. Okta limits the rate of each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    GetUser,
    FindUser,
    SearchUsers,
    RevokeSessions,
    ReadSession,
    RevokeSession,
    Token,
    ReadTokenOwner,
    ListUsers,
}

impl Operation {
    const ALL: &'static [Self] = &[
        Self::GetUser,
        Self::FindUser,
        Self::SearchUsers,
        Self::RevokeSessions,
        Self::ReadSession,
        Self::RevokeSession,
        Self::Token,
        Self::ReadTokenOwner,
        Self::ListUsers,
    ];

    /// What every job needs, however its subject is named.
    const OF_EVERY_JOB: [&'static str; 3] =
        [Self::Token.as_str(), Self::GetUser.as_str(), Self::RevokeSessions.as_str()];

    const fn as_str(self) -> &'static str {
        match self {
            Self::GetUser => "get_user",
            Self::FindUser => "find_user",
            Self::SearchUsers => "search_users",
            Self::RevokeSessions => "revoke_sessions",
            Self::ReadSession => "read_session",
            Self::RevokeSession => "revoke_session",
            Self::Token => "token",
            Self::ReadTokenOwner => "read_token_owner",
            Self::ListUsers => "list_users",
        }
    }

    /// The OAuth scope it needs.
    fn scope(self) -> Option<&'static str> {
        match self {
            Self::GetUser | Self::FindUser | Self::SearchUsers | Self::ReadTokenOwner | Self::ListUsers => {
                Some("okta.users.read")
            }
            Self::RevokeSessions => Some("okta.users.manage"),
            Self::ReadSession => Some("okta.sessions.read"),
            Self::RevokeSession => Some("okta.sessions.manage"),
            Self::Token => None,
        }
    }
}

/// An Okta org. Debug shows no secret.
#[derive(Debug)]
pub struct Okta {
    api: Api,
    oauth_tokens: bool,
    forget_devices: bool,
}

impl Okta {
    fn new(settings: &OktaSettings, base: Url, auth: Auth, http: Http, scrub: Scrub, clock: Arc<dyn Clock>) -> Self {
        let pace = Pace::new(settings.limits.rate, Arc::clone(&clock));
        let bounds = Bounds::new(settings.retry.longest.0);
        let api = Api { base, auth, http, pace, bounds, scrub, clock };
        Self { api, oauth_tokens: settings.oauth_tokens, forget_devices: settings.forget_devices }
    }
}

#[async_trait]
impl Provider for Okta {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Okta
    }

    async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        self.api.resolve(subject).await
    }

    /// Okta lists nobody's sessions.
    async fn sessions(&self, _account: &Account) -> Result<Option<Look>, ProviderError> {
        Ok(None)
    }

    async fn list_sessions(
        &self,
        _account: &Account,
        _query: &ListQuery,
    ) -> Result<Option<SessionPage>, ProviderError> {
        Ok(None)
    }

    async fn revoke(
        &self,
        account: &Account,
        request: &RevokeRequest,
        _seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        match &request.scope {
            Scope::All => {
                let oauth_tokens = request.oauth_tokens.unwrap_or(self.oauth_tokens);
                let forget_devices = request.forget_devices.unwrap_or(self.forget_devices);
                self.api.end_all(account, oauth_tokens, forget_devices).await.map(Some)
            }
            Scope::Sessions(sessions) => self.api.end_given(account, sessions).await,
            Scope::Web | Scope::Mobile => {
                let words = "Okta does not tell web sessions from mobile ones; use `scope: all`";
                Err(ProviderError::Refused(users::own(Operation::RevokeSessions, words)))
            }
        }
    }

    async fn check(&self) -> Result<CredentialReport, ProviderError> {
        self.api.check().await
    }

    fn wait(&self) -> Option<Duration> {
        self.api.pace.wait(&Operation::OF_EVERY_JOB)
    }

    fn room(&self) -> usize {
        self.api.pace.room()
    }

    fn divide(&self, share: Share) {
        self.api.pace.divide(share);
    }
}
