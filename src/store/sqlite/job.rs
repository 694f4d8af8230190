//! The job of an alert: the one it has already, a queued one that takes it in, or a new one.

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, params};

use super::codec::{job_id, job_key, json, person_key, severity, state, to_json, traces, word};
use super::outbox::News;
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{AlertId, JobId, JobState, NewJob, Origin, RevokeRequest, TraceContext, Traces};
use crate::store::{Admission, JobReceipt, PlannedAlert, StoreError};

/// An alert as stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredAlert {
    pub(super) row: i64,
    pub(super) id: AlertId,
    /// Nothing was stored of it before: it has no job.
    pub(super) is_new: bool,
}

/// The job of this alert: the one it has already, a queued one that takes it in, or a new one. `None`: it had one that
/// ended so long ago that it was pruned.
///
/// `before` are the alerts that the same delivery was before it was replayed: what was done for one of them is done, also
/// if a mended mapping gives the alert another id.
pub(super) fn store_job(
    tx: &mut Tx<'_>,
    alert: StoredAlert,
    before: &[i64],
    admission: &Admission,
    planned: &PlannedAlert,
    job: &NewJob,
) -> Result<Option<JobReceipt>, StoreError> {
    let request = to_json(&job.request)?;
    let key = job_key(job, &request);
    if !alert.is_new
        && let Some(known) = job_of_alert(tx, alert.row, key)?
    {
        return Ok(known);
    }
    if let Some((row, receipt)) = job_of_any(tx, before, key)? {
        link(tx, alert.row, key, row)?;
        return Ok(Some(receipt));
    }
    let absorbing = if job.origin == Origin::Due { queued_for(tx, job)? } else { None };
    let (row, receipt) = match absorbing {
        Some(queued) => absorb(tx, queued, alert.id, admission.trace.as_ref(), job)?,
        None => insert_job(tx, alert.id, admission, planned, job, &request)?,
    };
    link(tx, alert.row, key, row)?;
    Ok(Some(receipt))
}

fn link(tx: &Tx<'_>, alert: i64, key: [u8; 16], job: i64) -> Result<(), StoreError> {
    tx.sql("INSERT INTO alert_jobs (alert, key, job) VALUES (?1, ?2, ?3)")?.execute(params![alert, key, job])?;
    Ok(())
}

/// The job that one of these alerts has.
fn job_of_any(tx: &Tx<'_>, alerts: &[i64], key: [u8; 16]) -> Result<Option<(i64, JobReceipt)>, StoreError> {
    if alerts.is_empty() {
        return Ok(None);
    }
    let found = tx
        .sql(
            "SELECT jobs.seq, jobs.id, provider, subject, state FROM json_each(?1)
             JOIN alert_jobs ON alert_jobs.alert = value AND alert_jobs.key = ?2
             JOIN jobs ON jobs.seq = alert_jobs.job LIMIT 1",
        )?
        .query_row(params![to_json(&alerts)?, key], |row| Ok((row.get("seq")?, job_receipt(row)?)))
        .optional()?;
    Ok(found)
}

/// `Some(None)`: there was one.
fn job_of_alert(tx: &Tx<'_>, alert: i64, key: [u8; 16]) -> Result<Option<Option<JobReceipt>>, StoreError> {
    let found = tx
        .sql(
            "SELECT jobs.id, provider, subject, state FROM alert_jobs LEFT JOIN jobs ON jobs.seq = alert_jobs.job
             WHERE alert = ?1 AND key = ?2",
        )?
        .query_row(params![alert, key], |row| match row.get_ref("id")? {
            ValueRef::Null => Ok(None),
            _ => job_receipt(row).map(Some),
        })
        .optional()?;
    Ok(found)
}

pub(super) fn job_receipt(row: &rusqlite::Row<'_>) -> rusqlite::Result<JobReceipt> {
    Ok(JobReceipt {
        id: job_id(row, "id")?,
        provider: word(row, "provider")?,
        subject: json(row, "subject")?,
        state: state(row, "state")?,
    })
}

struct Queued {
    row: i64,
    id: JobId,
    request: RevokeRequest,
    rules: Vec<String>,
    severity: u8,
    traces: Traces,
}

