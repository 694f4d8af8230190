//! The moment before a call: one is in flight for each account, no two do the same for one alert, and every budget has
//! room.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

use super::budget::{self, Count, Place, Room};
use super::codec::{job_id, json, micros, state, to_json, traces, word};
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{Account, Claim, HoldReason, JobId, JobState, Proof, ProviderName, RevokeRequest};
use crate::store::counting::Keyed;
use crate::store::merging::{BUSY_RETRY, covers};
use crate::store::{Bound, StoreError};

/// A job as far as merging looks at it.
struct Candidate {
    row: i64,
    id: JobId,
    state: JobState,
    request: RevokeRequest,
    call_open: bool,
}

struct Ours {
    id: JobId,
    provider: ProviderName,
    request: RevokeRequest,
    dry_run: bool,
    insisted: bool,
}

/// A call that is about to be made.
pub(super) struct Intent {
    row: i64,
    fence: u32,
    account: String,
    proof: Option<String>,
    /// `None`: no budget counts it.
    count: Option<Count>,
    /// The budgets have counted it with the account that it has.
    counted: bool,
}

impl Intent {
    pub(super) fn new(
        claim: &Claim,
        account: &Account,
        proof: Option<&Proof>,
        budgets: Arc<Keyed>,
    ) -> Result<Self, StoreError> {
        let count = Count::new(claim, account, budgets);
        let (account, proof) = (account.id.clone(), proof.map(to_json).transpose()?);
        Ok(Self { row: claim.row, fence: claim.attempt, account, proof, count, counted: claim.counted })
    }

    /// The budgets, if they have not counted it yet.
    fn uncounted(&self, counted: bool) -> Option<&Count> {
        self.count.as_ref().filter(|_| !counted)
    }
}

/// Records the account just before the call, unless another job does the same for it.
pub(super) fn bind(tx: &mut Tx<'_>, intent: &Intent) -> Result<Bound, StoreError> {
    // Before anything is written: a change that fails late undoes what others have been told.
    if !alone(tx, intent)? {
        return bind_beside_others(tx, intent);
    }
    // Mostly this is all there is to it: nobody else acts on the account, and the job has meant no other before.
    let place = match seek_room(tx, intent, intent.counted)? {
        Ok(place) => place,
        Err(words) => return hold(tx, intent, &words),
    };
    if call(tx, intent, place)? { Ok(Bound::Proceed) } else { bind_beside_others(tx, intent) }
}

/// A place in every budget that counts the job, or why there is none. `Ok(None)`: it needs none.
fn seek_room(tx: &mut Tx<'_>, intent: &Intent, counted: bool) -> Result<Result<Option<Place>, String>, StoreError> {
    let Some(count) = intent.uncounted(counted) else { return Ok(Ok(None)) };
    match budget::seek(tx, intent.row, count)? {
        Room::Free(place) => Ok(Ok(Some(place))),
        Room::Full(words) => Ok(Err(words)),
    }
}

/// The call may be made, and its person is counted with it.
fn call(tx: &mut Tx<'_>, intent: &Intent, place: Option<Place>) -> Result<bool, StoreError> {
    let opened = open_call(tx, intent, place.is_some())?;
    if let (Some(place), Some(count)) = (place.filter(|_| opened), &intent.count) {
        place.take(tx, count)?;
    }
    Ok(opened)
}

/// Waits for a person, and not for time to pass.
fn hold(tx: &mut Tx<'_>, intent: &Intent, words: &str) -> Result<Bound, StoreError> {
    let ours = ours(tx, intent.row, intent.fence)?;
    rebind(tx, intent.row, Some(&intent.account))?;
    let reason = HoldReason::Budget;
    tx.sql(
        "UPDATE jobs SET state = 3, lane = severity, wake_at = NULL, account_id = ?2, hold_reason = ?3, note = ?4,
         held_since = ?5 WHERE seq = ?1",
    )?
    .execute(params![intent.row, intent.account, reason.as_str(), words, tx.steady])?;
    tx.count(&ours.provider, Some(JobState::Leased), Some(JobState::Held));
    let detail = json!({"hold_reason": reason, "account_id": intent.account, "reason": words}).to_string();
    tx.record(AuditEvent::Held, Some(ours.id), None, &Actor::system(), &detail)?;
    Ok(Bound::Held(words.to_owned()))
}

