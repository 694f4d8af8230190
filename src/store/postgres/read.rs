//! What operators and metrics see.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use serde::Deserialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::alerts::job_receipt;
use super::circuit;
use super::codec::{
    alert_id, count, get, job_id, json, optional_job_id, optional_json, optional_time, optional_word, severity, small,
    state, time_at, word,
};
use super::fault::Fault;
use super::outbox;
use super::replicas;
use super::time::{NOW, Timing};
use super::tx::query;
use crate::domain::{AlertId, Attempt, JobId, JobState, ProviderName, Revocation, RevokeRequest, SourceName, fold};
use crate::store::shortcut::{Counts, shortcut};
use crate::store::view::{self, gate_of, page, sessions};
use crate::store::{
    AlertReceipt, AlertView, Backlog, DeliveryStatus, GateView, JobDetail, JobFilter, JobReceipt, JobView, Page,
    QuarantineView, QuarantinedElement, StatusView, StoreError, StoredDelivery,
};

/// Jobs that are looked through at once for those about one person.
const STRETCH: i64 = 2000;

/// Whether there is a delivery with this guard.
pub(super) async fn is_known(db: &ClientWrapper, guard: [u8; 32]) -> Result<bool, Fault> {
    Ok(!query(db, "SELECT 1 FROM delivery_guards WHERE key = $1", &[&&guard[..]]).await?.is_empty())
}

/// What keeps providers from being called.
pub(super) async fn gates(db: &ClientWrapper) -> Result<Vec<GateView>, Fault> {
    let sql = "SELECT provider, reason, note, closed_at FROM gates WHERE opened_at IS NULL ORDER BY closed_at, seq";
    let read = |row: &Row| {
        let name: &str = get(row, "provider")?;
        Ok(GateView {
            provider: if name.is_empty() { None } else { Some(word(row, "provider")?) },
            reason: word(row, "reason")?,
            note: get(row, "note")?,
            since: time_at(row, "closed_at")?,
        })
    };
    query(db, sql, &[]).await?.iter().map(read).collect()
}

/// How much is waiting.
pub(super) async fn backlog(db: &ClientWrapper, timing: &Timing) -> Result<Backlog, Fault> {
    let sql = "SELECT provider, state, sum(jobs)::bigint AS jobs FROM job_counts GROUP BY provider, state
         HAVING sum(jobs) > 0 ORDER BY provider, state";
    let jobs = query(db, sql, &[]).await?;
    let read = |row: &Row| Ok((word(row, "provider")?, state(row, "state")?, count(row, "jobs")?));
    let jobs = jobs.iter().map(read).collect::<Result<Vec<_>, Fault>>()?;
    let sql = "SELECT provider, hold_reason, count(*) AS jobs FROM jobs WHERE state = 3 GROUP BY provider, hold_reason";
    let held = query(db, sql, &[]).await?;
    let read = |row: &Row| Ok((word(row, "provider")?, word(row, "hold_reason")?, count(row, "jobs")?));
    let held = held.iter().map(read).collect::<Result<_, Fault>>()?;
    let sql = "SELECT source, entries, bytes FROM quarantine_sizes WHERE entries > 0 ORDER BY source";
    let quarantine = query(db, sql, &[]).await?;
    let read = |row: &Row| Ok((word(row, "source")?, count(row, "entries")?, count(row, "bytes")?));
    let quarantine = quarantine.iter().map(read).collect::<Result<_, Fault>>()?;
    Ok(Backlog { oldest_due: oldest_due(db, timing, &jobs).await?, jobs, held, quarantine })
}

