//! Slack (Enterprise organizations): ends all sessions of a user with one call, those of the web or of phones alone, or
//! given ones; many users together where single calls are used up.
//!
//! Slack is asked in its own words here and nowhere else: [`users`] finds the account, [`looks`] lists sessions,
//! [`sessions`] ends them, [`bulk`] ends those of many users, [`errors`] says what an answer means, [`api`] makes one
//! call.

mod api;
mod bulk;
mod check;
mod errors;
mod looks;
mod quota;
mod sessions;
mod settings;
#[cfg(test)]
mod tests;
mod token;
mod users;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::api::Api;
use self::bulk::{Bulk, Reach};
use super::{CallReport, CredentialReport, ListQuery, Provider, ProviderError, ProviderKind, SessionPage, Share};
use crate::domain::{Account, Look, Revocation, RevokeRequest, Scope, Subject};

pub use self::settings::{SlackCredentials, SlackLimits, SlackSettings};

/// The methods we call. Slack limits the rate of each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    AuthTest,
    LookupByEmail,
    UserInfo,
    List,
    Reset,
    ResetBulk,
    Invalidate,
}

impl Operation {
    const ALL: [Self; 7] = [
        Self::AuthTest,
        Self::LookupByEmail,
        Self::UserInfo,
        Self::List,
        Self::Reset,
        Self::ResetBulk,
        Self::Invalidate,
    ];

    /// The method's name, which is also what it is called in reports.
    const fn as_str(self) -> &'static str {
        match self {
            Self::AuthTest => "auth.test",
            Self::LookupByEmail => "users.lookupByEmail",
            Self::UserInfo => "users.info",
            Self::List => "admin.users.session.list",
            Self::Reset => "admin.users.session.reset",
            Self::ResetBulk => "admin.users.session.resetBulk",
            Self::Invalidate => "admin.users.session.invalidate",
        }
    }

    /// Whether it is documented as GET, with its arguments in the query.
    const fn is_get(self) -> bool {
        matches!(self, Self::LookupByEmail | Self::UserInfo)
    }
}

/// A Slack organization. Debug shows no secret.
#[derive(Debug)]
pub struct Slack {
    api: Arc<Api>,
    bulk: Arc<Bulk>,
}

impl Slack {
    /// `gather`: how long users are gathered for one call that ends the sessions of all of them.
    fn new(api: Api, gather: Duration) -> Self {
        let api = Arc::new(api);
        Self { bulk: Arc::new(Bulk::new(Arc::clone(&api), gather)), api }
    }
}

#[async_trait]
impl Provider for Slack {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Slack
    }

    async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        self.api.resolve(subject).await
    }

    async fn sessions(&self, account: &Account) -> Result<Option<Look>, ProviderError> {
        if self.api.team_ids.is_empty() {
            return Ok(None);
        }
        let places = self.api.look(account).await?;
        Ok(Some(self.api.to_look(places, account)))
    }

    async fn list_sessions(&self, account: &Account, query: &ListQuery) -> Result<Option<SessionPage>, ProviderError> {
        self.api.page_for_people(account, query).await
    }

    async fn revoke(
        &self,
        account: &Account,
        request: &RevokeRequest,
        seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        match &request.scope {
            Scope::All => self.bulk.end_all(account, Reach::All).await.map(Some),
            Scope::Web => self.bulk.end_all(account, Reach::Web).await.map(Some),
            Scope::Mobile => self.bulk.end_all(account, Reach::Mobile).await.map(Some),
            Scope::Sessions(sessions) => self.api.end_given(account, sessions, seen).await,
        }
    }

    async fn check(&self) -> Result<CredentialReport, ProviderError> {
        self.api.check().await
    }

    /// Only while neither the call for one user nor the call for many may be made.
    fn wait(&self) -> Option<Duration> {
        let one = self.api.obstacle(Operation::Reset)?;
        let many = self.api.obstacle(Operation::ResetBulk)?;
        Some(one.min(many))
    }

    fn divide(&self, share: Share) {
        self.api.pace.divide(share);
        self.api.quota.divide(share);
    }
}

/// A report of ours, about no answer in particular.
fn own(operation: Operation, message: &str) -> CallReport {
    CallReport { operation: operation.as_str(), message: message.to_owned(), ..CallReport::default() }
}

fn refused(operation: Operation, message: &str) -> ProviderError {
    ProviderError::Refused(own(operation, message))
}
