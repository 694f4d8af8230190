//! The alerts of a batch, and the job of each: the one it has already, a queued one that takes it in, or a new one.
//!
//! What is stored is read in one flight, decided on here, one delivery after the other, and written in another. An alert
//! that is known stays locked until the commit, so that no other replica gives it a job meanwhile. A queued job is taken
//! only if nobody is busy with it; else the alert gets a job of its own.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_postgres::Row;
use uuid::Uuid;

use super::codec::{alert_id, clean, get, job_id, json, severity, state, to_json, word};
use super::fault::Fault;
use super::tx::{Parameters, Tx};
use crate::audit::{Actor, AuditEvent};
use crate::domain::{AlertId, JobId, JobState, NewJob, Origin, ProviderName, RevokeRequest, TraceContext, Traces};
use crate::store::keys::{alert_guard, job_key, person_key};
use crate::store::news::News;
use crate::store::{Admission, AlertReceipt, JobReceipt, PlannedAlert};

type Key = [u8; 16];

/// A delivery whose alerts are to be stored.
pub(super) struct Item<'a> {
    pub(super) delivery: i64,
    pub(super) admission: &'a Admission,
    /// The alerts that it was before, if it is replayed: what was done for one of them is done, also if a mended mapping
    /// gives the alert another id.
    pub(super) before: &'a [i64],
}

/// What a delivery's alerts came to.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) rows: Vec<i64>,
    pub(super) alerts: Vec<AlertReceipt>,
}

/// Whom a job is about, and whether it acts.
type Person = (Key, ProviderName, bool);

/// A queued job, stored or about to be, that can take in an alert.
struct Queued {
    row: i64,
    id: JobId,
    request: RevokeRequest,
    rules: Vec<String>,
    severity: u8,
    traces: Traces,
    /// Something was taken in.
    changed: bool,
}

/// A job that is about to be stored.
struct New<'a> {
    row: i64,
    job: &'a NewJob,
    alert: AlertId,
    admission: &'a Admission,
    planned: &'a PlannedAlert,
    /// It is among the queued ones under this name, with what it took in since.
    queued_as: Option<Person>,
}

/// What is known while the batch is decided on, and what has to be written.
#[derive(Default)]
pub(super) struct Plan<'a> {
    alerts: HashMap<Key, (i64, AlertId)>,
    /// The jobs that alerts have. `None`: one that ended so long ago that it was pruned.
    links: HashMap<(i64, Key), Option<JobReceipt>>,
    queued: HashMap<Person, Queued>,
    numbers: Vec<i64>,
    new: Vec<New<'a>>,
    new_links: Vec<(i64, Key, i64)>,
    moved: Vec<(i64, i64)>,
    linked: HashSet<i64>,
}

/// Stores the alerts of these deliveries, and their jobs.
pub(super) async fn store_alerts(tx: &mut Tx<'_>, items: &[Item<'_>]) -> Result<Vec<Stored>, Fault> {
    let (plan, stored) = decide(tx, items).await?;
    write(tx, &plan).await?;
    Ok(stored)
}

/// What becomes of them, still to be written.
pub(super) async fn decide<'a>(tx: &mut Tx<'_>, items: &'a [Item<'a>]) -> Result<(Plan<'a>, Vec<Stored>), Fault> {
    let mut plan = read(tx, items).await?;
    let mut stored = Vec::with_capacity(items.len());
    for item in items {
        stored.push(decide_one(tx, &mut plan, item).await?);
    }
    Ok((plan, stored))
}

fn planned<'a>(items: &'a [Item<'a>]) -> impl Iterator<Item = (&'a Item<'a>, &'a PlannedAlert)> {
    items.iter().flat_map(|item| item.admission.alerts.iter().map(move |alert| (item, alert)))
}

