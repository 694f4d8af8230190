//! The end of an attempt, and what it makes of its job. Pure.

use super::keys::to_json;
use super::{StoreError, told};
use crate::audit::AuditEvent;
use crate::domain::{Claim, DeadReason, JobId, JobState, Next, Outcome, ProviderName, Settlement};

/// What a settlement writes into the job's row.
#[derive(Default)]
pub(super) struct Change<'a> {
    pub(super) state: i64,
    pub(super) wake_at: Option<i64>,
    pub(super) failed: bool,
    pub(super) absent: Option<&'a str>,
    pub(super) hold_reason: Option<&'a str>,
    pub(super) dead_reason: Option<&'a str>,
    pub(super) outcome: Option<&'a str>,
}

/// The end of an attempt, as text and numbers. It is made before it queues for the thread that writes.
pub(super) struct End {
    pub(super) row: i64,
    pub(super) fence: u32,
    pub(super) job: JobId,
    pub(super) provider: ProviderName,
    pub(super) next: Next,
    pub(super) proving: bool,
    pub(super) answer_unknown: bool,
    pub(super) said_yes: bool,
    pub(super) account: Option<String>,
    pub(super) message: String,
    pub(super) proof: Option<String>,
    pub(super) detail: String,
}

impl End {
    pub(super) fn new(claim: &Claim, settlement: &Settlement) -> Result<Self, StoreError> {
        Ok(Self {
            row: claim.row,
            fence: claim.attempt,
            job: claim.job,
            provider: claim.provider.clone(),
            next: settlement.next,
            proving: settlement.proving,
            answer_unknown: settlement.answer_unknown,
            said_yes: settlement.revocation.is_some(),
            account: settlement.account.as_ref().map(|account| account.id.clone()),
            message: settlement.attempt.message.clone(),
            proof: settlement.proof.as_ref().map(to_json).transpose()?,
            detail: told::end(settlement)?,
        })
    }

    /// Whom the job is about, where this attempt tells.
    pub(super) fn account(&self) -> Option<&str> {
        self.account.as_deref().filter(|_| !self.is_nobody())
    }

    /// Whether it turned out that there is no such account.
    pub(super) fn is_nobody(&self) -> bool {
        matches!(self.next, Next::Done(Outcome::UnknownAccount) | Next::Dead(DeadReason::UnknownAccount))
    }

    /// What becomes of the job. `now` is the steady clock.
    pub(super) fn change(&self, now: i64) -> (JobState, AuditEvent, Change<'static>) {
        let change = Change::default();
        let (state, event, change) = match self.next {
            Next::Done(outcome) => {
                (JobState::Done, AuditEvent::Done, Change { outcome: Some(outcome.as_str()), ..change })
            }
            Next::Dead(reason) => {
                (JobState::Dead, AuditEvent::Dead, Change { dead_reason: Some(reason.as_str()), ..change })
            }
            Next::Held(reason) => {
                (JobState::Held, AuditEvent::Held, Change { hold_reason: Some(reason.as_str()), ..change })
            }
            Next::Retry { due_at, failed } => {
                let wake_at = Some(due_at.as_microsecond());
                (JobState::Queued, AuditEvent::RetryScheduled, Change { wake_at, failed, ..change })
            }
            Next::LookAgain { due_at, absent } => {
                let wake_at = Some(due_at.as_microsecond());
                (
                    JobState::Queued,
                    AuditEvent::LookScheduled,
                    Change { wake_at, absent: Some(absent.as_str()), ..change },
                )
            }
            Next::Prove { due_at } => {
                let event = if self.said_yes { AuditEvent::Revoked } else { AuditEvent::LookScheduled };
                (JobState::Proving, event, Change { wake_at: Some(due_at.as_microsecond()), ..change })
            }
            Next::Release => (JobState::Queued, AuditEvent::Released, Change { wake_at: Some(now), ..change }),
            // The gate's own row says the rest; this job is due as soon as it opens.
            Next::CloseGate(_) => {
                (JobState::Queued, AuditEvent::RetryScheduled, Change { wake_at: Some(now), ..change })
            }
        };
        let state = if state == JobState::Queued && self.proving { JobState::Proving } else { state };
        (state, event, Change { state: state as i64, ..change })
    }
}
