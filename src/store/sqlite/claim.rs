//! Due jobs to workers, under leases.

use std::time::Duration;

use rusqlite::{Row, params};
use serde_json::json;

use super::codec::{alert_id, job_id, json, micros, optional_json, optional_word, severity, time_at, word};
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{Attempt, AttemptClass, Claim, JobState, Severity};
use crate::store::{ClaimRequest, StoreError};

/// The longest wait that a provider can ask of us, 15 minutes, and as much again for the randomisation of our own.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);

/// How much longer than a critical job one of this severity waits for its turn. What has waited longer than that
/// goes first all the same, so that nothing is starved.
fn patience(severity: Severity) -> Duration {
    Duration::from_secs(match severity {
        Severity::Critical => 0,
        Severity::High => 30,
        Severity::Medium => 120,
        Severity::Low => 600,
        Severity::Informational => 1800,
    })
}

/// The lane of looks at sessions that the provider said it ended. They wait for the revocations, so that a short rate is
/// spent on those, but not for ever.
const LOOKS: u8 = 5;

/// How much longer than a critical job a look waits for its turn.
const PATIENCE_OF_LOOKS: Duration = Duration::from_secs(120);

/// Each lane, with how much longer than a critical job its jobs wait.
fn lanes() -> impl Iterator<Item = (u8, Duration)> {
    let severities = Severity::ALL.iter().map(|severity| (severity.rank(), patience(*severity)));
    severities.chain([(LOOKS, PATIENCE_OF_LOOKS)])
}

/// Leases what is due. Costs a few seeks, whatever the backlog.
pub(super) fn claim(tx: &mut Tx<'_>, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
    let provider = request.provider.as_str();
    if is_gated(tx, provider)? {
        return Ok(Vec::new());
    }
    let lost = lost_leases(tx, provider, request.limit)?;
    for row in &lost {
        record_loss(tx, *row)?;
    }
    let room = request.limit.saturating_sub(u32::try_from(lost.len()).unwrap_or(u32::MAX));
    let due = due_jobs(tx, provider, room)?;
    let was_gated = has_gates(tx, provider)?;
    let mut claims = Vec::with_capacity(lost.len() + due.len());
    for row in &lost {
        claims.push(lease(tx, *row, Some(JobState::Leased), request.lease, was_gated)?);
    }
    for row in &due {
        claims.push(lease(tx, *row, None, request.lease, was_gated)?);
    }
    Ok(claims)
}

fn is_gated(tx: &Tx<'_>, provider: &str) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM gates WHERE opened_at IS NULL AND provider IN (?1, ''))";
    Ok(tx.sql(sql)?.query_row([provider], |row| row.get(0))?)
}