async fn read<'a>(tx: &Tx<'_>, items: &'a [Item<'a>]) -> Result<Plan<'a>, Fault> {
    let mut plan = Plan::default();
    // The first to name an alert stores it; in order of their guards, so that replicas do not wait in a circle.
    let mut first: BTreeMap<Key, (&Item<'_>, &PlannedAlert)> = BTreeMap::new();
    for (item, alert) in planned(items) {
        first.entry(alert_guard(&item.admission.issuer, &alert.external_id)).or_insert((item, alert));
    }
    if first.is_empty() {
        return Ok(plan);
    }
    let guards: Vec<&[u8]> = first.keys().map(|guard| &guard[..]).collect();
    let jobs: Vec<&NewJob> = planned(items).flat_map(|(_, alert)| &alert.jobs).collect();
    let sql = "SELECT seq, id, guard FROM alerts WHERE guard = ANY($1) ORDER BY guard FOR UPDATE";
    let locked: Parameters<'_> = &[&guards];
    // In one flight, and so each after the one before it: a connection meets these statements together or not at all, so
    // none has to be prepared while a later one is under way already.
    let (_, rows, links, queued, numbers) = tokio::try_join!(
        biased;
        insert_alerts(tx, &guards, &first),
        tx.query(sql, locked),
        links(tx, &guards, &jobs),
        queued(tx, &jobs),
        numbers(tx, jobs.len()),
    )?;
    (plan.links, plan.queued, plan.numbers) = (links, queued, numbers);
    for row in &rows {
        plan.alerts.insert(key(row, "guard")?, (get(row, "seq")?, alert_id(row, "id")?));
    }
    Ok(plan)
}

fn key(row: &Row, column: &str) -> Result<Key, Fault> {
    let bytes: &[u8] = get(row, column)?;
    let mut key = [0; 16];
    let length = bytes.len().min(16);
    key[..length].copy_from_slice(&bytes[..length]);
    Ok(key)
}

