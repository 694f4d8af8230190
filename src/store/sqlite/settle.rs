//! The end of an attempt, and the moment before its call.

use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

use super::codec::{job_id, json, micros, state, to_json, word};
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{
    Attempt, DeadReason, JobId, JobState, Next, Outcome, Proof, ProviderName, RevokeRequest, Settlement,
};
use crate::store::{Bound, StoreError};

/// How long a job waits for another one's call for the same account.
const BUSY_RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// A job as far as merging looks at it.
struct Candidate {
    row: i64,
    id: JobId,
    state: JobState,
    request: RevokeRequest,
    call_open: bool,
}

impl Candidate {
    /// Whether it does everything that `request` asks.
    fn covers(&self, request: &RevokeRequest) -> bool {
        let both = self.request.clone().union(request.clone());
        self.request.scope.covers(&request.scope)
            && both.oauth_tokens == self.request.oauth_tokens
            && both.forget_devices == self.request.forget_devices
    }
}

struct Ours {
    id: JobId,
    provider: ProviderName,
    request: RevokeRequest,
    dry_run: bool,
    insisted: bool,
}

/// Records the account just before the call, unless another job does the same for it.
pub(super) fn bind(
    tx: &mut Tx<'_>,
    row: i64,
    fence: u32,
    account: &str,
    proof: Option<&Proof>,
) -> Result<Bound, StoreError> {
    let ours = ours(tx, row, fence)?;
    if !ours.insisted {
        let done = done_for_our_alerts(tx, row, account, &ours)?;
        if let Some(other) = done.iter().find(|other| other.covers(&ours.request)) {
            return merge(tx, row, &ours, other, account);
        }
    }
    for other in open_for(tx, row, account, &ours)? {
        if other.state == JobState::Queued {
            widen(tx, row, &ours, &other)?;
            return merge(tx, row, &ours, &other, account);
        }
        let same_alert = !ours.insisted && shares_alert(tx, row, other.row)?;
        if same_alert && other.covers(&ours.request) {
            return merge(tx, row, &ours, &other, account);
        }
        if other.state == JobState::Leased && other.call_open {
            return postpone(tx, row, &ours);
        }
    }
    rebind(tx, row, Some(account))?;
    // Whoever was found has not been missing twice in a row.
    tx.sql(
        "UPDATE jobs SET account_id = ?2, repeated = repeated + (call_open > 0), call_open = ?3,
         proof = coalesce(?4, proof), absence = CASE absence WHEN 'account' THEN NULL ELSE absence END WHERE seq = ?1",
    )?
    .execute(params![row, account, fence, proof.map(to_json).transpose()?])?;
    Ok(Bound::Proceed)
}

/// A lease that is over may be another's at any moment: no call is begun under it.
fn ours(tx: &Tx<'_>, row: i64, fence: u32) -> Result<Ours, StoreError> {
    tx.sql(
        "SELECT id, provider, request, dry_run, insisted FROM jobs
         WHERE seq = ?1 AND attempts = ?2 AND state = 1 AND lease_until > ?3",
    )?
    .query_row(params![row, fence, tx.steady], |row| {
        Ok(Ours {
            id: job_id(row, "id")?,
            provider: word(row, "provider")?,
            request: json(row, "request")?,
            dry_run: row.get("dry_run")?,
            insisted: row.get("insisted")?,
        })
    })
    .optional()?
    .ok_or(StoreError::LeaseLost)
}

/// Jobs that ended well for this account and one of our alerts. One that sent nothing, or found nobody, ended nothing.
fn done_for_our_alerts(tx: &Tx<'_>, row: i64, account: &str, ours: &Ours) -> Result<Vec<Candidate>, StoreError> {
    let sql = "SELECT seq, id, state, request, call_open FROM jobs WHERE account_id = ?1 AND state = 4
               AND provider = ?2 AND dry_run = ?3 AND seq <> ?4 AND outcome NOT IN ('dry_run', 'unknown_account')
               AND EXISTS (SELECT 1 FROM alert_jobs a JOIN alert_jobs b ON a.alert = b.alert
                           WHERE a.job = ?4 AND b.job = jobs.seq)
               ORDER BY seq DESC";
    candidates(tx, sql, row, account, ours)
}

/// Jobs for this account that are still to end.
fn open_for(tx: &Tx<'_>, row: i64, account: &str, ours: &Ours) -> Result<Vec<Candidate>, StoreError> {
    let sql = "SELECT seq, id, state, request, call_open FROM jobs WHERE account_id = ?1 AND state IN (0, 1, 2, 3)
               AND provider = ?2 AND dry_run = ?3 AND seq <> ?4 ORDER BY seq DESC";
    candidates(tx, sql, row, account, ours)
}