/// Whether the lease is ours and no other job means the account.
fn alone(tx: &Tx<'_>, intent: &Intent) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE seq = ?2 AND attempts = ?3 AND state = 1 AND wake_at > ?4)
               AND NOT EXISTS (SELECT 1 FROM jobs WHERE account_id = ?1 AND seq <> ?2)";
    let of = params![intent.account, intent.row, intent.fence, tx.steady];
    Ok(tx.sql(sql)?.query_row(of, |row| row.get(0))?)
}

/// `false`: the lease is over, or the job was bound to another account.
fn open_call(tx: &Tx<'_>, intent: &Intent, counts: bool) -> Result<bool, StoreError> {
    // Whoever was found has not been missing twice in a row.
    let opened = tx
        .sql(
            "UPDATE jobs SET account_id = ?3, repeated = repeated + (call_open > 0), call_open = ?2,
             proof = coalesce(?4, proof), absence = CASE absence WHEN 'account' THEN NULL ELSE absence END, counted = counted OR ?6
             WHERE seq = ?1 AND attempts = ?2 AND state = 1 AND wake_at > ?5 AND coalesce(account_id, ?3) = ?3",
        )?
        .execute(params![intent.row, intent.fence, intent.account, intent.proof, tx.steady, counts])?;
    Ok(opened == 1)
}

fn bind_beside_others(tx: &mut Tx<'_>, intent: &Intent) -> Result<Bound, StoreError> {
    let (row, account) = (intent.row, intent.account.as_str());
    let ours = ours(tx, row, intent.fence)?;
    if !ours.insisted {
        let done = done_for_our_alerts(tx, row, account, &ours)?;
        if let Some(other) = done.iter().find(|other| covers(&other.request, &ours.request)) {
            return merge(tx, row, &ours, other, account);
        }
    }
    for other in open_for(tx, row, account, &ours)? {
        if other.state == JobState::Queued {
            widen(tx, row, &ours, &other)?;
            return merge(tx, row, &ours, &other, account);
        }
        let same_alert = !ours.insisted && shares_alert(tx, row, other.row)?;
        if same_alert && covers(&other.request, &ours.request) {
            return merge(tx, row, &ours, &other, account);
        }
        if other.state == JobState::Leased && other.call_open {
            return postpone(tx, row, &ours);
        }
    }
    let is_another = rebind(tx, row, Some(account))?;
    let place = match seek_room(tx, intent, intent.counted && !is_another)? {
        Ok(place) => place,
        Err(words) => return hold(tx, intent, &words),
    };
    // It may have meant another account until now.
    tx.sql("UPDATE jobs SET account_id = NULL WHERE seq = ?1")?.execute([row])?;
    if call(tx, intent, place)? { Ok(Bound::Proceed) } else { Err(StoreError::LeaseLost) }
}

