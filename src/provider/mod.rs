//! Systems in which a subject can hold sessions, behind one trait.

mod address;
mod bucket;
mod hint;
mod http;
mod huawei;
mod kind;
mod mattermost;
mod names;
mod okta;
mod pace;
mod registry;
#[cfg(test)]
mod script;
mod scrub;
mod settings;
mod share;
mod slack;
mod tagged;
mod the_things_stack;

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    Account, AttemptClass, DeadReason, Disposition, HoldReason, Look, Revocation, RevokeRequest, Session, Subject,
};

pub use self::huawei::{HuaweiCredentials, HuaweiSettings};
pub use self::kind::{ProviderKind, ProviderSettings};
pub use self::mattermost::{MattermostCredentials, MattermostSettings};
pub use self::okta::{OktaCredentials, OktaOauth, OktaSettings, SigningAlgorithm};
pub use self::registry::{Configured, Providers};
pub use self::settings::{CommonSettings, LimitSettings, Problem, ProofSettings, RetrySettings};
pub use self::share::Share;
pub use self::slack::{SlackCredentials, SlackLimits, SlackSettings};
pub use self::the_things_stack::{TheThingsStackCredentials, TheThingsStackSettings};

/// A system in which a subject can hold sessions. Every method is safe to repeat.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Which kind it is.
    fn kind(&self) -> ProviderKind;

    /// The account that `subject` names here, read with every identifier it has: one, or none. Two hits are an error.
    /// A given id wins over the other names, and is read as well.
    async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError>;

    /// The sessions of `account` that are alive now; `None` where the provider offers no way to look.
    async fn sessions(&self, account: &Account) -> Result<Option<Look>, ProviderError>;

    /// One page of those sessions, for people, in the provider's own paging. A parameter that it lacks is never in
    /// `query`: see [`ProviderKind::list_parameters`]. `None` where the provider offers no way to look.
    async fn list_sessions(&self, account: &Account, query: &ListQuery) -> Result<Option<SessionPage>, ProviderError>;

    /// Ends the sessions of `account` that `request` asks for, also after a partial success. `seen`: what a look showed
    /// just now, if there was one. Given sessions are ended only if they are seen to be the account's.
    /// `None`: there was nothing to end, and the provider has no call that would end all without looking.
    async fn revoke(
        &self,
        account: &Account,
        request: &RevokeRequest,
        seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError>;

    /// Checks credentials and their scopes, changing nothing.
    async fn check(&self) -> Result<CredentialReport, ProviderError>;

    /// How long no call should be made because the provider asked us to wait; `None`: go ahead.
    fn wait(&self) -> Option<Duration>;

    /// How many jobs may be at work there at once, where that is less than their configured number.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// From now on this part of the limits: of our own, and of what the provider says is left.
    fn divide(&self, share: Share);
}

/// A parameter of a listing of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListParameter {
    /// In which order.
    Order,
    /// How many at most.
    Limit,
    /// Which page, from 1.
    Page,
    /// Where the last page ended.
    Cursor,
}

impl ListParameter {
    /// Its name in a query.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Limit => "limit",
            Self::Page => "page",
            Self::Cursor => "cursor",
        }
    }
}

/// Which part of a listing of sessions is wanted. What is `None` is left to the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// In which order, in the provider's words.
    pub order: Option<String>,
    /// How many at most.
    pub limit: Option<u32>,
    /// Which page, from 1.
    pub page: Option<u32>,
    /// Where the last page ended.
    pub cursor: Option<String>,
}

/// A part of a listing of sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<Session>,
    /// Ask again with this for the next part; `None`: that was all, or the provider counts pages.
    pub next_cursor: Option<String>,
    /// How many there are in all, where the provider tells.
    pub total: Option<u64>,
}

/// What `check` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CredentialReport {
    /// Who we are there, for example the login of a token's owner.
    pub identity: String,
    /// Permissions that are missing, each with what does not work without it.
    pub missing: Vec<String>,
    /// Permissions that are not needed.
    pub excess: Vec<String>,
    /// Permissions that could not be checked without changing something.
    pub unchecked: Vec<String>,
}

/// What a call was and what came back, fit for logs and for the operator: no secret, no control characters, bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallReport {
    /// The call, for example `revoke_sessions`.
    pub operation: &'static str,
    /// HTTP status, if an answer came.
    pub status: Option<u16>,
    /// The provider's own code.
    pub code: Option<String>,
    /// What happened and, where something is to be mended, how.
    pub message: String,
    /// The provider's id of the call.
    pub request_id: Option<String>,
}

/// Why a call did not do what was asked. Each variant is named for what the caller does next.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProviderError {
    /// The provider asked us to wait.
    #[error("{}", .report.message)]
    Throttled {
        /// How long, counted from now, within our own bounds; `None`: it did not say.
        retry_after: Option<Duration>,
        /// The call.
        report: CallReport,
    },
    /// No answer, a late one, a 5xx, or an answer that makes no sense.
    #[error("{}", .0.message)]
    Unavailable(CallReport),
    /// Our credential is refused.
    #[error("{}", .0.message)]
    Unauthorized(CallReport),
    /// Our settings cannot work there: wrong URL, a feature that is off, a demand we cannot meet.
    #[error("{}", .0.message)]
    Misconfigured(CallReport),
    /// A 403: about us if `check` fails too, else about this job.
    #[error("{}", .0.message)]
    Forbidden(CallReport),
    /// Refused for this job.
    #[error("{}", .0.message)]
    Refused(CallReport),
    /// The given id is not known there.
    #[error("{}", .0.message)]
    UnknownAccount(CallReport),
    /// Several accounts answer to this name, or no name given is of use there.
    #[error("{}", .0.message)]
    Unclear(CallReport),
}

impl ProviderError {
    /// What this error means for the job that met it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Throttled { retry_after, report } => {
                Disposition::Throttle { after: *retry_after, asked: report.status.is_some() }
            }
            Self::Unavailable(_) => Disposition::Retry,
            Self::Unauthorized(_) => Disposition::CloseGate(HoldReason::Credential),
            Self::Misconfigured(_) => Disposition::CloseGate(HoldReason::Misconfigured),
            Self::Forbidden(_) => Disposition::AskCheck,
            Self::Refused(_) => Disposition::GiveUp(DeadReason::Refused),
            Self::UnknownAccount(_) => Disposition::GiveUp(DeadReason::UnknownAccount),
            Self::Unclear(_) => Disposition::Hold(HoldReason::Account),
        }
    }

    /// The class that metrics count it under.
    #[must_use]
    pub fn class(&self) -> AttemptClass {
        match self {
            Self::Throttled { .. } => AttemptClass::Throttled,
            Self::Unavailable(_) => AttemptClass::Unavailable,
            Self::Unauthorized(_) => AttemptClass::Unauthorized,
            Self::Misconfigured(_) => AttemptClass::Misconfigured,
            Self::Forbidden(_) | Self::Refused(_) | Self::UnknownAccount(_) => AttemptClass::Refused,
            Self::Unclear(_) => AttemptClass::Unclear,
        }
    }

    /// The call behind it.
    #[must_use]
    pub fn report(&self) -> &CallReport {
        match self {
            Self::Throttled { report, .. }
            | Self::Unavailable(report)
            | Self::Unauthorized(report)
            | Self::Misconfigured(report)
            | Self::Forbidden(report)
            | Self::Refused(report)
            | Self::UnknownAccount(report)
            | Self::Unclear(report) => report,
        }
    }
}
