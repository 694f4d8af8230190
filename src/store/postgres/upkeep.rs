//! Retention: what is old goes, a bounded number of rows at a time. Rows that somebody else is busy with are left to the
//! next time.

use serde_json::json;
use tokio_postgres::Row;

use super::admit::release_quarantine;
use super::codec::{get, micros, state, word};
use super::fault::Fault;
use super::outbox;
use super::people;
use super::time::Timing;
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::store::Retention;

/// Rows per kind and transaction: senders wait behind it.
const BATCH: i64 = 100;

/// Removes one batch of each kind; how many rows went, and whether and where to go on.
pub(super) async fn prune(
    tx: &mut Tx<'_>,
    retention: &Retention,
    from: i64,
    timing: &Timing,
) -> Result<(u64, Option<i64>), Fault> {
    // The earlier of the two clocks: a wall clock that jumped ahead must not throw away what is still of use.
    let now = tx.moment.wall.min(tx.steady);
    let before = |age| now.saturating_sub(micros(age));
    let margin = i64::try_from(timing.guard_margin().as_micros()).unwrap_or(i64::MAX);
    let guards = prune_guards(tx, now.saturating_sub(margin)).await?;
    let ignored = prune_ignored(tx, before(retention.ignored)).await?;
    let quarantined = prune_quarantine(tx, before(retention.quarantine)).await?;
    let (jobs, with_jobs) = prune_jobs(tx, before(retention.jobs)).await?;
    let (jobless, from) = prune_jobless(tx, before(retention.jobs), from).await?;
    let accepted = with_jobs + jobless;
    let gates = prune_gates(tx, tx.steady.saturating_sub(micros(retention.jobs))).await?;
    let untold = outbox::prune(tx, before(retention.jobs), BATCH).await?;
    fold_counts(tx).await?;
    if ignored + quarantined + jobs + accepted > 0 {
        let detail = json!({"ignored": ignored, "quarantined": quarantined, "jobs": jobs, "accepted": accepted});
        tx.record(AuditEvent::Pruned, None, None, &Actor::system(), detail.to_string()).await?;
    }
    let counted = people::expire(tx).await?;
    let rows = guards + ignored + quarantined + jobs + accepted + gates + untold + counted;
    Ok((rows, from.or((rows >= BATCH as u64).then_some(0))))
}

/// A repeat of these could not pass verification any more.
async fn prune_guards(tx: &Tx<'_>, before: i64) -> Result<u64, Fault> {
    let sql = "DELETE FROM delivery_guards WHERE key IN (SELECT key FROM delivery_guards WHERE expires_at < $1
         ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)";
    tx.execute(sql, &[&before, &BATCH]).await
}

/// Spans of long ago: a job that is older still and open has been held by a person's delay, which is counted with it.
async fn prune_gates(tx: &Tx<'_>, before: i64) -> Result<u64, Fault> {
    let sql = "DELETE FROM gates WHERE seq IN (SELECT seq FROM gates WHERE opened_at < $1 ORDER BY opened_at LIMIT $2
         FOR UPDATE SKIP LOCKED)";
    tx.execute(sql, &[&before, &BATCH]).await
}

async fn prune_ignored(tx: &Tx<'_>, before: i64) -> Result<u64, Fault> {
    let sql = "SELECT seq, alerts FROM deliveries WHERE status = 1 AND received_at < $1 ORDER BY received_at LIMIT $2
         FOR UPDATE SKIP LOCKED";
    let rows = tx.query(sql, &[&before, &BATCH]).await?;
    drop_deliveries(tx, &rows).await
}

async fn prune_quarantine(tx: &Tx<'_>, before: i64) -> Result<u64, Fault> {
    let sql = "SELECT seq, alerts, source, length(body) AS size FROM deliveries WHERE status = 2 AND received_at < $1
         LIMIT $2 FOR UPDATE SKIP LOCKED";
    let rows = tx.query(sql, &[&before, &BATCH]).await?;
    for row in &rows {
        let size = usize::try_from(get::<i32>(row, "size")?).unwrap_or_default();
        release_quarantine(tx, &word(row, "source")?, size).await?;
    }
    drop_deliveries(tx, &rows).await
}

/// Deliveries, with those of their alerts that have no job.
async fn drop_deliveries(tx: &Tx<'_>, rows: &[Row]) -> Result<u64, Fault> {
    if rows.is_empty() {
        return Ok(0);
    }
    let deliveries: Vec<i64> = rows.iter().map(|row| get(row, "seq")).collect::<Result<_, _>>()?;
    let mut alerts = Vec::new();
    for row in rows {
        alerts.extend(get::<Vec<i64>>(row, "alerts")?);
    }
    let sql = "SELECT seq FROM alerts WHERE seq = ANY($1) AND delivery = ANY($2)";
    let alerts = tx.query(sql, &[&alerts, &deliveries]).await?;
    let alerts: Vec<i64> = alerts.iter().map(|row| get(row, "seq")).collect::<Result<_, _>>()?;
    drop_jobless_alerts(tx, &alerts).await?;
    tx.execute("DELETE FROM deliveries WHERE seq = ANY($1)", &[&deliveries]).await
}