fn candidates(
    tx: &Tx<'_>,
    sql: &'static str,
    row: i64,
    account: &str,
    ours: &Ours,
) -> Result<Vec<Candidate>, StoreError> {
    let mut statement = tx.sql(sql)?;
    let read = |row: &Row<'_>| {
        Ok(Candidate {
            row: row.get("seq")?,
            id: job_id(row, "id")?,
            state: state(row, "state")?,
            request: json(row, "request")?,
            call_open: row.get("call_open")?,
        })
    };
    let rows = statement.query_map(params![account, ours.provider.as_str(), ours.dry_run, row], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn shares_alert(tx: &Tx<'_>, one: i64, other: i64) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM alert_jobs a JOIN alert_jobs b ON a.alert = b.alert
               WHERE a.job = ?1 AND b.job = ?2)";
    Ok(tx.sql(sql)?.query_row([one, other], |row| row.get(0))?)
}

/// The other one is still to make its call: it takes over our alerts and does what both ask, now, with the looks and
/// the time that the younger of the two has left. Sessions that began since an earlier call of its are to end as well.
fn widen(tx: &mut Tx<'_>, row: i64, ours: &Ours, other: &Candidate) -> Result<(), StoreError> {
    let request = other.request.clone().union(ours.request.clone());
    tx.sql(
        "UPDATE jobs SET request = ?2, due_at = min(jobs.due_at, ?3), severity = max(jobs.severity, o.severity),
         lane = max(jobs.severity, o.severity), proof = NULL, absence = NULL, created_at = max(jobs.created_at, o.created_at),
         held_total = CASE WHEN o.created_at > jobs.created_at THEN o.held_total ELSE jobs.held_total END,
         insisted = max(jobs.insisted, o.insisted)
         FROM (SELECT * FROM jobs WHERE seq = ?4) AS o WHERE jobs.seq = ?1",
    )?
    .execute(params![other.row, to_json(&request)?, tx.steady, row])?;
    let detail = json!({"job": ours.id}).to_string();
    tx.record(AuditEvent::Absorbed, Some(other.id), None, &Actor::system(), &detail)?;
    Ok(())
}

fn merge(tx: &mut Tx<'_>, row: i64, ours: &Ours, other: &Candidate, account: &str) -> Result<Bound, StoreError> {
    tx.sql("UPDATE OR IGNORE alert_jobs SET job = ?2 WHERE job = ?1 AND ?3")?.execute(params![
        row,
        other.row,
        other.state == JobState::Queued
    ])?;
    tx.sql(
        "UPDATE jobs SET state = 6, lease_until = NULL, account_id = ?2, merged_into = ?3, finished_at = ?4,
         note = 'another job does this for the same account' WHERE seq = ?1",
    )?
    .execute(params![row, account, other.id.0.into_bytes(), tx.now.as_microsecond()])?;
    tx.count(ours.provider.as_str(), Some(JobState::Leased), Some(JobState::Cancelled));
    let detail = json!({"merged_into": other.id, "account_id": account}).to_string();
    tx.record(AuditEvent::Cancelled, Some(ours.id), None, &Actor::system(), &detail)?;
    tx.wake();
    Ok(Bound::Merged(other.id))
}

/// Comes before every change of a job's account. Where it was to act on an account for others as well, and now it means
/// somebody else or nobody, those others act for themselves.
pub(super) fn rebind(tx: &mut Tx<'_>, row: i64, account: Option<&str>) -> Result<(), StoreError> {
    let before: Option<String> =
        tx.sql("SELECT account_id FROM jobs WHERE seq = ?1")?.query_row([row], |row| row.get(0))?;
    if before.is_some() && before.as_deref() != account { revive_merged(tx, row) } else { Ok(()) }
}

