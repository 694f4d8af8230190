//! What operators do, each with their name on it. What is refused is refused before anything is written.

use std::collections::HashMap;

use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

use super::bind::rebind;
use super::claim::closures_since;
use super::codec::{clean, get, job_id, optional_word, state, word};
use super::fault::Fault;
use super::tx::Tx;
use super::{circuit, four_eyes};
use crate::audit::{Actor, AuditEvent};
use crate::domain::{HoldReason, JobId, JobState, ProviderName, check_identifier};
use crate::store::{Consent, StoreError};

/// One of them.
pub(super) enum Act {
    Requeue { job: JobId, reason: String },
    Cancel { job: JobId, reason: String },
    Approve { job: JobId, consent: Consent },
    CloseGate { provider: Option<ProviderName>, reason: HoldReason, note: String },
    OpenGate { provider: Option<ProviderName>, reason: HoldReason },
    CloseCircuit { provider: ProviderName },
    RecordReading { delivery: i64 },
    RecordReload { digest: [u8; 32], changed: Vec<String> },
}

pub(super) async fn act(tx: &mut Tx<'_>, act: &Act, actor: &Actor) -> Result<(), Fault> {
    match act {
        Act::Requeue { job, reason } => {
            let found = find(tx, *job).await?;
            found.may_be_requeued()?;
            requeue(tx, &[found], actor, reason).await
        }
        Act::Cancel { job, reason } => {
            let found = find(tx, *job).await?;
            found.may_be_cancelled()?;
            cancel(tx, &[found], actor, reason).await
        }
        Act::Approve { job, consent } => {
            let found = find(tx, *job).await?;
            found.may_be_approved(actor, consent)?;
            approve(tx, &[found], actor, consent).await
        }
        Act::CloseGate { provider, reason, note } => close_gate(tx, provider.as_ref(), *reason, note, actor).await,
        Act::OpenGate { provider, reason } => open_gate(tx, provider.as_ref(), *reason, actor).await,
        Act::CloseCircuit { provider } => circuit::close(tx, provider, actor).await,
        Act::RecordReading { delivery } => {
            let detail = json!({"delivery": delivery}).to_string();
            tx.record(AuditEvent::BodyRead, None, None, actor, detail).await
        }
        Act::RecordReload { digest, changed } => {
            let detail = json!({"changed": changed, "sha256": hex::encode(digest)}).to_string();
            tx.record(AuditEvent::ConfigReloaded, None, None, actor, detail).await
        }
    }
}

/// A job that something is to be done about. Its row is locked.
pub(super) struct Found {
    pub(super) row: i64,
    pub(super) id: JobId,
    state: JobState,
    provider: ProviderName,
    gated: bool,
    /// Also of a cancelled job: what it waited for then.
    hold_reason: Option<HoldReason>,
    merged_into: Option<Uuid>,
    held_since: Option<i64>,
    account_id: Option<String>,
    chosen_id: Option<String>,
    asked_by: Vec<String>,
}

/// The columns of one.
pub(super) const FOUND: &str =
    "SELECT seq, id, state, provider, hold_reason, merged_into, held_since, account_id, chosen_id,
     asked_by, EXISTS (SELECT 1 FROM gates WHERE opened_at IS NULL AND gates.provider IN (jobs.provider, '')) AS gated
     FROM jobs";