/// A lease that is over may be another's at any moment: no call is begun under it.
fn ours(tx: &Tx<'_>, row: i64, fence: u32) -> Result<Ours, StoreError> {
    tx.sql(
        "SELECT id, provider, request, dry_run, insisted FROM jobs
         WHERE seq = ?1 AND attempts = ?2 AND state = 1 AND wake_at > ?3",
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
    let traces = traces_of_both(tx, other.row, row)?;
    tx.sql(
        "UPDATE jobs SET request = ?2, wake_at = min(jobs.wake_at, ?3), severity = max(jobs.severity, o.severity),
         lane = max(jobs.severity, o.severity), proof = NULL, absence = NULL,
         created_at = max(jobs.created_at, o.created_at),
         held_total = CASE WHEN o.created_at > jobs.created_at THEN o.held_total ELSE jobs.held_total END,
         insisted = max(jobs.insisted, o.insisted), traces = ?5
         FROM (SELECT * FROM jobs WHERE seq = ?4) AS o WHERE jobs.seq = ?1",
    )?
    .execute(params![other.row, to_json(&request)?, tx.steady, row, traces])?;
    let detail = json!({"job": ours.id}).to_string();
    tx.record(AuditEvent::Absorbed, Some(other.id), None, &Actor::system(), &detail)?;
    Ok(())
}

/// The traces of one job, and then those of another.
fn traces_of_both(tx: &Tx<'_>, one: i64, other: i64) -> Result<Option<String>, StoreError> {
    let of = |job: i64| {
        let sql = "SELECT traces FROM jobs WHERE seq = ?1";
        tx.sql(sql)?.query_row([job], |row| traces(row, 0)).map_err(StoreError::from)
    };
    let mut both = of(one)?;
    both.extend(&of(other)?);
    Ok(both.to_text())
}

fn merge(tx: &mut Tx<'_>, row: i64, ours: &Ours, other: &Candidate, account: &str) -> Result<Bound, StoreError> {
    tx.sql("UPDATE OR IGNORE alert_jobs SET job = ?2 WHERE job = ?1 AND ?3")?.execute(params![
        row,
        other.row,
        other.state == JobState::Queued
    ])?;
    tx.sql(
        "UPDATE jobs SET state = 6, wake_at = NULL, account_id = ?2, merged_into = ?3, finished_at = ?4,
         note = 'another job does this for the same account' WHERE seq = ?1",
    )?
    .execute(params![row, account, other.id.0.into_bytes(), tx.now.as_microsecond()])?;
    tx.count(&ours.provider, Some(JobState::Leased), Some(JobState::Cancelled));
    let detail = json!({"merged_into": other.id, "account_id": account}).to_string();
    tx.record(AuditEvent::Cancelled, Some(ours.id), None, &Actor::system(), &detail)?;
    tx.wake();
    Ok(Bound::Merged(other.id))
}

/// Comes before every change of a job's account. Where it was to act on an account for others as well, and now it means
/// somebody else or nobody, those others act for themselves, and the budgets have counted another one. Whether that is so.
pub(super) fn rebind(tx: &mut Tx<'_>, row: i64, account: Option<&str>) -> Result<bool, StoreError> {
    let before: Option<String> =
        tx.sql("SELECT account_id FROM jobs WHERE seq = ?1")?.query_row([row], |row| row.get(0))?;
    let is_another = before.is_some() && before.as_deref() != account;
    if is_another {
        tx.sql("UPDATE jobs SET counted = 0 WHERE seq = ?1")?.execute([row])?;
        revive_merged(tx, row)?;
    }
    Ok(is_another)
}

fn revive_merged(tx: &mut Tx<'_>, row: i64) -> Result<(), StoreError> {
    let revived: Vec<(i64, JobId, ProviderName)> = tx
        .sql(
            "UPDATE jobs SET state = 0, wake_at = ?2, created_at = ?2, held_total = 0, absence = NULL, proof = NULL,
             proving = 0, lane = severity, merged_into = NULL, finished_at = NULL, note = NULL
             FROM (SELECT id AS into_id, account_id AS into_account FROM jobs WHERE seq = ?1) AS o
             WHERE jobs.account_id = o.into_account AND jobs.state = 6 AND jobs.merged_into = o.into_id
             RETURNING jobs.seq, jobs.id, jobs.provider",
        )?
        .query_map(params![row, tx.steady], |row| Ok((row.get("seq")?, job_id(row, "id")?, word(row, "provider")?)))?
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
    tx.sql("UPDATE jobs SET state = 0, lane = severity, wake_at = ?2 WHERE seq = ?1")?
        .execute(params![row, tx.steady.saturating_add(micros(BUSY_RETRY))])?;
    tx.count(&ours.provider, Some(JobState::Leased), Some(JobState::Queued));
    tx.record(AuditEvent::Released, Some(ours.id), None, &Actor::system(), r#"{"reason":"account busy"}"#)?;
    Ok(Bound::Busy)
}