fn revive_merged(tx: &mut Tx<'_>, row: i64) -> Result<(), StoreError> {
    let revived: Vec<(i64, JobId, String)> = tx
        .sql(
            "UPDATE jobs SET state = 0, due_at = ?2, created_at = ?2, held_total = 0, absence = NULL, proof = NULL, proving = 0, lane = severity, merged_into = NULL,
             finished_at = NULL, note = NULL
             FROM (SELECT id AS into_id, account_id AS into_account FROM jobs WHERE seq = ?1) AS o
             WHERE jobs.account_id = o.into_account AND jobs.state = 6 AND jobs.merged_into = o.into_id
             RETURNING jobs.seq, jobs.id, jobs.provider",
        )?
        .query_map(params![row, tx.steady], |row| Ok((row.get("seq")?, job_id(row, "id")?, row.get("provider")?)))?
        .collect::<Result<_, _>>()?;
    for (other, id, provider) in &revived {
        // Its alert is its own again, unless both came of one.
        tx.sql(
            "UPDATE alert_jobs SET job = ?2
             WHERE job = ?1 AND alert = (SELECT a.seq FROM alerts a JOIN jobs j ON j.alert_id = a.id WHERE j.seq = ?2)
             AND alert <> (SELECT a.seq FROM alerts a JOIN jobs j ON j.alert_id = a.id WHERE j.seq = ?1)",
        )?
        .execute([row, *other])?;
        tx.count(provider, Some(JobState::Cancelled), Some(JobState::Queued));
        let detail = r#"{"reason":"the job it was merged into is about another account"}"#;
        tx.record(AuditEvent::Requeued, Some(*id), None, &Actor::system(), detail)?;
        tx.wake();
    }
    Ok(())
}

fn postpone(tx: &mut Tx<'_>, row: i64, ours: &Ours) -> Result<Bound, StoreError> {
    tx.sql("UPDATE jobs SET state = 0, lease_until = NULL, due_at = ?2 WHERE seq = ?1")?
        .execute(params![row, tx.steady.saturating_add(micros(BUSY_RETRY))])?;
    tx.count(ours.provider.as_str(), Some(JobState::Leased), Some(JobState::Queued));
    tx.record(AuditEvent::Released, Some(ours.id), None, &Actor::system(), r#"{"reason":"account busy"}"#)?;
    Ok(Bound::Busy)
}

/// What a settlement writes into the job's row.
#[derive(Default)]
struct Change<'a> {
    state: i64,
    due_at: Option<i64>,
    failed: bool,
    absent: Option<&'a str>,
    hold_reason: Option<&'a str>,
    dead_reason: Option<&'a str>,
    outcome: Option<&'a str>,
}

/// Ends an attempt, if it is still the latest. An answer to its own call says nothing about an earlier one's.
pub(super) fn settle(tx: &mut Tx<'_>, row: i64, fence: u32, settlement: &Settlement) -> Result<(), StoreError> {
    let (to, event, change) = change_of(tx, settlement);
    let account = settlement.account.as_ref().map(|account| account.id.as_str());
    let is_nobody =
        matches!(settlement.next, Next::Done(Outcome::UnknownAccount) | Next::Dead(DeadReason::UnknownAccount));
    // Where the provider said yes, the account is the one that was bound just before the call.
    if settlement.revocation.is_none() && (is_nobody || account.is_some()) {
        still_ours(tx, row, fence)?;
        rebind(tx, row, account.filter(|_| !is_nobody))?;
    }
    let (job, provider) = update(tx, row, fence, settlement, to, &change, is_nobody)?;
    insert_attempt(tx, row, &settlement.attempt)?;
    if let Next::CloseGate(reason) = settlement.next {
        let note = &settlement.attempt.message;
        super::operate::close_gate(tx, Some(&provider), reason, note, &Actor::system())?;
    }
    tx.count(provider.as_str(), Some(JobState::Leased), Some(to));
    if matches!(to, JobState::Queued | JobState::Proving) {
        tx.wake();
    }
    record(tx, job, event, settlement)
}

fn change_of(tx: &Tx<'_>, settlement: &Settlement) -> (JobState, AuditEvent, Change<'static>) {
    let change = Change::default();
    let (state, event, change) = match settlement.next {
        Next::Done(outcome) => (JobState::Done, AuditEvent::Done, Change { outcome: Some(outcome.as_str()), ..change }),
        Next::Dead(reason) => {
            (JobState::Dead, AuditEvent::Dead, Change { dead_reason: Some(reason.as_str()), ..change })
        }
        Next::Held(reason) => {
            (JobState::Held, AuditEvent::Held, Change { hold_reason: Some(reason.as_str()), ..change })
        }
        Next::Retry { due_at, failed } => {
            let due_at = Some(due_at.as_microsecond());
            (JobState::Queued, AuditEvent::RetryScheduled, Change { due_at, failed, ..change })
        }
        Next::LookAgain { due_at, absent } => {
            let due_at = Some(due_at.as_microsecond());
            (JobState::Queued, AuditEvent::LookScheduled, Change { due_at, absent: Some(absent.as_str()), ..change })
        }
        Next::Prove { due_at } => {
            let event = if settlement.revocation.is_some() { AuditEvent::Revoked } else { AuditEvent::LookScheduled };
            (JobState::Proving, event, Change { due_at: Some(due_at.as_microsecond()), ..change })
        }
        Next::Release => (JobState::Queued, AuditEvent::Released, Change { due_at: Some(tx.steady), ..change }),
        // The gate's own row says the rest; this job is due as soon as it opens.
        Next::CloseGate(_) => {
            (JobState::Queued, AuditEvent::RetryScheduled, Change { due_at: Some(tx.steady), ..change })
        }
    };
    let state = if state == JobState::Queued && settlement.proving { JobState::Proving } else { state };
    (state, event, Change { state: state as i64, ..change })
}