async fn insert_alerts(
    tx: &Tx<'_>,
    guards: &[&[u8]],
    first: &BTreeMap<Key, (&Item<'_>, &PlannedAlert)>,
) -> Result<(), Fault> {
    let each = || first.values();
    let skipped: Vec<String> = each().map(|(_, alert)| to_json(&alert.skipped)).collect::<Result<_, _>>()?;
    let sql = "INSERT INTO alerts (seq, id, guard, issuer, source, external_id, kind, severity, occurred_at, received_at,
           reason, delivery, skipped)
         SELECT nextval('alerts_seq'), a.* FROM unnest($1::uuid[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[],
           $7::smallint[], $8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::text[]) AS a
         ON CONFLICT (guard) DO NOTHING";
    tx.execute(
        sql,
        &[
            &each().map(|(_, alert)| alert.id.0).collect::<Vec<Uuid>>(),
            &guards,
            &each().map(|(item, _)| clean(&item.admission.issuer)).collect::<Vec<_>>(),
            &each().map(|(item, _)| item.admission.source.as_str()).collect::<Vec<_>>(),
            &each().map(|(_, alert)| clean(&alert.external_id)).collect::<Vec<_>>(),
            &each().map(|(_, alert)| clean(&alert.kind)).collect::<Vec<_>>(),
            &each().map(|(_, alert)| i16::from(alert.severity.rank())).collect::<Vec<_>>(),
            &each().map(|(_, alert)| alert.occurred_at.as_microsecond()).collect::<Vec<_>>(),
            &each().map(|(item, _)| item.admission.received_at.as_microsecond()).collect::<Vec<_>>(),
            &each().map(|(_, alert)| alert.reason.as_deref().map(clean)).collect::<Vec<_>>(),
            &each().map(|(item, _)| item.delivery).collect::<Vec<_>>(),
            &skipped,
        ],
    )
    .await?;
    Ok(())
}

/// The jobs that these alerts have. Read once the alerts are locked.
async fn links(
    tx: &Tx<'_>,
    guards: &[&[u8]],
    jobs: &[&NewJob],
) -> Result<HashMap<(i64, Key), Option<JobReceipt>>, Fault> {
    if jobs.is_empty() {
        return Ok(HashMap::new());
    }
    let mut keys = Vec::with_capacity(jobs.len());
    for job in jobs {
        keys.push(job_key(job, &to_json(&job.request)?).to_vec());
    }
    let sql = "SELECT link.alert, link.key, jobs.id, jobs.provider, jobs.subject, jobs.state FROM alerts
         JOIN alert_jobs AS link ON link.alert = alerts.seq AND link.key = ANY($2)
         LEFT JOIN jobs ON jobs.seq = link.job WHERE alerts.guard = ANY($1)";
    let mut links = HashMap::new();
    for row in tx.query(sql, &[&guards, &keys]).await? {
        let has_job = get::<Option<Uuid>>(&row, "id")?.is_some();
        let receipt = if has_job { Some(job_receipt(&row)?) } else { None };
        links.insert((get(&row, "alert")?, key(&row, "key")?), receipt);
    }
    Ok(links)
}

/// Columns: id, provider, subject, state.
pub(super) fn job_receipt(row: &Row) -> Result<JobReceipt, Fault> {
    Ok(JobReceipt {
        id: job_id(row, "id")?,
        provider: word(row, "provider")?,
        subject: json(row, "subject")?,
        state: state(row, "state")?,
    })
}

/// Looks at a person's latest queued jobs, so that somebody with thousands of them costs no more. One that is missed is merged
/// once the account is known.
async fn queued(tx: &Tx<'_>, jobs: &[&NewJob]) -> Result<HashMap<Person, Queued>, Fault> {
    let people: HashSet<Person> = jobs.iter().filter(|job| job.origin == Origin::Due).map(|job| person(job)).collect();
    if people.is_empty() {
        return Ok(HashMap::new());
    }
    let people: Vec<Person> = people.into_iter().collect();
    let keys: Vec<&[u8]> = people.iter().map(|(key, ..)| &key[..]).collect();
    let providers: Vec<&str> = people.iter().map(|(_, provider, _)| provider.as_str()).collect();
    let dry: Vec<bool> = people.iter().map(|(.., dry)| *dry).collect();
    let sql = "SELECT p.place, found.* FROM unnest($1::bytea[], $2::text[], $3::boolean[]) WITH ORDINALITY
           AS p (key, provider, dry_run, place)
         CROSS JOIN LATERAL (SELECT jobs.seq, jobs.id, jobs.request, jobs.rules, jobs.severity, jobs.traces
           FROM (SELECT seq FROM jobs WHERE subject_key = p.key AND state = 0 ORDER BY seq DESC LIMIT 50) AS latest
           JOIN jobs ON jobs.seq = latest.seq WHERE jobs.state = 0 AND jobs.provider = p.provider
           AND jobs.dry_run = p.dry_run AND jobs.chosen_id IS NULL AND NOT jobs.approved
           LIMIT 1 FOR UPDATE OF jobs SKIP LOCKED) AS found";
    let mut queued = HashMap::new();
    for row in tx.query(sql, &[&keys, &providers, &dry]).await? {
        let place = usize::try_from(get::<i64>(&row, "place")?).unwrap_or_default();
        let Some(person) = place.checked_sub(1).and_then(|place| people.get(place)) else { continue };
        let job = Queued {
            row: get(&row, "seq")?,
            id: job_id(&row, "id")?,
            request: json(&row, "request")?,
            rules: json(&row, "rules")?,
            severity: severity(&row, "severity")?.rank(),
            traces: Traces::from_text(get(&row, "traces")?),
            changed: false,
        };
        queued.insert(person.clone(), job);
    }
    Ok(queued)
}

fn person(job: &NewJob) -> Person {
    (person_key(job), job.provider.clone(), job.dry_run)
}

async fn numbers(tx: &Tx<'_>, count: usize) -> Result<Vec<i64>, Fault> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let rows = tx.query("SELECT nextval('jobs_seq') AS seq FROM generate_series(1, $1::bigint)", &[&count]).await?;
    // The first one is taken last from the end.
    rows.iter().rev().map(|row| get(row, "seq")).collect()
}

/// One delivery's alerts, after those of the deliveries before it.
async fn decide_one<'a>(tx: &mut Tx<'_>, plan: &mut Plan<'a>, item: &Item<'a>) -> Result<Stored, Fault> {
    let mut stored = Stored::default();
    for planned in &item.admission.alerts {
        let guard = alert_guard(&item.admission.issuer, &planned.external_id);
        let Some((row, id)) = plan.alerts.get(&guard).copied() else { continue };
        if !planned.jobs.is_empty() && plan.linked.insert(row) && id != planned.id {
            // What made the first job is where the alert came from; a delivery that made none goes earlier.
            plan.moved.push((row, item.delivery));
        }
        let mut jobs = Vec::with_capacity(planned.jobs.len());
        for job in &planned.jobs {
            jobs.extend(job_of(tx, plan, (row, id), item, planned, job).await?);
        }
        stored.rows.push(row);
        let (external_id, skipped) = (planned.external_id.clone(), planned.skipped.clone());
        stored.alerts.push(AlertReceipt { id, external_id, jobs, skipped });
    }
    Ok(stored)
}

