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
use super::flight::{Answers, Flight, Seat};
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{Claim, JobState, Traces};
use crate::store::closures::Closures;
use crate::store::turns::{LEASED, patience_of};
use crate::store::{ClaimRequest, told};

/// Nearly every job is younger when it is claimed, so this is as far as gates are looked at from the start.
const RECENT: Duration = Duration::from_secs(3600);

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

/// What is asked while the transaction opens.
pub(super) struct Look {
    due: Seat,
    closures: Seat,
}

/// The due jobs, locked, and the gates that closed of late.
pub(super) struct Seen {
    due: Vec<Row>,
    closures: Vec<Row>,
}

/// Costs a few seeks, whatever the backlog. `now`: in place of the server's time.
pub(super) async fn look(flight: &mut Flight<'_>, request: &Request, now: Option<i64>) -> Result<Look, Fault> {
    Ok(Look {
        due: next_in_turn(flight, request, now).await?,
        closures: closures_of_late(flight, request.wanted.provider.as_str(), now).await?,
    })
}

impl Look {
    pub(super) fn seen(&self, answers: &mut Answers) -> Seen {
        Seen { due: answers.rows(self.due), closures: answers.rows(self.closures) }
    }
}

/// Looks after everything that this transaction did, for whoever asks for jobs that another one in it has asked for.
pub(super) async fn look_again(tx: &Tx<'_>, request: &Request, now: Option<i64>) -> Result<Seen, Fault> {
    let mut flight = tx.flight();
    let look = look(&mut flight, request, now).await?;
    Ok(look.seen(&mut flight.fly().await?))
}

/// Leases what was found.
pub(super) async fn claim(tx: &mut Tx<'_>, request: &Request, seen: Seen) -> Result<Vec<Claim>, Fault> {
    let mut found = seen.due.iter().map(|row| read(tx, row, request)).collect::<Result<Vec<_>, _>>()?;
    let Some(oldest) = found.iter().map(|found| found.created_at).min() else { return Ok(Vec::new()) };
    tx.reserve(2 * found.len()).await?;
    let mut records = Vec::with_capacity(found.len());
    for found in &mut found {
        records.push(if found.from == JobState::Leased { Some(record_loss(tx, found).await?) } else { None });
        found.claim.attempt = found.claim.attempt.saturating_add(1);
        told_claimed(tx, found).await?;
    }
    lease(tx, &found, &records, request.wanted.lease).await?;
    let closures = if oldest > tx.steady.saturating_sub(micros(RECENT)) {
        closures(tx, &seen.closures)?
    } else {
        closures_since(tx, request.wanted.provider.as_str(), oldest).await?
    };
    for found in &mut found {
        let behind = closures.behind(found.created_at);
        found.claim.held += Duration::from_micros(u64::try_from(behind).unwrap_or(0));
    }
    Ok(found.into_iter().map(|found| found.claim).collect())
}