async fn oldest_due(
    db: &ClientWrapper,
    timing: &Timing,
    jobs: &[(ProviderName, JobState, u64)],
) -> Result<Vec<(ProviderName, Duration)>, Fault> {
    let providers: BTreeSet<&ProviderName> = jobs.iter().map(|(provider, ..)| provider).collect();
    let names: Vec<&str> = providers.iter().map(|provider| provider.as_str()).collect();
    let now = now(db, timing).await?;
    // One seek per lane: the index has the lane before the time.
    let sql = "SELECT p.name, (SELECT min(head.wake_at) FROM generate_series(0, 5) AS lanes (lane) CROSS JOIN LATERAL
           (SELECT wake_at FROM jobs WHERE jobs.provider = p.name AND jobs.lane = lanes.lane AND wake_at <= $2
            ORDER BY wake_at LIMIT 1) AS head) AS due
         FROM unnest($1::text[]) AS p (name)";
    let read = |row: &Row| {
        let age = get::<Option<i64>>(row, "due")?.map_or(0, |due| now.saturating_sub(due));
        Ok((word(row, "name")?, Duration::from_micros(u64::try_from(age).unwrap_or(0))))
    };
    query(db, sql, &[&names, &now]).await?.iter().map(read).collect()
}

/// The clock that counts, in microseconds.
pub(super) async fn now(db: &ClientWrapper, timing: &Timing) -> Result<i64, Fault> {
    let (wall, steady) = timing.given();
    query(db, NOW, &[&wall, &steady]).await?.first().map_or(Ok(0), |row| get(row, "steady"))
}

/// What is still open.
pub(super) async fn status(db: &ClientWrapper, timing: &Timing) -> Result<StatusView, Fault> {
    let circuits = circuit::list(db, timing).await?;
    let replicas = replicas::list(db, timing).await?;
    let status = view::status(backlog(db, timing).await?, gates(db).await?, circuits, outbox::views(db).await?);
    Ok(StatusView { replicas, ..status })
}

/// The columns of a job, with its alerts and with what the record tells of its provider's yes.
const JOB: &str = "SELECT jobs.*, (SELECT detail FROM audit WHERE audit.seq = jobs.said) AS told,
     ARRAY(SELECT alerts.id FROM (SELECT DISTINCT alert FROM alert_jobs WHERE job = jobs.seq) AS link
           JOIN alerts ON alerts.seq = link.alert ORDER BY alerts.seq) AS alerts FROM jobs";

/// Jobs, newest first.
pub(super) async fn jobs(db: &ClientWrapper, filter: &JobFilter) -> Result<Page<JobView>, Fault> {
    let gates = gates(db).await?;
    let limit = filter.limit.clamp(1, 1000);
    let rows = match &filter.subject {
        Some(name) => about(db, filter, &gates, name, limit).await?,
        None => matching(db, filter, &gates, filter.cursor, i64::from(limit) + 1).await?,
    };
    let rows: Vec<i64> = rows.iter().map(|row| get(row, "seq")).collect::<Result<_, _>>()?;
    let sql = format!("{JOB} WHERE jobs.seq = ANY($1) ORDER BY jobs.seq DESC");
    let found = query(db, &sql, &[&rows]).await?;
    let found = found.iter().map(|row| Ok((get(row, "seq")?, job_view(row, &gates)?)));
    Ok(page(found.collect::<Result<_, Fault>>()?, limit))
}

/// The first jobs below the cursor, whoever they are about.
async fn matching(
    db: &ClientWrapper,
    filter: &JobFilter,
    gates: &[GateView],
    cursor: Option<i64>,
    most: i64,
) -> Result<Vec<Row>, Fault> {
    let (wanted, few) = (conditions(filter, gates), shortcut(filter, gates, &counts(db).await?));
    let sql = format!("SELECT seq, subject, account_id FROM jobs WHERE {wanted}{few} ORDER BY seq DESC LIMIT $4");
    query(db, &sql, &[&cursor.unwrap_or(i64::MAX), &provider(filter), &source(filter), &most]).await
}

async fn counts(db: &ClientWrapper) -> Result<Counts, Fault> {
    let sql = "SELECT state, greatest(sum(jobs), 0)::bigint AS jobs FROM job_counts GROUP BY state";
    query(db, sql, &[]).await?.iter().map(|row| Ok((state(row, "state")?, count(row, "jobs")?))).collect()
}

