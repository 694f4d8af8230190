//! What the pipeline and operators ask of a store costs the same at any backlog. Told by the server's own counts of the
//! rows that it read, so no plan of whatever statement can hide.

use std::sync::Arc;
use std::time::Duration;

use sever::clock::ManualClock;
use sever::domain::{JobState, Next, Outcome};
use sever::store::{Bound, JobFilter, JobStore, Operations, PostgresStore, QuarantineCap};
use sever::telemetry::Metrics;

use super::{admit, claim};
use crate::support::postgres::{Schema, connect, run};
use crate::support::store::{Mail, account, okta, settlement, start};

/// Jobs that wait.
const BACKLOG: i64 = 20_000;

/// Rows that all of what is asked below may read together: far fewer than there are, far more than it takes.
const MOST: i64 = BACKLOG / 4;

/// Statistics of a connection that ended are there soon, and this is long.
const PATIENCE: usize = 300;

/// Everything that grows.
const TABLES: &str = "('jobs', 'alerts', 'alert_jobs', 'deliveries', 'delivery_guards', 'audit')";

/// How often jobs were read as a whole, and how many rows of any table were read in whatever way.
async fn reads(db: &tokio_postgres::Client) -> (i64, i64) {
    let sql = format!(
        "SELECT (sum(t.seq_scan) FILTER (WHERE relname = 'jobs'))::bigint, sum(t.seq_tup_read + coalesce(t.idx_tup_fetch, 0))::bigint
         + (SELECT coalesce(sum(i.idx_tup_read), 0)::bigint FROM pg_stat_user_indexes i
            WHERE i.schemaname = current_schema() AND i.relname IN {TABLES})
         FROM pg_stat_user_tables t WHERE t.schemaname = current_schema() AND t.relname IN {TABLES}"
    );
    let row = db.query_one(&sql, &[]).await.expect("counts");
    (row.get(0), row.get(1))
}

/// Once everything that was counted is told: twice the same, and something.
async fn settled_reads(db: &tokio_postgres::Client, before: (i64, i64)) -> (i64, i64) {
    let mut last = before;
    for _ in 0..PATIENCE {
        tokio::time::sleep(Duration::from_millis(200)).await;
        db.batch_execute("SELECT pg_stat_clear_snapshot()").await.expect("cleared");
        let now = reads(db).await;
        if now == last && now != before {
            return now;
        }
        last = now;
    }
    panic!("the server does not tell what it read: {last:?}");
}

/// Copies the only job so often, and has another writer add as many rows to the record; planners look at what there is.
async fn multiply(db: &tokio_postgres::Client) {
    let columns: Vec<String> = db
        .query(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = 'jobs'::regclass AND attnum > 0 AND NOT attisdropped
             AND attname NOT IN ('seq', 'id', 'subject_key')",
            &[],
        )
        .await
        .expect("columns")
        .iter()
        .map(|row| row.get(0))
        .collect();
    let columns = columns.join(", ");
    let sql = format!(
        "INSERT INTO jobs (seq, id, subject_key, {columns}) SELECT nextval('jobs_seq'), gen_random_uuid(),
         decode(md5(n::text), 'hex'), {columns} FROM jobs CROSS JOIN generate_series(1, {BACKLOG}) AS n;
         UPDATE job_counts SET jobs = jobs + {BACKLOG} WHERE state = 0;
         INSERT INTO audit (seq, writer, at, event, actor, detail, hash)
         SELECT last.seq + n, 'another', last.at, last.event, last.actor, last.detail, last.hash
         FROM (SELECT * FROM audit ORDER BY seq DESC LIMIT 1) AS last CROSS JOIN generate_series(1, {BACKLOG}) AS n;
         SELECT setval('audit_seq', max(seq)) FROM audit; ANALYZE"
    );
    db.batch_execute(&sql).await.expect("a backlog");
}

async fn ask_everything(store: &PostgresStore, clock: &ManualClock) {
    for number in 0..5 {
        let mail = Mail::new(&format!("new {number}"));
        admit(store, clock, &mail.alert(&format!("new {number}"), [okta(&format!("new-{number}@example.com"))])).await;
    }
    for (number, claim) in claim(store, 5).await.iter().enumerate() {
        let account = account(&format!("00u{number}"));
        assert_eq!(store.bind(claim, &account, None, &[]).await.expect("bound"), Bound::Proceed);
        store.settle(claim, &settlement(claim, Next::Done(Outcome::Confirmed))).await.expect("settled");
    }
    store.status().await.expect("how things stand");
    let states = JobState::ALL.iter().copied().map(Some);
    for state in states.chain([None]) {
        store.jobs(JobFilter { state, limit: 10, ..JobFilter::default() }).await.expect("a page");
    }
}

#[test]
fn nothing_that_is_asked_often_reads_the_backlog() {
    let (schema, clock) = (Schema::new(), Arc::new(ManualClock::new(start())));
    let url = schema.parsed();
    let open = || PostgresStore::open_by_hand(&url, clock.clone(), Arc::new(Metrics::new()), QuarantineCap::default());
    run(async {
        let store = open().await.expect("a store");
        admit(&store, &clock, &Mail::new("first").alert("first", [okta("ana@example.com")])).await;
        drop(store);
        let db = connect(&schema.url()).await;
        multiply(&db).await;
        drop(db);
        let db = connect(&schema.url()).await;
        let before = settled_reads(&db, (0, 0)).await;
        let store = open().await.expect("a store");
        ask_everything(&store, &clock).await;
        drop(store);
        let after = settled_reads(&db, before).await;
        assert_eq!(after.0 - before.0, 0, "all jobs were read");
        let read = after.1 - before.1;
        assert!(read < MOST, "{read} rows were read, with {BACKLOG} jobs waiting");
    });
}
