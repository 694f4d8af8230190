//! The outbox: what changes of a transaction make due is written at its end, in it.
//!
//! Jobs that are held or dead are gathered: a storm of them makes one message for each target and minute, however many
//! replicas see parts of it. An alert's message is made when the last of its jobs has ended; replicas that end the last
//! two at the same moment take turns by the alert's row, so that the later one sees it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::ClientWrapper;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

use super::batch::Change;
use super::codec::{clean, count, get, json, micros, optional_word, state, time, time_at, to_json, word};
use super::codec::{fence, small};
use super::fault::Fault;
use super::read;
use super::tx::{Tx, query};
use super::{PostgresStore, within};
use crate::domain::{JobId, JobState, NoticeKind, Outcome, SourceName, TargetName};
use crate::store::news::{EXAMPLES, GATHER, Gathered, JOBS_OF_ALERT, News, WINDOW, body, of_alert};
use crate::store::{JobView, Message, MessageEnd, Outbox, OutboxView, Routes, StoreError};

/// No message waits longer for its next attempt, unless the server's clock was set back since.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Messages that somebody can deliver.
pub(super) struct Wanted {
    target: TargetName,
    limit: u32,
    lease: Duration,
}

/// How an attempt ended, and when that was said, by our clock.
pub(super) struct Told {
    seq: i64,
    attempt: u32,
    end: MessageEnd,
    told_at: Timestamp,
}

#[async_trait]
impl Outbox for PostgresStore {
    async fn set_routes(&self, routes: Routes) -> Result<(), StoreError> {
        self.changes.ask(routes.clone(), Change::Route).await?;
        self.routes.send_replace(routes.into());
        Ok(())
    }

