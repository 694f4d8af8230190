//! One transaction: what every change in it shares.
//!
//! It begins with one flight (`opening.rs`) and ends with another, which carries whatever was to be written and nobody
//! waits for. What has to be asked in between flushes that first, so everything happens in the order in which it is told.
//!
//! Locks are taken in one order by every replica, so that none waits for another in a circle: the record's (shared), the
//! budgets' (one for all of them, and only if somebody may have to be counted), the accounts that calls are about to be
//! made for, rows of jobs by number, guards of deliveries by key, alerts by guard. What an operator does, rarely, may come
//! out of turn, and so may a retry that turns out to be about another account, which the budgets have to count anew; a
//! circle that closes so is broken by the server and run again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::ClientWrapper;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::codec::{clean, get, time};
use super::fault::Fault;
use super::flight::{Asked, Flight};
use super::opening::{BUDGETS_LOCK, Locked, Opened};
use super::outbox;
use super::time::Moment;
use crate::audit::{Actor, AuditEvent, AuditRecord, Place, chain};
use crate::domain::{AlertId, JobId, JobState, ProviderName};
use crate::store::news::{News, news};
use crate::store::{Routes, StoreError};

pub(super) use super::flight::Parameters;

/// How many numbers of rows of the record one step of its sequence is worth; the schema says the same.
const BLOCK: i64 = 1024;

/// The end of a writer's audit chain.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    writer: String,
    hash: [u8; 32],
}

impl Chain {
    /// A new one, under a new name.
    pub(super) fn begin() -> Self {
        Self { writer: Uuid::now_v7().to_string(), hash: [0; 32] }
    }

    /// One that was begun before, after its last row.
    pub(super) fn resume(writer: &str, hash: [u8; 32]) -> Self {
        Self { writer: writer.to_owned(), hash }
    }

    /// Its name.
    pub(super) fn writer(&self) -> &str {
        &self.writer
    }
}

struct Entry {
    seq: i64,
    at: i64,
    event: AuditEvent,
    job: Option<Uuid>,
    alert: Option<Uuid>,
    actor: Actor,
    detail: String,
    hash: [u8; 32],
    earlier: Option<i64>,
}

/// A transaction in progress.
pub(super) struct Tx<'a> {
    db: &'a ClientWrapper,
    /// What is to be written before anything else is asked, and by the commit at the latest.
    pending: Mutex<Flight<'a>>,
    chain: Chain,
    /// The wall clock once the locks were there.
    pub(super) now: Timestamp,
    /// The steady clock then, in microseconds.
    pub(super) steady: i64,
    pub(super) moment: Moment,
    pub(super) locked: HashMap<i64, Locked>,
    /// Numbers for rows that are about to be written.
    pub(super) numbers: Numbers,
    places: VecDeque<i64>,
    entries: Vec<Entry>,
    counts: Vec<(ProviderName, JobState, i64)>,
    routes: Arc<Routes>,
    news: Vec<News>,
    has_budgets: bool,
    /// A job that waits was changed, so whatever was seen of those is not true any more.
    pub(super) has_widened: bool,
    wake: bool,
}

/// Numbers that nobody else has.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Of jobs, the first to be taken last.
    pub(super) jobs: Vec<i64>,
    /// Of people whom a budget counts.
    pub(super) people: Vec<i64>,
}

/// What a transaction leaves behind.
pub(super) struct Committed {
    pub(super) chain: Chain,
    pub(super) wake: bool,
}

impl<'a> Tx<'a> {
    pub(super) fn new(db: &'a ClientWrapper, chain: Chain, opened: Opened, routes: Arc<Routes>) -> Result<Self, Fault> {
        let Opened { moment, locked, numbers, first, has_budgets } = opened;
        Ok(Self {
            db,
            pending: Mutex::new(Flight::new(db)),
            chain,
            now: time(moment.wall)?,
            steady: moment.steady,
            moment,
            locked,
            numbers,
            places: (first..first + BLOCK).collect(),
            entries: Vec::new(),
            counts: Vec::new(),
            routes,
            news: Vec::new(),
            has_budgets,
            has_widened: false,
            wake: false,
        })
    }

