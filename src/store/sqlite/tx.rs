//! One transaction: what every change in it shares.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::outbox::{self, News};
use super::people::People;
use super::prepared::{Prepared, Statements};
use crate::audit::{Actor, AuditEvent, AuditRecord, Place, chain};
use crate::clock::Clock;
use crate::domain::{AlertId, JobId, JobState, ProviderName};
use crate::store::Routes;

/// The end of this process's audit chain.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    writer: Arc<str>,
    head: Head,
}

/// The last row.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    seq: i64,
    hash: [u8; 32],
}

impl Chain {
    /// Goes on where the file ends. One file has one chain, for it has one writer at a time.
    pub(super) fn resume(connection: &Connection) -> rusqlite::Result<Self> {
        let last = connection
            .query_row("SELECT writer, seq, hash FROM audit ORDER BY seq DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, Head { seq: row.get(1)?, hash: row.get(2)? }))
            })
            .optional()?;
        let (writer, head) = last.unwrap_or_else(|| (uuid::Uuid::now_v7().to_string().into(), Head::default()));
        Ok(Self { writer, head })
    }
}

/// Numbers of attempts that were told to workers before their commit.
#[derive(Debug, Default)]
pub(super) struct Leases {
    given: Vec<(i64, u32)>,
    burnt: HashMap<i64, u32>,
}

impl Leases {
    /// The commit did not happen. Whoever holds one of these numbers holds nothing, and nobody else is given it: it
    /// would open the job to both.
    pub(super) fn burn(&mut self) {
        self.burnt.extend(self.given.drain(..));
    }

    /// The commit happened.
    pub(super) fn stand(&mut self) {
        self.given.clear();
    }
}

/// A transaction in progress.
pub(super) struct Tx<'a> {
    db: &'a Connection,
    statements: Statements<'a>,
    chain: &'a mut Chain,
    leases: &'a mut Leases,
    routes: &'a mut Routes,
    /// The wall clock when its latest change was taken up.
    pub(super) now: Timestamp,
    /// The steady clock then, in microseconds.
    pub(super) steady: i64,
    counts: Vec<(ProviderName, JobState, i64)>,
    /// Whom the budgets count.
    pub(super) people: &'a mut People,
    news: Vec<News>,
    wake: bool,
}

/// How much was gathered before a change.
struct Gathered {
    head: Head,
    counts: usize,
    people: usize,
    news: usize,
    wake: bool,
}

impl<'a> Tx<'a> {
    pub(super) fn new(
        db: &'a Connection,
        clock: &dyn Clock,
        chain: &'a mut Chain,
        leases: &'a mut Leases,
        routes: &'a mut Routes,
        people: &'a mut People,
    ) -> Self {
        let steady = clock.steady().as_microsecond();
        let (counts, news) = (Vec::new(), Vec::new());
        Self {
            db,
            statements: Statements::default(),
            chain,
            leases,
            routes,
            now: clock.now(),
            steady,
            counts,
            people,
            news,
            wake: false,
        }
    }

    /// Time has passed since it began.
    pub(super) fn look_at(&mut self, clock: &dyn Clock) {
        (self.now, self.steady) = (clock.now(), clock.steady().as_microsecond());
    }

    pub(super) fn sql(&self, sql: &'static str) -> rusqlite::Result<Prepared<'a>> {
        self.statements.get(self.db, sql)
    }

    pub(super) fn connection(&self) -> &'a Connection {
        self.db
    }

    /// Makes a change that will most likely succeed, or fail before it writes anything. `false`: it failed later.
    pub(super) fn trusting(&mut self, change: impl FnOnce(&mut Self) -> bool) -> bool {
        let (before, written) = (self.gathered(), self.db.total_changes());
        if change(self) {
            return true;
        }
        self.forget(before);
        // Some errors, such as a full disk, make SQLite undo the whole transaction by itself.
        self.db.total_changes() == written && !self.db.is_autocommit()
    }