    async fn claim_messages(
        &self,
        target: &TargetName,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<Message>, StoreError> {
        let db = self.reader().await?;
        // Looking costs less than a transaction that changes nothing.
        if !within(is_due(&db, target, self.timing.given().1)).await? {
            return Ok(Vec::new());
        }
        drop(db);
        // In the lane of claims, which tells no news: nobody there holds gathered jobs and waits for others.
        self.claims.ask(Wanted { target: target.clone(), limit, lease }, Change::Message).await
    }

    async fn settle_message(&self, message: &Message, end: MessageEnd) -> Result<(), StoreError> {
        let told_at = self.timing.clock.steady();
        self.claims.ask(Told { seq: message.seq, attempt: message.attempt, end, told_at }, Change::Deliver).await
    }
}

/// Writes what the changes of this transaction make due, as things are at its end. Locks alerts, by their guards, and then
/// what is gathered.
pub(super) async fn write(tx: &Tx<'_>, news: &[News]) -> Result<(), Fault> {
    let mut messages = Messages::default();
    let mut jobs = BTreeSet::new();
    for one in news {
        match one {
            News::Job(job) => {
                jobs.insert(*job);
            }
            News::Other(kind, data) => tx.routes().all(*kind).iter().for_each(|it| messages.add(tx, it, *kind, data)),
        }
    }
    let changed = find(tx, &jobs).await?;
    let ended = ended(tx, &changed).await?;
    let gathered = gather(tx.routes(), &changed);
    let examples = gathered.values().flat_map(|gathered| &gathered.jobs);
    let of_alerts = ended.values().flat_map(|ended| ended.jobs.iter().take(JOBS_OF_ALERT));
    let wanted: Vec<i64> = examples.chain(of_alerts).copied().collect();
    let views = read::job_views(tx.reader().await?, &wanted).await?;
    for ((target, kind), gathered) in gathered {
        keep(tx, &target, kind, with_views(gathered, &views)).await?;
    }
    tell_alerts(tx, &ended, &views, &mut messages).await?;
    messages.insert(tx).await
}

struct Found {
    row: i64,
    state: JobState,
    reason: Option<String>,
    source: SourceName,
    rules: Vec<String>,
}

/// Without those that were pruned, or never stored, in the same transaction.
async fn find(tx: &Tx<'_>, jobs: &BTreeSet<JobId>) -> Result<Vec<Found>, Fault> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    let sql = "SELECT seq, state, CASE state WHEN 3 THEN hold_reason ELSE dead_reason END AS reason, source, rules
         FROM jobs WHERE id = ANY($1) ORDER BY seq";
    let read = |row: &Row| {
        Ok(Found {
            row: get(row, "seq")?,
            state: state(row, "state")?,
            reason: get(row, "reason")?,
            source: word(row, "source")?,
            rules: json(row, "rules")?,
        })
    };
    tx.query(sql, &[&ids]).await?.iter().map(read).collect()
}

/// An alert whose jobs have all ended.
#[derive(Default)]
struct Ended {
    targets: BTreeSet<TargetName>,
    totals: BTreeMap<&'static str, u64>,
    jobs: Vec<i64>,
}

/// By the alert's row.
async fn ended(tx: &Tx<'_>, changed: &[Found]) -> Result<BTreeMap<i64, Ended>, Fault> {
    let jobs: Vec<i64> = changed.iter().filter(|found| found.state.is_final()).map(|found| found.row).collect();
    if jobs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = |rows: Vec<Row>| rows.iter().map(|row| get(row, "alert")).collect::<Result<Vec<i64>, _>>();
    let alerts = rows(tx.query("SELECT DISTINCT alert FROM alert_jobs WHERE job = ANY($1)", &[&jobs]).await?)?;
    let lock = "SELECT seq AS alert FROM alerts WHERE seq = ANY($1) ORDER BY guard FOR UPDATE";
    let alerts = rows(tx.query(lock, &[&alerts]).await?)?;
    // Looked at only once they are locked: a job that another replica has ended since is seen as ended.
    let sql = "SELECT a.alert FROM unnest($1::bigint[]) AS a (alert) WHERE NOT EXISTS (SELECT 1 FROM alert_jobs
         JOIN jobs ON jobs.seq = alert_jobs.job WHERE alert_jobs.alert = a.alert AND jobs.state NOT IN (4, 5, 6))";
    let alerts = rows(tx.query(sql, &[&alerts]).await?)?;
    let sql = "SELECT DISTINCT link.alert, jobs.seq, jobs.state, jobs.outcome, jobs.source, jobs.rules
         FROM alert_jobs AS link JOIN jobs ON jobs.seq = link.job WHERE link.alert = ANY($1) ORDER BY link.alert, jobs.seq";
    let mut found: BTreeMap<i64, Ended> = BTreeMap::new();
    for row in tx.query(sql, &[&alerts]).await? {
        found.entry(get(&row, "alert")?).or_default().add(&row, tx.routes())?;
    }
    found.retain(|_, ended| !ended.targets.is_empty());
    Ok(found)
}

impl Ended {
    fn add(&mut self, row: &Row, routes: &Routes) -> Result<(), Fault> {
        let (source, rules): (SourceName, Vec<String>) = (word(row, "source")?, json(row, "rules")?);
        self.targets.extend(routes.of_job(NoticeKind::AlertDone, &source, &rules));
        let state = state(row, "state")?;
        let outcome: Option<Outcome> = optional_word(row, "outcome")?;
        let outcome = outcome.filter(|_| state == JobState::Done).map(|outcome| outcome.as_str());
        *self.totals.entry(outcome.unwrap_or(state.as_str())).or_default() += 1;
        self.jobs.push(get(row, "seq")?);
        Ok(())
    }
}

/// Held and dead jobs, by who is told of them; some of them by their rows.
fn gather(routes: &Routes, changed: &[Found]) -> BTreeMap<(TargetName, NoticeKind), Gathered<i64>> {
    let mut gathered: BTreeMap<_, Gathered<i64>> = BTreeMap::new();
    for found in changed {
        let kind = match found.state {
            JobState::Held => NoticeKind::JobsHeld,
            JobState::Dead => NoticeKind::JobsDead,
            JobState::Queued | JobState::Leased | JobState::Proving | JobState::Done | JobState::Cancelled => continue,
        };
        for target in routes.of_job(kind, &found.source, &found.rules) {
            let entry = gathered.entry((target, kind)).or_default();
            entry.count(found.reason.as_deref());
            if entry.jobs.len() < EXAMPLES {
                entry.jobs.push(found.row);
            }
        }
    }
    gathered
}

