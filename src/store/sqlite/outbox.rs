//! The outbox: what changes of a transaction make due is written at its end, in it.
//!
//! Jobs that are held or dead are gathered: a storm of them makes one message for each target and minute, with counts and
//! some examples. An alert's message is made when the last of its jobs has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};

use super::codec::{alert_id, job_id, json, micros, optional_word, state, time, time_at, to_json, word};
use super::read;
use super::tx::Tx;
use crate::domain::{AlertId, JobId, JobState, NoticeKind, SourceName, TargetName};
use crate::store::news::{EXAMPLES, GATHER, Gathered, JOBS_OF_ALERT, WINDOW, body, of_alert};
pub(super) use crate::store::news::{News, news};
use crate::store::{JobView, Message, MessageEnd, OutboxView, Routes, StoreError};

/// Writes what the changes of this transaction make due, as things are at its end.
pub(super) fn write(tx: &Tx<'_>, routes: &Routes, news: &[News]) -> Result<(), StoreError> {
    let mut gathered: BTreeMap<(TargetName, NoticeKind), Gathered<JobView>> = BTreeMap::new();
    let (mut jobs, mut alerts) = (BTreeSet::new(), BTreeSet::new());
    for one in news {
        match one {
            News::Job(job) => {
                jobs.insert(*job);
            }
            News::Other(kind, data) => {
                for target in routes.all(*kind) {
                    insert(tx, &target, *kind, data)?;
                }
            }
        }
    }
    for job in jobs {
        // Pruned, or never stored, in the same transaction.
        let Some(found) = find(tx, job)? else { continue };
        if found.state.is_final() {
            alerts.extend(alerts_of(tx, found.row)?);
        }
        gather(tx, routes, &found, &mut gathered)?;
    }
    for ((target, kind), gathered) in gathered {
        keep(tx, &target, kind, gathered)?;
    }
    alerts.into_iter().try_for_each(|alert| tell_alert(tx, routes, alert))
}

struct Found {
    row: i64,
    id: JobId,
    state: JobState,
    reason: Option<String>,
    source: SourceName,
    rules: Vec<String>,
}

fn find(tx: &Tx<'_>, job: JobId) -> Result<Option<Found>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(Found {
            row: row.get("seq")?,
            id: job_id(row, "id")?,
            state: state(row, "state")?,
            reason: row.get("reason")?,
            source: word(row, "source")?,
            rules: json(row, "rules")?,
        })
    };
    let sql = "SELECT seq, id, state, CASE state WHEN 3 THEN hold_reason ELSE dead_reason END AS reason, source, rules
               FROM jobs WHERE id = ?1";
    Ok(tx.sql(sql)?.query_row([job.0.into_bytes()], read).optional()?)
}

fn alerts_of(tx: &Tx<'_>, job: i64) -> Result<Vec<i64>, StoreError> {
    let mut statement = tx.sql("SELECT DISTINCT alert FROM alert_jobs WHERE job = ?1")?;
    let rows = statement.query_map([job], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn gather(
    tx: &Tx<'_>,
    routes: &Routes,
    found: &Found,
    gathered: &mut BTreeMap<(TargetName, NoticeKind), Gathered<JobView>>,
) -> Result<(), StoreError> {
    let kind = match found.state {
        JobState::Held => NoticeKind::JobsHeld,
        JobState::Dead => NoticeKind::JobsDead,
        JobState::Queued | JobState::Leased | JobState::Proving | JobState::Done | JobState::Cancelled => {
            return Ok(());
        }
    };
    for target in routes.of_job(kind, &found.source, &found.rules) {
        let entry = gathered.entry((target, kind)).or_default();
        entry.count(found.reason.as_deref());
        if entry.jobs.len() < EXAMPLES {
            entry.jobs.extend(read::job(tx.connection(), found.id)?.map(|detail| detail.job));
        }
    }
    Ok(())
}

/// Adds to what is gathered for a target already. It is due when the last message of its kind is a minute old.
fn keep(tx: &Tx<'_>, target: &TargetName, kind: NoticeKind, new: Gathered<JobView>) -> Result<(), StoreError> {
    let sql = "SELECT count, reasons, jobs FROM outbox_groups WHERE target = ?1 AND kind = ?2";
    let before: Option<(u64, BTreeMap<String, u64>, Vec<Value>)> = tx
        .sql(sql)?
        .query_row([target.as_str(), kind.as_str()], |row| Ok((row.get(0)?, json(row, 1)?, json(row, 2)?)))
        .optional()?;
    let (count, reasons, jobs) = new.added_to(before.unwrap_or_default());
    tx.sql(
        "INSERT INTO outbox_groups (target, kind, count, since, reasons, jobs, due_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (target, kind) DO UPDATE SET count = ?3, reasons = ?5,
         jobs = ?6, since = CASE WHEN count = 0 THEN ?4 ELSE since END,
         due_at = coalesce(due_at, max(?7, coalesce(last_at, 0) + ?8))",
    )?
    .execute(params![
        target.as_str(),
        kind.as_str(),
        count,
        tx.now.as_microsecond(),
        to_json(&reasons)?,
        to_json(&jobs)?,
        tx.steady.saturating_add(micros(GATHER)),
        micros(WINDOW),
    ])?;
    Ok(())
}

/// Makes the message of an alert, if each of its jobs has ended.
fn tell_alert(tx: &Tx<'_>, routes: &Routes, alert: i64) -> Result<(), StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM alert_jobs JOIN jobs ON jobs.seq = alert_jobs.job
               WHERE alert = ?1 AND state NOT IN (4, 5, 6))";
    if tx.sql(sql)?.query_row([alert], |row| row.get(0))? {
        return Ok(());
    }
    let of_alert = "SELECT DISTINCT jobs.seq, jobs.id, state, outcome, source, rules FROM alert_jobs
                    JOIN jobs ON jobs.seq = alert_jobs.job WHERE alert = ?1 ORDER BY jobs.seq";
    let mut statement = tx.sql(of_alert)?;
    let mut rows = statement.query([alert])?;
    let (mut targets, mut totals, mut ids) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let (source, rules): (SourceName, Vec<String>) = (word(row, "source")?, json(row, "rules")?);
        targets.extend(routes.of_job(NoticeKind::AlertDone, &source, &rules));
        let state = state(row, "state")?;
        let outcome: Option<crate::domain::Outcome> = optional_word(row, "outcome")?;
        let outcome = outcome.filter(|_| state == JobState::Done).map(|outcome| outcome.as_str());
        *totals.entry(outcome.unwrap_or(state.as_str())).or_insert(0_u64) += 1;
        ids.push(job_id(row, "id")?);
    }
    if targets.is_empty() {
        return Ok(());
    }
    let data = alert_data(tx.connection(), alert, &ids, &totals)?;
    targets.iter().try_for_each(|target| insert(tx, target, NoticeKind::AlertDone, &data))
}

