//! The record against whoever can write to the database: what is changed, removed, inserted, cut off or made anew, and what
//! of it shows.

mod attacks;
mod commands;
mod random;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use sever::audit::{Check, Finding, PublicKeys, Report, Seal, Signed, SigningKey};
use sever::clock::Clock;
use sever::domain::{HoldReason, Next, Outcome};
use sever::sealer::Sealer;
use sever::store::{AuditStore, Consent, StoreUrl, read_audit};

use crate::support::store::{Bench, DAY, HOUR, Mail, SqliteBackend, okta, operator};

pub(crate) fn key() -> SigningKey {
    SigningKey::from_pem(&SigningKey::generate().expect("a key")).expect("a key")
}

/// A sealer of the bench's store; it keeps rows for 400 days.
pub(crate) fn sealer(bench: &Bench, key: SigningKey) -> Sealer {
    let store: Arc<dyn AuditStore> = bench.ops().clone();
    Sealer::new(store, key, 400 * DAY, bench.clock.clone())
}

/// A store with three seals over a story in which every column is used.
struct Record {
    folder: tempfile::TempDir,
    keys: PublicKeys,
    key: String,
    seals: Vec<Signed<Seal>>,
    now: jiff::Timestamp,
}

impl Record {
    async fn new() -> Self {
        let backend = SqliteBackend::new();
        let path = backend.path();
        let pem = SigningKey::generate().expect("a key");
        let key = SigningKey::from_pem(&pem).expect("a key");
        let keys: PublicKeys = [key.public()].into_iter().collect();
        let bench = Bench::new(Box::new(backend));
        let sealer = sealer(&bench, key);
        let mut seals = Vec::new();
        for round in 0..3 {
            let job = bench.job(&format!("a{round}"), okta(&format!("p{round}@example.com"))).await;
            bench.job(&format!("b{round}"), okta(&format!("p{round}@example.com"))).await;
            let claim = bench.claim_one("okta").await;
            bench.settle(&claim, Next::Held(HoldReason::Account)).await;
            let consent = Consent { reason: "is her".to_owned(), ..Consent::default() };
            bench.ops().approve(job, operator(), consent).await.expect("approved");
            let claim = bench.claim_one("okta").await;
            bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
            seals.extend(sealer.seal().await.expect("sealed"));
            bench.advance(HOUR);
        }
        bench.admit(&Mail::new("tail").alert("tail", [])).await;
        let now = bench.clock.now();
        let folder = tempfile::tempdir().expect("a folder");
        // Copied whole: the log is written back when the store closes.
        drop(sealer);
        let kept = folder.path().join("kept.db");
        drop_and_copy(bench, &path, &kept);
        Self { folder, keys, key: pem, seals, now }
    }

    /// A copy of the store, with these changes.
    fn tampered(&self, sql: &str) -> PathBuf {
        let path = self.copy();
        let connection = rusqlite::Connection::open(&path).expect("the copy");
        connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        path
    }

    fn copy(&self) -> PathBuf {
        let path = self.folder.path().join(format!("{}.db", uuid::Uuid::new_v4().simple()));
        std::fs::copy(self.folder.path().join("kept.db"), &path).expect("copied");
        path
    }

    fn check(&self, path: &Path) -> Report {
        self.check_with(path, &[])
    }

    fn check_with(&self, path: &Path, copies: &[&Signed<Seal>]) -> Report {
        let mut check = Check::new(&self.keys);
        copies.iter().for_each(|seal| check.copy((*seal).clone(), "kept.json"));
        let url = StoreUrl::Sqlite(path.to_owned());
        // A file is read at once.
        let read = async { read_audit(&url).await.expect("a record").check(&mut check).await.expect("read") };
        read.now_or_never().expect("nothing to wait for");
        check.finish(self.now)
    }

    /// What is found in a copy with these changes.
    fn found(&self, sql: &str) -> Vec<Finding> {
        self.check(&self.tampered(sql)).findings
    }

    fn rows(&self) -> i64 {
        let connection = rusqlite::Connection::open(self.folder.path().join("kept.db")).expect("the store");
        connection.query_row("SELECT max(seq) FROM audit", [], |row| row.get(0)).expect("a number")
    }
}

fn drop_and_copy(bench: Bench, from: &Path, to: &Path) {
    let bytes = |path: &Path| std::fs::read(path).expect("the store");
    let folder = bench.close();
    std::fs::write(to, bytes(from)).expect("written");
    drop(folder);
}

/// The first row that is named as wrong.
fn first(findings: &[Finding]) -> Option<i64> {
    findings.iter().find_map(|finding| match finding {
        Finding::Broken { seq, .. } | Finding::Unreadable { seq, .. } | Finding::Returned { seq, .. } => Some(*seq),
        _ => None,
    })
}