fn with_views(gathered: Gathered<i64>, views: &HashMap<i64, JobView>) -> Gathered<&JobView> {
    let Gathered { count, reasons, jobs } = gathered;
    Gathered { count, reasons, jobs: jobs.iter().filter_map(|row| views.get(row)).collect() }
}

/// Adds to what is gathered for a target already. It is due when the last message of its kind is a minute old.
async fn keep(tx: &Tx<'_>, target: &TargetName, kind: NoticeKind, new: Gathered<&JobView>) -> Result<(), Fault> {
    let (target, kind) = (target.as_str(), kind.as_str());
    let sql = "INSERT INTO outbox_groups (target, kind, count, since, reasons, jobs) VALUES ($1, $2, 0, $3, '{}', '[]')
         ON CONFLICT (target, kind) DO NOTHING";
    tx.execute(sql, &[&target, &kind, &tx.moment.wall]).await?;
    let sql = "SELECT count, reasons, jobs FROM outbox_groups WHERE target = $1 AND kind = $2 FOR UPDATE";
    let before = tx.one(sql, &[&target, &kind]).await?;
    let read = |row: Row| Ok::<_, Fault>((count(&row, "count")?, json(&row, "reasons")?, json(&row, "jobs")?));
    let (count, reasons, jobs) = new.added_to(before.map(read).transpose()?.unwrap_or_default());
    let (count, reasons, jobs) = (i64::try_from(count).unwrap_or(i64::MAX), to_json(&reasons)?, to_json(&jobs)?);
    let sql = "UPDATE outbox_groups SET count = $3, reasons = $4, jobs = $5,
         since = CASE WHEN count = 0 THEN $6 ELSE since END,
         due_at = coalesce(due_at, greatest($7, coalesce(last_at, 0) + $8)) WHERE target = $1 AND kind = $2";
    let due_at = tx.steady.saturating_add(micros(GATHER));
    tx.execute(sql, &[&target, &kind, &count, &reasons, &jobs, &tx.moment.wall, &due_at, &micros(WINDOW)]).await?;
    Ok(())
}

async fn tell_alerts(
    tx: &Tx<'_>,
    ended: &BTreeMap<i64, Ended>,
    views: &HashMap<i64, JobView>,
    messages: &mut Messages,
) -> Result<(), Fault> {
    if ended.is_empty() {
        return Ok(());
    }
    let alerts: Vec<i64> = ended.keys().copied().collect();
    let alerts = read::alerts_at(tx.reader().await?, &alerts).await?;
    for (alert, ended) in ended {
        let shown: Vec<&JobView> = ended.jobs.iter().take(JOBS_OF_ALERT).filter_map(|row| views.get(row)).collect();
        let data = of_alert(alerts.get(alert), ended.jobs.len(), &ended.totals, &shown);
        ended.targets.iter().for_each(|target| messages.add(tx, target, NoticeKind::AlertDone, &data));
    }
    Ok(())
}

/// Messages that are about to be written, column by column.
#[derive(Default)]
struct Messages {
    ids: Vec<String>,
    targets: Vec<String>,
    kinds: Vec<&'static str>,
    bodies: Vec<String>,
}

impl Messages {
    fn add(&mut self, tx: &Tx<'_>, target: &TargetName, kind: NoticeKind, data: &Value) {
        self.ids.push(format!("msg_{}", Uuid::now_v7().simple()));
        self.targets.push(target.as_str().to_owned());
        self.kinds.push(kind.as_str());
        self.bodies.push(body(kind, tx.now, data));
    }

