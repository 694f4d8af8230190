//! The alerts of a batch, and the job of each: the one it has already, a queued one that takes it in, or a new one.
//!
//! What is stored is read while the transaction opens, decided on here, one delivery after the other, and written with the
//! commit. An alert that is known stays locked until the commit, so that no other replica gives it a job meanwhile. A queued job is taken
//! only if nobody is busy with it; else the alert gets a job of its own.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_postgres::Row;
use uuid::Uuid;

use super::codec::{alert_id, clean, get, job_id, json, severity, state, to_json, word};
use super::fault::Fault;
use super::flight::{Answers, Flight, Seat};
use super::tx::Tx;
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
    new: Vec<New<'a>>,
    new_links: Vec<(i64, Key, i64)>,
    moved: Vec<(i64, i64)>,
    linked: HashSet<i64>,
}

/// Stores the alerts of these deliveries, and their jobs.
pub(super) async fn store_alerts(tx: &mut Tx<'_>, items: &[Item<'_>]) -> Result<Vec<Stored>, Fault> {
    let (plan, stored) = decide(tx, Plan::default(), items).await?;
    write(tx, &plan).await?;
    Ok(stored)
}

/// What becomes of them, still to be written. `plan`: what was seen, where everything was.
pub(super) async fn decide<'a>(
    tx: &mut Tx<'_>,
    plan: Plan<'a>,
    items: &'a [Item<'a>],
) -> Result<(Plan<'a>, Vec<Stored>), Fault> {
    let is_seen = planned(items).all(|(item, alert)| plan.alerts.contains_key(&guard(item.admission, alert)));
    let mut plan = if is_seen { plan } else { read(tx, items).await? };
    let mut stored = Vec::with_capacity(items.len());
    for item in items {
        stored.push(decide_one(tx, &mut plan, item).await?);
    }
    Ok((plan, stored))
}

fn planned<'a>(items: &'a [Item<'a>]) -> impl Iterator<Item = (&'a Item<'a>, &'a PlannedAlert)> {
    items.iter().flat_map(|item| item.admission.alerts.iter().map(move |alert| (item, alert)))
}

fn guard(admission: &Admission, alert: &PlannedAlert) -> Key {
    alert_guard(&admission.issuer, &alert.external_id)
}

/// An alert, and the number of the delivery that names it. `None`: it is the one whose guard this transaction wrote.
type Named<'a> = (Option<i64>, &'a Admission, &'a PlannedAlert);

/// What is asked for, with the guards and the ids that alerts get if they are new.
pub(super) struct Look {
    alerts: Option<Seat>,
    ids: HashMap<Key, AlertId>,
    queued: Option<Seat>,
    people: Vec<Person>,
}

/// Of deliveries whose guards are written just before.
pub(super) async fn look<'a>(
    flight: &mut Flight<'_>,
    admissions: impl Iterator<Item = &'a Admission>,
) -> Result<Look, Fault> {
    let named = admissions.flat_map(|admission| admission.alerts.iter().map(move |alert| (None, admission, alert)));
    look_for(flight, named.collect()).await
}

async fn look_for(flight: &mut Flight<'_>, named: Vec<Named<'_>>) -> Result<Look, Fault> {
    // The first to name an alert stores it; in order of their guards, so that replicas do not wait in a circle.
    let mut first: BTreeMap<Key, Named<'_>> = BTreeMap::new();
    for one in &named {
        first.entry(guard(one.1, one.2)).or_insert(*one);
    }
    let people: HashSet<Person> = named.iter().flat_map(|(.., alert)| &alert.jobs).filter_map(waits).collect();
    let people: Vec<Person> = people.into_iter().collect();
    Ok(Look {
        alerts: if first.is_empty() { None } else { Some(insert_alerts(flight, &first).await?) },
        ids: first.iter().map(|(guard, (.., alert))| (*guard, alert.id)).collect(),
        queued: if people.is_empty() { None } else { Some(queued(flight, &people).await?) },
        people,
    })
}