    /// Undoes the change, and only it, where it says that it failed.
    pub(super) fn guarded(&mut self, change: impl FnOnce(&mut Self) -> bool) -> rusqlite::Result<bool> {
        self.sql("SAVEPOINT change")?.execute([])?;
        let before = self.gathered();
        if !change(self) {
            self.sql("ROLLBACK TO change")?.execute([])?;
            self.forget(before);
        }
        self.sql("RELEASE change")?.execute([])?;
        Ok(true)
    }

    fn gathered(&self) -> Gathered {
        Gathered {
            head: self.chain.head,
            counts: self.counts.len(),
            people: self.people.progress(),
            news: self.news.len(),
            wake: self.wake,
        }
    }

    fn forget(&mut self, before: Gathered) {
        self.chain.head = before.head;
        self.counts.truncate(before.counts);
        self.people.go_back(before.people);
        self.news.truncate(before.news);
        self.wake = before.wake;
    }

    /// Tells the workers, after the commit, that something may be due.
    pub(super) fn wake(&mut self) {
        self.wake = true;
    }

    /// Who is told of what, from the next transaction on.
    pub(super) fn set_routes(&mut self, routes: Routes) {
        *self.routes = routes;
    }

    /// Something to be told, if there is anybody to tell.
    pub(super) fn tell(&mut self, news: impl FnOnce() -> Option<News>) {
        if !self.routes.is_empty() {
            self.news.extend(news());
        }
    }

    /// The number of a job's next attempt, after `latest`.
    pub(super) fn next_attempt(&mut self, row: i64, latest: u32) -> u32 {
        let latest = self.leases.burnt.get(&row).map_or(latest, |burnt| latest.max(*burnt));
        let next = latest.saturating_add(1);
        self.leases.given.push((row, next));
        next
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
    pub(super) fn record(
        &mut self,
        event: AuditEvent,
        job: Option<JobId>,
        alert: Option<AlertId>,
        actor: &Actor,
        detail: &str,
    ) -> rusqlite::Result<()> {
        self.append(&AuditRecord { at: self.now, event, job, alert, actor, detail }, None)
    }

    /// The place of the row that is added next.
    pub(super) fn next_record(&self) -> i64 {
        self.chain.head.seq + 1
    }

    /// `earlier`: the row that tells the job's attempt before.
    pub(super) fn append(&mut self, record: &AuditRecord<'_>, earlier: Option<i64>) -> rusqlite::Result<()> {
        let place = Place { writer: &self.chain.writer, seq: self.next_record(), earlier };
        let head = Head { seq: place.seq, hash: chain(&self.chain.head.hash, &place, record) };
        self.sql(
            "INSERT INTO audit (seq, at, writer, event, job, alert, actor, detail, hash, earlier)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            head.seq,
            record.at.as_microsecond(),
            self.chain.writer,
            record.event.as_str(),
            record.job.map(|id| id.0.into_bytes()),
            record.alert.map(|id| id.0.into_bytes()),
            record.actor.as_str(),
            record.detail,
            head.hash,
            earlier,
        ])?;
        self.chain.head = head;
        self.tell(|| outbox::news(record));
        Ok(())
    }

    /// Writes what was gathered; whether workers are to be woken.
    pub(super) fn finish(self) -> rusqlite::Result<bool> {
        let mut statement = self.sql(
            "INSERT INTO job_counts (provider, state, jobs) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET jobs = jobs + ?3",
        )?;
        for (provider, state, by) in sums(&self.counts).into_iter().filter(|(.., by)| *by != 0) {
            statement.execute(params![provider.as_str(), state as i64, by])?;
        }
        // A job that cannot be shown must not keep others from being settled.
        if let Err(error) = outbox::write(&self, self.routes, &self.news) {
            tracing::error!(error = %error, "what became of some jobs will not be told");
        }
        Ok(self.wake)
    }
}

/// There are few providers and states: looking through them costs less than a map does.
fn sums(counts: &[(ProviderName, JobState, i64)]) -> Vec<(&ProviderName, JobState, i64)> {
    let mut sums: Vec<(&ProviderName, JobState, i64)> = Vec::new();
    for (provider, state, by) in counts {
        match sums.iter_mut().find(|sum| sum.1 == *state && sum.0 == provider) {
            Some((.., sum)) => *sum += by,
            None => sums.push((provider, *state, *by)),
        }
    }
    sums
}
