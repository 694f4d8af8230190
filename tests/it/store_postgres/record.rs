//! The record of two replicas: sealed by either, and what somebody changes in the database shows.

use std::sync::Arc;

use sever::audit::{Check, Finding, PublicKeys, Report, SigningKey};
use sever::clock::Clock;
use sever::domain::{Next, Outcome};
use sever::sealer::Sealer;
use sever::store::{
    AuditStore, AuditView, JobStore, Operations, PostgresStore, QuarantineCap, StoreError, StoreUrl, read_audit,
};
use sever::telemetry::Metrics;

use super::{Pair, admit, claim};
use crate::support::postgres::{connect, run};
use crate::support::store::{DAY, HOUR, Mail, okta, operator, settlement};

/// Two replicas, each of which has written, and sealed what both have written.
struct Record {
    pair: Pair,
    keys: PublicKeys,
    sealers: [Sealer; 2],
}

fn sealer(pair: &Pair, store: &Arc<PostgresStore>, pem: &str) -> Sealer {
    let key = SigningKey::from_pem(pem).expect("a key");
    Sealer::new(store.clone(), key, 400 * DAY, pair.clock.clone())
}

async fn work(pair: &Pair, store: &PostgresStore, name: &str) {
    admit(store, &pair.clock, &Mail::new(name).alert(name, [okta(&format!("{name}@x"))])).await;
    for claim in claim(store, 10).await {
        store.settle(&claim, &settlement(&claim, Next::Done(Outcome::Confirmed))).await.expect("settled");
    }
}

impl Record {
    fn new() -> Self {
        let pem = SigningKey::generate().expect("a key");
        let keys = [SigningKey::from_pem(&pem).expect("a key").public()].into_iter().collect();
        let pair = Pair::new();
        let sealers = [sealer(&pair, &pair.one, &pem), sealer(&pair, &pair.other, &pem)];
        Self { pair, keys, sealers }
    }

    async fn sealed() -> Self {
        let record = Self::new();
        for round in 0..2 {
            for (number, store) in record.pair.both().into_iter().enumerate() {
                work(&record.pair, store, &format!("{number}{round}")).await;
                record.sealers[number].seal().await.expect("sealed").expect("a seal");
                record.pair.clock.advance(HOUR);
            }
        }
        record
    }

    async fn check(&self) -> Report {
        let url = StoreUrl::Postgres(Box::new(self.pair.schema.parsed()));
        let reader = read_audit(&url).await.expect("a record");
        let mut check = Check::new(&self.keys);
        reader.check(&mut check).await.expect("read");
        check.finish(self.pair.clock.now())
    }

    async fn rows(&self) -> Vec<AuditView> {
        self.pair.one.audit(None, 1000).await.expect("a page").items
    }