/// The job of this alert: the one it has already, a queued one that takes it in, or a new one. `None`: it had one that
/// ended so long ago that it was pruned.
async fn job_of<'a>(
    tx: &mut Tx<'_>,
    plan: &mut Plan<'a>,
    (alert, id): (i64, AlertId),
    item: &Item<'a>,
    planned: &'a PlannedAlert,
    job: &'a NewJob,
) -> Result<Option<JobReceipt>, Fault> {
    let key = job_key(job, &to_json(&job.request)?);
    if let Some(known) = plan.links.get(&(alert, key)) {
        return Ok(known.clone());
    }
    if let Some((row, receipt)) = job_of_any(tx, item.before, key).await? {
        return Ok(Some(plan.link(alert, key, row, receipt)));
    }
    if let Some(queued) = plan.queued.get_mut(&person(job)).filter(|_| job.origin == Origin::Due) {
        let (row, receipt) = queued.absorb(job, item.admission.trace.as_ref());
        let detail = "{}".to_owned();
        tx.record(AuditEvent::Absorbed, Some(receipt.id), Some(id), &Actor::system(), detail).await?;
        tx.wake();
        return Ok(Some(plan.link(alert, key, row, receipt)));
    }
    let (row, receipt) = plan.add(id, item, planned, job);
    tx.count(&job.provider, None, Some(receipt.state));
    if receipt.state == JobState::Queued {
        tx.wake();
    } else {
        tx.tell(|| News::Job(receipt.id));
    }
    Ok(Some(plan.link(alert, key, row, receipt)))
}

/// The job that one of these alerts has.
async fn job_of_any(tx: &Tx<'_>, alerts: &[i64], key: Key) -> Result<Option<(i64, JobReceipt)>, Fault> {
    if alerts.is_empty() {
        return Ok(None);
    }
    let sql = "SELECT jobs.seq, jobs.id, jobs.provider, jobs.subject, jobs.state FROM unnest($1::bigint[]) AS before (alert)
         JOIN alert_jobs AS link ON link.alert = before.alert AND link.key = $2 JOIN jobs ON jobs.seq = link.job LIMIT 1";
    match tx.one(sql, &[&alerts, &&key[..]]).await? {
        Some(row) => Ok(Some((get(&row, "seq")?, job_receipt(&row)?))),
        None => Ok(None),
    }
}

impl<'a> Plan<'a> {
    fn link(&mut self, alert: i64, key: Key, row: i64, receipt: JobReceipt) -> JobReceipt {
        self.new_links.push((alert, key, row));
        self.links.insert((alert, key), Some(receipt.clone()));
        receipt
    }

    fn add(
        &mut self,
        alert: AlertId,
        item: &Item<'a>,
        planned: &'a PlannedAlert,
        job: &'a NewJob,
    ) -> (i64, JobReceipt) {
        let row = self.numbers.pop().unwrap_or_default();
        let state = begins(job);
        let queued_as = (state == JobState::Queued).then(|| person(job));
        if let Some(person) = queued_as.clone() {
            let (request, rules) = (job.request.clone(), job.rules.clone());
            let (severity, traces) = (job.severity.rank(), Traces::from(item.admission.trace.as_ref()));
            self.queued.insert(person, Queued { row, id: job.id, request, rules, severity, traces, changed: false });
        }
        self.new.push(New { row, job, alert, admission: item.admission, planned, queued_as });
        (row, JobReceipt { id: job.id, provider: job.provider.clone(), subject: job.subject.clone(), state })
    }
}

