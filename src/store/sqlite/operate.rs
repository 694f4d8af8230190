//! What operators do, each with their name on it.

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::closures;
use super::codec::{optional_word, state, word};
use super::four_eyes;
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{HoldReason, JobId, JobState, ProviderName, check_identifier};
use crate::store::{Consent, StoreError};

struct Found {
    row: i64,
    state: JobState,
    provider: ProviderName,
    gated: bool,
    /// Also of a cancelled job: what it waited for then.
    hold_reason: Option<HoldReason>,
    merged_into: Option<[u8; 16]>,
}

impl Found {
    fn awaits_consent(&self) -> bool {
        match self.hold_reason {
            Some(HoldReason::Approval | HoldReason::Budget) => true,
            Some(HoldReason::Credential | HoldReason::Misconfigured | HoldReason::Account | HoldReason::Paused) => {
                false
            }
            None => false,
        }
    }
}

fn find(tx: &Tx<'_>, job: JobId) -> Result<Found, StoreError> {
    tx.sql(
        "SELECT seq, state, provider, hold_reason, merged_into, EXISTS (SELECT 1 FROM gates WHERE opened_at IS NULL
         AND gates.provider IN (jobs.provider, '')) AS gated FROM jobs WHERE id = ?1",
    )?
    .query_row([job.0.into_bytes()], |row| {
        Ok(Found {
            row: row.get("seq")?,
            state: state(row, "state")?,
            provider: word(row, "provider")?,
            gated: row.get("gated")?,
            hold_reason: optional_word(row, "hold_reason")?,
            merged_into: row.get("merged_into")?,
        })
    })
    .optional()?
    .ok_or(StoreError::NotFound("job"))
}

/// Makes a job due now, as if new. What waits for a person's consent is not let go by this, nor by way of cancelling it.
pub(super) fn requeue(tx: &mut Tx<'_>, job: JobId, actor: &Actor, reason: &str) -> Result<(), StoreError> {
    let found = find(tx, job)?;
    match found.state {
        JobState::Done | JobState::Dead => {}
        JobState::Held if found.awaits_consent() => return Err(not_agreed_to(&found)),
        JobState::Cancelled if found.merged_into.is_some() => return Err(done_elsewhere(&found)),
        JobState::Cancelled if found.awaits_consent() => return hold_again(tx, &found, job, actor, reason),
        JobState::Held | JobState::Cancelled => {}
        JobState::Queued | JobState::Leased | JobState::Proving => return Err(still_working(&found)),
    }
    let chosen: Option<String> =
        tx.sql("SELECT chosen_id FROM jobs WHERE seq = ?1")?.query_row([found.row], |row| row.get(0))?;
    super::bind::rebind(tx, found.row, chosen.as_deref())?;
    tx.sql(
        "UPDATE jobs SET state = 0, wake_at = ?2, created_at = ?2, failures = 0, absence = NULL, held_since = NULL,
         held_total = 0, finished_at = NULL, outcome = NULL, hold_reason = NULL, dead_reason = NULL, note = NULL,
         said = NULL, proof = NULL, proving = 0, lane = severity, account_id = chosen_id, insisted = 1, approved = 0,
         unread_ok = 0, alike_ok = 0, counted = 0, past_budget = 0 WHERE seq = ?1",
    )?
    .execute(params![found.row, tx.steady])?;
    four_eyes::asked(tx, found.row, actor)?;
    moved(tx, &found, job, JobState::Queued, AuditEvent::Requeued, actor, json!({"reason": reason}))
}

/// Cancelled while it waited for consent: it waits again.
fn hold_again(tx: &mut Tx<'_>, found: &Found, job: JobId, actor: &Actor, reason: &str) -> Result<(), StoreError> {
    tx.sql(
        "UPDATE jobs SET state = 3, held_since = ?2, finished_at = NULL, insisted = 1,
         note = 'requeued after it was cancelled; nobody has agreed to it yet' WHERE seq = ?1",
    )?
    .execute(params![found.row, tx.steady])?;
    four_eyes::asked(tx, found.row, actor)?;
    let detail = json!({"reason": reason, "hold_reason": found.hold_reason});
    moved(tx, found, job, JobState::Held, AuditEvent::Requeued, actor, detail)
}

/// Ends a job that no worker holds.
pub(super) fn cancel(tx: &mut Tx<'_>, job: JobId, actor: &Actor, reason: &str) -> Result<(), StoreError> {
    let found = find(tx, job)?;
    match found.state {
        JobState::Queued | JobState::Proving | JobState::Held => {}
        JobState::Leased => return Err(still_working(&found)),
        JobState::Done | JobState::Dead | JobState::Cancelled => {
            return Err(StoreError::Conflict(format!("the job is {} already", found.state)));
        }
    }
    tx.sql("UPDATE jobs SET state = 6, wake_at = NULL, finished_at = ?2, note = ?3 WHERE seq = ?1")?
        .execute(params![found.row, tx.now.as_microsecond(), cancelled_note(reason)])?;
    moved(tx, &found, job, JobState::Cancelled, AuditEvent::Cancelled, actor, json!({"reason": reason}))
}

fn cancelled_note(reason: &str) -> String {
    if reason.is_empty() { "cancelled by an operator".to_owned() } else { format!("cancelled: {reason}") }
}

