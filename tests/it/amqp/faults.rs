//! What a broker can do to us: die, hang, refuse, forget its queue, run out of memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use sever::clock::{Clock, SystemClock};
use sever::domain::Outcome;
use sever::ingest::{AmqpTls, BrokerUrl, Link};
use sever::sandbox::Sandbox;
use sever::sandbox::ledger::Effect;
use sever::sandbox::okta::{OktaSandbox, Person};
use sever::verify::Signer;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

use super::scene::{Scene, config, queue_name};
use crate::kill::{all_jobs, wait_until_idle};
use crate::process::Server;
use crate::support::broker::{Broker, Node, Outgoing, until};
use crate::testapp::{TOKEN, by_email, signing, stolen, uuid};

/// Publishers at once. Each waits for its confirmation, as a good sender does.
const PUBLISHERS: usize = 16;

/// Longer than a broker takes to start.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);

/// Now and then RabbitMQ 3.10 elects no leader for a queue that it recovers while clients ask for it ("leader not known" in
/// its log), and only another restart helps: it gets one after so many seconds without progress.
const STUCK_S: u32 = 40;

/// How much a test of the load costs is for whoever runs it to say.
#[expect(clippy::disallowed_methods, reason = "a longer run is asked for by the environment")]
fn size() -> (u64, u32) {
    if std::env::var("SEVER_TEST_AMQP_LONG").is_ok() { (20_000, 5) } else { (2_000, 2) }
}

struct Load {
    url: String,
    queue: String,
    signer: Signer,
    clock: SystemClock,
    okta: OktaSandbox,
    next: AtomicU64,
    alerts: u64,
    confirmed: Mutex<BTreeMap<String, Person>>,
}

