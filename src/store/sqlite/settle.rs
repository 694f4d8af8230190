//! The end of an attempt.

use rusqlite::params;

use super::bind::rebind;
use super::codec::to_json;
use super::record;
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent, AuditRecord};
use crate::domain::{Claim, DeadReason, JobId, JobState, Next, Outcome, ProviderName, Settlement};
use crate::store::StoreError;

/// What a settlement writes into the job's row.
#[derive(Default)]
struct Change<'a> {
    state: i64,
    wake_at: Option<i64>,
    failed: bool,
    absent: Option<&'a str>,
    hold_reason: Option<&'a str>,
    dead_reason: Option<&'a str>,
    outcome: Option<&'a str>,
}

/// The end of an attempt, as text and numbers. It is made before it queues for the thread that writes.
pub(super) struct End {
    row: i64,
    fence: u32,
    job: JobId,
    provider: ProviderName,
    next: Next,
    proving: bool,
    answer_unknown: bool,
    said_yes: bool,
    account: Option<String>,
    message: String,
    proof: Option<String>,
    detail: String,
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
            detail: record::end(settlement)?,
        })
    }

    /// Whom the job is about, where this attempt tells.
    fn account(&self) -> Option<&str> {
        self.account.as_deref().filter(|_| !self.is_nobody())
    }

    /// Whether it turned out that there is no such account.
    fn is_nobody(&self) -> bool {
        matches!(self.next, Next::Done(Outcome::UnknownAccount) | Next::Dead(DeadReason::UnknownAccount))
    }
}

/// Ends an attempt, if it is still the latest. An answer to its own call says nothing about an earlier one's.
pub(super) fn settle(tx: &mut Tx<'_>, end: &End) -> Result<(), StoreError> {
    let (to, event, change) = change_of(tx, end);
    // Where the provider said yes, the account is the one that was bound just before the call.
    if !end.said_yes && (end.is_nobody() || end.account.is_some()) {
        name_account(tx, end)?;
    }
    let actor = Actor::system();
    if let Next::CloseGate(reason) = end.next {
        still_ours(tx, end)?;
        super::operate::close_gate(tx, Some(&end.provider), reason, &end.message, &actor)?;
    }
    // The first attempt has none before it.
    let earlier = if end.fence > 1 { record::of_job(tx, end.row)? } else { None };
    if !update(tx, end, to, &change)? {
        name_account(tx, end)?;
        update(tx, end, to, &change)?;
    }
    let record = AuditRecord { at: tx.now, event, job: Some(end.job), alert: None, actor: &actor, detail: &end.detail };
    tx.append(&record, earlier)?;
    tx.count(&end.provider, Some(JobState::Leased), Some(to));
    if matches!(to, JobState::Queued | JobState::Proving) {
        tx.wake();
    }
    Ok(())
}

fn change_of(tx: &Tx<'_>, end: &End) -> (JobState, AuditEvent, Change<'static>) {
    let change = Change::default();
    let (state, event, change) = match end.next {
        Next::Done(outcome) => (JobState::Done, AuditEvent::Done, Change { outcome: Some(outcome.as_str()), ..change }),
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
            (JobState::Queued, AuditEvent::LookScheduled, Change { wake_at, absent: Some(absent.as_str()), ..change })
        }
        Next::Prove { due_at } => {
            let event = if end.said_yes { AuditEvent::Revoked } else { AuditEvent::LookScheduled };
            (JobState::Proving, event, Change { wake_at: Some(due_at.as_microsecond()), ..change })
        }
        Next::Release => (JobState::Queued, AuditEvent::Released, Change { wake_at: Some(tx.steady), ..change }),
        // The gate's own row says the rest; this job is due as soon as it opens.
        Next::CloseGate(_) => {
            (JobState::Queued, AuditEvent::RetryScheduled, Change { wake_at: Some(tx.steady), ..change })
        }
    };
    let state = if state == JobState::Queued && end.proving { JobState::Proving } else { state };
    (state, event, Change { state: state as i64, ..change })
}

/// A later attempt exists: nothing that this one saw may change anything.
fn still_ours(tx: &Tx<'_>, end: &End) -> Result<(), StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE seq = ?1 AND attempts = ?2 AND state = 1)";
    let ours: bool = tx.sql(sql)?.query_row(params![end.row, end.fence], |row| row.get(0))?;
    if ours { Ok(()) } else { Err(StoreError::LeaseLost) }
}

fn name_account(tx: &mut Tx<'_>, end: &End) -> Result<(), StoreError> {
    still_ours(tx, end)?;
    rebind(tx, end.row, end.account())?;
    tx.sql("UPDATE jobs SET account_id = ?2 WHERE seq = ?1")?.execute(params![end.row, end.account()])?;
    Ok(())
}

/// `false`: the attempt is not the latest, or it tells another account than the one that is stored. Nearly always that is
/// the one that was bound, and its index is left alone.
fn update(tx: &Tx<'_>, end: &End, to: JobState, change: &Change<'_>) -> Result<bool, StoreError> {
    let updated = tx
        .sql(
            "UPDATE jobs SET state = ?3, lane = CASE WHEN ?16 THEN 5 ELSE severity END, wake_at = ?4,
             failures = failures + ?5, absence = coalesce(?6, absence), hold_reason = ?7, dead_reason = ?8,
             outcome = ?9, record = ?10, said = CASE WHEN ?11 THEN ?10 ELSE said END, proof = coalesce(?17, proof),
             proving = ?16, note = ?12, held_since = ?13, finished_at = ?14,
             call_open = CASE WHEN call_open = ?2 AND NOT ?15 THEN 0 ELSE call_open END
             WHERE seq = ?1 AND attempts = ?2 AND state = 1 AND coalesce(?18, account_id) IS account_id",
        )?
        .execute(params![
            end.row,
            end.fence,
            change.state,
            change.wake_at,
            change.failed,
            change.absent,
            change.hold_reason,
            change.dead_reason,
            change.outcome,
            tx.next_record(),
            end.said_yes,
            end.message,
            (to == JobState::Held).then_some(tx.steady),
            to.is_final().then_some(tx.now.as_microsecond()),
            end.answer_unknown,
            end.proving,
            end.proof,
            end.account(),
        ])?;
    Ok(updated == 1)
}