    async fn insert(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO outbox (id, target, kind, body, made_at, created_at, due_at)
             SELECT m.id, m.target, m.kind, m.body, $5::bigint, $6::bigint, $5::bigint
             FROM (SELECT unnest($1::text[]) AS id, unnest($2::text[]) AS target, unnest($3::text[]) AS kind,
               unnest($4::text[]) AS body) AS m";
        let Self { ids, targets, kinds, bodies } = self;
        tx.execute(sql, &[ids, targets, kinds, bodies, &tx.steady, &tx.moment.wall]).await?;
        Ok(())
    }
}

/// Whether anything is due for this target; `now`: what stands in for the server's clock.
async fn is_due(db: &ClientWrapper, target: &TargetName, now: Option<i64>) -> Result<bool, Fault> {
    let sql =
        "WITH server AS (SELECT coalesce($2::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS t)
         SELECT EXISTS (SELECT 1 FROM outbox WHERE target = $1 AND due_at <= (SELECT t FROM server))
         OR EXISTS (SELECT 1 FROM outbox_groups WHERE target = $1 AND due_at <= (SELECT t FROM server)) AS is_due";
    let rows = query(db, sql, &[&target.as_str(), &now]).await?;
    rows.first().map_or(Ok(false), |row| get(row, "is_due"))
}

/// Leases messages that are due. What another replica is busy with is passed over.
pub(super) async fn claim(tx: &mut Tx<'_>, wanted: &Wanted) -> Result<Vec<Message>, Fault> {
    release_groups(tx, &wanted.target).await?;
    let sql = "UPDATE outbox SET attempts = attempts + 1, due_at = $3 WHERE seq = ANY(ARRAY(
           SELECT seq FROM outbox WHERE target = $1 AND due_at <= $2 ORDER BY due_at, seq LIMIT $4 FOR UPDATE SKIP LOCKED))
         RETURNING seq, id, kind, body, attempts, made_at";
    let (target, limit) = (wanted.target.as_str(), i64::from(wanted.limit));
    let until = tx.steady.saturating_add(micros(wanted.lease));
    let rows = tx.query(sql, &[&target, &tx.steady, &until, &limit]).await?;
    let read = |row: &Row| {
        Ok(Message {
            seq: get(row, "seq")?,
            id: get(row, "id")?,
            kind: word(row, "kind")?,
            body: get(row, "body")?,
            attempt: small(row, "attempts")?,
            made_at: tx.moment.to_local(get(row, "made_at")?),
        })
    };
    let mut messages = rows.iter().map(read).collect::<Result<Vec<_>, Fault>>()?;
    messages.sort_by_key(|message| message.seq);
    Ok(messages)
}

/// Messages that were gathered, and whose time has come.
async fn release_groups(tx: &Tx<'_>, target: &TargetName) -> Result<(), Fault> {
    let sql = "SELECT * FROM outbox_groups WHERE target = $1 AND due_at <= $2 ORDER BY kind FOR UPDATE SKIP LOCKED";
    let mut messages = Messages::default();
    for row in tx.query(sql, &[&target.as_str(), &tx.steady]).await? {
        let (kind, since): (NoticeKind, Timestamp) = (word(&row, "kind")?, time_at(&row, "since")?);
        let (reasons, jobs): (Value, Value) = (json(&row, "reasons")?, json(&row, "jobs")?);
        let data = json!({"count": count(&row, "count")?, "since": since, "reasons": reasons, "jobs": jobs});
        messages.add(tx, target, kind, &data);
        let sql = "UPDATE outbox_groups SET count = 0, reasons = '{}', jobs = '[]', due_at = NULL, last_at = $3
             WHERE target = $1 AND kind = $2";
        tx.execute(sql, &[&target.as_str(), &kind.as_str(), &tx.steady]).await?;
    }
    messages.insert(tx).await
}

