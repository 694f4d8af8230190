//! What operators and metrics see.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::codec::{alert_id, job_id, json, optional_word, severity, state, time, time_at, word};
use super::record;
use crate::domain::{AlertId, JobId, JobState, ProviderName, RevokeRequest, SourceName, fold};
use crate::store::shortcut::{Counts, shortcut};
use crate::store::view::{self, gate_of, page, sessions};
use crate::store::{
    AlertReceipt, AlertView, Backlog, DeliveryStatus, GateView, JobDetail, JobFilter, JobReceipt, JobView, Page,
    QuarantineView, QuarantinedElement, StatusView, StoreError, StoredDelivery,
};

/// What keeps providers from being called.
pub(super) fn gates(db: &Connection) -> Result<Vec<GateView>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT provider, reason, note, closed_at FROM gates WHERE opened_at IS NULL ORDER BY closed_at",
    )?;
    let rows = statement.query_map([], |row| {
        let name: String = row.get("provider")?;
        Ok(GateView {
            provider: if name.is_empty() { None } else { Some(word(row, "provider")?) },
            reason: word(row, "reason")?,
            note: row.get("note")?,
            since: time_at(row, "closed_at")?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How much is waiting.
pub(super) fn backlog(db: &Connection, now: Timestamp) -> Result<Backlog, StoreError> {
    let jobs = collect(db, "SELECT provider, state, jobs FROM job_counts WHERE jobs > 0", |row| {
        Ok((word(row, "provider")?, state(row, "state")?, row.get("jobs")?))
    })?;
    let held = collect(
        db,
        "SELECT provider, hold_reason, count(*) AS jobs FROM jobs WHERE state = 3 GROUP BY provider, hold_reason",
        |row| Ok((word(row, "provider")?, word(row, "hold_reason")?, row.get("jobs")?)),
    )?;
    let quarantine = collect(db, "SELECT source, entries, bytes FROM quarantine_sizes WHERE entries > 0", |row| {
        Ok((word(row, "source")?, row.get("entries")?, row.get("bytes")?))
    })?;
    Ok(Backlog { oldest_due: oldest_due(db, now, &jobs)?, jobs, held, quarantine })
}

fn collect<T>(
    db: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn oldest_due(
    db: &Connection,
    now: Timestamp,
    jobs: &[(ProviderName, JobState, u64)],
) -> Result<Vec<(ProviderName, Duration)>, StoreError> {
    let providers: BTreeSet<&ProviderName> = jobs.iter().map(|(provider, ..)| provider).collect();
    // One seek per lane: the index has the lane before the time.
    let mut statement = db.prepare_cached(
        "WITH lanes (lane) AS (VALUES (0), (1), (2), (3), (4), (5)) SELECT min((SELECT wake_at FROM jobs
         WHERE provider = ?1 AND jobs.lane = lanes.lane AND wake_at <= ?2 ORDER BY wake_at LIMIT 1)) FROM lanes",
    )?;
    let mut oldest = Vec::new();
    for provider in providers {
        let due: Option<i64> =
            statement.query_row(params![provider.as_str(), now.as_microsecond()], |row| row.get(0))?;
        let age = due.map_or(0, |due| now.as_microsecond().saturating_sub(due));
        oldest.push((provider.clone(), Duration::from_micros(u64::try_from(age).unwrap_or(0))));
    }
    Ok(oldest)
}

/// What is still open.
pub(super) fn status(db: &Connection, now: Timestamp) -> Result<StatusView, StoreError> {
    Ok(view::status(backlog(db, now)?, gates(db)?, super::circuit::list(db)?, super::outbox::views(db)?))
}

/// Jobs, newest first.
pub(super) fn jobs(db: &Connection, filter: &JobFilter) -> Result<Page<JobView>, StoreError> {
    let gates = gates(db)?;
    let limit = filter.limit.clamp(1, 1000);
    let few = shortcut(filter, &gates, &counts(db)?);
    let sql = format!("SELECT * FROM jobs WHERE {}{few} ORDER BY seq DESC", conditions(filter, &gates));
    let mut statement = db.prepare_cached(&sql)?;
    let person = filter.subject.as_deref().map(|name| (name, fold(name)));
    let mut rows = statement.query(params![
        filter.cursor.unwrap_or(i64::MAX),
        filter.provider.as_ref().map(ProviderName::as_str),
        filter.source.as_ref().map(SourceName::as_str),
    ])?;
    let mut found = Vec::new();
    while found.len() <= limit as usize
        && let Some(row) = rows.next()?
    {
        if person.as_ref().is_none_or(|(exact, folded)| is_about(row, exact, folded).unwrap_or(true)) {
            found.push((row.get("seq")?, job_view(db, row, &gates)?));
        }
    }
    Ok(page(found, limit))
}

fn counts(db: &Connection) -> Result<Counts, StoreError> {
    let counts = collect(db, "SELECT state, sum(jobs) AS jobs FROM job_counts GROUP BY state", |row| {
        Ok((state(row, "state")?, row.get("jobs")?))
    })?;
    Ok(counts.into_iter().collect())
}

/// Names are folded as everywhere else, which SQL cannot do beyond ASCII.
pub(super) fn is_about(row: &Row<'_>, exact: &str, folded: &str) -> rusqlite::Result<bool> {
    let account: Option<String> = row.get("account_id")?;
    Ok(view::is_about(&json(row, "subject")?, account.as_deref(), exact, folded))
}

/// `?1` cursor, `?2` provider, `?3` source.
pub(super) fn conditions(filter: &JobFilter, gates: &[GateView]) -> String {
    let shown = view::conditions(filter, gates);
    format!("seq < ?1 AND (?2 IS NULL OR provider = ?2) AND (?3 IS NULL OR source = ?3){shown}")
}

fn job_view(db: &Connection, row: &Row<'_>, gates: &[GateView]) -> rusqlite::Result<JobView> {
    let provider: ProviderName = word(row, "provider")?;
    let stored = state(row, "state")?;
    let gate = gate_of(gates, &provider).filter(|_| stored == JobState::Queued);
    let request: RevokeRequest = json(row, "request")?;
    let result = record::said(db, row.get("said")?)?;
    let wake_at: Option<i64> = row.get("wake_at")?;
    let finished_at: Option<i64> = row.get("finished_at")?;
    let merged_into: Option<[u8; 16]> = row.get("merged_into")?;
    Ok(JobView {
        id: job_id(row, "id")?,
        state: if gate.is_some() { JobState::Held } else { stored },
        outcome: optional_word(row, "outcome")?,
        hold_reason: match gate {
            Some(gate) => Some(gate.reason),
            // A cancelled job keeps what it waited for, in case it is requeued.
            None if stored == JobState::Held => optional_word(row, "hold_reason")?,
            None => None,
        },
        dead_reason: optional_word(row, "dead_reason")?,
        note: gate.map(|gate| gate.note.clone()).map_or_else(|| row.get("note"), |note| Ok(Some(note)))?,
        subject: json(row, "subject")?,
        account_id: row.get("account_id")?,
        scope: request.scope.kind(),
        sessions: sessions(request.scope),
        severity: severity(row, "severity")?,
        dry_run: row.get("dry_run")?,
        rules: json(row, "rules")?,
        source: word(row, "source")?,
        alert_ids: alerts_of(db, row.get("seq")?)?,
        attempts: row.get("attempts")?,
        sessions_ended: result.as_ref().and_then(|result| result.sessions_ended),
        survives: result.as_ref().map(|result| result.survives.clone()).unwrap_or_default(),
        signed_in_again: result.map(|result| result.signed_in_again).unwrap_or_default(),
        repeated: row.get("repeated")?,
        merged_into: merged_into.map(|id| JobId(uuid::Uuid::from_bytes(id))),
        due_at: wake_at.filter(|_| stored != JobState::Leased).map(time).transpose()?,
        received_at: time_at(row, "received_at")?,
        finished_at: finished_at.map(time).transpose()?,
        provider,
    })
}

fn alerts_of(db: &Connection, job: i64) -> rusqlite::Result<Vec<AlertId>> {
    let sql = "SELECT alerts.id FROM alert_jobs JOIN alerts ON alerts.seq = alert_jobs.alert WHERE job = ?1
               ORDER BY alerts.seq";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([job], |row| alert_id(row, "id"))?;
    rows.collect()
}

/// A job with every attempt.
pub(super) fn job(db: &Connection, job: JobId) -> Result<Option<JobDetail>, StoreError> {
    let gates = gates(db)?;
    let mut statement = db.prepare_cached("SELECT * FROM jobs WHERE id = ?1")?;
    let detail = |row: &Row<'_>| {
        Ok(JobDetail { job: job_view(db, row, &gates)?, history: record::history(db, row.get("record")?)? })
    };
    Ok(statement.query_row([job.0.into_bytes()], detail).optional()?)
}

/// Alerts, newest first.
pub(super) fn alerts(db: &Connection, cursor: Option<i64>, limit: u32) -> Result<Page<AlertView>, StoreError> {
    let limit = limit.clamp(1, 1000);
    let mut statement = db.prepare_cached("SELECT * FROM alerts WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2")?;
    let mut rows = statement.query(params![cursor.unwrap_or(i64::MAX), limit + 1])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get("seq")?, alert_view(db, row)?));
    }
    Ok(page(found, limit))
}