    async fn execute(&self, sql: &str) {
        let client = connect(&self.pair.schema.url()).await;
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// What is found with these changes, which are undone afterwards.
    async fn found(&self, sql: &str) -> Vec<Finding> {
        let keep = "CREATE TABLE kept AS TABLE audit; CREATE TABLE kept_seals AS TABLE audit_seals;";
        self.execute(&format!("{keep} {sql}")).await;
        let found = self.check().await.findings;
        let back = "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept; DROP TABLE kept;
             DELETE FROM audit_seals; INSERT INTO audit_seals SELECT * FROM kept_seals; DROP TABLE kept_seals;";
        self.execute(back).await;
        found
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_wrote_is_one_record() {
    let record = Record::sealed().await;
    let report = record.check().await;
    assert_eq!((report.findings.as_slice(), report.seals, report.unsealed), (&[][..], 4, 0));
    assert_eq!(report.rows, record.rows().await.len() as u64);
    let newest = record.pair.one.seals(None, 1).await.expect("seals").items.remove(0).statement;
    assert_eq!((newest.number, newest.heads.len()), (4, 4), "two lanes of two replicas: {newest:?}");
}

async fn writers(record: &Record) -> usize {
    record.rows().await.into_iter().map(|row| row.writer).collect::<std::collections::BTreeSet<_>>().len()
}

/// Ends every connection that holds a chain, in the middle of whatever it does. The server needs a moment for it.
async fn cut_off(record: &Record) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE locktype = 'advisory' AND classid = 1936029285 AND objsubid = 2 AND application_name = $1";
    let client = connect(&record.pair.schema.url()).await;
    let ended = client.query(sql, &[&record.pair.schema.name()]).await.expect("ended");
    assert!(!ended.is_empty(), "no connection holds a chain");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_go_on_with_chains_that_nobody_writes() {
    let mut record = Record::sealed().await;
    assert_eq!(writers(&record).await, 4);
    for round in 0..3 {
        let (url, clock) = (record.pair.schema.parsed(), record.pair.clock.clone());
        let open = PostgresStore::open_by_hand(&url, clock, Arc::new(Metrics::new()), QuarantineCap::default());
        // The one before lives until the new one is there.
        record.pair.one = Arc::new(run(open).expect("a store"));
        work(&record.pair, &record.pair.one, &format!("next{round}")).await;
    }
    // Where the connections of the last one were still open, there was nothing to go on with.
    assert!(writers(&record).await <= 6, "each start began a new one");
    record.sealers[1].seal().await.expect("sealed").expect("a seal");
    assert_eq!(record.check().await.findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_never_write_one_chain_also_when_connections_break() {
    let record = Record::sealed().await;
    let mut names = 0;
    for round in 0..12 {
        cut_off(&record).await;
        // Both come back at the same moment; what was asked on the broken connection may have failed.
        let stores = record.pair.both();
        let tries = stores.into_iter().enumerate().map(async |(number, store)| {
            for attempt in 0..100 {
                let name = format!("{round}-{number}-{attempt}");
                let mail = Mail::new(&name).alert(&name, [okta(&format!("{name}@x"))]);
                if store.admit(mail.admission(record.pair.clock.now())).await.is_ok() {
                    return;
                }
            }
            panic!("the store did not come back");
        });
        futures_util::future::join_all(tries).await;
        names = writers(&record).await;
    }
    assert_eq!(record.check().await.findings, []);
    assert!(names <= 8, "{names} chains after 12 breaks: they are not gone on with");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_given_to_one_of_them() {
    let record = Record::new();
    for round in 0..20 {
        record.pair.one.pause(None, operator(), "drill".to_owned()).await.expect("paused");
        record.pair.other.resume(None, operator()).await.expect("resumed");
        let (one, other) = tokio::join!(record.sealers[0].seal(), record.sealers[1].seal());
        let made = [&one, &other].into_iter().filter(|sealed| matches!(sealed, Ok(Some(_)))).count();
        let refused = [&one, &other].into_iter().filter(|it| matches!(it, Err(StoreError::Conflict(_)) | Ok(None)));
        assert_eq!((made, refused.count()), (1, 1), "round {round}: {one:?} {other:?}");
    }
    let report = record.check().await;
    assert_eq!((report.findings.as_slice(), report.seals), (&[][..], 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_number_that_is_committed_after_a_seal_is_no_tampering() {
    let record = Record::new();
    work(&record.pair, &record.pair.one, "a").await;
    record.execute("SELECT setval('audit_seq', last_value + 1024 * 20) FROM audit_seq").await;
    // This one is numbered now and sealed; the other took its numbers before, and commits after.
    work(&record.pair, &record.pair.one, "b").await;
    record.sealers[0].seal().await.expect("sealed").expect("a seal");
    let sealed = record.rows().await.last().expect("a row").seq;
    record.execute("SELECT setval('audit_seq', last_value - 1024 * 15) FROM audit_seq").await;
    record.pair.other.pause(None, operator(), "drill".to_owned()).await.expect("paused");
    assert_eq!(record.check().await.findings, []);
    record.execute("SELECT setval('audit_seq', last_value + 1024 * 40) FROM audit_seq").await;
    let late = record.rows().await.into_iter().find(|row| row.event == "paused").expect("the row").seq;
    assert!(late < sealed, "{late} {sealed}");
    assert!(record.sealers[0].seal().await.expect("sealed").is_some(), "it is new to the seals all the same");
    let report = record.check().await;
    assert_eq!((report.findings.as_slice(), report.unsealed), (&[][..], 0));
}

/// Every column, with a change of it.
const CHANGES: [(&str, &str); 9] = [
    ("at", "at + 1"),
    ("writer", "writer || 'x'"),
    ("event", "CASE event WHEN 'done' THEN 'dead' ELSE 'done' END"),
    ("job", "CASE WHEN job IS NULL THEN gen_random_uuid() END"),
    ("alert", "CASE WHEN alert IS NULL THEN gen_random_uuid() END"),
    ("actor", "CASE actor WHEN 'sever' THEN 'operator:oncall' ELSE 'sever' END"),
    ("detail", "replace(detail, '{', '{ ')"),
    ("hash", "sha256(hash)"),
    ("earlier", "CASE WHEN earlier IS NULL THEN 0 END"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_removed_row_is_found_at_its_place() {
    let record = Record::sealed().await;
    let rows = record.rows().await;
    let middle = &rows[rows.len() / 2];
    for (column, value) in CHANGES {
        let found = record.found(&format!("UPDATE audit SET {column} = {value} WHERE seq = {}", middle.seq)).await;
        let at = matches!(found.first(), Some(Finding::Broken { seq, .. }) if *seq == middle.seq);
        assert!(at, "{column} of row {}: {found:?}", middle.seq);
    }
    let found = record.found(&format!("UPDATE audit SET hash = '\\x00' WHERE seq = {}", middle.seq)).await;
    assert!(matches!(found[0], Finding::Unreadable { seq, .. } if seq == middle.seq), "{found:?}");
    for row in &rows {
        let Some(next) = rows.iter().find(|next| next.writer == row.writer && next.seq > row.seq) else { continue };
        let found = record.found(&format!("DELETE FROM audit WHERE seq = {}", row.seq)).await;
        let at = found.iter().any(|it| matches!(it, Finding::Broken { seq, .. } if *seq == next.seq));
        assert!(at, "row {}: {found:?}", row.seq);
    }
    assert_eq!(record.check().await.findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_end_is_found_by_the_seals() {
    let record = Record::sealed().await;
    let heads = record.pair.one.audit_heads().await.expect("heads").heads;
    let newest = record.pair.one.seals(None, 1).await.expect("seals").items.remove(0).statement;
    for head in &newest.heads {
        let (writer, seq) = (&head.writer, head.seq);
        let found = record.found(&format!("DELETE FROM audit WHERE writer = '{writer}' AND seq >= {seq}")).await;
        let cut =
            |it: &Finding| matches!(it, Finding::CutOff { writer: of, seq: at, .. } if of == writer && *at == seq);
        assert!(found.iter().any(cut), "{found:?}");
    }
    let found = record.found("DELETE FROM audit_seals WHERE number > 2").await;
    assert!(found.contains(&Finding::SealGone { number: 4 }), "{found:?}");
    let found = record.found("UPDATE audit_seals SET text = '{}' WHERE number = 3").await;
    assert!(matches!(&found[0], Finding::Strange { name } if name == "seal 3"), "{found:?}");

    // A chain that is gone altogether is sealed on as it stood, so that newer seals tell of it as well.
    let gone = &heads.last().expect("a head").writer;
    record.execute(&format!("DELETE FROM audit WHERE writer = '{gone}'")).await;
    record.pair.one.pause(None, operator(), "drill".to_owned()).await.expect("paused");
    let seal = record.sealers[0].seal().await.expect("sealed").expect("a seal");
    assert_eq!(seal.head(gone), newest.heads.iter().find(|head| head.writer == *gone));
}
