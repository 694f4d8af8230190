//! Retention: what is old goes, a bounded number of rows at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

use super::codec::{micros, state, word};
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{JobState, ProviderName};
use crate::store::{Retention, StoreError};

/// Rows per kind and transaction: senders wait behind it. Each job takes a page of each index with it that has no order in
/// time, so few at a time cost hardly more than many, and whoever writes meanwhile waits for less.
const BATCH: u32 = 50;

/// Removes one batch of each kind; how many rows went, and whether and where to go on.
pub(super) fn prune(tx: &mut Tx<'_>, retention: &Retention, from: i64) -> Result<(u64, Option<i64>), StoreError> {
    let guards = prune_guards(tx)?;
    let ignored = prune_ignored(tx, before(tx, retention.ignored))?;
    let quarantined = prune_quarantine(tx, before(tx, retention.quarantine))?;
    let (jobs, with_jobs) = prune_jobs(tx, before(tx, retention.jobs))?;
    let (jobless, from) = prune_jobless(tx, before(tx, retention.jobs), from)?;
    let accepted = with_jobs + jobless;
    let gates = prune_gates(tx, tx.steady.saturating_sub(micros(retention.jobs)))?;
    let untold = super::outbox::prune(tx, before(tx, retention.jobs), BATCH)?;
    if ignored + quarantined + jobs + accepted > 0 {
        let detail = json!({"ignored": ignored, "quarantined": quarantined, "jobs": jobs, "accepted": accepted});
        tx.record(AuditEvent::Pruned, None, None, &Actor::system(), &detail.to_string())?;
    }
    let counted = super::budget::prune(tx)?;
    let rows = guards + ignored + quarantined + jobs + accepted + gates + untold + counted;
    Ok((rows, from.or((rows >= u64::from(BATCH)).then_some(0))))
}

/// The earlier of the two clocks: a wall clock that jumped ahead must not throw away what is still of use.
fn now(tx: &Tx<'_>) -> i64 {
    tx.now.as_microsecond().min(tx.steady)
}

fn before(tx: &Tx<'_>, age: Duration) -> i64 {
    now(tx).saturating_sub(micros(age))
}