/// `$1` cursor, `$2` provider, `$3` source.
pub(super) fn conditions(filter: &JobFilter, gates: &[GateView]) -> String {
    let shown = view::conditions(filter, gates);
    format!("seq < $1 AND ($2::text IS NULL OR provider = $2) AND ($3::text IS NULL OR source = $3){shown}")
}

pub(super) fn provider(filter: &JobFilter) -> Option<&str> {
    filter.provider.as_ref().map(ProviderName::as_str)
}

pub(super) fn source(filter: &JobFilter) -> Option<&str> {
    filter.source.as_ref().map(SourceName::as_str)
}

/// Names are folded as everywhere else, which SQL cannot do beyond ASCII: jobs are looked through, a stretch at a time.
async fn about(
    db: &ClientWrapper,
    filter: &JobFilter,
    gates: &[GateView],
    name: &str,
    limit: u32,
) -> Result<Vec<Row>, Fault> {
    let (folded, mut cursor, mut found) = (fold(name), filter.cursor, Vec::new());
    while found.len() <= limit as usize {
        let stretch = matching(db, filter, gates, cursor, STRETCH).await?;
        let Some(last) = stretch.last() else { break };
        cursor = Some(get(last, "seq")?);
        found.extend(stretch.into_iter().filter(|row| is_about(row, name, &folded).unwrap_or(true)));
    }
    found.truncate(limit as usize + 1);
    Ok(found)
}

/// A row with the subject and the account of a job.
pub(super) fn is_about(row: &Row, exact: &str, folded: &str) -> Result<bool, Fault> {
    Ok(view::is_about(&json(row, "subject")?, get(row, "account_id")?, exact, folded))
}

/// What the record tells of an attempt.
#[derive(Deserialize)]
struct Told {
    attempt: Option<Attempt>,
    result: Option<Revocation>,
}

fn job_view(row: &Row, gates: &[GateView]) -> Result<JobView, Fault> {
    let provider: ProviderName = word(row, "provider")?;
    let stored = state(row, "state")?;
    let gate = gate_of(gates, &provider).filter(|_| stored == JobState::Queued);
    let request: RevokeRequest = json(row, "request")?;
    let result = optional_json::<Told>(row, "told")?.and_then(|told| told.result);
    let alerts: Vec<Uuid> = get(row, "alerts")?;
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
        note: gate.map(|gate| gate.note.clone()).map_or_else(|| get(row, "note"), |note| Ok(Some(note)))?,
        subject: json(row, "subject")?,
        account_id: get(row, "account_id")?,
        scope: request.scope.kind(),
        sessions: sessions(request.scope),
        severity: severity(row, "severity")?,
        dry_run: get(row, "dry_run")?,
        rules: json(row, "rules")?,
        source: word(row, "source")?,
        alert_ids: alerts.into_iter().map(AlertId).collect(),
        attempts: small(row, "attempts")?,
        sessions_ended: result.as_ref().and_then(|result| result.sessions_ended),
        survives: result.as_ref().map(|result| result.survives.clone()).unwrap_or_default(),
        signed_in_again: result.map(|result| result.signed_in_again).unwrap_or_default(),
        repeated: small(row, "repeated")?,
        merged_into: optional_job_id(row, "merged_into")?,
        due_at: optional_time(row, "wake_at")?.filter(|_| stored != JobState::Leased),
        received_at: time_at(row, "received_at")?,
        finished_at: optional_time(row, "finished_at")?,
        provider,
    })
}

/// Jobs by their rows.
pub(super) async fn job_views(db: &ClientWrapper, jobs: &[i64]) -> Result<HashMap<i64, JobView>, Fault> {
    if jobs.is_empty() {
        return Ok(HashMap::new());
    }
    let gates = gates(db).await?;
    let rows = query(db, &format!("{JOB} WHERE jobs.seq = ANY($1)"), &[&jobs]).await?;
    rows.iter().map(|row| Ok((get(row, "seq")?, job_view(row, &gates)?))).collect()
}

