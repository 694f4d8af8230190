//! The end of an attempt.

use rusqlite::params;

use super::bind::rebind;
use super::record;
use super::tx::Tx;
use crate::audit::{Actor, AuditRecord};
use crate::domain::{JobState, Next};
use crate::store::StoreError;
use crate::store::ending::{Change, End};

/// Ends an attempt, if it is still the latest. An answer to its own call says nothing about an earlier one's.
pub(super) fn settle(tx: &mut Tx<'_>, end: &End) -> Result<(), StoreError> {
    let (to, event, change) = end.change(tx.steady);
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