fn lost_leases(tx: &Tx<'_>, provider: &str, limit: u32) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT seq FROM jobs WHERE provider = ?1 AND lease_until <= ?2 ORDER BY lease_until LIMIT ?3";
    let mut statement = tx.sql(sql)?;
    let rows = statement.query_map(params![provider, tx.steady, limit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn due_jobs(tx: &Tx<'_>, provider: &str, limit: u32) -> Result<Vec<i64>, StoreError> {
    let mut heads = Vec::new();
    let mut statement = tx.sql(
        "SELECT seq, due_at FROM jobs WHERE provider = ?1 AND lane = ?2 AND due_at <= ?3
         ORDER BY due_at LIMIT ?4",
    )?;
    for (lane, patience) in lanes() {
        let behind = micros(patience);
        let rows = statement.query_map(params![provider, lane, tx.steady, limit], |row| {
            Ok((row.get::<_, i64>(1)?.saturating_add(behind), row.get::<_, i64>(0)?))
        })?;
        for row in rows {
            heads.push(row?);
        }
    }
    heads.sort_unstable();
    heads.truncate(limit as usize);
    Ok(heads.into_iter().map(|(_, row)| row).collect())
}

/// `from`: the state it had; `None`: it waited.
fn lease(
    tx: &mut Tx<'_>,
    row: i64,
    from: Option<JobState>,
    lease: Duration,
    was_gated: bool,
) -> Result<Claim, StoreError> {
    let until = tx.steady.saturating_add(micros(lease));
    let mut claim = tx
        .sql(
            "UPDATE jobs SET state = 1, due_at = NULL, lease_until = ?2, attempts = attempts + 1 WHERE seq = ?1
             RETURNING id, seq, provider, subject, request, severity, dry_run, attempts, failures, absence, created_at,
             held_total, chosen_id, approved, unread_ok, call_open, proof, proving, lease_until, alert_id, source, received_at, occurred_at",
        )?
        .query_row(params![row, until], read_claim)?;
    if was_gated {
        let behind = time_behind_gates(tx, claim.provider.as_str(), claim.created_at.as_microsecond())?;
        claim.held += Duration::from_micros(u64::try_from(behind).unwrap_or(0));
    }
    let waiting = if claim.proving { JobState::Proving } else { JobState::Queued };
    tx.count(claim.provider.as_str(), Some(from.unwrap_or(waiting)), Some(JobState::Leased));
    // Names of providers hold nothing that JSON would escape.
    let detail = format!(r#"{{"attempt":{},"provider":"{}"}}"#, claim.attempt, claim.provider);
    tx.record(AuditEvent::Claimed, Some(claim.job), None, &Actor::system(), &detail)?;
    Ok(claim)
}

fn read_claim(row: &Row<'_>) -> rusqlite::Result<Claim> {
    Ok(Claim {
        job: job_id(row, "id")?,
        row: row.get("seq")?,
        provider: word(row, "provider")?,
        subject: json(row, "subject")?,
        request: json(row, "request")?,
        severity: severity(row, "severity")?,
        dry_run: row.get("dry_run")?,
        attempt: row.get("attempts")?,
        failures: row.get("failures")?,
        absence: optional_word(row, "absence")?,
        created_at: time_at(row, "created_at")?,
        held: Duration::from_micros(row.get("held_total")?),
        account_id: row.get("chosen_id")?,
        approved: row.get("approved")?,
        unread_ok: row.get("unread_ok")?,
        call_open: row.get("call_open")?,
        proof: optional_json(row, "proof")?,
        proving: row.get("proving")?,
        lease_until: time_at(row, "lease_until")?,
        alert: alert_id(row, "alert_id")?,
        source: word(row, "source")?,
        received_at: time_at(row, "received_at")?,
        occurred_at: time_at(row, "occurred_at")?,
    })
}

/// Whether it was ever closed, as far as is remembered.
fn has_gates(tx: &Tx<'_>, provider: &str) -> Result<bool, StoreError> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM gates WHERE provider = ?1) OR EXISTS (SELECT 1 FROM gates WHERE provider = '')";
    Ok(tx.sql(sql)?.query_row([provider], |row| row.get(0))?)
}

/// How much of the time since `from` the provider was closed to everyone, which used up none of a job's time. Gates
/// overlap: an hour behind two of them is one hour.
pub(super) fn time_behind_gates(tx: &Tx<'_>, provider: &str, from: i64) -> Result<i64, StoreError> {
    let mut statement = tx.sql(
        "SELECT max(closed_at, ?2) AS began, opened_at AS ended FROM gates
         WHERE opened_at > ?2 AND provider IN (?1, '')
         UNION ALL SELECT max(closed_at, ?2), ?3 FROM gates WHERE opened_at IS NULL AND provider IN (?1, '')
         ORDER BY began",
    )?;
    let mut rows = statement.query(params![provider, from, tx.steady])?;
    let (mut behind, mut counted_to) = (0, from);
    while let Some(row) = rows.next()? {
        let (began, ended): (i64, i64) = (row.get("began")?, row.get("ended")?);
        behind += (ended - began.max(counted_to)).max(0);
        counted_to = counted_to.max(ended);
    }
    Ok(behind)
}

/// How far a lost attempt got is not known; its place in the job's story says so.
fn record_loss(tx: &mut Tx<'_>, row: i64) -> Result<(), StoreError> {
    let (job, number) = tx
        .sql("SELECT id, attempts FROM jobs WHERE seq = ?1")?
        .query_row([row], |row| Ok((job_id(row, "id")?, row.get("attempts")?)))?;
    let attempt = Attempt {
        number,
        started_at: tx.now,
        duration_ms: 0,
        class: AttemptClass::Lost,
        operation: None,
        status: None,
        code: None,
        message: "the process that worked on it ended or lost its lease; how far it got is not known".to_owned(),
        request_id: None,
    };
    super::settle::insert_attempt(tx, row, &attempt)?;
    let detail = json!({"attempt": number}).to_string();
    tx.record(AuditEvent::LeaseLost, Some(job), None, &Actor::system(), &detail)?;
    Ok(())
}

/// Extends the leases that are still ours.
pub(super) fn renew(tx: &mut Tx<'_>, claims: &[(i64, u32)], lease: Duration) -> Result<Vec<bool>, StoreError> {
    let until = tx.steady.saturating_add(micros(lease));
    let mut statement = tx.sql("UPDATE jobs SET lease_until = ?3 WHERE seq = ?1 AND attempts = ?2 AND state = 1")?;
    let renewed = claims.iter().map(|(row, fence)| Ok(statement.execute(params![row, fence, until])? == 1));
    Ok(renewed.collect::<rusqlite::Result<_>>()?)
}

/// A store of one process has no leases but those of a process that is gone: they end now, not when they run out.
pub(super) fn end_all_leases(connection: &rusqlite::Connection, now: jiff::Timestamp) -> rusqlite::Result<usize> {
    connection.execute("UPDATE jobs SET lease_until = ?1 WHERE lease_until > ?1", [now.as_microsecond()])
}

/// While a process runs, due times never jump. One that lies further off than any wait we plan by default was stored
/// before the wall clock was set back between two runs: it is due now, which costs one attempt at most.
pub(super) fn mend_due_times(connection: &rusqlite::Connection, now: jiff::Timestamp) -> rusqlite::Result<usize> {
    let now = now.as_microsecond();
    let latest = now.saturating_add(micros(LONGEST_WAIT));
    let mut providers = connection.prepare("SELECT DISTINCT provider FROM job_counts")?;
    let providers: Vec<String> = providers.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut mend =
        connection.prepare("UPDATE jobs SET due_at = ?1 WHERE provider = ?2 AND lane = ?3 AND due_at > ?4")?;
    let mut mended = 0;
    for provider in &providers {
        for (lane, _) in lanes() {
            mended += mend.execute(params![now, provider, lane, latest])?;
        }
    }
    Ok(mended)
}
