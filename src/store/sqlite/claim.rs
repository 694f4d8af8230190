//! Due jobs to workers, under leases.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::closures;
use super::codec::{
    Places, alert_id, job_id, json, micros, optional_json, optional_word, severity, state, time, time_at, traces, word,
};
use super::record;
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{Claim, JobState};
use crate::store::turns::{LEASED, LOOKS, patience_of};
use crate::store::{ClaimRequest, StoreError, told};

/// The longest wait that a provider can ask of us, 15 minutes, and as much again for the randomisation of our own.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);

/// Leases what is due. Costs a few seeks, whatever the backlog.
pub(super) fn claim(tx: &mut Tx<'_>, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
    let provider = request.provider.as_str();
    if is_gated(tx, provider)? {
        return Ok(Vec::new());
    }
    let rows = next_in_turn(tx, provider, request.limit)?;
    let mut found = rows.iter().map(|row| read(tx, *row, request)).collect::<Result<Vec<_>, _>>()?;
    let oldest = found.iter().map(|(_, claim)| claim.created_at).min();
    let Some(oldest) = oldest else { return Ok(Vec::new()) };
    let closures = closures::since(tx, provider, oldest.as_microsecond())?;
    for (from, claim) in &mut found {
        let behind = closures.behind(claim.created_at.as_microsecond());
        claim.held += Duration::from_micros(u64::try_from(behind).unwrap_or(0));
        if *from == JobState::Leased {
            record_loss(tx, claim)?;
        }
        claim.attempt = tx.next_attempt(claim.row, claim.attempt);
        lease(tx, *from, claim)?;
    }
    Ok(found.into_iter().map(|(_, claim)| claim).collect())
}

fn is_gated(tx: &Tx<'_>, provider: &str) -> Result<bool, StoreError> {
    // For a list of names SQLite makes a table.
    let sql = "SELECT EXISTS (SELECT 1 FROM gates WHERE opened_at IS NULL AND provider = ?1)
               OR EXISTS (SELECT 1 FROM gates WHERE opened_at IS NULL AND provider = '')";
    Ok(tx.sql(sql)?.query_row([provider], |row| row.get(0))?)
}

/// Jobs whose time has come, the first in turn first. Lost leases go before everything that waits, for a call of theirs
/// may be open.
fn next_in_turn(tx: &Tx<'_>, provider: &str, limit: u32) -> Result<Vec<i64>, StoreError> {
    let mut heads = heads_of_lanes(tx, provider, limit)?;
    heads.sort_by_key(|(lane, woke_at, row)| {
        (*lane != LEASED, woke_at.saturating_add(micros(patience_of(*lane))), *row)
    });
    heads.truncate(limit as usize);
    Ok(heads.into_iter().map(|(.., row)| row).collect())
}

/// The first jobs of each lane: the lane, the time and the row. One statement, for most lanes are empty.
fn heads_of_lanes(tx: &Tx<'_>, provider: &str, limit: u32) -> Result<Vec<(u8, i64, i64)>, StoreError> {
    let mut statement = tx.sql(
        "SELECT * FROM (SELECT lane, wake_at, seq FROM jobs
           WHERE provider = ?1 AND lane = 0 AND wake_at <= ?2 ORDER BY wake_at LIMIT ?3)
         UNION ALL SELECT * FROM (SELECT lane, wake_at, seq FROM jobs
           WHERE provider = ?1 AND lane = 1 AND wake_at <= ?2 ORDER BY wake_at LIMIT ?3)
         UNION ALL SELECT * FROM (SELECT lane, wake_at, seq FROM jobs
           WHERE provider = ?1 AND lane = 2 AND wake_at <= ?2 ORDER BY wake_at LIMIT ?3)
         UNION ALL SELECT * FROM (SELECT lane, wake_at, seq FROM jobs
           WHERE provider = ?1 AND lane = 3 AND wake_at <= ?2 ORDER BY wake_at LIMIT ?3)
         UNION ALL SELECT * FROM (SELECT lane, wake_at, seq FROM jobs
           WHERE provider = ?1 AND lane = 4 AND wake_at <= ?2 ORDER BY wake_at LIMIT ?3)
         UNION ALL SELECT * FROM (SELECT lane, wake_at, seq FROM jobs
           WHERE provider = ?1 AND lane = 5 AND wake_at <= ?2 ORDER BY wake_at LIMIT ?3)
         UNION ALL SELECT * FROM (SELECT lane, wake_at, seq FROM jobs
           WHERE provider = ?1 AND lane = 6 AND wake_at <= ?2 ORDER BY wake_at LIMIT ?3)",
    )?;
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let rows = statement.query_map(params![provider, tx.steady, limit], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The job as it stands, as the claim that it is about to become but for the number of the attempt, which is still the
/// latest one's.
fn read(tx: &Tx<'_>, row: i64, request: &ClaimRequest) -> Result<(JobState, Claim), StoreError> {
    let until = tx.steady.saturating_add(micros(request.lease));
    let sql =
        "SELECT state, id, subject, request, severity, dry_run, attempts, failures, absence, created_at, held_total,
               chosen_id, approved, unread_ok, alike_ok, counted, past_budget, call_open, repeated > 0, proof, proving, alert_id, source, received_at, occurred_at,
               traces
               FROM jobs WHERE seq = ?1";
    let read = |columns: &Row<'_>| {
        let mut at = Places::default();
        let from = state(columns, at.next())?;
        let claim = Claim {
            row,
            provider: request.provider.clone(),
            lease_until: time(until)?,
            job: job_id(columns, at.next())?,
            subject: json(columns, at.next())?,
            request: json(columns, at.next())?,
            severity: severity(columns, at.next())?,
            dry_run: columns.get(at.next())?,
            attempt: columns.get(at.next())?,
            failures: columns.get(at.next())?,
            absence: optional_word(columns, at.next())?,
            created_at: time_at(columns, at.next())?,
            held: Duration::from_micros(columns.get(at.next())?),
            account_id: columns.get(at.next())?,
            approved: columns.get(at.next())?,
            unread_ok: columns.get(at.next())?,
            alike_ok: columns.get(at.next())?,
            counted: columns.get(at.next())?,
            past_budget: columns.get(at.next())?,
            call_open: columns.get(at.next())?,
            was_repeated: columns.get(at.next())?,
            proof: optional_json(columns, at.next())?,
            proving: columns.get(at.next())?,
            alert: alert_id(columns, at.next())?,
            source: word(columns, at.next())?,
            received_at: time_at(columns, at.next())?,
            occurred_at: time_at(columns, at.next())?,
            traces: traces(columns, at.next())?,
        };
        Ok((from, claim))
    };
    Ok(tx.sql(sql)?.query_row([row], read)?)
}