/// A job with every attempt.
pub(super) async fn job(db: &ClientWrapper, job: JobId) -> Result<Option<JobDetail>, Fault> {
    let gates = gates(db).await?;
    let rows = query(db, &format!("{JOB} WHERE jobs.id = $1"), &[&job.0]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(JobDetail { job: job_view(row, &gates)?, history: history(db, get(row, "record")?).await? }))
}

/// Every attempt, first to last, from the row that tells the last one.
async fn history(db: &ClientWrapper, last: Option<i64>) -> Result<Vec<Attempt>, Fault> {
    let sql = "WITH RECURSIVE told (seq, earlier, detail) AS (
           SELECT seq, earlier, detail FROM audit WHERE seq = $1
           UNION ALL SELECT audit.seq, audit.earlier, audit.detail FROM told JOIN audit ON audit.seq = told.earlier)
         SELECT detail FROM told ORDER BY seq";
    let rows = query(db, sql, &[&last]).await?;
    let told = rows.iter().map(|row| json::<Told>(row, "detail")).collect::<Result<Vec<_>, _>>()?;
    Ok(told.into_iter().filter_map(|told| told.attempt).collect())
}

/// Alerts, newest first.
pub(super) async fn alerts(db: &ClientWrapper, cursor: Option<i64>, limit: u32) -> Result<Page<AlertView>, Fault> {
    let limit = limit.clamp(1, 1000);
    let sql = "SELECT * FROM alerts WHERE seq < $1 ORDER BY seq DESC LIMIT $2";
    let rows = query(db, sql, &[&cursor.unwrap_or(i64::MAX), &(i64::from(limit) + 1)]).await?;
    Ok(page(alert_views(db, &rows).await?, limit))
}

/// An alert with its jobs.
pub(super) async fn alert(db: &ClientWrapper, alert: AlertId) -> Result<Option<AlertView>, Fault> {
    let rows = query(db, "SELECT * FROM alerts WHERE id = $1", &[&alert.0]).await?;
    Ok(alert_views(db, &rows).await?.pop().map(|(_, view)| view))
}

/// Alerts by their rows.
pub(super) async fn alerts_at(db: &ClientWrapper, alerts: &[i64]) -> Result<HashMap<i64, AlertView>, Fault> {
    let rows = query(db, "SELECT * FROM alerts WHERE seq = ANY($1)", &[&alerts]).await?;
    Ok(alert_views(db, &rows).await?.into_iter().collect())
}

async fn alert_views(db: &ClientWrapper, rows: &[Row]) -> Result<Vec<(i64, AlertView)>, Fault> {
    let seqs: Vec<i64> = rows.iter().map(|row| get(row, "seq")).collect::<Result<_, _>>()?;
    let mut jobs = jobs_of(db, &seqs).await?;
    let view = |row: &Row| {
        let seq = get(row, "seq")?;
        let view = AlertView {
            id: alert_id(row, "id")?,
            external_id: get(row, "external_id")?,
            source: word(row, "source")?,
            issuer: get(row, "issuer")?,
            kind: get(row, "kind")?,
            severity: severity(row, "severity")?,
            reason: get(row, "reason")?,
            occurred_at: time_at(row, "occurred_at")?,
            received_at: time_at(row, "received_at")?,
            jobs: jobs.remove(&seq).unwrap_or_default(),
            skipped: json(row, "skipped")?,
        };
        Ok((seq, view))
    };
    rows.iter().map(view).collect()
}

