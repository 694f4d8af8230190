//! The Things Stack: sessions are listed, and ended one by one, for there is no call that ends all of a user's.
//!
//! It is asked in its own words here and nowhere else: [`users`] finds the account, [`sessions`] lists and ends,
//! [`paging`] reads lists to their end, [`errors`] says what an answer means, [`api`] makes one call.

mod api;
mod check;
mod errors;
mod paging;
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
use super::hint::Bounds;
use super::http::Http;
use super::pace::Pace;
use super::scrub::Scrub;
use super::{CallReport, CredentialReport, ListQuery, Provider, ProviderError, ProviderKind, SessionPage, Share};
use crate::clock::Clock;
use crate::domain::{Account, Look, Revocation, RevokeRequest, Scope, Subject};
use crate::settings::Secret;

pub(super) use self::sessions::check_list;
pub use self::settings::{TheThingsStackCredentials, TheThingsStackSettings};

/// The calls we make. Operators may limit the rate of each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    AuthInfo,
    GetUser,
    ListUsers,
    ListSessions,
    DeleteSession,
}

impl Operation {
    /// What every job needs, however its subject is named.
    const OF_EVERY_JOB: [&'static str; 3] =
        [Self::GetUser.as_str(), Self::ListSessions.as_str(), Self::DeleteSession.as_str()];

    const fn as_str(self) -> &'static str {
        match self {
            Self::AuthInfo => "auth_info",
            Self::GetUser => "get_user",
            Self::ListUsers => "list_users",
            Self::ListSessions => "list_sessions",
            Self::DeleteSession => "delete_session",
        }
    }

    /// A report of ours, about no answer in particular.
    fn own(self, message: &str) -> CallReport {
        CallReport { operation: self.as_str(), message: message.to_owned(), ..CallReport::default() }
    }
}

/// The Identity Server of a network. Debug shows no secret.
#[derive(Debug)]
pub struct TheThingsStack {
    api: Api,
}

impl TheThingsStack {
    fn new(
        settings: &TheThingsStackSettings,
        base: Url,
        key: Secret,
        http: Http,
        scrub: Scrub,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let pace = Pace::new(settings.limits.rate, clock);
        let bounds = Bounds::new(settings.retry.longest.0);
        let send_email = settings.send_email;
        Self { api: Api { base, key, http, pace, bounds, scrub, send_email } }
    }
}

#[async_trait]
impl Provider for TheThingsStack {
    fn kind(&self) -> ProviderKind {
        ProviderKind::TheThingsStack
    }

    async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        self.api.resolve(subject).await
    }

    async fn sessions(&self, account: &Account) -> Result<Option<Look>, ProviderError> {
        self.api.look(account).await.map(Some)
    }

    async fn list_sessions(&self, account: &Account, query: &ListQuery) -> Result<Option<SessionPage>, ProviderError> {
        self.api.one_page(account, query).await.map(Some)
    }

    async fn revoke(
        &self,
        account: &Account,
        request: &RevokeRequest,
        seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        match &request.scope {
            Scope::All => self.api.end_all(account, seen).await,
            Scope::Sessions(sessions) => self.api.end_given(account, sessions, seen).await,
            Scope::Web | Scope::Mobile => {
                let words = "The Things Stack does not tell web sessions from mobile ones; use `scope: all`";
                Err(ProviderError::Refused(Operation::DeleteSession.own(words)))
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