/// An alert with its jobs.
pub(super) fn alert(db: &Connection, alert: AlertId) -> Result<Option<AlertView>, StoreError> {
    let mut statement = db.prepare_cached("SELECT * FROM alerts WHERE id = ?1")?;
    Ok(statement.query_row([alert.0.into_bytes()], |row| alert_view(db, row)).optional()?)
}

fn alert_view(db: &Connection, row: &Row<'_>) -> rusqlite::Result<AlertView> {
    Ok(AlertView {
        id: alert_id(row, "id")?,
        external_id: row.get("external_id")?,
        source: word(row, "source")?,
        issuer: row.get("issuer")?,
        kind: row.get("kind")?,
        severity: severity(row, "severity")?,
        reason: row.get("reason")?,
        occurred_at: time_at(row, "occurred_at")?,
        received_at: time_at(row, "received_at")?,
        jobs: jobs_of(db, row.get("seq")?)?,
        skipped: json(row, "skipped")?,
    })
}

fn jobs_of(db: &Connection, alert: i64) -> rusqlite::Result<Vec<JobReceipt>> {
    let sql = "SELECT DISTINCT jobs.seq, jobs.id, provider, subject, state FROM alert_jobs
               JOIN jobs ON jobs.seq = alert_jobs.job WHERE alert = ?1 ORDER BY jobs.seq";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([alert], super::job::job_receipt)?;
    rows.collect()
}