/// Jobs whose time has come, the first in turn first. Lost leases go before everything that waits, for a call of theirs
/// may be open. Several times as many as are asked for are looked at, for others may be claiming the same ones.
async fn next_in_turn(flight: &mut Flight<'_>, request: &Request, now: Option<i64>) -> Result<Seat, Fault> {
    let limit = i64::from(request.wanted.limit);
    let lanes: Vec<i16> = (0..=i16::from(LEASED)).collect();
    let patience: Vec<i64> = (0..=LEASED).map(|lane| micros(patience_of(lane))).collect();
    // Candidates first, then their rows: the conditions on `jobs` are read again once a row is locked, and are written so
    // that no index serves them, for by them alone the whole backlog would be found.
    let sql = "WITH clock AS MATERIALIZED (
           SELECT coalesce($2::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now),
         due AS MATERIALIZED (
           SELECT heads.seq, lanes.lane, lanes.patience FROM (SELECT unnest($3::smallint[]) AS lane,
             unnest($4::bigint[]) AS patience) AS lanes
           CROSS JOIN LATERAL (SELECT j.seq FROM jobs j WHERE j.provider = $1 AND j.lane = lanes.lane
             AND j.wake_at <= (SELECT now FROM clock) ORDER BY j.wake_at LIMIT $5) AS heads
           WHERE NOT EXISTS (SELECT 1 FROM gates WHERE opened_at IS NULL AND gates.provider = $1)
           AND NOT EXISTS (SELECT 1 FROM gates WHERE opened_at IS NULL AND gates.provider = ''))
         SELECT jobs.seq, jobs.state, jobs.id, jobs.subject, jobs.request, jobs.severity, jobs.dry_run, jobs.attempts,
         jobs.failures, jobs.absence, jobs.created_at, jobs.held_total, jobs.chosen_id, jobs.approved, jobs.unread_ok,
         jobs.alike_ok, jobs.counted, jobs.past_budget, jobs.call_open > 0 AS call_open, jobs.repeated > 0 AS was_repeated,
         jobs.proof, jobs.proving, jobs.alert_id, jobs.source, jobs.received_at,
         jobs.occurred_at, jobs.record, jobs.traces
         FROM due JOIN jobs ON jobs.seq = due.seq AND jobs.lane + 0 = due.lane
           AND coalesce(jobs.wake_at <= (SELECT now FROM clock), false)
         ORDER BY (due.lane <> 6), jobs.wake_at + due.patience, jobs.seq LIMIT $6 FOR UPDATE OF jobs SKIP LOCKED";
    let provider = request.wanted.provider.as_str();
    flight.ask(sql, &[&provider, &now, &lanes, &patience, &(4 * limit + 16), &limit]).await
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
         FROM (SELECT unnest($1::bigint[]) AS seq, unnest($2::integer[]) AS attempt,
           unnest($3::bigint[]) AS record) AS c WHERE jobs.seq = c.seq";
    tx.later(sql, &[&rows, &attempts, &records, &tx.steady.saturating_add(micros(lease))]).await
}

async fn closures_of_late(flight: &mut Flight<'_>, provider: &str, now: Option<i64>) -> Result<Seat, Fault> {
    let sql = "SELECT closed_at, opened_at FROM gates WHERE provider = ANY(ARRAY[$1, '']) AND (opened_at IS NULL
         OR opened_at > coalesce($2::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) - $3::bigint)";
    // Somewhat further than it is asked for, as the time is read more than once.
    flight.ask(sql, &[&provider, &now, &(2 * micros(RECENT))]).await
}

/// The closures that ended after `since`, or last still.
pub(super) async fn closures_since(tx: &Tx<'_>, provider: &str, since: i64) -> Result<Closures, Fault> {
    let sql = "SELECT closed_at, opened_at FROM gates
         WHERE provider = ANY(ARRAY[$1, '']) AND (opened_at IS NULL OR opened_at > $2)";
    closures(tx, &tx.query(sql, &[&provider, &since]).await?)
}

/// What is closed still is so until now.
fn closures(tx: &Tx<'_>, rows: &[Row]) -> Result<Closures, Fault> {
    let opened_at = |row: &Row| Ok::<_, Fault>(get::<Option<i64>>(row, "opened_at")?.unwrap_or(tx.steady));
    let spans = rows.iter().map(|row| Ok((get(row, "closed_at")?, opened_at(row)?)));
    Ok(Closures::of(spans.collect::<Result<_, Fault>>()?))
}

/// Extends the leases that are still ours.
pub(super) async fn renew(tx: &Tx<'_>, renewal: &Renewal) -> Result<Vec<bool>, Fault> {
    if renewal.claims.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<i64> = renewal.claims.iter().map(|(row, _)| *row).collect();
    let fences: Vec<i32> = renewal.claims.iter().map(|(_, attempt)| fence(*attempt)).collect();
    let sql = "UPDATE jobs SET wake_at = $3 FROM (SELECT unnest($1::bigint[]) AS seq,
           unnest($2::integer[]) AS fence) AS c
         WHERE jobs.seq = c.seq AND jobs.attempts = c.fence AND jobs.state = 1 RETURNING jobs.seq, jobs.attempts";
    let until = tx.steady.saturating_add(micros(renewal.lease));
    let ours = tx.query(sql, &[&rows, &fences, &until]).await?;
    let ours = ours.iter().map(|row| Ok((get(row, "seq")?, small(row, "attempts")?)));
    let ours: std::collections::HashSet<(i64, u32)> = ours.collect::<Result<_, Fault>>()?;
    Ok(renewal.claims.iter().map(|claim| ours.contains(claim)).collect())
}