    /// A flight that begins with everything that is still to be written.
    pub(super) fn flight(&self) -> Flight<'a> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The connection, for whoever asks without us; everything is written.
    pub(super) async fn reader(&self) -> Result<&'a ClientWrapper, Fault> {
        self.flight().fly().await?;
        Ok(self.db)
    }

    /// Writes what nothing here waits for, with whatever leaves next.
    pub(super) async fn later(&self, sql: &str, parameters: Parameters<'_>) -> Result<(), Fault> {
        let asked = Asked::new(self.db, sql, parameters).await?;
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).add(asked);
        Ok(())
    }

    pub(super) async fn query(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Fault> {
        let mut flight = self.flight();
        let seat = flight.ask(sql, parameters).await?;
        Ok(flight.fly().await?.rows(seat))
    }

    pub(super) async fn one(&self, sql: &str, parameters: Parameters<'_>) -> Result<Option<Row>, Fault> {
        Ok(self.query(sql, parameters).await?.into_iter().next())
    }

    /// How many rows it changed.
    pub(super) async fn execute(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64, Fault> {
        let mut flight = self.flight();
        let seat = flight.ask(sql, parameters).await?;
        Ok(flight.fly().await?.of(seat).count)
    }

    /// Keeps every replica from counting people until the commit.
    pub(super) async fn lock_budgets(&mut self) -> Result<(), Fault> {
        if !self.has_budgets {
            self.query("SELECT pg_advisory_xact_lock($1)", &[&BUDGETS_LOCK]).await?;
            self.has_budgets = true;
        }
        Ok(())
    }

    /// Tells the workers, after the commit, that something may be due.
    pub(super) fn wake(&mut self) {
        self.wake = true;
    }

    /// A job came into being, or changed its state.
    pub(super) fn count(&mut self, provider: &ProviderName, from: Option<JobState>, to: Option<JobState>) {
        for (state, by) in [(from, -1), (to, 1)] {
            if let Some(state) = state {
                self.counts.push((provider.clone(), state, by));
            }
        }
    }

    /// Adds a row to the audit record.
    pub(super) async fn record(
        &mut self,
        event: AuditEvent,
        job: Option<JobId>,
        alert: Option<AlertId>,
        actor: &Actor,
        detail: String,
    ) -> Result<(), Fault> {
        let seq = self.place().await?;
        self.append((event, job, alert, actor), detail, seq, None);
        Ok(())
    }

    /// The place of a row that is about to be added: whatever refers to it can be written first.
    pub(super) async fn place(&mut self) -> Result<i64, Fault> {
        if self.places.is_empty() {
            self.reserve(1).await?;
        }
        Ok(self.places.pop_front().unwrap_or_default())
    }

    /// Gets places for so many rows at once.
    pub(super) async fn reserve(&mut self, rows: usize) -> Result<(), Fault> {
        let rows = i64::try_from(rows.saturating_sub(self.places.len())).unwrap_or(i64::MAX);
        let blocks = (rows + BLOCK - 1) / BLOCK;
        if blocks > 0 {
            self.places.extend(places_of(&self.query(PLACES, &[&blocks]).await?)?);
        }
        Ok(())
    }

    /// Something to be told, if there is anybody to tell.
    pub(super) fn tell(&mut self, news: impl FnOnce() -> News) {
        if !self.routes.is_empty() {
            self.news.push(news());
        }
    }

    /// Who is told of what.
    pub(super) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// `earlier`: the row that tells the job's attempt before.
    pub(super) fn append(
        &mut self,
        (event, job, alert, actor): (AuditEvent, Option<JobId>, Option<AlertId>, &Actor),
        detail: String,
        seq: i64,
        earlier: Option<i64>,
    ) {
        let record = AuditRecord { at: self.now, event, job, alert, actor, detail: &detail };
        let place = Place { writer: &self.chain.writer, seq, earlier };
        self.chain.hash = chain(&self.chain.hash, &place, &record);
        let news = if self.routes.is_empty() { None } else { news(&record) };
        self.news.extend(news);
        self.entries.push(Entry {
            seq,
            at: self.moment.wall,
            event,
            job: job.map(|id| id.0),
            alert: alert.map(|id| id.0),
            actor: actor.clone(),
            detail,
            hash: self.chain.hash,
            earlier,
        });
    }

    /// Writes what was gathered and commits, in one flight; in more where there is something to tell.
    pub(super) async fn finish(self) -> Result<Committed, Fault> {
        if !self.entries.is_empty() {
            let columns = Columns::of(&self.entries);
            self.later(ENTRIES, &columns.parameters(&self.chain.writer)).await?;
        }
        if !self.news.is_empty() {
            self.write_news().await?;
        }
        let (providers, states, sums) = sums(&self.counts);
        if !sums.is_empty() {
            self.later(COUNTS, &[&self.chain.writer, &providers, &states, &sums]).await?;
        }
        let mut last = self.flight();
        last.say("COMMIT");
        last.fly().await?;
        Ok(Committed { chain: self.chain, wake: self.wake })
    }

    /// After the rows of the record, which a message shows parts of. What cannot be told must not keep others from being
    /// settled.
    async fn write_news(&self) -> Result<(), Fault> {
        let mut flight = self.flight();
        flight.say("SAVEPOINT news");
        flight.fly().await?;
        match outbox::write(self, &self.news).await {
            Err(fault) if !fault.is_clash() => {
                tracing::error!(error = %StoreError::from(fault), "what became of some jobs will not be told");
                Ok(self.db.batch_execute("ROLLBACK TO SAVEPOINT news").await?)
            }
            ended => ended,
        }
    }
}

const PLACES: &str = "SELECT nextval('audit_seq') AS first FROM generate_series(1, $1::bigint)";

fn places_of(blocks: &[Row]) -> Result<VecDeque<i64>, Fault> {
    let mut places = VecDeque::new();
    for block in blocks {
        let first: i64 = get(block, "first")?;
        places.extend(first..first + BLOCK);
    }
    Ok(places)
}

const ENTRIES: &str = "INSERT INTO audit (writer, seq, at, event, job, alert, actor, detail, hash, earlier)
     SELECT $1, unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::text[]), unnest($5::uuid[]),
       unnest($6::uuid[]), unnest($7::text[]), unnest($8::text[]), unnest($9::bytea[]), unnest($10::bigint[])";