/// An alert as its sender sees it.
pub(super) fn alert_receipt(db: &Connection, alert: i64) -> rusqlite::Result<Option<AlertReceipt>> {
    db.prepare_cached("SELECT id, external_id, skipped FROM alerts WHERE seq = ?1")?
        .query_row([alert], |row| {
            Ok(AlertReceipt {
                id: alert_id(row, "id")?,
                external_id: row.get("external_id")?,
                jobs: jobs_of(db, alert)?,
                skipped: json(row, "skipped")?,
            })
        })
        .optional()
}

/// Deliveries in quarantine, newest first.
pub(super) fn quarantine(db: &Connection, cursor: Option<i64>, limit: u32) -> Result<Page<QuarantineView>, StoreError> {
    let limit = limit.clamp(1, 1000);
    let mut statement = db.prepare_cached(
        "SELECT seq, source, delivery_id, coalesce(reason, '') AS reason, length(body) AS size, received_at
         FROM deliveries WHERE status = 2 AND seq < ?1 ORDER BY seq DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![cursor.unwrap_or(i64::MAX), limit + 1], |row| {
        let view = QuarantineView {
            id: row.get("seq")?,
            source: word(row, "source")?,
            delivery_id: row.get("delivery_id")?,
            reason: row.get("reason")?,
            // Shown with the delivery: a page of them could be too large.
            elements: Vec::new(),
            size_bytes: row.get("size")?,
            received_at: time_at(row, "received_at")?,
        };
        Ok((view.id, view))
    })?;
    Ok(page(rows.collect::<Result<_, _>>()?, limit))
}

