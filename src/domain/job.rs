//! A job: one subject at one provider, from plan to recorded result.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Absence, AlertId, JobId, Proof, ProviderName, RevokeRequest, Severity, SourceName, Subject, Traces};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that is stored and exported.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|value| value.as_str()).collect();
                    format!("{word:?} is none of {}", known.join(", "))
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(super) use words;

words! {
    /// Where a job stands.
    JobState {
        /// Due now or at `due_at`.
        Queued = "queued",
        /// An attempt is running.
        Leased = "leased",
        /// Revoked; will look again.
        Proving = "proving",
        /// Waits for a person or a repair.
        Held = "held",
        /// Ended, with an outcome.
        Done = "done",
        /// Gave up.
        Dead = "dead",
        /// Ended by an operator, or merged into another job.
        Cancelled = "cancelled",
    }
}

impl JobState {
    /// Whether nothing more will happen by itself or by approval.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Done | Self::Dead | Self::Cancelled => true,
            Self::Queued | Self::Leased | Self::Proving | Self::Held => false,
        }
    }
}

words! {
    /// What a held job waits for.
    HoldReason {
        /// The provider refuses our credential; ends by itself once it works.
        Credential = "credential",
        /// The provider's settings are wrong; ends by itself once they work.
        Misconfigured = "misconfigured",
        /// Too many people in too short a time.
        Budget = "budget",
        /// A person has to agree.
        Approval = "approval",
        /// The account is ambiguous, or the alert gave no name that is of use there.
        Account = "account",
        /// An operator paused the provider, or everything.
        Paused = "paused",
    }
}

words! {
    /// Why a job was given up.
    DeadReason {
        /// The provider refuses this one, although our credential works.
        Refused = "refused",
        /// Tried until `give_up_after`.
        Exhausted = "exhausted",
        /// An id given explicitly is not known there: a mapping is wrong.
        UnknownAccount = "unknown_account",
        /// The provider said yes and the sessions are still there.
        Contradicted = "contradicted",
        /// The account is protected.
        Protected = "protected",
    }
}

words! {
    /// How an attempt ended, for metrics and for the job's story.
    AttemptClass {
        /// The provider did what was asked.
        Ok = "ok",
        /// Nobody, or nothing to end, was found.
        Absent = "absent",
        /// A look still lists sessions that the provider said it ended.
        Contradicted = "contradicted",
        /// The provider asked us to wait.
        Throttled = "throttled",
        /// No answer, a late one, a 5xx, or one that makes no sense.
        Unavailable = "unavailable",
        /// Our credential was refused.
        Unauthorized = "unauthorized",
        /// Our settings cannot work there.
        Misconfigured = "misconfigured",
        /// Refused for this job.
        Refused = "refused",
        /// The account is ambiguous or cannot be named there.
        Unclear = "unclear",
        /// A guardrail stopped it before the call.
        Guarded = "guarded",
        /// Resolved and judged, and nothing sent.
        DryRun = "dry_run",
        /// Given back unfinished: shutdown, or too little of the lease was left.
        Released = "released",
        /// The process ended or lost its lease; how far it got is not known.
        Lost = "lost",
        /// Another job does this account's work.
        Merged = "merged",
    }
}

/// A planned job, before it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its id, if it is not absorbed by a queued one.
    pub id: JobId,
    /// Where the sessions are to end.
    pub provider: ProviderName,
    /// Whose.
    pub subject: Subject,
    /// Which of them.
    pub request: RevokeRequest,
    /// The highest severity of the alerts behind it.
    pub severity: Severity,
    /// Resolves and judges, and sends nothing.
    pub dry_run: bool,
    /// The rules that asked for it.
    pub rules: Vec<String>,
    /// How it begins.
    pub origin: Origin,
}

/// How a job begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Due at once.
    Due,
    /// Held, with the reason in words.
    Held(HoldReason, String),
    /// Dead from the start, for the record, with the reason in words.
    Dead(DeadReason, String),
}

/// A job that this process may work on until its lease ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// Where the store keeps it.
    pub row: i64,
    /// The provider.
    pub provider: ProviderName,
    /// Whose sessions.
    pub subject: Subject,
    /// Which sessions.
    pub request: RevokeRequest,
    /// Its severity.
    pub severity: Severity,
    /// Sends nothing.
    pub dry_run: bool,
    /// The number of this attempt, from 1. Fences: the store takes a settlement of the latest attempt only.
    pub attempt: u32,
    /// Attempts that count for the back-off: throttled and released ones do not.
    pub failures: u32,
    /// What the last look did not find. Only a second look in vain for the same is believed.
    pub absence: Option<Absence>,
    /// When the job was stored, by the steady clock.
    pub created_at: Timestamp,
    /// Time it was held, which does not count towards `give_up_after`.
    pub held: Duration,
    /// The account that an operator chose.
    pub account_id: Option<String>,
    /// An operator agreed, so that look-alikes no longer hold it.
    pub approved: bool,
    /// An operator agreed to act on the chosen account although it cannot be read.
    pub unread_ok: bool,
    /// An operator agreed after it was seen that a name of the account looks like a protected one.
    pub alike_ok: bool,
    /// The budgets have counted it already.
    pub counted: bool,
    /// An operator let it go on past the budgets.
    pub past_budget: bool,
    /// An earlier attempt may have called the provider and its answer is not known.
    pub call_open: bool,
    /// A call was made while the answer to an earlier one was missing: what that one did will not be known any more.
    pub was_repeated: bool,
    /// What is known of the sessions around earlier calls; `None`: none was made, or there is no way to look.
    pub proof: Option<Proof>,
    /// The provider has said yes, and only looks are left.
    pub proving: bool,
    /// Until when the lease runs, by the steady clock.
    pub lease_until: Timestamp,
    /// The first alert behind it.
    pub alert: AlertId,
    /// The source of that alert.
    pub source: SourceName,
    /// When that alert was received.
    pub received_at: Timestamp,
    /// When that alert says it happened.
    pub occurred_at: Timestamp,
    /// The traces of all alerts behind it.
    pub traces: Traces,
}

impl Claim {
    /// A call of an earlier attempt may have ended sessions without anybody being told.
    #[must_use]
    pub fn answer_lost(&self) -> bool {
        self.call_open || self.was_repeated
    }
}

/// What an attempt did, as kept with the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When it began.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// How it ended.
    pub class: AttemptClass,
    /// The call that decided, for example `revoke_sessions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Its HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What happened and, where something is to be mended, how.
    pub message: String,
    /// The provider's id of that call, for its support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
