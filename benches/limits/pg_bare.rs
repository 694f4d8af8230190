//! What PostgreSQL carries of a queue at best: bare loops, each with a connection of its own, that take 32 jobs at
//! a time, as many as a replica may make calls at once; a replica has more in hand. One writes each job twice and nothing else; the other writes what the service does: each job
//! three times, in three commits, with the rows of its record and of the person whom budgets count.

use std::time::Duration;

use futures_util::future::{BoxFuture, try_join_all};
use tokio::task::JoinSet;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use crate::home::Home;
use crate::pg_rows::connect;
use crate::service::CONCURRENCY;
use crate::watch::Watch;

/// What a bare loop writes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Writes {
    /// A claim and an end.
    Little,
    /// What the service does.
    Same,
}

/// Takes all jobs of the store to their end, over so many connections; how long it took, and the connections.
pub(crate) async fn drain(home: &Home, count: usize, writes: Writes) -> (Duration, Vec<Client>) {
    let mut clients = Vec::new();
    for number in 0..count {
        let db = connect(&home.url()).await;
        db.batch_execute(PLANS).await.expect("set");
        clients.push((number as i64, db));
    }
    let started = Watch::start();
    let mut workers = JoinSet::new();
    for (number, db) in clients {
        workers.spawn(async move {
            match writes {
                Writes::Little => little(&db).await,
                Writes::Same => same(&db, number).await,
            }
            db
        });
    }
    let clients = workers.join_all().await;
    (started.elapsed(), clients)
}

async fn little(db: &Client) {
    let (claim, end) = (prepare(db, CLAIM).await, prepare(db, END).await);
    loop {
        let rows = claimed(db, &claim).await;
        if rows.is_empty() {
            return;
        }
        db.execute(&end, &[&rows]).await.expect("ended");
    }
}

async fn same(db: &Client, number: i64) {
    let writer = format!("bare-{number}");
    let [claim, call, end] = [prepare(db, CLAIM).await, prepare(db, CALL).await, prepare(db, END).await];
    let [record, count] = [prepare(db, RECORD).await, prepare(db, COUNT).await];
    // Above every number that the service gave.
    let mut place: i64 = (number + 1) << 40;
    loop {
        db.batch_execute("BEGIN").await.expect("begun");
        let rows = claimed(db, &claim).await;
        if rows.is_empty() {
            // It may have locked what another one just ended.
            return db.batch_execute("ROLLBACK").await.expect("undone");
        }
        let jobs = rows.len() as i64;
        let (told, moved): (Parameters<'_>, Parameters<'_>) =
            (&[&rows, &place, &writer, &"claimed", &CLAIMED], &[&writer, &jobs, &0_i16, &1_i16]);
        fly(db, &[(&record, told), (&count, moved)], false).await;
        fly(db, &[(&call, &[&rows, &(number + 1), &jobs])], true).await;
        place += jobs;
        let (ended, told, moved): (Parameters<'_>, Parameters<'_>, Parameters<'_>) =
            (&[&rows], &[&rows, &place, &writer, &"done", &DONE], &[&writer, &jobs, &1_i16, &4_i16]);
        fly(db, &[(&end, ended), (&record, told), (&count, moved)], true).await;
        place += jobs;
    }
}

async fn prepare(db: &Client, sql: &str) -> Statement {
    db.prepare(sql).await.expect("prepared")
}

async fn claimed(db: &Client, claim: &Statement) -> Vec<i64> {
    let rows = db.query(claim, &[&(CONCURRENCY as i64)]).await.expect("claims");
    rows.iter().map(|row| row.get(0)).collect()
}

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Everything up to the commit in one journey.
async fn fly(db: &Client, statements: &[(&Statement, Parameters<'_>)], begins: bool) {
    // What is polled first is sent first.
    let mut flight: Vec<BoxFuture<'_, Result<(), Error>>> = Vec::new();
    if begins {
        flight.push(Box::pin(db.batch_execute("BEGIN")));
    }
    for (statement, parameters) in statements {
        flight.push(Box::pin(async move { db.execute(*statement, parameters).await.map(drop) }));
    }
    flight.push(Box::pin(db.batch_execute("COMMIT")));
    try_join_all(flight).await.expect("committed");
}

/// As the service has it: by what the planner guesses of a limit that it does not know, it would read the whole table.
const PLANS: &str =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off";

/// All jobs of the measurement are critical ones, and due.
const CLAIM: &str =
    "WITH due AS (SELECT seq FROM jobs WHERE provider = 'okta' AND lane = 4 AND wake_at <= 4000000000000000
       ORDER BY wake_at LIMIT $1 FOR UPDATE SKIP LOCKED)
     UPDATE jobs SET state = 1, lane = 6, wake_at = wake_at + 60000000, attempts = attempts + 1 FROM due
     WHERE jobs.seq = due.seq RETURNING jobs.seq, jobs.id, jobs.subject, jobs.request";

/// The account is known, and the person counted: a row of theirs and one of a name, as in the service, and one of sums for
/// each connection, so that none waits for another's.
const CALL: &str = "WITH calls AS (UPDATE jobs SET account_id = '00u' || seq, call_open = 1, counted = true
       WHERE seq = ANY($1::bigint[]) RETURNING seq),
     people AS (INSERT INTO budget_people (seq, accounts, names, budgets, untils, until)
       SELECT seq, '{\"okta\":\"00u' || lpad(seq::text, 17, '0') || '\"}', decode(md5(seq::text), 'hex'),
         ARRAY[1, 2, 3]::bigint[], ARRAY[seq, seq, seq], 4000000000000000 + seq FROM calls),
     names AS (INSERT INTO budget_names (name, person) SELECT decode(md5(seq::text), 'hex'), seq FROM calls)
     INSERT INTO budget_totals (budget, used) VALUES ($2, $3)
     ON CONFLICT (budget) DO UPDATE SET used = budget_totals.used + excluded.used";

const END: &str = "UPDATE jobs SET state = 4, lane = severity, wake_at = NULL, outcome = 'confirmed',
     account_id = '00u' || seq, finished_at = created_at WHERE seq = ANY($1)";

/// The rows of the record, as long as the service's.
const RECORD: &str = "INSERT INTO audit (seq, writer, at, event, job, actor, detail, hash)
     SELECT $2::bigint + b.place, $3::text, 1800000000000000, $4::text, jobs.id, 'system', $5::text,
       sha256(jobs.subject::bytea) FROM (SELECT unnest($1::bigint[]) AS seq, generate_series(1, cardinality($1)) AS place) AS b
     JOIN jobs USING (seq)";

const COUNT: &str = "INSERT INTO job_counts (writer, provider, state, jobs)
     VALUES ($1, 'okta', $3, -$2::bigint), ($1, 'okta', $4, $2)
     ON CONFLICT (writer, provider, state) DO UPDATE SET jobs = job_counts.jobs + excluded.jobs";

const CLAIMED: &str = r#"{"attempt":1,"provider":"okta"}"#;
const DONE: &str = r#"{"attempt":{"class":"ok","duration_ms":5,"message":"sessions ended","number":1,"operation":"revoke","started_at":"2026-01-01T00:00:00.000000Z","status":204},"outcome":"confirmed","provider":"okta","revocation":{"outcome":"confirmed","survives":[]}}"#;