/// Each alert again and again, under one id, until the broker has confirmed it.
async fn publish_all(load: Arc<Load>) {
    let mut broker = None;
    loop {
        let number = load.next.fetch_add(1, Ordering::Relaxed);
        if number >= load.alerts {
            return;
        }
        let person = Person::new(&format!("person-{number}@example.com"));
        load.okta.add_person(person.clone());
        load.okta.sign_in(&person.id);
        let (alert, delivery) = (format!("edr-{number}"), uuid());
        let body = stolen(&alert, json!([{"ids": {"okta": person.id}}]));
        loop {
            let now = load.clock.now();
            let headers = load.signer.sign(&delivery, now, body.to_string().as_bytes()).expect("signed");
            let message = Outgoing::new(&body, headers);
            if broker.is_none() {
                broker = Broker::try_at(&load.url).await.ok();
            }
            let sent = match &broker {
                Some(broker) => {
                    let sending = broker.try_publish(&load.queue, &message);
                    tokio::time::timeout(CONFIRM_TIMEOUT, sending).await.unwrap_or(false)
                }
                None => false,
            };
            if sent {
                load.confirmed.lock().await.insert(alert, person);
                break;
            }
            broker = None;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Waits for progress up to `goal`, looking every second.
async fn advance(node: &Node, goal: u64, measure: impl AsyncFn() -> u64) {
    let (mut seen, mut idle, mut restarts) = (measure().await, 0, 0);
    while seen < goal {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = measure().await;
        idle = if now > seen { 0 } else { idle + 1 };
        seen = now;
        if idle == STUCK_S {
            restarts += 1;
            assert!(restarts < 4, "no progress beyond {seen} of {goal}");
            die(node).await;
            idle = 0;
        }
    }
}

async fn die(node: &Node) {
    node.kill().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    node.start();
    node.ready().await;
}

/// Every confirmed alert ends its sessions, each exactly once, over deaths of the broker in the middle of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::print_stdout, reason = "the figures are worth keeping, whatever the verdict")]
async fn nothing_confirmed_is_lost_over_deaths_of_the_broker() {
    let (node, _turn) = Node::shared().await;
    let (alerts, deaths) = size();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let sandbox = Sandbox::start(address, Arc::clone(&clock)).await.expect("a port");
    let admin = Person::new("admin@example.com");
    sandbox.okta().add_person(admin.clone());
    sandbox.okta().accept_ssws(TOKEN, &admin.id);
    let (folder, queue) = (tempfile::tempdir().expect("a folder"), queue_name());
    Broker::at(&node.url()).await.queues(&queue).await;
    let file = folder.path().join("sever.yaml");
    let text = config(&node.url(), &queue, "").replace("{okta}", &sandbox.okta().url());
    std::fs::write(&file, text.replace("{dir}", &folder.path().display().to_string())).expect("written");
    let server = Server::start(&file).expect("it starts");

    let load = Arc::new(Load {
        url: node.url(),
        queue: queue.clone(),
        signer: Signer::new(&signing()).expect("a signer"),
        clock: SystemClock::new(),
        okta: sandbox.okta().clone(),
        next: AtomicU64::new(0),
        alerts,
        confirmed: Mutex::default(),
    });
    let lifecycle = sever::lifecycle::Lifecycle::new();
    let publishers: Vec<_> = (0..PUBLISHERS).map(|_| lifecycle.spawn(publish_all(Arc::clone(&load)))).collect();
    let mut resident = Vec::new();
    for death in 1..=deaths {
        let share = alerts * u64::from(death) / u64::from(deaths + 1);
        advance(node, share, async || load.confirmed.lock().await.len() as u64).await;
        resident.push((resident_kib(server.pid()), threads(server.pid())));
        die(node).await;
    }
    advance(node, alerts, async || load.confirmed.lock().await.len() as u64).await;
    for publisher in publishers {
        publisher.await.expect("a publisher");
    }
    advance(node, alerts, async || revocations(sandbox.okta()).len() as u64).await;
    wait_until_idle(sandbox.okta()).await;
    resident.push((resident_kib(server.pid()), threads(server.pid())));
    let (status, _) = server.terminate();
    assert_eq!(status, Some(0));
    let broker = Broker::at(&node.url()).await;
    broker.assert_empty(&queue).await;
    assert_eq!(broker.waiting(&format!("{queue}.dead")).await, 0);

    let confirmed = std::mem::take(&mut *load.confirmed.lock().await);
    assert_eq!(confirmed.len() as u64, alerts);
    let jobs = all_jobs(&folder.path().join("sever.db"), &clock).await;
    assert_eq!(jobs.len() as u64, alerts, "one job for each alert");
    let undone: Vec<_> = jobs.iter().filter(|job| job.outcome != Some(Outcome::Confirmed)).collect();
    let calls = revocations(sandbox.okta());
    let repeated = calls.values().filter(|count| **count > 1).count();
    println!(
        "{deaths} deaths of the broker: {} alerts confirmed, {} people revoked, {repeated} of them more than once, {} jobs not \
         confirmed; memory in KiB and threads of the client over time: {resident:?}",
        confirmed.len(),
        calls.len(),
        undone.len(),
    );
    assert!(undone.is_empty(), "{undone:?}");
    let unlike: Vec<_> = confirmed.values().filter(|person| calls.get(&person.id) != Some(&1)).collect();
    assert!(unlike.is_empty(), "not exactly once: {unlike:?}");
    assert_eq!(calls.len(), confirmed.len(), "nobody else");
    let (first, last) = (resident[0], resident[resident.len() - 1]);
    assert!(last.0 < first.0 + (48 << 10), "memory grows: {resident:?}");
    assert!(last.1 <= first.1 + 1, "threads pile up: {resident:?}");
}

/// Calls that ended the sessions of each person.
fn revocations(okta: &OktaSandbox) -> HashMap<String, usize> {
    okta.ledger().into_iter().fold(HashMap::new(), |mut calls, call| {
        if let Effect::UserRevoked { user_id, .. } = call.effect {
            *calls.entry(user_id).or_default() += 1;
        }
        calls
    })
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

/// Only lapin's: those of the runtime come and go.
fn threads(pid: u32) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("Linux").flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("lapin")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_told_and_mended_without_a_restart() {
    let (node, _turn) = Node::shared().await;
    node.ctl("add_user late right");
    node.ctl("set_permissions late '.*' '.*' '.*'");
    let url = format!("amqp://late:wrong@127.0.0.1:{}", node.port);
    let scene = Scene::apart(&node.url(), &url, "").await;
    scene.app.app.consume_queues();
    scene.until_degraded("its broker refuses us").await;
    assert_eq!(scene.ready().await.0, 200, "webhooks are taken");
    scene.app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    node.ctl("change_password late wrong");
    scene.until_consuming().await;
    scene.publish(&scene.signed("msg_1", &by_email("edr-2", "ana@example.com"))).await;
    scene.until_counted("accepted", 1).await;
    // It is taken away under our feet.
    node.ctl("clear_permissions late");
    node.ctl("delete_user late");
    node.ctl("close_all_user_connections late gone");
    scene.until_degraded("its broker refuses us").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_deleted_is_missed_and_found_again() {
    let (node, _turn) = Node::shared().await;
    let scene = Scene::idle(&node.url(), "").await;
    scene.app.app.consume_queues();
    scene.until_consuming().await;
    scene.broker.delete(&scene.queue).await;
    scene.until_degraded("its queue is not there as it should be").await;
    assert_eq!(scene.ready().await.0, 200);
    Broker::at(&node.url()).await.queues(&scene.queue).await;
    scene.until_consuming().await;
    scene.publish(&scene.signed("msg_1", &by_email("edr-1", "ana@example.com"))).await;
    scene.until_counted("accepted", 1).await;
}

/// RabbitMQ stops whoever publishes, and nobody else: what is in the queue still comes in and is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_short_of_memory_still_gives_what_it_has() {
    let (node, _turn) = Node::shared().await;
    let scene = Scene::idle(&node.url(), "").await;
    for n in 0..50 {
        let email = format!("person-{n}@example.com");
        scene.publish(&scene.signed(&format!("msg_{n}"), &by_email(&format!("edr-{n}"), &email))).await;
    }
    node.ctl("set_vm_memory_high_watermark 0.000001");
    scene.app.app.consume_queues();
    scene.until_counted("accepted", 50).await;
    let sent = super::command::send(&scene, &node.url());
    node.ctl("set_vm_memory_high_watermark 0.4");
    let said = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert_eq!(sent.status.code(), Some(1), "{said}");
    assert!(said.contains("short of memory or disk"), "{said}");
    scene.stop().await;
    // What the sender gave up stands in the broker's socket, and may be placed once there is room again.
    assert!(scene.broker.waiting(&scene.queue).await <= 1, "messages are left");
}

/// It hangs, and its connections stay open: the heartbeat tells. While it hangs nothing piles up.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_is_noticed_within_two_heartbeats() {
    let (node, _turn) = Node::shared().await;
    let scene = Scene::apart(&node.url(), &format!("{}?heartbeat=1", node.url()), "").await;
    scene.app.app.consume_queues();
    scene.until_consuming().await;
    let clock = SystemClock::new();
    let began = clock.steady();
    node.suspend().await;
    scene.until_degraded("no connection to its broker").await;
    let took = clock.steady() - began;
    node.resume().await;
    assert!(took.get_seconds() < 10, "two heartbeats are two seconds, and it took {took}");
    scene.until_consuming().await;
    let other = Broker::at(&node.url()).await;
    other.publish(&scene.queue, &scene.signed("msg_1", &by_email("edr-1", "ana@example.com"))).await;
    scene.until_counted("accepted", 1).await;
}

/// A broker that takes the connection and never says a word: whoever stops waiting leaves no thread and no socket behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_given_up_is_let_go() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = BrokerUrl::Text(format!("amqp://{}", listener.local_addr().expect("an address")));
    let tls = AmqpTls::default();
    let opening = Link::open(&url, &tls, "test", 0);
    let (given_up, accepted) =
        tokio::join!(tokio::time::timeout(Duration::from_millis(500), opening), listener.accept());
    assert!(given_up.is_err(), "it should still wait");
    let (mut socket, _) = accepted.expect("a connection");
    let mut said = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut said)).await;
    assert!(matches!(read, Ok(Ok(_) | Err(_))), "the socket is still open");
    assert!(said.starts_with(b"AMQP"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_only_queues_is_not_ready_without_a_broker() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    let (node, _turn) = Node::shared().await;
    let (url, queue) = (format!("amqp://{address}"), queue_name());
    Broker::at(&node.url()).await.queues(&queue).await;
    let text = config(&url, &queue, "");
    let (before, rest) = text.split_once("  edr:\n").expect("a webhook");
    let (_, after) = rest.split_once("  queue:\n").expect("a queue");
    let only = format!("{before}  queue:\n{after}");
    let app = crate::testapp::TestApp::with(&only).await;
    app.app.consume_queues();
    let ready = async || {
        let request = axum::http::Request::get("/readyz").body(axum::body::Body::empty()).expect("a request");
        let answer = app.send(request).await;
        (answer.status.as_u16(), answer.body.to_string())
    };
    until("it is told", async || ready().await.1.contains("no connection to its broker").then_some(())).await;
    assert_eq!(ready().await.0, 503);

    // The second of two brokers is enough.
    let both = only.replace(&format!("\"{url}\""), &format!("\"{url}\", \"{}\"", node.url()));
    app.lifecycle.finish(Duration::from_secs(10), Duration::from_secs(1)).await;
    let app = app.restart_with(&both).await;
    app.app.consume_queues();
    until("it is ready", async || {
        let request = axum::http::Request::get("/readyz").body(axum::body::Body::empty()).expect("a request");
        (app.send(request).await.status == 200).then_some(())
    })
    .await;
}