impl Found {
    pub(super) fn read(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            row: get(row, "seq")?,
            id: job_id(row, "id")?,
            state: state(row, "state")?,
            provider: word(row, "provider")?,
            gated: get(row, "gated")?,
            hold_reason: optional_word(row, "hold_reason")?,
            merged_into: get(row, "merged_into")?,
            held_since: get(row, "held_since")?,
            account_id: get(row, "account_id")?,
            chosen_id: get(row, "chosen_id")?,
            asked_by: get(row, "asked_by")?,
        })
    }

    fn awaits_consent(&self) -> bool {
        match self.hold_reason {
            Some(HoldReason::Approval | HoldReason::Budget) => true,
            Some(HoldReason::Credential | HoldReason::Misconfigured | HoldReason::Account | HoldReason::Paused) => {
                false
            }
            None => false,
        }
    }

    /// Cancelled while it waited for consent: it waits again.
    fn waits_again(&self) -> bool {
        self.state == JobState::Cancelled && self.awaits_consent()
    }

    /// What waits for a person's consent is not let go by this, nor by way of cancelling it.
    pub(super) fn may_be_requeued(&self) -> Result<(), StoreError> {
        match self.state {
            JobState::Held if self.awaits_consent() => Err(not_agreed_to(self)),
            JobState::Cancelled if self.merged_into.is_some() => Err(done_elsewhere(self)),
            JobState::Done | JobState::Dead | JobState::Held | JobState::Cancelled => Ok(()),
            JobState::Queued | JobState::Leased | JobState::Proving => Err(still_working(self)),
        }
    }

    pub(super) fn may_be_cancelled(&self) -> Result<(), StoreError> {
        match self.state {
            JobState::Queued | JobState::Proving | JobState::Held => Ok(()),
            JobState::Leased => Err(still_working(self)),
            JobState::Done | JobState::Dead | JobState::Cancelled => {
                Err(StoreError::Conflict(format!("the job is {} already", self.state)))
            }
        }
    }

    pub(super) fn may_be_approved(&self, actor: &Actor, consent: &Consent) -> Result<(), StoreError> {
        if self.state != JobState::Held {
            return Err(not_held(self));
        }
        if consent.four_eyes {
            four_eyes::check(&self.asked_by, actor)?;
        }
        match consent.account_id.as_deref().map(check_identifier) {
            Some(Err(error)) => Err(StoreError::Conflict(format!("the account_id {error}"))),
            Some(Ok(_)) | None => Ok(()),
        }
    }
}

async fn find(tx: &Tx<'_>, job: JobId) -> Result<Found, Fault> {
    let row = tx.one(&format!("{FOUND} WHERE id = $1 FOR UPDATE"), &[&job.0]).await?;
    Found::read(&row.ok_or(StoreError::NotFound("job"))?)
}

fn rows<'f>(jobs: impl IntoIterator<Item = &'f Found>) -> Vec<i64> {
    jobs.into_iter().map(|job| job.row).collect()
}

/// Makes jobs due now, as if new.
pub(super) async fn requeue(tx: &mut Tx<'_>, jobs: &[Found], actor: &Actor, reason: &str) -> Result<(), Fault> {
    let (waiting, due): (Vec<_>, Vec<_>) = jobs.iter().partition(|job| job.waits_again());
    for job in due.iter().filter(|job| job.account_id.is_some() && job.account_id != job.chosen_id) {
        rebind(tx, job.row, job.chosen_id.as_deref()).await?;
    }
    let sql =
        "UPDATE jobs SET state = 0, wake_at = $2, created_at = $2, failures = 0, absence = NULL, held_since = NULL,
         held_total = 0, finished_at = NULL, outcome = NULL, hold_reason = NULL, dead_reason = NULL, note = NULL,
         said = NULL, proof = NULL, proving = false, lane = severity, account_id = chosen_id, insisted = true,
         approved = false, unread_ok = false, alike_ok = false, counted = false, past_budget = false
         WHERE seq = ANY($1)";
    tx.execute(sql, &[&rows(due), &tx.steady]).await?;
    let sql = "UPDATE jobs SET state = 3, held_since = $2, finished_at = NULL, insisted = true,
         note = 'requeued after it was cancelled; nobody has agreed to it yet' WHERE seq = ANY($1)";
    tx.execute(sql, &[&rows(waiting), &tx.steady]).await?;
    four_eyes::asked(tx, &rows(jobs), actor).await?;
    for job in jobs {
        let (to, detail) = if job.waits_again() {
            (JobState::Held, json!({"reason": reason, "hold_reason": job.hold_reason}))
        } else {
            (JobState::Queued, json!({"reason": reason}))
        };
        moved(tx, job, to, AuditEvent::Requeued, actor, &detail).await?;
    }
    Ok(())
}