/// Lets a held job go on.
pub(super) fn approve(tx: &mut Tx<'_>, job: JobId, actor: &Actor, consent: &Consent) -> Result<(), StoreError> {
    let account_id = consent.account_id.as_deref();
    let found = find(tx, job)?;
    if found.state != JobState::Held {
        return Err(not_held(&found));
    }
    if consent.four_eyes {
        four_eyes::check(tx, found.row, actor)?;
    }
    if let Some(Err(error)) = account_id.map(check_identifier) {
        return Err(StoreError::Conflict(format!("the account_id {error}")));
    }
    let held_since: Option<i64> =
        tx.sql("SELECT held_since FROM jobs WHERE seq = ?1")?.query_row([found.row], |row| row.get(0))?;
    let held_since = held_since.unwrap_or(tx.steady);
    // The time that it was behind a gate as well is counted there.
    let behind = closures::since(tx, found.provider.as_str(), held_since)?.behind(held_since);
    if account_id.is_some() {
        super::bind::rebind(tx, found.row, account_id)?;
    }
    // Consent to act unread is given to an account by its id, after it is known that it cannot be read; to one whose other
    // name looks protected, after that was seen; and to go past the budgets, after one had no room.
    tx.sql(
        "UPDATE jobs SET state = 0, wake_at = ?2, approved = 1, chosen_id = coalesce(?3, chosen_id),
         account_id = coalesce(?3, account_id), unread_ok = CASE WHEN hold_reason = 'budget' AND ?3 IS NULL THEN unread_ok
         ELSE ?3 IS NOT NULL AND coalesce((SELECT json_extract(detail, '$.attempt.class') = 'refused' FROM audit
         WHERE audit.seq = jobs.record), 0) END,
         alike_ok = (?3 IS NULL OR ?3 IS account_id) AND coalesce((SELECT json_extract(detail, '$.attempt.class') = 'guarded'
         AND json_type(detail, '$.account') = 'object' FROM audit WHERE audit.seq = jobs.record), 0),
         past_budget = past_budget OR hold_reason = 'budget',
         proof = NULL, proving = 0, lane = severity, hold_reason = NULL, held_total = held_total + ?4, held_since = NULL
         WHERE seq = ?1",
    )?
    .execute(params![found.row, tx.steady, account_id, (tx.steady - held_since - behind).max(0)])?;
    let detail = json!({"reason": consent.reason, "account_id": account_id});
    moved(tx, &found, job, JobState::Queued, AuditEvent::Approved, actor, detail)
}

fn not_agreed_to(found: &Found) -> StoreError {
    let reason = found.hold_reason.map_or("", HoldReason::as_str);
    StoreError::Conflict(format!("the job is held: {reason}; approve it or cancel it"))
}

fn done_elsewhere(found: &Found) -> StoreError {
    let into = found.merged_into.map(|id| JobId(uuid::Uuid::from_bytes(id)).to_string()).unwrap_or_default();
    StoreError::Conflict(format!("the job is cancelled because {into} does its work; requeue that one"))
}

fn still_working(found: &Found) -> StoreError {
    let mend = match found.state {
        JobState::Leased => "; an attempt is running, try again in a moment",
        JobState::Queued if found.gated => "; all jobs of its provider wait, and it goes on when they do",
        _ => "; it is worked on without being asked",
    };
    StoreError::Conflict(format!("the job is {}{mend}", found.state))
}

fn not_held(found: &Found) -> StoreError {
    if found.gated && found.state == JobState::Queued {
        let provider = &found.provider;
        return StoreError::Conflict(format!(
            "all jobs of {provider} wait, and approval does not change that: mend its credential or settings, or resume it"
        ));
    }
    StoreError::Conflict(format!("the job is {}, and only held jobs can be approved", found.state))
}

fn moved(
    tx: &mut Tx<'_>,
    found: &Found,
    job: JobId,
    to: JobState,
    event: AuditEvent,
    actor: &Actor,
    detail: serde_json::Value,
) -> Result<(), StoreError> {
    tx.count(&found.provider, Some(found.state), Some(to));
    if to == JobState::Queued {
        tx.wake();
    }
    tx.record(event, Some(job), None, actor, &detail.to_string())?;
    Ok(())
}

/// Closes a gate, unless it is closed for this reason already.
pub(super) fn close_gate(
    tx: &mut Tx<'_>,
    provider: Option<&ProviderName>,
    reason: HoldReason,
    note: &str,
    actor: &Actor,
) -> Result<(), StoreError> {
    let name = provider.map_or("", ProviderName::as_str);
    let closed = tx
        .sql("INSERT OR IGNORE INTO gates (provider, reason, note, closed_at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![name, reason.as_str(), note, tx.steady])?;
    if closed == 1 {
        let event = if reason == HoldReason::Paused { AuditEvent::Paused } else { AuditEvent::GateClosed };
        let detail = json!({"provider": provider, "reason": reason, "note": note});
        tx.record(event, None, None, actor, &detail.to_string())?;
    }
    Ok(())
}

/// Opens a gate, if it is closed for this reason.
pub(super) fn open_gate(
    tx: &mut Tx<'_>,
    provider: Option<&ProviderName>,
    reason: HoldReason,
    actor: &Actor,
) -> Result<(), StoreError> {
    let name = provider.map_or("", ProviderName::as_str);
    let opened = tx
        .sql("UPDATE gates SET opened_at = ?3 WHERE provider = ?1 AND reason = ?2 AND opened_at IS NULL")?
        .execute(params![name, reason.as_str(), tx.steady])?;
    if opened == 1 {
        let event = if reason == HoldReason::Paused { AuditEvent::Resumed } else { AuditEvent::GateOpened };
        let detail = json!({"provider": provider, "reason": reason});
        tx.record(event, None, None, actor, &detail.to_string())?;
        tx.wake();
    }
    Ok(())
}

/// A person is about to see the body of a delivery.
pub(super) fn record_reading(tx: &mut Tx<'_>, seq: i64, actor: &Actor) -> Result<(), StoreError> {
    tx.record(AuditEvent::BodyRead, None, None, actor, &json!({"delivery": seq}).to_string())?;
    Ok(())
}
