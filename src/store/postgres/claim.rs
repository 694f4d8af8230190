//! Due jobs to workers, under leases. Rows that another replica is just claiming are passed over, so claimers never wait
//! for one another.

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::batch::Renewal;
use super::codec::{
    alert_id, fence, get, job_id, json, micros, optional_json, optional_word, severity, small, state, time_at, word,
};
use super::fault::Fault;
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{Claim, JobState, Traces};
use crate::store::closures::Closures;
use crate::store::turns::{LEASED, patience_of};
use crate::store::{ClaimRequest, told};

/// What a worker asks for.
pub(super) struct Request {
    pub(super) wanted: ClaimRequest,
    /// Our steady clock when it was asked: no lease is believed to last longer than from then.
    pub(super) asked_at: Timestamp,
}

/// A job as it was found.
struct Found {
    from: JobState,
    record: Option<i64>,
    created_at: i64,
    claim: Claim,
}

/// Leases what is due. Costs a few seeks, whatever the backlog.
pub(super) async fn claim(tx: &mut Tx<'_>, request: &Request) -> Result<Vec<Claim>, Fault> {
    let provider = request.wanted.provider.as_str();
    if request.wanted.limit == 0 {
        return Ok(Vec::new());
    }
    let found = next_in_turn(tx, request).await?;
    let mut found = found.iter().map(|row| read(tx, row, request)).collect::<Result<Vec<_>, _>>()?;
    let Some(oldest) = found.iter().map(|found| found.created_at).min() else { return Ok(Vec::new()) };
    tx.reserve(2 * found.len()).await?;
    let mut records = Vec::with_capacity(found.len());
    for found in &mut found {
        records.push(if found.from == JobState::Leased { Some(record_loss(tx, found).await?) } else { None });
        found.claim.attempt = found.claim.attempt.saturating_add(1);
        told_claimed(tx, found).await?;
    }
    let (closures, ()) = tokio::try_join!(
        biased;
        closures_since(tx, provider, oldest),
        lease(tx, &found, &records, request.wanted.lease),
    )?;
    for found in &mut found {
        let behind = closures.behind(found.created_at);
        found.claim.held += Duration::from_micros(u64::try_from(behind).unwrap_or(0));
    }
    Ok(found.into_iter().map(|found| found.claim).collect())
}

/// Jobs whose time has come, the first in turn first. Lost leases go before everything that waits, for a call of theirs
/// may be open. Several times as many as are asked for are looked at, for others may be claiming the same ones.
async fn next_in_turn(tx: &Tx<'_>, request: &Request) -> Result<Vec<Row>, Fault> {
    let limit = i64::from(request.wanted.limit);
    let lanes: Vec<i16> = (0..=i16::from(LEASED)).collect();
    let patience: Vec<i64> = (0..=LEASED).map(|lane| micros(patience_of(lane))).collect();
    // Candidates first, then their rows: the conditions on `jobs` are read again once a row is locked, and are written so
    // that no index serves them, for by them alone the whole backlog would be found.
    let sql = "WITH due AS MATERIALIZED (
           SELECT heads.seq, lanes.lane, lanes.patience FROM unnest($3::smallint[], $4::bigint[]) AS lanes (lane, patience)
           CROSS JOIN LATERAL (SELECT j.seq FROM jobs j WHERE j.provider = $1 AND j.lane = lanes.lane AND j.wake_at <= $2
             ORDER BY j.wake_at LIMIT $5) AS heads
           WHERE NOT EXISTS (SELECT 1 FROM gates WHERE opened_at IS NULL AND gates.provider = $1)
           AND NOT EXISTS (SELECT 1 FROM gates WHERE opened_at IS NULL AND gates.provider = ''))
         SELECT jobs.seq, jobs.state, jobs.id, jobs.subject, jobs.request, jobs.severity, jobs.dry_run, jobs.attempts,
         jobs.failures, jobs.absence, jobs.created_at, jobs.held_total, jobs.chosen_id, jobs.approved, jobs.unread_ok,
         jobs.alike_ok, jobs.counted, jobs.past_budget, jobs.call_open > 0 AS call_open, jobs.repeated > 0 AS was_repeated,
         jobs.proof, jobs.proving, jobs.alert_id, jobs.source, jobs.received_at,
         jobs.occurred_at, jobs.record, jobs.traces
         FROM due JOIN jobs ON jobs.seq = due.seq AND jobs.lane + 0 = due.lane AND coalesce(jobs.wake_at, $2 + 1) <= $2
         ORDER BY (due.lane <> 6), jobs.wake_at + due.patience, jobs.seq LIMIT $6 FOR UPDATE OF jobs SKIP LOCKED";
    let provider = request.wanted.provider.as_str();
    tx.query(sql, &[&provider, &tx.steady, &lanes, &patience, &(4 * limit + 16), &limit]).await
}