impl Look {
    /// Alerts that were there already may have jobs.
    pub(super) async fn seen<'a>(
        self,
        tx: &Tx<'_>,
        answers: &mut Answers,
        jobs: &[&NewJob],
    ) -> Result<Plan<'a>, Fault> {
        let mut plan = Plan::default();
        let mut known = Vec::new();
        for row in self.alerts.map(|seat| answers.rows(seat)).unwrap_or_default() {
            let (guard, number, id) = (key(&row, "guard")?, get(&row, "seq")?, alert_id(&row, "id")?);
            if self.ids.get(&guard) != Some(&id) {
                known.push(number);
            }
            plan.alerts.insert(guard, (number, id));
        }
        if let Some(seat) = self.queued {
            plan.queued = read_queued(&answers.rows(seat), &self.people)?;
        }
        plan.links = links(tx, &known, jobs).await?;
        Ok(plan)
    }
}

async fn read<'a>(tx: &Tx<'_>, items: &'a [Item<'a>]) -> Result<Plan<'a>, Fault> {
    let mut flight = tx.flight();
    let named = planned(items).map(|(item, alert)| (Some(item.delivery), item.admission, alert));
    let look = look_for(&mut flight, named.collect()).await?;
    let mut answers = flight.fly().await?;
    look.seen(tx, &mut answers, &jobs_of(items)).await
}

/// The jobs that their alerts ask for.
pub(super) fn jobs_of<'a>(items: &'a [Item<'a>]) -> Vec<&'a NewJob> {
    planned(items).flat_map(|(_, alert)| &alert.jobs).collect()
}

fn key(row: &Row, column: &str) -> Result<Key, Fault> {
    let bytes: &[u8] = get(row, column)?;
    let mut key = [0; 16];
    let length = bytes.len().min(16);
    key[..length].copy_from_slice(&bytes[..length]);
    Ok(key)
}

/// One that is there is locked, and stays as it is.
async fn insert_alerts(flight: &mut Flight<'_>, first: &BTreeMap<Key, Named<'_>>) -> Result<Seat, Fault> {
    let each = || first.values();
    let skipped: Vec<String> = each().map(|(.., alert)| to_json(&alert.skipped)).collect::<Result<_, _>>()?;
    let sql = "INSERT INTO alerts (seq, id, guard, issuer, source, external_id, kind, severity, occurred_at, received_at,
           reason, delivery, skipped)
         SELECT nextval('alerts_seq'), a.id, a.guard, a.issuer, a.source, a.external_id, a.kind, a.severity, a.occurred_at,
           a.received_at, a.reason, coalesce(a.delivery, ours.delivery), a.skipped
         FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::bytea[]) AS guard, unnest($3::text[]) AS issuer,
           unnest($4::text[]) AS source, unnest($5::text[]) AS external_id, unnest($6::text[]) AS kind,
           unnest($7::smallint[]) AS severity, unnest($8::bigint[]) AS occurred_at,
           unnest($9::bigint[]) AS received_at, unnest($10::text[]) AS reason, unnest($11::bigint[]) AS delivery,
           unnest($12::text[]) AS skipped, unnest($13::bytea[]) AS key) AS a
         LEFT JOIN delivery_guards AS ours ON ours.key = a.key AND ours.xmin = pg_current_xact_id()::xid
         WHERE a.delivery IS NOT NULL OR ours.delivery IS NOT NULL
         ON CONFLICT (guard) DO UPDATE SET guard = excluded.guard RETURNING seq, id, guard";
    flight
        .ask(
            sql,
            &[
                &each().map(|(.., alert)| alert.id.0).collect::<Vec<Uuid>>(),
                &first.keys().map(|guard| &guard[..]).collect::<Vec<_>>(),
                &each().map(|(_, admission, _)| clean(&admission.issuer)).collect::<Vec<_>>(),
                &each().map(|(_, admission, _)| admission.source.as_str()).collect::<Vec<_>>(),
                &each().map(|(.., alert)| clean(&alert.external_id)).collect::<Vec<_>>(),
                &each().map(|(.., alert)| clean(&alert.kind)).collect::<Vec<_>>(),
                &each().map(|(.., alert)| i16::from(alert.severity.rank())).collect::<Vec<_>>(),
                &each().map(|(.., alert)| alert.occurred_at.as_microsecond()).collect::<Vec<_>>(),
                &each().map(|(_, admission, _)| admission.received_at.as_microsecond()).collect::<Vec<_>>(),
                &each().map(|(.., alert)| alert.reason.as_deref().map(clean)).collect::<Vec<_>>(),
                &each().map(|(delivery, ..)| *delivery).collect::<Vec<_>>(),
                &skipped,
                &each().map(|(_, admission, _)| &admission.guard[..]).collect::<Vec<_>>(),
            ],
        )
        .await
}