/// By alert.
async fn jobs_of(db: &ClientWrapper, alerts: &[i64]) -> Result<HashMap<i64, Vec<JobReceipt>>, Fault> {
    let sql = "SELECT DISTINCT link.alert, jobs.seq, jobs.id, jobs.provider, jobs.subject, jobs.state
         FROM alert_jobs AS link JOIN jobs ON jobs.seq = link.job WHERE link.alert = ANY($1) ORDER BY jobs.seq";
    let mut jobs: HashMap<i64, Vec<JobReceipt>> = HashMap::new();
    for row in query(db, sql, &[&alerts]).await? {
        jobs.entry(get(&row, "alert")?).or_default().push(job_receipt(&row)?);
    }
    Ok(jobs)
}

/// An alert as its sender sees it.
pub(super) async fn alert_receipt(db: &ClientWrapper, alert: i64) -> Result<Option<AlertReceipt>, Fault> {
    let rows = query(db, "SELECT id, external_id, skipped FROM alerts WHERE seq = $1", &[&alert]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let jobs = jobs_of(db, &[alert]).await?.remove(&alert).unwrap_or_default();
    let (external_id, skipped) = (get(row, "external_id")?, json(row, "skipped")?);
    Ok(Some(AlertReceipt { id: alert_id(row, "id")?, external_id, jobs, skipped }))
}

/// Deliveries in quarantine, newest first.
pub(super) async fn quarantine(
    db: &ClientWrapper,
    cursor: Option<i64>,
    limit: u32,
) -> Result<Page<QuarantineView>, Fault> {
    let limit = limit.clamp(1, 1000);
    let sql =
        "SELECT seq, source, delivery_id, coalesce(reason, '') AS reason, length(body)::bigint AS size, received_at
         FROM deliveries WHERE status = 2 AND seq < $1 ORDER BY seq DESC LIMIT $2";
    let view = |row: &Row| {
        let view = QuarantineView {
            id: get(row, "seq")?,
            source: word(row, "source")?,
            delivery_id: get(row, "delivery_id")?,
            reason: get(row, "reason")?,
            // Shown with the delivery: a page of them could be too large.
            elements: Vec::new(),
            size_bytes: count(row, "size")?,
            received_at: time_at(row, "received_at")?,
        };
        Ok((view.id, view))
    };
    let rows = query(db, sql, &[&cursor.unwrap_or(i64::MAX), &(i64::from(limit) + 1)]).await?;
    Ok(page(rows.iter().map(view).collect::<Result<_, Fault>>()?, limit))
}

/// A stored delivery with its body.
pub(super) async fn delivery(db: &ClientWrapper, seq: i64) -> Result<Option<StoredDelivery>, Fault> {
    query(db, "SELECT * FROM deliveries WHERE seq = $1", &[&seq]).await?.first().map(stored).transpose()
}

/// Where an alert came from first.
pub(super) async fn delivery_of(db: &ClientWrapper, alert: AlertId) -> Result<Option<StoredDelivery>, Fault> {
    let sql =
        "SELECT deliveries.* FROM alerts JOIN deliveries ON deliveries.seq = alerts.delivery WHERE alerts.id = $1";
    query(db, sql, &[&alert.0]).await?.first().map(stored).transpose()
}

/// The elements of a delivery that are in quarantine.
pub(super) fn elements(row: &Row) -> Result<Vec<QuarantinedElement>, Fault> {
    Ok(optional_json(row, "elements")?.unwrap_or_default())
}

fn stored(row: &Row) -> Result<StoredDelivery, Fault> {
    let body: Vec<u8> = get(row, "body")?;
    let status = match get::<i16>(row, "status")? {
        0 => DeliveryStatus::Accepted,
        1 => DeliveryStatus::Ignored,
        2 => DeliveryStatus::Quarantined,
        other => return Err(StoreError::Unavailable(format!("a delivery has status {other}")).into()),
    };
    Ok(StoredDelivery {
        seq: get(row, "seq")?,
        source: word(row, "source")?,
        delivery_id: get(row, "delivery_id")?,
        status,
        reason: get(row, "reason")?,
        elements: elements(row)?,
        headers: json(row, "headers")?,
        body: body.into(),
        received_at: time_at(row, "received_at")?,
    })
}