fn begins(job: &NewJob) -> JobState {
    match job.origin {
        Origin::Due => JobState::Queued,
        Origin::Held(..) => JobState::Held,
        Origin::Dead(..) => JobState::Dead,
    }
}

impl Queued {
    /// Takes the higher severity, and does what both ask. The rest is in `update`.
    fn absorb(&mut self, job: &NewJob, trace: Option<&TraceContext>) -> (i64, JobReceipt) {
        trace.into_iter().for_each(|trace| self.traces.add(trace));
        self.rules.extend(job.rules.iter().filter(|rule| !self.rules.contains(rule)).cloned().collect::<Vec<_>>());
        self.severity = self.severity.max(job.severity.rank());
        self.request = self.request.clone().union(job.request.clone());
        self.changed = true;
        let (provider, subject) = (job.provider.clone(), job.subject.clone());
        (self.row, JobReceipt { id: self.id, provider, subject, state: JobState::Queued })
    }
}

/// Writes what was decided.
pub(super) async fn write(tx: &Tx<'_>, plan: &Plan<'_>) -> Result<(), Fault> {
    // First, for it depends on the links.
    move_alerts(tx, plan).await?;
    tokio::try_join!(biased; insert(tx, plan), update(tx, plan), insert_links(tx, plan))?;
    Ok(())
}

async fn move_alerts(tx: &Tx<'_>, plan: &Plan<'_>) -> Result<(), Fault> {
    if !plan.moved.is_empty() {
        let sql =
            "UPDATE alerts SET delivery = m.delivery FROM unnest($1::bigint[], $2::bigint[]) AS m (alert, delivery)
             WHERE alerts.seq = m.alert AND NOT EXISTS (SELECT 1 FROM alert_jobs WHERE alert_jobs.alert = m.alert)";
        let (alerts, deliveries): (Vec<i64>, Vec<i64>) = plan.moved.iter().copied().unzip();
        tx.execute(sql, &[&alerts, &deliveries]).await?;
    }
    Ok(())
}

async fn insert_links(tx: &Tx<'_>, plan: &Plan<'_>) -> Result<(), Fault> {
    if !plan.new_links.is_empty() {
        let sql =
            "INSERT INTO alert_jobs (alert, key, job) SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[])";
        let alerts: Vec<i64> = plan.new_links.iter().map(|(alert, ..)| *alert).collect();
        let keys: Vec<&[u8]> = plan.new_links.iter().map(|(_, key, _)| &key[..]).collect();
        let jobs: Vec<i64> = plan.new_links.iter().map(|(.., job)| *job).collect();
        tx.execute(sql, &[&alerts, &keys, &jobs]).await?;
    }
    Ok(())
}

/// A stored job that took in an alert starts its looks anew, for a second look that comes too soon after the first proves
/// no absence; what was seen before an earlier call is forgotten, for sessions that began since are to end as well; and the
/// new alert gets its full time.
async fn update(tx: &Tx<'_>, plan: &Plan<'_>) -> Result<(), Fault> {
    let new: HashSet<i64> = plan.new.iter().map(|new| new.row).collect();
    let changed: Vec<&Queued> = plan.queued.values().filter(|job| job.changed && !new.contains(&job.row)).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let rows: Vec<i64> = changed.iter().map(|job| job.row).collect();
    let severities: Vec<i16> = changed.iter().map(|job| i16::from(job.severity)).collect();
    let requests: Vec<String> = changed.iter().map(|job| to_json(&job.request)).collect::<Result<_, _>>()?;
    let rules: Vec<String> = changed.iter().map(|job| to_json(&job.rules)).collect::<Result<_, _>>()?;
    let traces: Vec<Option<String>> = changed.iter().map(|job| job.traces.to_text()).collect();
    let sql =
        "UPDATE jobs SET severity = c.severity, lane = c.severity, proof = NULL, wake_at = least(jobs.wake_at, $5),
         request = c.request, rules = c.rules, absence = NULL, created_at = $5, held_total = 0, traces = c.traces
         FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[], $6::text[])
           AS c (seq, severity, request, rules, traces)
         WHERE jobs.seq = c.seq";
    tx.execute(sql, &[&rows, &severities, &requests, &rules, &tx.steady, &traces]).await?;
    Ok(())
}