fn alert_data(db: &Connection, alert: i64, jobs: &[JobId], totals: &BTreeMap<&str, u64>) -> Result<Value, StoreError> {
    let id: AlertId =
        db.prepare_cached("SELECT id FROM alerts WHERE seq = ?1")?.query_row([alert], |row| alert_id(row, 0))?;
    let told = read::alert(db, id)?;
    let mut views = Vec::new();
    for job in jobs.iter().take(JOBS_OF_ALERT) {
        views.extend(read::job(db, *job)?.map(|detail| detail.job));
    }
    Ok(of_alert(told.as_ref(), jobs.len(), totals, &views))
}

fn insert(tx: &Tx<'_>, target: &TargetName, kind: NoticeKind, data: &Value) -> Result<(), StoreError> {
    tx.sql(
        "INSERT INTO outbox (id, target, kind, body, made_at, created_at, due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5)",
    )?
    .execute(params![
        format!("msg_{}", uuid::Uuid::now_v7().simple()),
        target.as_str(),
        kind.as_str(),
        body(kind, tx.now, data),
        tx.steady,
        tx.now.as_microsecond(),
    ])?;
    Ok(())
}

/// Messages that were gathered, and whose time has come.
fn release_groups(tx: &Tx<'_>, target: &TargetName) -> Result<(), StoreError> {
    let read = |row: &Row<'_>| {
        let (kind, count, since): (NoticeKind, u64, Timestamp) =
            (word(row, "kind")?, row.get("count")?, time_at(row, "since")?);
        let (reasons, jobs): (Value, Value) = (json(row, "reasons")?, json(row, "jobs")?);
        Ok((kind, json!({"count": count, "since": since, "reasons": reasons, "jobs": jobs})))
    };
    let due: Vec<_> = tx
        .sql("SELECT * FROM outbox_groups WHERE target = ?1 AND due_at <= ?2")?
        .query_map(params![target.as_str(), tx.steady], read)?
        .collect::<Result<_, _>>()?;
    for (kind, data) in due {
        insert(tx, target, kind, &data)?;
        tx.sql(
            "UPDATE outbox_groups SET count = 0, reasons = '{}', jobs = '[]', due_at = NULL, last_at = ?3
             WHERE target = ?1 AND kind = ?2",
        )?
        .execute(params![target.as_str(), kind.as_str(), tx.steady])?;
    }
    Ok(())
}

/// Whether anything is due for this target: looking costs less than a transaction that changes nothing.
pub(super) fn is_due(db: &Connection, target: &TargetName, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM outbox WHERE target = ?1 AND due_at <= ?2)
               OR EXISTS (SELECT 1 FROM outbox_groups WHERE target = ?1 AND due_at <= ?2)";
    let now = now.as_microsecond();
    Ok(db.prepare_cached(sql)?.query_row(params![target.as_str(), now], |row| row.get(0))?)
}

