//! The embedded store as a file: who may open it, what a crash leaves, and what happens when the disk says no.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use rusqlite::Connection;
use sever::clock::{Clock, ManualClock};
use sever::domain::{Account, Budget, Claim, JobState, Next, Outcome};
use sever::store::{Bound, JobStore, QuarantineCap, SqliteStore, StoreError};
use sever::telemetry::Metrics;

use crate::support::store::{Backend, Bench, LEASE, Mail, SqliteBackend, account, first_break, okta, start};

fn open(path: &Path) -> anyhow::Result<SqliteStore> {
    SqliteStore::open(path, Arc::new(ManualClock::new(start())), Arc::new(Metrics::new()))
}

fn refusal(path: &Path) -> String {
    format!("{:#}", open(path).err().expect("a refusal"))
}

/// A bench whose file other connections can reach.
fn bench_at(path: &Path) -> Bench {
    struct At(std::path::PathBuf);
    impl Backend for At {
        fn open(&self, clock: Arc<dyn Clock>, cap: QuarantineCap) -> crate::support::store::Opened {
            let store = SqliteStore::open(&self.0, clock, Arc::new(Metrics::new())).expect("a store");
            let store = Arc::new(store.with_quarantine_cap(cap));
            crate::support::store::Opened { jobs: store.clone(), ops: store }
        }
    }
    Bench::new(Box::new(At(path.to_owned())))
}

#[test]
fn a_file_in_use_is_refused_by_whatever_path_and_the_refusal_names_the_mend() {
    let backend = SqliteBackend::new();
    let first = open(&backend.path()).expect("a store");
    let link = backend.path().with_file_name("link.db");
    std::os::unix::fs::symlink(backend.path(), &link).expect("a link");
    for path in [backend.path(), link] {
        let told = refusal(&path);
        assert!(told.contains("in use by another sever process; stop that one first"), "{told}");
    }
    drop(first);
    open(&backend.path()).expect("the lock went with its holder");
}

#[test]
fn a_file_of_a_later_version_is_refused_and_left_alone() {
    let backend = SqliteBackend::new();
    drop(open(&backend.path()).expect("a store"));
    let other = Connection::open(backend.path()).expect("a connection");
    other.pragma_update(None, "user_version", 99).expect("a later version");
    let told = refusal(&backend.path());
    assert!(told.contains("schema 99") && told.contains("use a newer sever"), "{told}");
}

/// A change that fails after it wrote something undoes its whole batch, and with it claims that workers know of already.
#[tokio::test]
async fn a_call_under_a_lease_that_is_over_undoes_nobody_elses_claim() {
    let backend = SqliteBackend::new();
    let bench = bench_at(&backend.path());
    let budgets = [Budget { users: 5, per: LEASE, source: None, provider: None, rule: None, reserve: None }];
    // Two accounts of one person have an address in common.
    let bind = async |claim: &Claim, id: &str, name: &str| {
        let account = Account::new(id, vec![id.to_owned(), name.to_owned()]);
        bench.jobs().bind(claim, &account, None, &budgets).await
    };
    bench.job("a", okta("ana@example.com")).await;
    let first = bench.claim_one("okta").await;
    assert!(matches!(bind(&first, "00u1", "ana@example.com").await, Ok(Bound::Proceed)));
    bench.settle(&first, Next::Done(Outcome::Confirmed)).await;
    bench.job("b", okta("ana.two@example.com")).await;
    let over = bench.claim_one("okta").await;
    // Its lease ends, and so does the time for which the person was counted.
    bench.advance(LEASE * 2);
    bench.claim_one("okta").await;
    bench.job("c", okta("bo@example.com")).await;

    // Whatever is asked while nobody can write comes into one transaction.
    let lock = Connection::open(backend.path()).expect("a connection");
    lock.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let unlock = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        lock.execute_batch("ROLLBACK").expect("unlocked");
    };
    let (claimed, refused, ()) =
        tokio::join!(bench.claim_unsettled("okta", 1), bind(&over, "00u2", "ana@example.com"), unlock);
    assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
    assert!(matches!(bind(&claimed[0], "00u3", "bo@example.com").await, Ok(Bound::Proceed)), "the claim was undone");
}

#[tokio::test]
async fn nobody_else_reads_the_file_nor_its_log() {
    let backend = SqliteBackend::new();
    let bench = bench_at(&backend.path());
    bench.job("a", okta("ana@example.com")).await;
    for end in ["", "-wal", "-shm"] {
        let path = format!("{}{end}", backend.path().display());
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{path} has mode {mode:o}");
    }
}