async fn insert(tx: &Tx<'_>, plan: &Plan<'_>) -> Result<(), Fault> {
    if plan.new.is_empty() {
        return Ok(());
    }
    fn each<'p, T>(plan: &'p Plan<'_>, column: impl Fn(&'p New<'_>) -> T) -> Vec<T> {
        plan.new.iter().map(column).collect()
    }
    let now = |new: &New<'_>| new.queued_as.as_ref().and_then(|person| plan.queued.get(person));
    let severity = |new: &New<'_>| i16::from(now(new).map_or(new.job.severity.rank(), |job| job.severity));
    let request = |new: &New<'_>| to_json(now(new).map_or(&new.job.request, |job| &job.request));
    let rules = |new: &New<'_>| to_json(now(new).map_or(&new.job.rules, |job| &job.rules));
    let traces = |new: &New<'_>| match now(new) {
        Some(job) => job.traces.to_text(),
        None => Traces::from(new.admission.trace.as_ref()).to_text(),
    };
    let hold_reason = |new: &New<'_>| match &new.job.origin {
        Origin::Held(reason, _) => Some(reason.as_str()),
        Origin::Due | Origin::Dead(..) => None,
    };
    let dead_reason = |new: &New<'_>| match &new.job.origin {
        Origin::Dead(reason, _) => Some(reason.as_str()),
        Origin::Due | Origin::Held(..) => None,
    };
    let sql = "INSERT INTO jobs (created_at, seq, id, provider, state, severity, lane, wake_at, dry_run, subject, subject_key,
           request, rules, hold_reason, dead_reason, note, held_since, finished_at, received_at, occurred_at, alert_id, source, traces)
         SELECT $1::bigint, n.seq, n.id, n.provider, n.state, n.severity, n.severity, CASE WHEN n.state = 0 THEN $1::bigint END, n.dry_run,
           n.subject, n.subject_key, n.request, n.rules, n.hold_reason, n.dead_reason, n.note,
           CASE WHEN n.state = 3 THEN $1::bigint END, CASE WHEN n.state = 5 THEN $2::bigint END, n.received_at, n.occurred_at,
           n.alert_id, n.source, n.traces
         FROM unnest($3::bigint[], $4::uuid[], $5::text[], $6::smallint[], $7::smallint[], $8::boolean[], $9::text[],
           $10::bytea[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::bigint[],
           $18::uuid[], $19::text[], $20::text[]) AS n (seq, id, provider, state, severity, dry_run, subject, subject_key, request, rules,
           hold_reason, dead_reason, note, received_at, occurred_at, alert_id, source, traces)";
    tx.execute(
        sql,
        &[
            &tx.steady,
            &tx.moment.wall,
            &each(plan, |new| new.row),
            &each(plan, |new| new.job.id.0),
            &each(plan, |new| new.job.provider.as_str()),
            &each(plan, |new| begins(new.job) as i16),
            &each(plan, severity),
            &each(plan, |new| new.job.dry_run),
            &each(plan, |new| to_json(&new.job.subject)).into_iter().collect::<Result<Vec<_>, _>>()?,
            &each(plan, |new| person_key(new.job).to_vec()),
            &each(plan, request).into_iter().collect::<Result<Vec<_>, _>>()?,
            &each(plan, rules).into_iter().collect::<Result<Vec<_>, _>>()?,
            &each(plan, hold_reason),
            &each(plan, dead_reason),
            &each(plan, |new| note(new.job).map(clean)),
            &each(plan, |new| new.admission.received_at.as_microsecond()),
            &each(plan, |new| new.planned.occurred_at.as_microsecond()),
            &each(plan, |new| new.alert.0),
            &each(plan, |new| new.admission.source.as_str()),
            &each(plan, traces),
        ],
    )
    .await?;
    Ok(())
}

fn note(job: &NewJob) -> Option<&str> {
    match &job.origin {
        Origin::Held(_, note) | Origin::Dead(_, note) => Some(note),
        Origin::Due => None,
    }
}