const COUNTS: &str = "INSERT INTO job_counts (writer, provider, state, jobs)
     SELECT $1, unnest($2::text[]), unnest($3::smallint[]), unnest($4::bigint[])
     ON CONFLICT (writer, provider, state) DO UPDATE SET jobs = job_counts.jobs + excluded.jobs";

/// Rows of the record, column by column.
struct Columns<'e> {
    seq: Vec<i64>,
    at: Vec<i64>,
    event: Vec<&'static str>,
    job: Vec<Option<Uuid>>,
    alert: Vec<Option<Uuid>>,
    actor: Vec<std::borrow::Cow<'e, str>>,
    detail: Vec<&'e str>,
    hash: Vec<&'e [u8]>,
    earlier: Vec<Option<i64>>,
}

impl<'e> Columns<'e> {
    fn of(entries: &'e [Entry]) -> Self {
        Self {
            seq: entries.iter().map(|entry| entry.seq).collect(),
            at: entries.iter().map(|entry| entry.at).collect(),
            event: entries.iter().map(|entry| entry.event.as_str()).collect(),
            job: entries.iter().map(|entry| entry.job).collect(),
            alert: entries.iter().map(|entry| entry.alert).collect(),
            actor: entries.iter().map(|entry| clean(entry.actor.as_str())).collect(),
            detail: entries.iter().map(|entry| entry.detail.as_str()).collect(),
            hash: entries.iter().map(|entry| &entry.hash[..]).collect(),
            earlier: entries.iter().map(|entry| entry.earlier).collect(),
        }
    }

    fn parameters<'p>(&'p self, writer: &'p String) -> [&'p (dyn ToSql + Sync); 10] {
        [
            writer,
            &self.seq,
            &self.at,
            &self.event,
            &self.job,
            &self.alert,
            &self.actor,
            &self.detail,
            &self.hash,
            &self.earlier,
        ]
    }
}

/// By provider and state, without what evens out.
fn sums(counts: &[(ProviderName, JobState, i64)]) -> (Vec<&str>, Vec<i16>, Vec<i64>) {
    let mut sums: HashMap<(&str, JobState), i64> = HashMap::new();
    for (provider, state, by) in counts {
        *sums.entry((provider.as_str(), *state)).or_default() += by;
    }
    let changed = sums.into_iter().filter(|(_, by)| *by != 0);
    let (mut providers, mut states, mut by) = (Vec::new(), Vec::new(), Vec::new());
    for ((provider, state), sum) in changed {
        providers.push(provider);
        states.push(state as i16);
        by.push(sum);
    }
    (providers, states, by)
}

/// Prepared once for each connection.
pub(super) async fn query(db: &ClientWrapper, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Fault> {
    let statement = db.prepare_cached(sql).await?;
    Ok(db.query(&statement, parameters).await?)
}