/// Leases messages that are due.
pub(super) fn claim(
    tx: &mut Tx<'_>,
    target: &TargetName,
    limit: u32,
    lease: Duration,
) -> Result<Vec<Message>, StoreError> {
    release_groups(tx, target)?;
    let mut statement = tx.sql(
        "UPDATE outbox SET attempts = attempts + 1, due_at = ?3 WHERE seq IN
         (SELECT seq FROM outbox WHERE target = ?1 AND due_at <= ?2 ORDER BY due_at, seq LIMIT ?4)
         RETURNING seq, id, kind, body, attempts, made_at",
    )?;
    let until = tx.steady.saturating_add(micros(lease));
    let rows = statement.query_map(params![target.as_str(), tx.steady, until, limit], |row| {
        Ok(Message {
            seq: row.get("seq")?,
            id: row.get("id")?,
            kind: word(row, "kind")?,
            body: row.get("body")?,
            attempt: row.get("attempts")?,
            made_at: time_at(row, "made_at")?,
        })
    })?;
    let mut messages: Vec<Message> = rows.collect::<Result<_, _>>()?;
    messages.sort_by_key(|message| message.seq);
    Ok(messages)
}

/// Ends an attempt, if it is still the latest.
pub(super) fn settle(tx: &mut Tx<'_>, seq: i64, attempt: u32, end: &MessageEnd) -> Result<(), StoreError> {
    let changed = match end {
        MessageEnd::Delivered => tx
            .sql("DELETE FROM outbox WHERE seq = ?1 AND attempts = ?2 AND due_at IS NOT NULL")?
            .execute(params![seq, attempt])?,
        MessageEnd::Retry { due_at, note } => tx
            .sql("UPDATE outbox SET due_at = ?3, note = ?4 WHERE seq = ?1 AND attempts = ?2 AND due_at IS NOT NULL")?
            .execute(params![seq, attempt, due_at.as_microsecond(), note])?,
        MessageEnd::Dead { note } => tx
            .sql("UPDATE outbox SET due_at = NULL, note = ?3 WHERE seq = ?1 AND attempts = ?2 AND due_at IS NOT NULL")?
            .execute(params![seq, attempt, note])?,
    };
    if changed == 1 { Ok(()) } else { Err(StoreError::LeaseLost) }
}

/// From now on these are told. What an earlier process left half done is due: this file has one process at a time.
pub(super) fn begin(tx: &mut Tx<'_>, routes: &Routes) -> Result<(), StoreError> {
    let names = to_json(&routes.targets.keys().collect::<Vec<_>>())?;
    tx.sql(
        "UPDATE outbox SET due_at = NULL, note = 'its target is not in the config any more'
         WHERE due_at IS NOT NULL AND target NOT IN (SELECT value FROM json_each(?1))",
    )?
    .execute([&names])?;
    tx.sql("DELETE FROM outbox_groups WHERE target NOT IN (SELECT value FROM json_each(?1))")?.execute([&names])?;
    tx.sql("UPDATE outbox SET due_at = ?1 WHERE due_at IS NOT NULL")?.execute([tx.steady])?;
    // A clock that was set back since would keep them for ever.
    tx.sql("UPDATE outbox_groups SET last_at = min(last_at, ?1), due_at = min(due_at, ?2)")?
        .execute([tx.steady, tx.steady.saturating_add(micros(WINDOW))])?;
    tx.set_routes(routes.clone());
    Ok(())
}

/// Messages that were given up, and are as old as finished jobs may be.
pub(super) fn prune(tx: &Tx<'_>, before: i64, limit: u32) -> Result<u64, StoreError> {
    let sql = "DELETE FROM outbox WHERE seq IN
               (SELECT seq FROM outbox WHERE due_at IS NULL AND created_at < ?1 ORDER BY seq LIMIT ?2)";
    Ok(tx.sql(sql)?.execute(params![before, limit])? as u64)
}

/// How the messages of each target stand.
pub(super) fn views(db: &Connection) -> Result<BTreeMap<TargetName, OutboxView>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT target, count(due_at) AS waiting, count(*) - count(due_at) AS dead,
         min(CASE WHEN due_at IS NOT NULL THEN created_at END) AS since,
         (SELECT note FROM outbox latest WHERE latest.target = outbox.target AND note IS NOT NULL
          ORDER BY seq DESC LIMIT 1) AS note
         FROM outbox GROUP BY target",
    )?;
    let rows = statement.query_map([], |row| {
        let since: Option<i64> = row.get("since")?;
        let waiting_since = since.map(time).transpose()?;
        let (waiting, dead, note) = (row.get("waiting")?, row.get("dead")?, row.get("note")?);
        Ok((word(row, "target")?, OutboxView { waiting, dead, waiting_since, note }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
