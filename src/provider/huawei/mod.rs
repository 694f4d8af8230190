//! Huawei Cloud IAM Identity Center: ends the user-portal sessions of its users. They can be listed before and after,
//! so the best outcome is `verified`.
//!
//! Huawei is asked in its own words here and nowhere else: [`users`] finds the account, [`sessions`] lists and ends
//! sessions, [`errors`] says what an answer means, [`sign`] signs a request, [`api`] makes one call.

mod api;
mod check;
mod errors;
mod sessions;
mod settings;
mod sign;
#[cfg(test)]
mod tests;
mod users;

use std::time::Duration;

use async_trait::async_trait;

use self::api::Api;
use super::{CredentialReport, ListQuery, Provider, ProviderError, ProviderKind, SessionPage, Share};
use crate::domain::{Account, Look, Revocation, RevokeRequest, Scope, Subject};

pub use self::settings::{HuaweiCredentials, HuaweiSettings};

/// The calls we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    ListUsers,
    GetUser,
    FindUser,
    ListSessions,
    DeleteSessions,
}

impl Operation {
    #[cfg(test)]
    const ALL: &'static [Self] =
        &[Self::ListUsers, Self::GetUser, Self::FindUser, Self::ListSessions, Self::DeleteSessions];

    /// What every job needs, however its subject is named.
    const OF_EVERY_JOB: [&'static str; 3] =
        [Self::GetUser.as_str(), Self::ListSessions.as_str(), Self::DeleteSessions.as_str()];

    const fn as_str(self) -> &'static str {
        match self {
            Self::ListUsers => "list_users",
            Self::GetUser => "get_user",
            Self::FindUser => "find_user",
            Self::ListSessions => "list_sessions",
            Self::DeleteSessions => "delete_sessions",
        }
    }

    /// The action that a policy has to allow for it.
    const fn action(self) -> &'static str {
        match self {
            Self::ListUsers => "IdentityCenter:user:list",
            Self::GetUser => "IdentityCenter:user:describe",
            Self::FindUser => "IdentityCenter:user:getUserId",
            Self::ListSessions => "IdentityCenter:user:listSessions",
            Self::DeleteSessions => "IdentityCenter:user:batchDeleteSession",
        }
    }
}

/// An identity store of IAM Identity Center. Debug shows no secret.
#[derive(Debug)]
pub struct HuaweiIdentityCenter {
    api: Api,
}

#[async_trait]
impl Provider for HuaweiIdentityCenter {
    fn kind(&self) -> ProviderKind {
        ProviderKind::HuaweiIdentityCenter
    }

    async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        self.api.resolve(subject).await
    }

    async fn sessions(&self, account: &Account) -> Result<Option<Look>, ProviderError> {
        self.api.look(account).await.map(Some)
    }

    /// The API has no pages: one holds them all.
    async fn list_sessions(&self, account: &Account, _query: &ListQuery) -> Result<Option<SessionPage>, ProviderError> {
        let sessions = self.api.look(account).await?.sessions;
        let total = u64::try_from(sessions.len()).ok();
        Ok(Some(SessionPage { sessions, next_cursor: None, total }))
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
                let words = "IAM Identity Center does not tell web sessions from mobile ones; use `scope: all`";
                Err(ProviderError::Refused(errors::own(Operation::DeleteSessions, words)))
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