/// The job as it stands, as the claim that it is about to become but for the number of the attempt, which is still the
/// latest one's.
fn read(tx: &Tx<'_>, row: &Row, request: &Request) -> Result<Found, Fault> {
    let created_at = get(row, "created_at")?;
    let lease_until = request.asked_at.checked_add(request.wanted.lease).unwrap_or(Timestamp::MAX);
    let claim = Claim {
        row: get(row, "seq")?,
        provider: request.wanted.provider.clone(),
        lease_until,
        job: job_id(row, "id")?,
        subject: json(row, "subject")?,
        request: json(row, "request")?,
        severity: severity(row, "severity")?,
        dry_run: get(row, "dry_run")?,
        attempt: small(row, "attempts")?,
        failures: small(row, "failures")?,
        absence: optional_word(row, "absence")?,
        created_at: tx.moment.to_local(created_at),
        held: Duration::from_micros(u64::try_from(get::<i64>(row, "held_total")?).unwrap_or(0)),
        account_id: get(row, "chosen_id")?,
        approved: get(row, "approved")?,
        unread_ok: get(row, "unread_ok")?,
        alike_ok: get(row, "alike_ok")?,
        counted: get(row, "counted")?,
        past_budget: get(row, "past_budget")?,
        call_open: get(row, "call_open")?,
        was_repeated: get(row, "was_repeated")?,
        proof: optional_json(row, "proof")?,
        proving: get(row, "proving")?,
        alert: alert_id(row, "alert_id")?,
        source: word(row, "source")?,
        received_at: time_at(row, "received_at")?,
        occurred_at: time_at(row, "occurred_at")?,
        traces: Traces::from_text(get(row, "traces")?),
    };
    Ok(Found { from: state(row, "state")?, record: get(row, "record")?, created_at, claim })
}

async fn told_claimed(tx: &mut Tx<'_>, found: &Found) -> Result<(), Fault> {
    let claim = &found.claim;
    tx.count(&claim.provider, Some(found.from), Some(JobState::Leased));
    // Names of providers hold nothing that JSON would escape.
    let detail = format!(r#"{{"attempt":{},"provider":"{}"}}"#, claim.attempt, claim.provider);
    tx.record(AuditEvent::Claimed, Some(claim.job), None, &Actor::system(), detail).await
}

/// The latest attempt ended without a word. Answers the place of the row that says so.
async fn record_loss(tx: &mut Tx<'_>, found: &Found) -> Result<i64, Fault> {
    let attempt = told::lost_attempt(found.claim.attempt, tx.now);
    let seq = tx.place().await?;
    let about = (AuditEvent::LeaseLost, Some(found.claim.job), None, &Actor::system());
    tx.append(about, told::lost(&attempt)?, seq, found.record);
    Ok(seq)
}

async fn lease(tx: &Tx<'_>, found: &[Found], records: &[Option<i64>], lease: Duration) -> Result<(), Fault> {
    let rows: Vec<i64> = found.iter().map(|found| found.claim.row).collect();
    let attempts: Vec<i32> = found.iter().map(|found| fence(found.claim.attempt)).collect();
    let sql = "UPDATE jobs SET state = 1, lane = 6, wake_at = $4, attempts = c.attempt, record = coalesce(c.record, jobs.record)
         FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS c (seq, attempt, record) WHERE jobs.seq = c.seq";
    tx.execute(sql, &[&rows, &attempts, &records, &tx.steady.saturating_add(micros(lease))]).await?;
    Ok(())
}

/// The closures that ended after `since`, or last still.
pub(super) async fn closures_since(tx: &Tx<'_>, provider: &str, since: i64) -> Result<Closures, Fault> {
    let sql = "SELECT closed_at, coalesce(opened_at, $3) AS opened_at FROM gates
         WHERE provider = ANY(ARRAY[$1, '']) AND (opened_at IS NULL OR opened_at > $2)";
    let rows = tx.query(sql, &[&provider, &since, &tx.steady]).await?;
    let spans = rows.iter().map(|row| Ok((get(row, "closed_at")?, get(row, "opened_at")?)));
    Ok(Closures::of(spans.collect::<Result<_, Fault>>()?))
}

/// Extends the leases that are still ours.
pub(super) async fn renew(tx: &Tx<'_>, renewal: &Renewal) -> Result<Vec<bool>, Fault> {
    if renewal.claims.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<i64> = renewal.claims.iter().map(|(row, _)| *row).collect();
    let fences: Vec<i32> = renewal.claims.iter().map(|(_, attempt)| fence(*attempt)).collect();
    let sql = "UPDATE jobs SET wake_at = $3 FROM unnest($1::bigint[], $2::integer[]) AS c (seq, fence)
         WHERE jobs.seq = c.seq AND jobs.attempts = c.fence AND jobs.state = 1 RETURNING jobs.seq, jobs.attempts";
    let until = tx.steady.saturating_add(micros(renewal.lease));
    let ours = tx.query(sql, &[&rows, &fences, &until]).await?;
    let ours = ours.iter().map(|row| Ok((get(row, "seq")?, small(row, "attempts")?)));
    let ours: std::collections::HashSet<(i64, u32)> = ours.collect::<Result<_, Fault>>()?;
    Ok(renewal.claims.iter().map(|claim| ours.contains(claim)).collect())
}
