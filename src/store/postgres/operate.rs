//! What operators do, each with their name on it.

use serde_json::json;
use uuid::Uuid;

use super::bind::rebind;
use super::claim::closures_since;
use super::codec::{clean, get, optional_word, state, word};
use super::fault::Fault;
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{HoldReason, JobId, JobState, ProviderName, check_identifier};
use crate::store::StoreError;

/// One of them.
pub(super) enum Act {
    Requeue { job: JobId, reason: String },
    Cancel { job: JobId, reason: String },
    Approve { job: JobId, account_id: Option<String>, reason: String },
    CloseGate { provider: Option<ProviderName>, reason: HoldReason, note: String },
    OpenGate { provider: Option<ProviderName>, reason: HoldReason },
    RecordReading { delivery: i64 },
}

pub(super) async fn act(tx: &mut Tx<'_>, act: &Act, actor: &Actor) -> Result<(), Fault> {
    match act {
        Act::Requeue { job, reason } => requeue(tx, *job, actor, reason).await,
        Act::Cancel { job, reason } => cancel(tx, *job, actor, reason).await,
        Act::Approve { job, account_id, reason } => approve(tx, *job, actor, account_id.as_deref(), reason).await,
        Act::CloseGate { provider, reason, note } => close_gate(tx, provider.as_ref(), *reason, note, actor).await,
        Act::OpenGate { provider, reason } => open_gate(tx, provider.as_ref(), *reason, actor).await,
        Act::RecordReading { delivery } => {
            let detail = json!({"delivery": delivery}).to_string();
            tx.record(AuditEvent::BodyRead, None, None, actor, detail).await
        }
    }
}

struct Found {
    row: i64,
    state: JobState,
    provider: ProviderName,
    gated: bool,
    /// Also of a cancelled job: what it waited for then.
    hold_reason: Option<HoldReason>,
    merged_into: Option<Uuid>,
    held_since: Option<i64>,
    chosen_id: Option<String>,
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

/// Locks the job.
async fn find(tx: &Tx<'_>, job: JobId) -> Result<Found, Fault> {
    let sql = "SELECT seq, state, provider, hold_reason, merged_into, held_since, chosen_id, EXISTS (SELECT 1 FROM gates
         WHERE opened_at IS NULL AND gates.provider IN (jobs.provider, '')) AS gated FROM jobs WHERE id = $1 FOR UPDATE";
    let row = tx.one(sql, &[&job.0]).await?.ok_or(StoreError::NotFound("job"))?;
    Ok(Found {
        row: get(&row, "seq")?,
        state: state(&row, "state")?,
        provider: word(&row, "provider")?,
        gated: get(&row, "gated")?,
        hold_reason: optional_word(&row, "hold_reason")?,
        merged_into: get(&row, "merged_into")?,
        held_since: get(&row, "held_since")?,
        chosen_id: get(&row, "chosen_id")?,
    })
}

/// Makes a job due now, as if new. What waits for a person's consent is not let go by this, nor by way of cancelling it.
async fn requeue(tx: &mut Tx<'_>, job: JobId, actor: &Actor, reason: &str) -> Result<(), Fault> {
    let found = find(tx, job).await?;
    match found.state {
        JobState::Done | JobState::Dead => {}
        JobState::Held if found.awaits_consent() => return Err(not_agreed_to(&found).into()),
        JobState::Cancelled if found.merged_into.is_some() => return Err(done_elsewhere(&found).into()),
        JobState::Cancelled if found.awaits_consent() => return hold_again(tx, &found, job, actor, reason).await,
        JobState::Held | JobState::Cancelled => {}
        JobState::Queued | JobState::Leased | JobState::Proving => return Err(still_working(&found).into()),
    }
    rebind(tx, found.row, found.chosen_id.as_deref()).await?;
    let sql =
        "UPDATE jobs SET state = 0, wake_at = $2, created_at = $2, failures = 0, absence = NULL, held_since = NULL,
         held_total = 0, finished_at = NULL, outcome = NULL, hold_reason = NULL, dead_reason = NULL, note = NULL,
         said = NULL, proof = NULL, proving = false, lane = severity, account_id = chosen_id, insisted = true,
         approved = false, unread_ok = false WHERE seq = $1";
    tx.execute(sql, &[&found.row, &tx.steady]).await?;
    moved(tx, &found, job, JobState::Queued, AuditEvent::Requeued, actor, json!({"reason": reason})).await
}

/// Cancelled while it waited for consent: it waits again.
async fn hold_again(tx: &mut Tx<'_>, found: &Found, job: JobId, actor: &Actor, reason: &str) -> Result<(), Fault> {
    let sql = "UPDATE jobs SET state = 3, held_since = $2, finished_at = NULL, insisted = true,
         note = 'requeued after it was cancelled; nobody has agreed to it yet' WHERE seq = $1";
    tx.execute(sql, &[&found.row, &tx.steady]).await?;
    let detail = json!({"reason": reason, "hold_reason": found.hold_reason});
    moved(tx, found, job, JobState::Held, AuditEvent::Requeued, actor, detail).await
}