fn lease(tx: &mut Tx<'_>, from: JobState, claim: &Claim) -> Result<(), StoreError> {
    tx.sql("UPDATE jobs SET state = 1, lane = ?2, wake_at = ?3, attempts = ?4 WHERE seq = ?1")?.execute(params![
        claim.row,
        LEASED,
        claim.lease_until.as_microsecond(),
        claim.attempt
    ])?;
    tx.count(&claim.provider, Some(from), Some(JobState::Leased));
    // Names of providers hold nothing that JSON would escape.
    let detail = format!(r#"{{"attempt":{},"provider":"{}"}}"#, claim.attempt, claim.provider);
    tx.record(AuditEvent::Claimed, Some(claim.job), None, &Actor::system(), &detail)?;
    Ok(())
}

/// The latest attempt ended without a word.
fn record_loss(tx: &mut Tx<'_>, claim: &Claim) -> Result<(), StoreError> {
    let attempt = told::lost_attempt(claim.attempt, tx.now);
    let earlier = record::of_job(tx, claim.row)?;
    let sql = "UPDATE jobs SET record = ?2 WHERE seq = ?1";
    tx.sql(sql)?.execute([claim.row, tx.next_record()])?;
    record::lost(tx, claim.job, &attempt, earlier)
}

/// Extends the leases that are still ours.
pub(super) fn renew(tx: &mut Tx<'_>, claims: &[(i64, u32)], lease: Duration) -> Result<Vec<bool>, StoreError> {
    let until = tx.steady.saturating_add(micros(lease));
    let mut statement = tx.sql("UPDATE jobs SET wake_at = ?3 WHERE seq = ?1 AND attempts = ?2 AND state = 1")?;
    let renewed = claims.iter().map(|(row, fence)| Ok(statement.execute(params![row, fence, until])? == 1));
    Ok(renewed.collect::<rusqlite::Result<_>>()?)
}

/// A store of one process has no leases but those of a process that is gone: they end now, not when they run out.
pub(super) fn end_all_leases(connection: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
    wake_early(connection, LEASED..=LEASED, now, now)
}

/// While a process runs, due times never jump. One that lies further off than any wait we plan by default was stored
/// before the wall clock was set back between two runs: it is due now, which costs one attempt at most.
pub(super) fn mend_due_times(connection: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
    wake_early(connection, 0..=LOOKS, now, now.saturating_add(LONGEST_WAIT).unwrap_or(Timestamp::MAX))
}

/// Lets what would wake after `latest` wake now.
fn wake_early(
    connection: &Connection,
    lanes: RangeInclusive<u8>,
    now: Timestamp,
    latest: Timestamp,
) -> rusqlite::Result<usize> {
    let mut providers = connection.prepare("SELECT DISTINCT provider FROM job_counts")?;
    let providers: Vec<String> = providers.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut wake =
        connection.prepare("UPDATE jobs SET wake_at = ?1 WHERE provider = ?2 AND lane = ?3 AND wake_at > ?4")?;
    let mut woken = 0;
    for provider in &providers {
        for lane in lanes.clone() {
            woken += wake.execute(params![now.as_microsecond(), provider, lane, latest.as_microsecond()])?;
        }
    }
    Ok(woken)
}