#[tokio::test]
async fn a_foreign_lock_is_answered_with_unavailable_until_it_goes() {
    let backend = SqliteBackend::new();
    let bench = bench_at(&backend.path());
    bench.job("a", okta("ana@example.com")).await;
    let other = Connection::open(backend.path()).expect("a connection");
    other.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let mail = Mail::new("b").alert("b", [okta("ben@example.com")]);
    assert!(matches!(bench.try_admit(&mail).await, Err(StoreError::Unavailable(_))));
    assert_eq!(bench.all_jobs().await.len(), 1, "reading goes on");
    other.execute_batch("ROLLBACK").expect("unlocked");
    bench.admit(&mail).await;
    assert_eq!(bench.claim("okta", 10).await.len(), 2);
    assert_eq!(first_break(&bench.audit().await), None, "the refused commit left a mark in the chain");
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_file_and_its_log_at_every_moment() {
    let backend = SqliteBackend::new();
    let bench = bench_at(&backend.path());
    for number in 0..20 {
        bench.job(&format!("a{number}"), okta(&format!("p{number}@x"))).await;
    }
    let claim = bench.claim_one("okta").await;
    bench.bind(&claim, "00u1").await;
    bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    let leased = bench.claim_one("okta").await;
    let copy = SqliteBackend::new();
    for end in ["", "-wal"] {
        let name = |backend: &SqliteBackend| format!("{}{end}", backend.path().display());
        std::fs::copy(name(&backend), name(&copy)).expect("a copy");
    }
    let after = bench_at(&copy.path());
    assert_eq!(after.all_jobs().await.len(), 20);
    assert_eq!(after.state(claim.job).await, JobState::Done);
    assert_eq!(first_break(&after.audit().await), None);
    let again = after.claim("okta", 100).await;
    assert_eq!(again.len(), 19);
    assert!(again.iter().any(|claim| claim.job == leased.job && claim.attempt == 2), "the lease outlived its process");
}

#[tokio::test]
async fn the_log_starts_over_while_the_store_is_in_use() {
    let backend = SqliteBackend::new();
    let bench = bench_at(&backend.path());
    let log = format!("{}-wal", backend.path().display());
    // 320 MB in all, three times as much as it takes to be moved.
    for number in 0..1_200 {
        let name = number.to_string();
        bench.admit(&Mail::new(&name).body(&[b'x'; 200_000]).alert(&name, [okta(&format!("p{number}@x"))])).await;
    }
    let size = std::fs::metadata(&log).expect("a log").len();
    assert!(size < 150_000_000, "the log has grown to {size} bytes");
    assert_eq!(first_break(&bench.audit().await), None);
}

#[tokio::test]
async fn a_row_that_was_changed_behind_our_back_is_found() {
    let backend = SqliteBackend::new();
    let bench = bench_at(&backend.path());
    for number in 0..5 {
        bench.job(&format!("a{number}"), okta(&format!("p{number}@x"))).await;
    }
    let other = Connection::open(backend.path()).expect("a connection");
    let detail: String =
        other.query_row("SELECT detail FROM audit WHERE seq = 3", [], |row| row.get(0)).expect("the row");
    let kept: (String, i64, String) = other
        .query_row("SELECT actor, at, writer FROM audit WHERE seq = 3", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .expect("the row");
    for change in ["actor = 'operator:x'", "at = at + 1", "writer = 'other'", "event = 'done'", "detail = '{}'"] {
        other.execute_batch(&format!("UPDATE audit SET {change} WHERE seq = 3")).expect("changed");
        assert_eq!(first_break(&bench.audit().await), Some(3), "{change}");
        let restore =
            "UPDATE audit SET actor = ?1, at = ?2, writer = ?3, event = 'admitted', detail = ?4 WHERE seq = 3";
        other.execute(restore, (&kept.0, kept.1, &kept.2, &detail)).expect("restored");
        assert_eq!(first_break(&bench.audit().await), None);
    }
}

/// Panics when told to, as a bug in a change would.
#[derive(Debug)]
struct BrokenClock(ManualClock, AtomicBool);

impl Clock for BrokenClock {
    fn now(&self) -> Timestamp {
        assert!(!self.1.swap(false, Ordering::SeqCst), "the clock broke");
        self.0.now()
    }

    fn steady(&self) -> Timestamp {
        self.0.steady()
    }
}

#[tokio::test]
async fn a_change_that_panics_does_not_take_the_writer_with_it() {
    let backend = SqliteBackend::new();
    let clock = Arc::new(BrokenClock(ManualClock::new(start()), AtomicBool::new(false)));
    let store = SqliteStore::open(&backend.path(), clock.clone(), Arc::new(Metrics::new())).expect("a store");
    let mail = Mail::new("d").alert("a", [okta("ana@example.com")]);
    clock.1.store(true, Ordering::SeqCst);
    assert!(matches!(store.admit(mail.admission(start())).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.admit(mail.admission(start())).await, Ok(sever::store::Admitted::New(_))));
}

/// Sets the largest file that this process may write.
fn limit_files(to: &str) {
    let pid = std::process::id().to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={to}:unlimited")]).status();
    assert!(set.expect("prlimit").success());
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    // A process of its own, for the limit is the process's. It has to ignore the signal that comes with the error.
    let this = std::env::current_exe().expect("this binary");
    let script = "trap '' XFSZ; exec \"$0\" --exact store_sqlite::on_a_full_disk --ignored --nocapture";
    let ran = Command::new("sh").args(["-c", script]).arg(this).output().expect("a process");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && told.contains("1 passed"), "{told}{}", String::from_utf8_lossy(&ran.stderr));
}

#[tokio::test]
#[ignore = "run by the test above, in a process of its own"]
async fn on_a_full_disk() {
    let backend = SqliteBackend::new();
    let mut bench = bench_at(&backend.path());
    limit_files("1000000");
    let mail = |number: usize| {
        Mail::new(&number.to_string()).body(&[b'x'; 20_000]).alert(&number.to_string(), [okta(&format!("p{number}@x"))])
    };
    let mut stored = 0;
    while bench.try_admit(&mail(stored)).await.is_ok() {
        stored += 1;
        assert!(stored < 1000, "the limit does not limit");
    }
    for _ in 0..3 {
        assert!(matches!(bench.try_admit(&mail(stored)).await, Err(StoreError::Unavailable(_))));
    }
    assert_eq!(bench.all_jobs().await.len(), stored);
    // Not even as much as a claim writes.
    limit_files("100000");
    let undone = bench.claim_unsettled("okta", 1).await;
    // The claim was told before its commit, and the first of these may still share it.
    drop(bench.jobs().renew(Vec::new(), LEASE).await);
    assert!(bench.jobs().renew(Vec::new(), LEASE).await.is_ok(), "a change of nothing needs no room");
    limit_files("unlimited");
    bench.admit(&mail(stored)).await;
    let claims = bench.claim("okta", 1000).await;
    assert_eq!(claims.len(), stored + 1);
    let again = claims.iter().find(|claim| claim.job == undone[0].job).expect("it is due still");
    assert_eq!((undone[0].attempt, again.attempt), (1, 2), "two workers hold one number");
    assert!(matches!(bench.jobs().bind(&undone[0], &account("00u1"), None, &[]).await, Err(StoreError::LeaseLost)));
    assert_eq!(bench.bind(again, "00u1").await, Bound::Proceed);
    bench.reopen();
    assert_eq!(bench.all_jobs().await.len(), stored + 1);
    assert_eq!(first_break(&bench.audit().await), None);
}

/// The statements in a source file: string literals that begin like one.
fn statements(source: &str) -> Vec<String> {
    let literals = source.split('"').skip(1).step_by(2);
    let begins = |text: &&str| ["SELECT ", "UPDATE ", "DELETE ", "INSERT "].iter().any(|word| text.starts_with(word));
    literals.filter(begins).map(str::to_owned).collect()
}

#[test]
fn no_statement_of_the_pipeline_walks_through_the_backlog() {
    let backend = SqliteBackend::new();
    drop(open(&backend.path()).expect("a store"));
    let db = Connection::open(backend.path()).expect("a connection");
    let files = [
        include_str!("../../src/store/sqlite/admit.rs"),
        include_str!("../../src/store/sqlite/job.rs"),
        include_str!("../../src/store/sqlite/bind.rs"),
        include_str!("../../src/store/sqlite/claim.rs"),
        include_str!("../../src/store/sqlite/closures.rs"),
        include_str!("../../src/store/sqlite/settle.rs"),
        include_str!("../../src/store/sqlite/operate.rs"),
        include_str!("../../src/store/sqlite/tx.rs"),
    ];
    let tables = ["jobs", "deliveries", "alerts", "alert_jobs", "delivery_guards", "audit", "gates"];
    let mut seen = 0;
    for sql in files.iter().flat_map(|source| statements(source)) {
        // The last row of the record, found from its end.
        if sql.contains("FROM audit ORDER BY seq DESC LIMIT 1") {
            continue;
        }
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let steps: Vec<String> =
            plan.raw_query().mapped(|row| row.get("detail")).collect::<Result<_, _>>().expect("a plan");
        for step in &steps {
            let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            assert!(!scanned.is_some_and(|name| tables.contains(&name)), "{step} in {sql}");
        }
        seen += 1;
    }
    assert!(seen > 40, "only {seen} statements were found");
}

#[tokio::test]
async fn a_clock_set_back_between_two_runs_delays_nothing() {
    let backend = SqliteBackend::new();
    let bench = bench_at(&backend.path());
    bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    let due_at = bench.now() + std::time::Duration::from_secs(30);
    bench.settle(&claim, Next::Retry { due_at, failed: true }).await;
    drop(bench);

    let earlier = start() - std::time::Duration::from_secs(2 * 3600);
    let clock = Arc::new(ManualClock::new(earlier));
    let store = SqliteStore::open(&backend.path(), clock, Arc::new(Metrics::new())).expect("a store");
    let request = sever::store::ClaimRequest {
        provider: crate::support::store::name("okta"),
        limit: 1,
        lease: std::time::Duration::from_secs(60),
    };
    assert_eq!(store.claim(request).await.expect("claimed").len(), 1, "two hours late otherwise");
}
