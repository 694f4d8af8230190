//! What was seen, and what it means for the job.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::words;
use super::{Account, Attempt, DeadReason, HoldReason, Proof, Session};

words! {
    /// What was seen at the end.
    Outcome {
        /// Sessions listed before and after: none of the earlier ones is left.
        Verified = "verified",
        /// The provider says that they are ended; it offers no way to look.
        Confirmed = "confirmed",
        /// The provider took the request and may still be working.
        Accepted = "accepted",
        /// No session in two looks.
        NothingToRevoke = "nothing_to_revoke",
        /// A search found nobody, twice.
        UnknownAccount = "unknown_account",
        /// Account resolved, guardrails applied, nothing sent.
        DryRun = "dry_run",
    }
}

/// What a provider's yes amounts to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The strongest outcome that this answer alone allows.
    pub outcome: Outcome,
    /// How many sessions ended, where the provider tells.
    pub sessions_ended: Option<u64>,
    /// What this provider leaves alive by its nature, in words an analyst can act on.
    pub survives: Vec<String>,
    /// Sessions that began after the call, as the last look showed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_in_again: Vec<Session>,
}

impl Revocation {
    /// A yes, before any look.
    #[must_use]
    pub fn new(outcome: Outcome, sessions_ended: Option<u64>, survives: &[&str]) -> Self {
        let survives = survives.iter().map(|text| (*text).to_owned()).collect();
        Self { outcome, sessions_ended, survives, signed_in_again: Vec::new() }
    }
}

/// What an error means for the job that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Try again with back-off.
    Retry,
    /// Wait as long as asked, or back off where nothing was asked. Not a failure.
    Throttle {
        /// How long the provider asked us to wait.
        after: Option<Duration>,
        /// Whether the provider was asked at all; otherwise we held the call back ourselves.
        asked: bool,
    },
    /// Our credential or settings: the provider waits, nothing dies.
    CloseGate(HoldReason),
    /// A 403, which may be about us or about this job: `check` tells.
    AskCheck,
    /// Wait for a person.
    Hold(HoldReason),
    /// It will never work for this job.
    GiveUp(DeadReason),
}

/// How an attempt leaves its job.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// What comes next.
    pub next: Next,
    /// What the attempt did.
    pub attempt: Attempt,
    /// The account, once resolved.
    pub account: Option<Account>,
    /// The provider's yes, if there was one.
    pub revocation: Option<Revocation>,
    /// A revoking call was sent and its answer is not known: it may have worked.
    pub answer_unknown: bool,
    /// What is known of the sessions now; `None`: nothing new.
    pub proof: Option<Proof>,
    /// The provider has said yes, and only looks are left: what waits is `proving`, not `queued`.
    pub proving: bool,
}

/// What comes next for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Over, with what was seen.
    Done(Outcome),
    /// Given up.
    Dead(DeadReason),
    /// Waits for a person.
    Held(HoldReason),
    /// Again at this time (steady clock); `failed` raises the back-off.
    Retry {
        /// When.
        due_at: Timestamp,
        /// Whether this counts as a failure.
        failed: bool,
    },
    /// Nobody or nothing was found: look once more at this time before it is believed.
    LookAgain {
        /// When.
        due_at: Timestamp,
        /// What was not found.
        absent: Absence,
    },
    /// The provider said yes: look at this time whether it is true.
    Prove {
        /// When.
        due_at: Timestamp,
    },
    /// Given back unfinished, due at once.
    Release,
    /// The whole provider waits, and the job with it; due again once the gate opens.
    CloseGate(HoldReason),
}

words! {
    /// Who or what was not found.
    Absence {
        /// No account by that e-mail or user name.
        Account = "account",
        /// None of the given sessions.
        Sessions = "sessions",
    }
}
