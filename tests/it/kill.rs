//! kill -9 at any moment: nothing acknowledged is lost, and a repeat is shown.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use sever::clock::{Clock, SystemClock};
use sever::domain::{JobState, Outcome};
use sever::lifecycle::Lifecycle;
use sever::sandbox::Sandbox;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::okta::{OktaSandbox, Person};
use sever::store::{JobFilter, JobView, Operations, SqliteStore};
use sever::telemetry::Metrics;
use sever::verify::Signer;
use tokio::sync::Mutex;

use crate::process::Server;
use crate::testapp::{CONFIG, TOKEN, signing, stolen, uuid};

const KILLS: u32 = 50;
const SENDERS: usize = 8;

struct World {
    okta: OktaSandbox,
    signer: Signer,
    clock: Arc<dyn Clock>,
    /// Where the server listens now; `None` while it is dead.
    server: Mutex<Option<SocketAddr>>,
    acknowledged: Mutex<BTreeMap<String, Person>>,
    number: AtomicU64,
    stop: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_over_fifty_kills() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let sandbox = Sandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&clock)).await.expect("a port");
    let admin = Person::new("admin@example.com");
    sandbox.okta().add_person(admin.clone());
    sandbox.okta().accept_ssws(TOKEN, &admin.id);
    // Calls take a while, so that kills strike in their middle.
    sandbox.okta().faults().inject(Injection::once(Fault::Latency { duration_ms: 15 }).until_cleared());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sever.yaml");
    let dir = folder.path().to_str().expect("a path");
    std::fs::write(
        &file,
        CONFIG
            .replace("guardrails:", "guardrails:\n  budgets: []")
            .replace("{okta}", &sandbox.okta().url())
            .replace("{dir}", dir),
    )
    .expect("written");

    let world = Arc::new(World {
        okta: sandbox.okta().clone(),
        signer: Signer::new(&signing()).expect("a signer"),
        clock: Arc::clone(&clock),
        server: Mutex::new(None),
        acknowledged: Mutex::default(),
        number: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let lifecycle = Lifecycle::new();
    let senders: Vec<_> = (0..SENDERS).map(|_| lifecycle.spawn(send_until_told(Arc::clone(&world)))).collect();
    for round in 0..KILLS {
        let server = Server::start(&file).expect("it starts after every kill");
        *world.server.lock().await = Some(server.alerts);
        // From hardly listening to deep in work; spread evenly, so that every run tries every phase.
        tokio::time::sleep(Duration::from_millis(u64::from(round * 37 % 350))).await;
        *world.server.lock().await = None;
        server.kill();
    }
    let server = Server::start(&file).expect("it starts after every kill");
    *world.server.lock().await = Some(server.alerts);
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.expect("a sender");
    }
    let acknowledged = std::mem::take(&mut *world.acknowledged.lock().await);
    wait_until_idle(&world.okta).await;
    let (status, _) = server.terminate();
    assert_eq!(status, Some(0));

    let jobs = all_jobs(&folder.path().join("sever.db"), &clock).await;
    judge(&world.okta, &acknowledged, &jobs);
}

/// Sends alerts about people of its own, each again and again until it is acknowledged, as a good sender does.
async fn send_until_told(world: Arc<World>) {
    let client = client();
    while !world.stop.load(Ordering::Relaxed) {
        let number = world.number.fetch_add(1, Ordering::Relaxed);
        let person = Person::new(&format!("person-{number}@example.com"));
        world.okta.add_person(person.clone());
        world.okta.sign_in(&person.id);
        let (alert, delivery) = (format!("edr-{number}"), uuid());
        let body = stolen(&alert, json!([{"ids": {"okta": person.id}}])).to_string();
        while !world.stop.load(Ordering::Relaxed) {
            if send(&world, &client, &delivery, &body).await {
                world.acknowledged.lock().await.insert(alert, person);
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn send(world: &World, client: &reqwest::Client, delivery: &str, body: &str) -> bool {
    let Some(server) = *world.server.lock().await else { return false };
    let headers = world.signer.sign(delivery, world.clock.now(), body.as_bytes()).expect("signed");
    let mut request = client.post(format!("http://{server}/v1/alerts/edr")).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    match request.send().await {
        Ok(answer) => answer.status().is_success(),
        Err(_) => false,
    }
}

#[expect(clippy::disallowed_methods, reason = "a sender of alerts, not a client of a provider")]
fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().expect("a client")
}

/// No call for two seconds: retries after lost answers come sooner than that.
pub(crate) async fn wait_until_idle(okta: &OktaSandbox) {
    let mut calls = okta.ledger().len();
    for _ in 0..120 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = okta.ledger().len();
        if now == calls {
            return;
        }
        calls = now;
    }
    panic!("the work does not end");
}

pub(crate) async fn all_jobs(path: &std::path::Path, clock: &Arc<dyn Clock>) -> Vec<JobView> {
    let store = SqliteStore::open(path, Arc::clone(clock), Arc::new(Metrics::new())).expect("the store opens");
    let (mut jobs, mut cursor) = (Vec::new(), None);
    loop {
        let filter = JobFilter { cursor, limit: 1000, ..JobFilter::default() };
        let page = store.jobs(filter).await.expect("a page");
        jobs.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = next.parse().ok(),
            None => return jobs,
        }
    }
}

#[expect(clippy::print_stdout, reason = "the figures are worth keeping, whatever the verdict")]
pub(crate) fn judge(okta: &OktaSandbox, acknowledged: &BTreeMap<String, Person>, jobs: &[JobView]) {
    let by_account: BTreeMap<&str, &JobView> =
        jobs.iter().filter_map(|job| Some((job.subject.id.as_deref()?, job))).collect();
    assert_eq!(by_account.len(), jobs.len(), "one job for each person");
    let (mut lost, mut unshown, mut repeats) = (Vec::new(), Vec::new(), 0);
    for (alert, person) in acknowledged {
        let done = by_account
            .get(person.id.as_str())
            .is_some_and(|job| job.state == JobState::Done && job.outcome == Some(Outcome::Confirmed));
        if !done || okta.sessions_of(&person.id) > 0 {
            lost.push(alert);
        }
    }
    for (account, job) in &by_account {
        let calls = okta.revocations_of(account);
        repeats += calls.saturating_sub(1);
        if calls > 1 + job.repeated as usize || job.repeated > KILLS {
            unshown.push((account, calls, job.repeated));
        }
    }
    let in_state = |state| jobs.iter().filter(|job| job.state == state).count();
    let done = in_state(JobState::Done);
    let open = in_state(JobState::Queued) + in_state(JobState::Held) + in_state(JobState::Dead);
    println!(
        "{KILLS} kills: {} acknowledged, {} stored = {done} done + {open} queued, held or dead; {} lost, \
         {repeats} repeated calls, {} not shown",
        acknowledged.len(),
        jobs.len(),
        lost.len(),
        unshown.len()
    );
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(unshown.is_empty(), "repeated and not shown: {unshown:?}");
    assert_eq!(done + open, jobs.len());
    assert!(acknowledged.len() > KILLS as usize, "hardly any load: {}", acknowledged.len());
}