/// The jobs that these alerts have. Read once the alerts are locked.
async fn links(
    tx: &Tx<'_>,
    alerts: &[i64],
    jobs: &[&NewJob],
) -> Result<HashMap<(i64, Key), Option<JobReceipt>>, Fault> {
    if alerts.is_empty() || jobs.is_empty() {
        return Ok(HashMap::new());
    }
    let mut keys = Vec::with_capacity(jobs.len());
    for job in jobs {
        keys.push(job_key(job, &to_json(&job.request)?).to_vec());
    }
    let sql = "SELECT link.alert, link.key, jobs.id, jobs.provider, jobs.subject, jobs.state FROM alert_jobs AS link
         LEFT JOIN jobs ON jobs.seq = link.job WHERE link.alert = ANY($1) AND link.key = ANY($2)";
    let mut links = HashMap::new();
    for row in tx.query(sql, &[&alerts, &keys]).await? {
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

/// Whose queued job can take this one in.
fn waits(job: &NewJob) -> Option<Person> {
    (job.origin == Origin::Due).then(|| person(job))
}

/// Looks at a person's latest queued jobs, so that somebody with thousands of them costs no more. One that is missed is merged
/// once the account is known.
async fn queued(flight: &mut Flight<'_>, people: &[Person]) -> Result<Seat, Fault> {
    let keys: Vec<&[u8]> = people.iter().map(|(key, ..)| &key[..]).collect();
    let providers: Vec<&str> = people.iter().map(|(_, provider, _)| provider.as_str()).collect();
    let dry: Vec<bool> = people.iter().map(|(.., dry)| *dry).collect();
    let sql = "SELECT p.place, found.* FROM (SELECT unnest($1::bytea[]) AS key, unnest($2::text[]) AS provider,
           unnest($3::boolean[]) AS dry_run, generate_series(1, cardinality($1)::bigint) AS place) AS p
         CROSS JOIN LATERAL (SELECT jobs.seq, jobs.id, jobs.request, jobs.rules, jobs.severity, jobs.traces
           FROM (SELECT seq FROM jobs WHERE subject_key = p.key AND state = 0 ORDER BY seq DESC LIMIT 50) AS latest
           JOIN jobs ON jobs.seq = latest.seq WHERE jobs.state = 0 AND jobs.provider = p.provider
           AND jobs.dry_run = p.dry_run AND jobs.chosen_id IS NULL AND NOT jobs.approved
           LIMIT 1 FOR UPDATE OF jobs SKIP LOCKED) AS found";
    flight.ask(sql, &[&keys, &providers, &dry]).await
}

fn read_queued(rows: &[Row], people: &[Person]) -> Result<HashMap<Person, Queued>, Fault> {
    let mut queued = HashMap::new();
    for row in rows {
        let place = usize::try_from(get::<i64>(row, "place")?).unwrap_or_default();
        let Some(person) = place.checked_sub(1).and_then(|place| people.get(place)) else { continue };
        let job = Queued {
            row: get(row, "seq")?,
            id: job_id(row, "id")?,
            request: json(row, "request")?,
            rules: json(row, "rules")?,
            severity: severity(row, "severity")?.rank(),
            traces: Traces::from_text(get(row, "traces")?),
            changed: false,
        };
        queued.insert(person.clone(), job);
    }
    Ok(queued)
}

fn person(job: &NewJob) -> Person {
    (person_key(job), job.provider.clone(), job.dry_run)
}

/// One delivery's alerts, after those of the deliveries before it.
async fn decide_one<'a>(tx: &mut Tx<'_>, plan: &mut Plan<'a>, item: &Item<'a>) -> Result<Stored, Fault> {
    let mut stored = Stored::default();
    for planned in &item.admission.alerts {
        let Some((row, id)) = plan.alerts.get(&guard(item.admission, planned)).copied() else { continue };
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
    // One was taken for every job that is asked for.
    let number = tx.numbers.jobs.pop().unwrap_or_default();
    let (row, receipt) = plan.add((number, id), item, planned, job);
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
        (row, alert): (i64, AlertId),
        item: &Item<'a>,
        planned: &'a PlannedAlert,
        job: &'a NewJob,
    ) -> (i64, JobReceipt) {
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
    insert(tx, plan).await?;
    update(tx, plan).await?;
    insert_links(tx, plan).await
}

async fn move_alerts(tx: &Tx<'_>, plan: &Plan<'_>) -> Result<(), Fault> {
    if !plan.moved.is_empty() {
        let sql = "UPDATE alerts SET delivery = m.delivery FROM (SELECT unnest($1::bigint[]) AS alert,
               unnest($2::bigint[]) AS delivery) AS m
             WHERE alerts.seq = m.alert AND NOT EXISTS (SELECT 1 FROM alert_jobs WHERE alert_jobs.alert = m.alert)";
        let (alerts, deliveries): (Vec<i64>, Vec<i64>) = plan.moved.iter().copied().unzip();
        tx.later(sql, &[&alerts, &deliveries]).await?;
    }
    Ok(())
}