/// Ends jobs that no worker holds.
pub(super) async fn cancel(tx: &mut Tx<'_>, jobs: &[Found], actor: &Actor, reason: &str) -> Result<(), Fault> {
    let note = if reason.is_empty() { "cancelled by an operator".to_owned() } else { format!("cancelled: {reason}") };
    let sql = "UPDATE jobs SET state = 6, wake_at = NULL, finished_at = $2, note = $3 WHERE seq = ANY($1)";
    tx.execute(sql, &[&rows(jobs), &tx.moment.wall, &clean(&note)]).await?;
    let detail = json!({"reason": reason});
    for job in jobs {
        moved(tx, job, JobState::Cancelled, AuditEvent::Cancelled, actor, &detail).await?;
    }
    Ok(())
}

/// Lets held jobs go on.
pub(super) async fn approve(tx: &mut Tx<'_>, jobs: &[Found], actor: &Actor, consent: &Consent) -> Result<(), Fault> {
    let account_id = consent.account_id.as_deref();
    let held = held(tx, jobs).await?;
    if account_id.is_some() {
        for job in jobs {
            rebind(tx, job.row, account_id).await?;
        }
    }
    // Consent to act unread is given to an account by its id, after it is known that it cannot be read; to one whose other
    // name looks protected, after that was seen; and to go past the budgets, after one had no room.
    let sql = "UPDATE jobs SET state = 0, wake_at = $3, approved = true, chosen_id = coalesce($4, chosen_id),
         account_id = coalesce($4, account_id), unread_ok = CASE WHEN hold_reason = 'budget' AND $4::text IS NULL
         THEN unread_ok ELSE $4 IS NOT NULL AND coalesce((SELECT detail::json #>> '{attempt,class}' = 'refused'
         FROM audit WHERE audit.seq = jobs.record), false) END,
         alike_ok = ($4 IS NULL OR $4 IS NOT DISTINCT FROM account_id) AND coalesce((SELECT
         detail::json #>> '{attempt,class}' = 'guarded' AND json_typeof(detail::json -> 'account') = 'object'
         FROM audit WHERE audit.seq = jobs.record), false),
         past_budget = past_budget OR coalesce(hold_reason = 'budget', false),
         proof = NULL, proving = false, lane = severity, hold_reason = NULL, held_total = held_total + b.held,
         held_since = NULL FROM (SELECT unnest($1::bigint[]) AS row,
           unnest($2::bigint[]) AS held) AS b WHERE jobs.seq = b.row";
    tx.execute(sql, &[&rows(jobs), &held, &tx.steady, &account_id]).await?;
    let detail = json!({"reason": consent.reason, "account_id": account_id});
    for job in jobs {
        moved(tx, job, JobState::Queued, AuditEvent::Approved, actor, &detail).await?;
    }
    Ok(())
}

/// For how long each was held. The time that it was behind a gate as well is counted there.
async fn held(tx: &Tx<'_>, jobs: &[Found]) -> Result<Vec<i64>, Fault> {
    let since = |job: &Found| job.held_since.unwrap_or(tx.steady);
    let mut closures = HashMap::new();
    for job in jobs {
        let provider = job.provider.as_str();
        if !closures.contains_key(provider) {
            let jobs = jobs.iter().filter(|other| other.provider == job.provider);
            let first = jobs.map(since).min().unwrap_or(tx.steady);
            closures.insert(provider, closures_since(tx, provider, first).await?);
        }
    }
    let behind = |job: &Found| closures.get(job.provider.as_str()).map_or(0, |closures| closures.behind(since(job)));
    Ok(jobs.iter().map(|job| (tx.steady - since(job) - behind(job)).max(0)).collect())
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
    job: &Found,
    to: JobState,
    event: AuditEvent,
    actor: &Actor,
    detail: &serde_json::Value,
) -> Result<(), Fault> {
    tx.count(&job.provider, Some(job.state), Some(to));
    if to == JobState::Queued {
        tx.wake();
    }
    tx.record(event, Some(job.id), None, actor, detail.to_string()).await
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