/// A repeat of these could not pass verification any more.
fn prune_guards(tx: &Tx<'_>) -> Result<u64, StoreError> {
    let sql = "DELETE FROM delivery_guards WHERE key IN
               (SELECT key FROM delivery_guards WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";
    Ok(tx.sql(sql)?.execute(params![now(tx), BATCH])? as u64)
}

/// Spans of long ago: a job that is older still and open has been held by a person's delay, which is counted with it.
fn prune_gates(tx: &Tx<'_>, before: i64) -> Result<u64, StoreError> {
    let sql = "DELETE FROM gates WHERE seq IN
               (SELECT seq FROM gates WHERE opened_at < ?1 ORDER BY opened_at LIMIT ?2)";
    Ok(tx.sql(sql)?.execute(params![before, BATCH])? as u64)
}

fn prune_ignored(tx: &Tx<'_>, before: i64) -> Result<u64, StoreError> {
    let sql = "SELECT seq FROM deliveries WHERE status = 1 AND received_at < ?1 ORDER BY received_at LIMIT ?2";
    let rows: Vec<i64> = tx.sql(sql)?.query_map(params![before, BATCH], |row| row.get(0))?.collect::<Result<_, _>>()?;
    rows.iter().try_for_each(|row| drop_delivery(tx, *row))?;
    Ok(rows.len() as u64)
}

fn prune_quarantine(tx: &Tx<'_>, before: i64) -> Result<u64, StoreError> {
    let sql = "SELECT seq, source, length(body) FROM deliveries WHERE status = 2 AND received_at < ?1 LIMIT ?2";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let rows: Vec<(i64, String, u64)> =
        tx.sql(sql)?.query_map(params![before, BATCH], read)?.collect::<Result<_, _>>()?;
    for (row, source, size) in &rows {
        drop_delivery(tx, *row)?;
        tx.sql("UPDATE quarantine_sizes SET entries = entries - 1, bytes = bytes - ?2 WHERE source = ?1")?
            .execute(params![source, size])?;
    }
    Ok(rows.len() as u64)
}

/// A delivery, with those of its alerts that have no job.
fn drop_delivery(tx: &Tx<'_>, delivery: i64) -> Result<(), StoreError> {
    let sql = "SELECT a.seq FROM deliveries d, json_each(d.alerts) JOIN alerts a ON a.seq = value
               WHERE d.seq = ?1 AND a.delivery = ?1";
    let alerts: Vec<i64> = tx.sql(sql)?.query_map([delivery], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for alert in alerts {
        drop_jobless_alert(tx, alert)?;
    }
    tx.sql("DELETE FROM deliveries WHERE seq = ?1")?.execute([delivery])?;
    Ok(())
}

/// Finished jobs, with the alerts that no job is left of, and the accepted deliveries that no alert is left of; how many jobs
/// and deliveries.
fn prune_jobs(tx: &mut Tx<'_>, before: i64) -> Result<(u64, u64), StoreError> {
    let sql = "SELECT seq, provider, state FROM jobs WHERE finished_at < ?1 ORDER BY finished_at LIMIT ?2";
    let read = |row: &Row<'_>| Ok((row.get(0)?, word(row, 1)?, state(row, 2)?));
    let rows: Vec<(i64, ProviderName, JobState)> =
        tx.sql(sql)?.query_map(params![before, BATCH], read)?.collect::<Result<_, _>>()?;
    let mut deliveries = BTreeSet::new();
    for (row, provider, state) in &rows {
        let sql = "SELECT DISTINCT alert FROM alert_jobs WHERE job = ?1";
        let alerts: Vec<i64> = tx.sql(sql)?.query_map([row], |row| row.get(0))?.collect::<Result<_, _>>()?;
        tx.sql("DELETE FROM jobs WHERE seq = ?1")?.execute([row])?;
        for alert in alerts {
            deliveries.extend(drop_jobless_alert(tx, alert)?);
        }
        tx.count(provider, Some(*state), None);
    }
    let sql = "DELETE FROM deliveries WHERE seq = ?1 AND status = 0 AND received_at < ?2 AND NOT EXISTS
               (SELECT 1 FROM json_each(deliveries.alerts) JOIN alerts ON alerts.seq = value)";
    let mut statement = tx.sql(sql)?;
    let gone = deliveries.into_iter().map(|delivery| statement.execute([delivery, before]));
    let accepted: usize = gone.sum::<rusqlite::Result<_>>()?;
    Ok((rows.len() as u64, accepted as u64))
}

/// An alert that no job is left of; the delivery that it came with, if it went. Until its last job goes, it remembers those
/// that went: they are not done again.
fn drop_jobless_alert(tx: &Tx<'_>, alert: i64) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT delivery FROM alerts WHERE seq = ?1 AND NOT EXISTS
               (SELECT 1 FROM alert_jobs JOIN jobs ON jobs.seq = alert_jobs.job WHERE alert_jobs.alert = ?1)";
    let delivery = tx.sql(sql)?.query_row([alert], |row| row.get(0)).optional()?;
    if delivery.is_some() {
        tx.sql("DELETE FROM alerts WHERE seq = ?1")?.execute([alert])?;
        tx.sql("DELETE FROM alert_jobs WHERE alert = ?1")?.execute([alert])?;
    }
    Ok(delivery)
}

/// Of the next deliveries after `from`, those accepted ones that no job is left of: one that shared its alerts with others, or
/// that has an alert which never had a job. How many went, and up to where it looked, unless what comes next is too young.
fn prune_jobless(tx: &Tx<'_>, before: i64, from: i64) -> Result<(u64, Option<i64>), StoreError> {
    let sql = "SELECT seq, received_at, CASE status WHEN 0 THEN NOT EXISTS
                 (SELECT 1 FROM json_each(d.alerts) JOIN alert_jobs ON alert_jobs.alert = value) ELSE 0 END
               FROM deliveries d WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut statement = tx.sql(sql)?;
    let (mut rows, mut looked, mut jobless) = (statement.query(params![from, BATCH])?, Vec::new(), Vec::new());
    while let Some(row) = rows.next()?
        && row.get::<_, i64>(1)? < before
    {
        looked.push(row.get(0)?);
        if row.get(2)? {
            jobless.push(row.get(0)?);
        }
    }
    jobless.iter().try_for_each(|row| drop_delivery(tx, *row))?;
    Ok((jobless.len() as u64, looked.get(BATCH as usize - 1).copied()))
}