/// Looks at a person's latest jobs, so that somebody with thousands of them costs no more. One that is missed is merged
/// once the account is known.
fn queued_for(tx: &Tx<'_>, job: &NewJob) -> Result<Option<Queued>, StoreError> {
    let found = tx
        .sql(
            "SELECT jobs.seq, id, request, rules, severity, traces
             FROM (SELECT seq FROM jobs WHERE subject_key = ?1 ORDER BY seq DESC LIMIT 50) AS latest
             JOIN jobs ON jobs.seq = latest.seq WHERE state = 0 AND provider = ?2 AND dry_run = ?3 AND chosen_id IS NULL AND approved = 0 LIMIT 1",
        )?
        .query_row(params![person_key(job), job.provider.as_str(), job.dry_run], |row| {
            Ok(Queued {
                row: row.get("seq")?,
                id: job_id(row, "id")?,
                request: json(row, "request")?,
                rules: json(row, "rules")?,
                severity: severity(row, "severity")?.rank(),
                traces: traces(row, "traces")?,
            })
        })
        .optional()?;
    Ok(found)
}

/// The queued job takes the higher severity and the earlier due time, and does what both ask. It starts its looks anew,
/// for a second look that comes too soon after the first proves no absence; what was seen before an earlier call is
/// forgotten, for sessions that began since are to end as well; and the new alert gets its full time.
fn absorb(
    tx: &mut Tx<'_>,
    queued: Queued,
    alert: AlertId,
    trace: Option<&TraceContext>,
    job: &NewJob,
) -> Result<(i64, JobReceipt), StoreError> {
    let (mut rules, mut traces) = (queued.rules, queued.traces);
    trace.into_iter().for_each(|trace| traces.add(trace));
    rules.extend(job.rules.iter().filter(|rule| !rules.contains(rule)).cloned().collect::<Vec<_>>());
    tx.sql(
        "UPDATE jobs SET severity = ?2, lane = ?2, proof = NULL, wake_at = min(wake_at, ?3), request = ?4, rules = ?5,
         absence = NULL, created_at = ?3, held_total = 0, traces = ?6 WHERE seq = ?1",
    )?
    .execute(params![
        queued.row,
        queued.severity.max(job.severity.rank()),
        tx.steady,
        to_json(&queued.request.union(job.request.clone()))?,
        to_json(&rules)?,
        traces.to_text(),
    ])?;
    tx.record(AuditEvent::Absorbed, Some(queued.id), Some(alert), &Actor::system(), "{}")?;
    tx.wake();
    let (provider, subject) = (job.provider.clone(), job.subject.clone());
    Ok((queued.row, JobReceipt { id: queued.id, provider, subject, state: JobState::Queued }))
}

fn insert_job(
    tx: &mut Tx<'_>,
    alert: AlertId,
    admission: &Admission,
    planned: &PlannedAlert,
    job: &NewJob,
    request: &str,
) -> Result<(i64, JobReceipt), StoreError> {
    let (state, hold_reason, dead_reason, note) = match &job.origin {
        Origin::Due => (JobState::Queued, None, None, None),
        Origin::Held(reason, note) => (JobState::Held, Some(reason.as_str()), None, Some(note)),
        Origin::Dead(reason, note) => (JobState::Dead, None, Some(reason.as_str()), Some(note)),
    };
    let row = tx
        .sql(
            "INSERT INTO jobs (id, provider, state, severity, lane, wake_at, dry_run, subject, subject_key, request, rules,
             hold_reason, dead_reason, note, created_at, held_since, finished_at, received_at, occurred_at, alert_id,
             source, traces) VALUES (?1,?2,?3,?4,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21)",
        )?
        .insert(params![
            job.id.0.into_bytes(),
            job.provider.as_str(),
            state as i64,
            job.severity.rank(),
            (state == JobState::Queued).then_some(tx.steady),
            job.dry_run,
            to_json(&job.subject)?,
            person_key(job),
            request,
            to_json(&job.rules)?,
            hold_reason,
            dead_reason,
            note,
            tx.steady,
            (state == JobState::Held).then_some(tx.steady),
            state.is_final().then_some(tx.now.as_microsecond()),
            admission.received_at.as_microsecond(),
            planned.occurred_at.as_microsecond(),
            alert.0.into_bytes(),
            admission.source.as_str(),
            Traces::from(admission.trace.as_ref()).to_text(),
        ])?;
    tx.count(&job.provider, None, Some(state));
    if state == JobState::Queued {
        tx.wake();
    } else {
        tx.tell(|| Some(News::Job(job.id)));
    }
    Ok((row, JobReceipt { id: job.id, provider: job.provider.clone(), subject: job.subject.clone(), state }))
}