/// A stored delivery with its body.
pub(super) fn delivery(db: &Connection, seq: i64) -> Result<Option<StoredDelivery>, StoreError> {
    let mut statement = db.prepare_cached("SELECT * FROM deliveries WHERE seq = ?1")?;
    Ok(statement.query_row([seq], stored).optional()?)
}

/// Where an alert came from first.
pub(super) fn delivery_of(db: &Connection, alert: AlertId) -> Result<Option<StoredDelivery>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT deliveries.* FROM alerts JOIN deliveries ON deliveries.seq = alerts.delivery WHERE alerts.id = ?1",
    )?;
    Ok(statement.query_row([alert.0.into_bytes()], stored).optional()?)
}

/// The elements of a delivery that are in quarantine.
pub(super) fn elements(row: &Row<'_>) -> rusqlite::Result<Vec<QuarantinedElement>> {
    match row.get_ref("elements")?.as_str_or_null()? {
        Some(_) => json(row, "elements"),
        None => Ok(Vec::new()),
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredDelivery> {
    let body: Vec<u8> = row.get("body")?;
    let status = match row.get("status")? {
        0 => DeliveryStatus::Accepted,
        1 => DeliveryStatus::Ignored,
        2 => DeliveryStatus::Quarantined,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(0, other)),
    };
    Ok(StoredDelivery {
        seq: row.get("seq")?,
        source: word(row, "source")?,
        delivery_id: row.get("delivery_id")?,
        status,
        reason: row.get("reason")?,
        elements: elements(row)?,
        headers: json(row, "headers")?,
        body: body.into(),
        received_at: time_at(row, "received_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{DeadReason, HoldReason};

    /// The steps of a plan, of a list with nothing else known than that these are few.
    fn plan(db: &Connection, filter: &JobFilter) -> Vec<String> {
        let few = shortcut(filter, &[], &Counts::new());
        let sql = format!("SELECT * FROM jobs WHERE {}{few} ORDER BY seq DESC", conditions(filter, &[]));
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a statement");
        plan.raw_query().mapped(|row| row.get("detail")).collect::<Result<_, _>>().expect("a plan")
    }

    #[test]
    fn a_list_of_few_jobs_does_not_walk_through_all_others() {
        let db = Connection::open_in_memory().expect("a store");
        db.execute_batch(include_str!("../migrations/sqlite/1.sql")).expect("a schema");
        let by_state = JobState::ALL.iter().map(|state| JobFilter { state: Some(*state), ..JobFilter::default() });
        let held = JobFilter { hold_reason: Some(HoldReason::Budget), ..JobFilter::default() };
        let dead = JobFilter { dead_reason: Some(DeadReason::Refused), ..JobFilter::default() };
        for filter in by_state.chain([held, dead]) {
            for step in plan(&db, &filter) {
                // By its number alone, from the newest down: through everything.
                let walks = step.starts_with("SCAN jobs") || step.contains("jobs USING INTEGER PRIMARY KEY (rowid<?)");
                assert!(!walks, "{step} for {filter:?}");
            }
        }
    }
}