/// Ends an attempt, if it is still the latest.
pub(super) async fn settle(tx: &Tx<'_>, told: &Told) -> Result<(), Fault> {
    let (seq, attempt) = (told.seq, fence(told.attempt));
    let changed = match &told.end {
        MessageEnd::Delivered => {
            let sql = "DELETE FROM outbox WHERE seq = $1 AND attempts = $2 AND due_at IS NOT NULL";
            tx.execute(sql, &[&seq, &attempt]).await?
        }
        MessageEnd::Retry { due_at, note } => {
            // A wait stays a wait: it is told by our clock and kept by the server's.
            let wait = due_at.as_microsecond().saturating_sub(told.told_at.as_microsecond());
            let due_at = tx.steady.saturating_add(wait);
            let sql =
                "UPDATE outbox SET due_at = $3, note = $4 WHERE seq = $1 AND attempts = $2 AND due_at IS NOT NULL";
            tx.execute(sql, &[&seq, &attempt, &due_at, &clean(note)]).await?
        }
        MessageEnd::Dead { note } => {
            let sql =
                "UPDATE outbox SET due_at = NULL, note = $3 WHERE seq = $1 AND attempts = $2 AND due_at IS NOT NULL";
            tx.execute(sql, &[&seq, &attempt, &clean(note)]).await?
        }
    };
    if changed == 1 { Ok(()) } else { Err(StoreError::LeaseLost.into()) }
}

/// From now on these are told. What an earlier process left half done is due when its lease ends: it may be another
/// replica that is at it.
pub(super) async fn begin(tx: &Tx<'_>, routes: &Routes) -> Result<(), Fault> {
    let names: Vec<&str> = routes.targets.keys().map(TargetName::as_str).collect();
    let sql = "UPDATE outbox SET due_at = NULL, note = 'its target is not in the config any more'
         WHERE due_at IS NOT NULL AND target <> ALL($1::text[])";
    tx.execute(sql, &[&names]).await?;
    tx.execute("DELETE FROM outbox_groups WHERE target <> ALL($1::text[])", &[&names]).await?;
    // A clock that was set back since would keep them for ever.
    let (window, longest) = (tx.steady.saturating_add(micros(WINDOW)), tx.steady.saturating_add(micros(LONGEST_WAIT)));
    tx.execute("UPDATE outbox SET due_at = $1 WHERE due_at > $1", &[&longest]).await?;
    tx.execute("UPDATE outbox_groups SET last_at = $1 WHERE last_at > $1", &[&tx.steady]).await?;
    tx.execute("UPDATE outbox_groups SET due_at = $1 WHERE due_at > $1", &[&window]).await?;
    Ok(())
}

/// Messages that were given up, and are as old as finished jobs may be.
pub(super) async fn prune(tx: &Tx<'_>, before: i64, limit: i64) -> Result<u64, Fault> {
    let sql = "DELETE FROM outbox WHERE seq = ANY(ARRAY(SELECT seq FROM outbox WHERE due_at IS NULL AND created_at < $1
         ORDER BY seq LIMIT $2 FOR UPDATE SKIP LOCKED))";
    tx.execute(sql, &[&before, &limit]).await
}

/// How the messages of each target stand.
pub(super) async fn views(db: &ClientWrapper) -> Result<BTreeMap<TargetName, OutboxView>, Fault> {
    let sql = "SELECT target, count(due_at) AS waiting, count(*) - count(due_at) AS dead,
         min(created_at) FILTER (WHERE due_at IS NOT NULL) AS since,
         (SELECT note FROM outbox latest WHERE latest.target = outbox.target AND note IS NOT NULL
          ORDER BY seq DESC LIMIT 1) AS note
         FROM outbox GROUP BY target";
    let read = |row: &Row| {
        let waiting_since = get::<Option<i64>>(row, "since")?.map(time).transpose()?;
        let (waiting, dead, note) = (count(row, "waiting")?, count(row, "dead")?, get(row, "note")?);
        Ok((word(row, "target")?, OutboxView { waiting, dead, waiting_since, note }))
    };
    query(db, sql, &[]).await?.iter().map(read).collect()
}