/// Ends a job that no worker holds.
async fn cancel(tx: &mut Tx<'_>, job: JobId, actor: &Actor, reason: &str) -> Result<(), Fault> {
    let found = find(tx, job).await?;
    match found.state {
        JobState::Queued | JobState::Proving | JobState::Held => {}
        JobState::Leased => return Err(still_working(&found).into()),
        JobState::Done | JobState::Dead | JobState::Cancelled => {
            return Err(StoreError::Conflict(format!("the job is {} already", found.state)).into());
        }
    }
    let note = if reason.is_empty() { "cancelled by an operator".to_owned() } else { format!("cancelled: {reason}") };
    let sql = "UPDATE jobs SET state = 6, wake_at = NULL, finished_at = $2, note = $3 WHERE seq = $1";
    tx.execute(sql, &[&found.row, &tx.moment.wall, &clean(&note)]).await?;
    moved(tx, &found, job, JobState::Cancelled, AuditEvent::Cancelled, actor, json!({"reason": reason})).await
}

/// Lets a held job go on.
async fn approve(
    tx: &mut Tx<'_>,
    job: JobId,
    actor: &Actor,
    account_id: Option<&str>,
    reason: &str,
) -> Result<(), Fault> {
    let found = find(tx, job).await?;
    if found.state != JobState::Held {
        return Err(not_held(&found).into());
    }
    if let Some(Err(error)) = account_id.map(check_identifier) {
        return Err(StoreError::Conflict(format!("the account_id {error}")).into());
    }
    let held_since = found.held_since.unwrap_or(tx.steady);
    // The time that it was behind a gate as well is counted there.
    let behind = closures_since(tx, found.provider.as_str(), held_since).await?.behind(held_since);
    if account_id.is_some() {
        rebind(tx, found.row, account_id).await?;
    }
    // Consent to act unread is given to an account by its id, after it is known that it cannot be read.
    let sql = "UPDATE jobs SET state = 0, wake_at = $2, approved = true, chosen_id = coalesce($3, chosen_id),
         account_id = coalesce($3, account_id), unread_ok = $3::text IS NOT NULL AND coalesce((SELECT
         detail::json #>> '{attempt,class}' = 'refused' FROM audit WHERE audit.seq = jobs.record), false),
         proof = NULL, proving = false, lane = severity, hold_reason = NULL, held_total = held_total + $4, held_since = NULL
         WHERE seq = $1";
    let held = (tx.steady - held_since - behind).max(0);
    tx.execute(sql, &[&found.row, &tx.steady, &account_id, &held]).await?;
    let detail = json!({"reason": reason, "account_id": account_id});
    moved(tx, &found, job, JobState::Queued, AuditEvent::Approved, actor, detail).await
}

fn not_agreed_to(found: &Found) -> StoreError {
    let reason = found.hold_reason.map_or("", HoldReason::as_str);
    StoreError::Conflict(format!("the job is held: {reason}; approve it or cancel it"))
}

fn done_elsewhere(found: &Found) -> StoreError {
    let into = found.merged_into.map(|id| JobId(id).to_string()).unwrap_or_default();
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

async fn moved(
    tx: &mut Tx<'_>,
    found: &Found,
    job: JobId,
    to: JobState,
    event: AuditEvent,
    actor: &Actor,
    detail: serde_json::Value,
) -> Result<(), Fault> {
    tx.count(&found.provider, Some(found.state), Some(to));
    if to == JobState::Queued {
        tx.wake();
    }
    tx.record(event, Some(job), None, actor, detail.to_string()).await
}

/// Closes a gate, unless it is closed for this reason already.
pub(super) async fn close_gate(
    tx: &mut Tx<'_>,
    provider: Option<&ProviderName>,
    reason: HoldReason,
    note: &str,
    actor: &Actor,
) -> Result<(), Fault> {
    let name = provider.map_or("", ProviderName::as_str);
    let sql = "INSERT INTO gates (provider, reason, note, closed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (provider, reason) WHERE opened_at IS NULL DO NOTHING";
    if tx.execute(sql, &[&name, &reason.as_str(), &clean(note), &tx.steady]).await? == 1 {
        let event = if reason == HoldReason::Paused { AuditEvent::Paused } else { AuditEvent::GateClosed };
        let detail = json!({"provider": provider, "reason": reason, "note": note});
        tx.record(event, None, None, actor, detail.to_string()).await?;
    }
    Ok(())
}

/// Opens a gate, if it is closed for this reason.
async fn open_gate(
    tx: &mut Tx<'_>,
    provider: Option<&ProviderName>,
    reason: HoldReason,
    actor: &Actor,
) -> Result<(), Fault> {
    let name = provider.map_or("", ProviderName::as_str);
    let sql = "UPDATE gates SET opened_at = $3 WHERE provider = $1 AND reason = $2 AND opened_at IS NULL";
    if tx.execute(sql, &[&name, &reason.as_str(), &tx.steady]).await? == 1 {
        let event = if reason == HoldReason::Paused { AuditEvent::Resumed } else { AuditEvent::GateOpened };
        let detail = json!({"provider": provider, "reason": reason});
        tx.record(event, None, None, actor, detail.to_string()).await?;
        tx.wake();
    }
    Ok(())
}
