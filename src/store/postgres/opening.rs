//! How a transaction begins: with its locks, the time, and whatever its changes have to know first, in one flight.

use std::collections::HashMap;
use std::sync::Arc;

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Row;

use super::codec::get;
use super::fault::Fault;
use super::flight::{Answers, Flight, Seat};
use super::time::{Moment, Timing};
use super::tx::{Chain, Numbers, Tx};
use crate::store::{Routes, StoreError};

/// Held, shared, by whoever adds to the record. Whoever reads it waits once until nobody does, see `audit::find`.
pub(super) const RECORD_LOCK: i64 = 0x7365_7665_7200_0002;

/// Held by whoever counts people in budgets, from before it looks for room until its commit.
pub(super) const BUDGETS_LOCK: i64 = 0x7365_7665_7200_0003;

/// What a transaction locks before it changes anything, and how many rows it may add.
#[derive(Default)]
pub(super) struct Needs {
    /// The budgets.
    pub(super) budgets: bool,
    /// Digests of accounts, in order.
    pub(super) accounts: Vec<i64>,
    /// The accounts themselves: their open jobs are locked.
    pub(super) account_ids: Vec<String>,
    /// Rows of jobs.
    pub(super) jobs: Vec<i64>,
    /// Jobs that may be stored.
    pub(super) new_jobs: usize,
    /// People who may be counted for the first time.
    pub(super) new_people: usize,
}

/// A job as it was when its row was locked.
#[derive(Debug, Clone)]
pub(super) struct Locked {
    pub(super) attempts: i32,
    pub(super) state: i16,
    pub(super) wake_at: Option<i64>,
    pub(super) record: Option<i64>,
    pub(super) account: Option<String>,
}

/// How things stand once everything is locked.
pub(super) struct Opened {
    pub(super) moment: Moment,
    pub(super) locked: HashMap<i64, Locked>,
    pub(super) numbers: Numbers,
    /// The first of the places in the record that are ours.
    pub(super) first: i64,
    pub(super) has_budgets: bool,
}

/// A transaction that is about to begin.
pub(super) struct Opening<'a> {
    db: &'a ClientWrapper,
    /// For questions whose answers are needed as soon as it has begun.
    pub(super) flight: Flight<'a>,
    rows: Option<Seat>,
    now: Seat,
    has_budgets: bool,
}

/// In the order of the keys, and that of the record first.
const LOCKS: &str =
    "SELECT CASE key WHEN $2::bigint THEN pg_advisory_xact_lock_shared(key) ELSE pg_advisory_xact_lock(key) END
     FROM (SELECT unnest($1::bigint[]) AS key) AS keys";

const ROWS: &str = "SELECT seq, attempts, state, wake_at, record, account_id FROM jobs
     WHERE seq = ANY($1) OR (account_id = ANY($2) AND state IN (0, 1, 2, 3)) ORDER BY seq FOR UPDATE";

/// The server's time, unless a test gave us one, and numbers. Nearly every change is told in the record.
const NOW: &str = "SELECT coalesce($1::bigint, server.t) AS wall, coalesce($2::bigint, server.t) AS steady,
       nextval('audit_seq') AS first, ARRAY(SELECT nextval('jobs_seq') FROM (SELECT generate_series(1, $3::bigint)) AS each) AS jobs,
       ARRAY(SELECT nextval('budget_people_seq') FROM (SELECT generate_series(1, $4::bigint)) AS each) AS people
     FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS t) AS server";

impl<'a> Opening<'a> {
    pub(super) async fn new(db: &'a ClientWrapper, timing: &Timing, needs: &Needs) -> Result<Self, Fault> {
        let mut flight = Flight::new(db);
        flight.say("BEGIN");
        let budgets = needs.budgets.then_some(BUDGETS_LOCK);
        let keys: Vec<i64> = [RECORD_LOCK].into_iter().chain(budgets).chain(needs.accounts.iter().copied()).collect();
        flight.ask(LOCKS, &[&keys, &RECORD_LOCK]).await?;
        let has_rows = !needs.jobs.is_empty() || !needs.account_ids.is_empty();
        let rows = if has_rows { Some(flight.ask(ROWS, &[&needs.jobs, &needs.account_ids]).await?) } else { None };
        let (wall, steady) = timing.given();
        let [jobs, people] = [needs.new_jobs, needs.new_people].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        let now = flight.ask(NOW, &[&wall, &steady, &jobs, &people]).await?;
        Ok(Self { db, flight, rows, now, has_budgets: needs.budgets })
    }

    /// Begins, with the answers to what was asked besides.
    pub(super) async fn begin(
        self,
        chain: Chain,
        timing: &Timing,
        routes: Arc<Routes>,
    ) -> Result<(Tx<'a>, Answers), Fault> {
        let mut answers = self.flight.fly().await?;
        let rows = self.rows.map(|seat| answers.rows(seat)).unwrap_or_default();
        let now = answers.rows(self.now);
        let now = now.first().ok_or_else(|| StoreError::Unavailable("PostgreSQL did not tell the time".to_owned()))?;
        let mut jobs: Vec<i64> = get(now, "jobs")?;
        jobs.reverse();
        let opened = Opened {
            moment: Moment { wall: get(now, "wall")?, steady: get(now, "steady")?, local: timing.clock.steady() },
            locked: rows.iter().map(locked).collect::<Result<_, _>>()?,
            numbers: Numbers { jobs, people: get(now, "people")? },
            first: get(now, "first")?,
            has_budgets: self.has_budgets,
        };
        Ok((Tx::new(self.db, chain, opened, routes)?, answers))
    }
}

fn locked(row: &Row) -> Result<(i64, Locked), Fault> {
    let job = Locked {
        attempts: get(row, "attempts")?,
        state: get(row, "state")?,
        wake_at: get(row, "wake_at")?,
        record: get(row, "record")?,
        account: get(row, "account_id")?,
    };
    Ok((get(row, "seq")?, job))
}