/// Finished jobs, with the alerts that no job is left of, and the accepted deliveries that no alert is left of; how many jobs
/// and deliveries.
async fn prune_jobs(tx: &mut Tx<'_>, before: i64) -> Result<(u64, u64), Fault> {
    let sql = "SELECT seq, provider, state FROM jobs WHERE finished_at < $1 ORDER BY finished_at LIMIT $2
         FOR UPDATE SKIP LOCKED";
    let rows = tx.query(sql, &[&before, &BATCH]).await?;
    if rows.is_empty() {
        return Ok((0, 0));
    }
    for row in &rows {
        tx.count(&word(row, "provider")?, Some(state(row, "state")?), None);
    }
    let jobs: Vec<i64> = rows.iter().map(|row| get(row, "seq")).collect::<Result<_, _>>()?;
    let alerts = tx.query("SELECT DISTINCT alert FROM alert_jobs WHERE job = ANY($1)", &[&jobs]).await?;
    let alerts: Vec<i64> = alerts.iter().map(|row| get(row, "alert")).collect::<Result<_, _>>()?;
    let removed = tx.execute("DELETE FROM jobs WHERE seq = ANY($1)", &[&jobs]).await?;
    let deliveries = drop_jobless_alerts(tx, &alerts).await?;
    // Those that still have an alert are left: it would have to be locked out of order.
    let sql = "DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries d WHERE seq = ANY($1) AND status = 0
         AND received_at < $2 AND NOT EXISTS (SELECT 1 FROM unnest(d.alerts) AS a (alert)
           JOIN alerts ON alerts.seq = a.alert) FOR UPDATE SKIP LOCKED)";
    let accepted = tx.execute(sql, &[&deliveries, &before]).await?;
    Ok((removed, accepted))
}

/// Alerts that no job is left of; the deliveries that those came with which went. Until the last job goes, they remember those
/// that went: they are not done again. Locked in the order of their guards, as whoever gives them a job does, and looked at only
/// once they are.
async fn drop_jobless_alerts(tx: &Tx<'_>, alerts: &[i64]) -> Result<Vec<i64>, Fault> {
    if alerts.is_empty() {
        return Ok(Vec::new());
    }
    tx.query("SELECT seq FROM alerts WHERE seq = ANY($1) ORDER BY guard FOR UPDATE", &[&alerts]).await?;
    let sql = "DELETE FROM alerts WHERE seq = ANY($1) AND NOT EXISTS (SELECT 1 FROM alert_jobs JOIN jobs
         ON jobs.seq = alert_jobs.job WHERE alert_jobs.alert = alerts.seq) RETURNING seq, delivery";
    let rows = tx.query(sql, &[&alerts]).await?;
    let gone: Vec<i64> = rows.iter().map(|row| get(row, "seq")).collect::<Result<_, _>>()?;
    tx.execute("DELETE FROM alert_jobs WHERE alert = ANY($1)", &[&gone]).await?;
    rows.iter().map(|row| get(row, "delivery")).collect()
}

/// Of the next deliveries after `from`, those accepted ones that no job is left of: one that shared its alerts with others, or
/// that has an alert which never had a job. How many went, and up to where it looked, unless what comes next is too young.
async fn prune_jobless(tx: &Tx<'_>, before: i64, from: i64) -> Result<(u64, Option<i64>), Fault> {
    let sql = "SELECT seq, received_at, CASE status WHEN 0 THEN NOT EXISTS
           (SELECT 1 FROM unnest(d.alerts) AS a (alert) JOIN alert_jobs ON alert_jobs.alert = a.alert) ELSE false END
         FROM deliveries d WHERE seq > $1 ORDER BY seq LIMIT $2";
    let (mut looked, mut jobless) = (Vec::new(), Vec::new());
    for row in tx.query(sql, &[&from, &BATCH]).await? {
        if get::<i64>(&row, "received_at")? >= before {
            break;
        }
        looked.push(get::<i64>(&row, "seq")?);
        if row.try_get(2)? {
            jobless.extend(looked.last().copied());
        }
    }
    let sql = "SELECT seq, alerts FROM deliveries WHERE seq = ANY($1) ORDER BY seq FOR UPDATE SKIP LOCKED";
    let rows = if jobless.is_empty() { Vec::new() } else { tx.query(sql, &[&jobless]).await? };
    Ok((drop_deliveries(tx, &rows).await?, looked.get(BATCH as usize - 1).copied()))
}

/// Writers come and go with their processes. Counts are sums of changes, so it does not matter whose row they stand in.
async fn fold_counts(tx: &Tx<'_>) -> Result<(), Fault> {
    let sql = "WITH gone AS (DELETE FROM job_counts WHERE (writer, provider, state) IN (SELECT writer, provider, state
           FROM job_counts WHERE writer <> '' LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING provider, state, jobs)
         INSERT INTO job_counts (writer, provider, state, jobs) SELECT '', provider, state, sum(jobs) FROM gone
         GROUP BY provider, state ON CONFLICT (writer, provider, state) DO UPDATE SET jobs = job_counts.jobs + excluded.jobs";
    tx.execute(sql, &[&BATCH]).await?;
    Ok(())
}