async fn insert_links(tx: &Tx<'_>, plan: &Plan<'_>) -> Result<(), Fault> {
    if !plan.new_links.is_empty() {
        let sql = "INSERT INTO alert_jobs (alert, key, job) SELECT unnest($1::bigint[]), unnest($2::bytea[]),
               unnest($3::bigint[])";
        let alerts: Vec<i64> = plan.new_links.iter().map(|(alert, ..)| *alert).collect();
        let keys: Vec<&[u8]> = plan.new_links.iter().map(|(_, key, _)| &key[..]).collect();
        let jobs: Vec<i64> = plan.new_links.iter().map(|(.., job)| *job).collect();
        tx.later(sql, &[&alerts, &keys, &jobs]).await?;
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
         FROM (SELECT unnest($1::bigint[]) AS seq, unnest($2::smallint[]) AS severity, unnest($3::text[]) AS request,
           unnest($4::text[]) AS rules, unnest($6::text[]) AS traces) AS c
         WHERE jobs.seq = c.seq";
    tx.later(sql, &[&rows, &severities, &requests, &rules, &tx.steady, &traces]).await
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
         FROM (SELECT unnest($3::bigint[]) AS seq, unnest($4::uuid[]) AS id, unnest($5::text[]) AS provider,
           unnest($6::smallint[]) AS state, unnest($7::smallint[]) AS severity, unnest($8::boolean[]) AS dry_run,
           unnest($9::text[]) AS subject, unnest($10::bytea[]) AS subject_key, unnest($11::text[]) AS request,
           unnest($12::text[]) AS rules, unnest($13::text[]) AS hold_reason, unnest($14::text[]) AS dead_reason,
           unnest($15::text[]) AS note, unnest($16::bigint[]) AS received_at, unnest($17::bigint[]) AS occurred_at,
           unnest($18::uuid[]) AS alert_id, unnest($19::text[]) AS source, unnest($20::text[]) AS traces) AS n";
    tx.later(
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
    .await
}

fn note(job: &NewJob) -> Option<&str> {
    match &job.origin {
        Origin::Held(_, note) | Origin::Dead(_, note) => Some(note),
        Origin::Due => None,
    }
}