/// A later attempt exists: nothing that this one saw may change anything.
fn still_ours(tx: &Tx<'_>, row: i64, fence: u32) -> Result<(), StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE seq = ?1 AND attempts = ?2 AND state = 1)";
    let ours: bool = tx.sql(sql)?.query_row(params![row, fence], |row| row.get(0))?;
    if ours { Ok(()) } else { Err(StoreError::LeaseLost) }
}

fn update(
    tx: &Tx<'_>,
    row: i64,
    fence: u32,
    settlement: &Settlement,
    to: JobState,
    change: &Change<'_>,
    is_nobody: bool,
) -> Result<(JobId, ProviderName), StoreError> {
    let result = settlement.revocation.as_ref().map(to_json).transpose()?;
    let proof = settlement.proof.as_ref().map(to_json).transpose()?;
    tx.sql(
        "UPDATE jobs SET state = ?3, due_at = ?4, lease_until = NULL, failures = failures + ?5,
         absence = coalesce(?6, absence), hold_reason = ?7, dead_reason = ?8,
         outcome = ?9, result = coalesce(?10, result), proof = coalesce(?17, proof), proving = ?18,
         lane = CASE WHEN ?18 THEN 5 ELSE severity END,
         account_id = CASE WHEN ?16 THEN NULL ELSE coalesce(?11, account_id) END, note = ?12,
         held_since = ?13, finished_at = ?14, call_open = CASE WHEN call_open = ?2 AND NOT ?15 THEN 0 ELSE call_open END
         WHERE seq = ?1 AND attempts = ?2 AND state = 1 RETURNING id, provider",
    )?
    .query_row(
        params![
            row,
            fence,
            change.state,
            change.due_at,
            change.failed,
            change.absent,
            change.hold_reason,
            change.dead_reason,
            change.outcome,
            result,
            settlement.account.as_ref().map(|account| account.id.as_str()),
            settlement.attempt.message,
            (to == JobState::Held).then_some(tx.steady),
            to.is_final().then_some(tx.now.as_microsecond()),
            settlement.answer_unknown,
            is_nobody,
            proof,
            settlement.proving,
        ],
        |row| Ok((job_id(row, "id")?, word(row, "provider")?)),
    )
    .optional()?
    .ok_or(StoreError::LeaseLost)
}

fn record(tx: &mut Tx<'_>, job: JobId, event: AuditEvent, settlement: &Settlement) -> Result<(), StoreError> {
    // A JSON value has its keys in order, so that whoever reads the record through the API can hash the same text.
    let detail = json!({
        "attempt": settlement.attempt,
        "account": settlement.account,
        "result": settlement.revocation,
        "next": describe(settlement.next),
    });
    tx.record(event, Some(job), None, &Actor::system(), &detail.to_string())?;
    Ok(())
}

fn describe(next: Next) -> serde_json::Value {
    match next {
        Next::Done(outcome) => json!({"outcome": outcome}),
        Next::Dead(reason) => json!({"dead_reason": reason}),
        Next::Held(reason) => json!({"hold_reason": reason}),
        Next::Retry { due_at, .. } | Next::LookAgain { due_at, .. } | Next::Prove { due_at } => {
            json!({"due_at": due_at})
        }
        Next::Release => json!({}),
        Next::CloseGate(reason) => json!({"gate": reason}),
    }
}

pub(super) fn insert_attempt(tx: &Tx<'_>, job: i64, attempt: &Attempt) -> Result<(), StoreError> {
    tx.sql("INSERT OR REPLACE INTO attempts (job, number, data) VALUES (?1, ?2, ?3)")?.execute(params![
        job,
        attempt.number,
        to_json(attempt)?
    ])?;
    Ok(())
}
