//! When messages cannot be stored, or the process ends while it holds some.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;
use sever::clock::Clock;
use sever::verify::Signer;

use super::scene::{Scene, config, queue_name};
use crate::support::broker::{Broker, Outgoing, until, url};
use crate::testapp::{TestApp, by_email, signing};

/// Somebody has the database locked: another program, a backup, a full disk.
fn lock(scene: &Scene) -> Connection {
    let lock = Connection::open(scene.app.folder.path().join("sever.db")).expect("the database");
    lock.execute_batch("BEGIN IMMEDIATE").expect("locked");
    lock
}

async fn publish(scene: &Scene, count: usize) {
    for n in 0..count {
        let email = format!("person-{n}@example.com");
        scene.publish(&scene.signed(&format!("msg_{n}"), &by_email(&format!("edr-{n}"), &email))).await;
    }
}

async fn until_held(scene: &Scene) {
    scene.until_degraded("its messages cannot be stored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_held_while_the_store_is_locked_and_stored_once_it_is_not() {
    let scene = Scene::start().await;
    let locked = lock(&scene);
    publish(&scene, 20).await;
    until_held(&scene).await;
    assert_eq!(scene.broker.waiting(&scene.queue).await, 0, "all are held");
    assert_eq!(scene.counted("accepted"), 0);
    drop(locked);
    scene.until_counted("accepted", 20).await;
    scene.until_consuming().await;
    assert_eq!(scene.counted("duplicate"), 0);
    scene.assert_all_answered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_ten_minutes_they_go_back_to_the_queue_for_others() {
    let scene = Scene::with(", prefetch: 10").await;
    let locked = lock(&scene);
    publish(&scene, 20).await;
    until_held(&scene).await;
    assert_eq!(scene.broker.waiting(&scene.queue).await, 10, "the prefetch bounds what is held");
    scene.app.clock.advance(Duration::from_secs(599));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(scene.broker.waiting(&scene.queue).await, 10, "not yet");
    scene.app.clock.advance(Duration::from_secs(1));
    until("they are in the queue again", async || (scene.broker.waiting(&scene.queue).await == 20).then_some(())).await;
    scene.until_degraded("the store does not work, so its messages wait").await;
    assert_eq!(scene.broker.waiting(&scene.queue).await, 20, "what cannot be stored is not taken again");
    drop(locked);
    scene.until_counted("accepted", 20).await;
    scene.assert_all_answered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_leaves_what_is_held_in_the_queue() {
    let scene = Scene::start().await;
    let locked = lock(&scene);
    publish(&scene, 5).await;
    until_held(&scene).await;
    scene.stop().await;
    // The broker says goodbye before it has put back what was held.
    until("all are in the queue again", async || (scene.broker.waiting(&scene.queue).await == 5).then_some(())).await;
    drop(locked);
    assert_eq!(scene.counted("accepted"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_finishes_what_can_be_stored() {
    let scene = Scene::idle(&url(), ", prefetch: 50").await;
    publish(&scene, 400).await;
    scene.app.app.consume_queues();
    until("some are stored", async || (scene.counted("accepted") > 0).then_some(())).await;
    scene.stop().await;
    let stored = scene.counted("accepted");
    until("each is stored and acknowledged, or in the queue", async || {
        let left = scene.broker.waiting(&scene.queue).await;
        (stored + u64::from(left) == 400).then_some(())
    })
    .await;
}

/// The quarantine of this source holds as much as it may.
fn fill_quarantine(folder: &std::path::Path, source: &str) -> Connection {
    let store = Connection::open(folder.join("sever.db")).expect("the database");
    let row = "INSERT INTO quarantine_sizes (source, entries, bytes) VALUES (?1, 10000, 0)";
    store.execute(row, [source]).expect("written");
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_quarantine_holds_what_needs_it_and_lets_the_rest_pass() {
    let scene = Scene::start().await;
    let store = fill_quarantine(scene.app.folder.path(), "queue");
    scene.publish(&scene.signed("msg_bad", &json!({"not": "an alert"}))).await;
    until_held(&scene).await;
    for n in 0..20 {
        let email = format!("person-{n}@example.com");
        scene.publish(&scene.signed(&format!("msg_{n}"), &by_email(&format!("edr-{n}"), &email))).await;
        scene.until_counted("accepted", n + 1).await;
        let told = scene.degraded().await;
        assert_eq!(told, ["queue: its messages cannot be stored"], "one is held still, whatever passes");
    }
    store.execute("UPDATE quarantine_sizes SET entries = 0", []).expect("written");
    scene.until_counted("quarantined", 1).await;
    scene.until_consuming().await;
    scene.assert_all_answered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_acts_and_cannot_be_kept_as_well_is_counted_apart() {
    let (broker, queue) = (Broker::at(&url()).await, queue_name());
    broker.queues(&queue).await;
    let broken = "  - {name: broken, when: 'alert.attributes.score > 5', revoke: [{provider: okta}]}\nguardrails:";
    let app = TestApp::with(&config(&url(), &queue, "").replace("guardrails:", broken)).await;
    let _store = fill_quarantine(app.folder.path(), "queue");
    let body = by_email("edr-1", "ana@example.com");
    let signer = Signer::new(&signing()).expect("a signer");
    let headers = signer.sign("msg_1", app.clock.now(), body.to_string().as_bytes()).expect("signed");
    broker.publish(&queue, &Outgoing::new(&body, headers)).await;
    app.app.consume_queues();
    let line = "sever_deliveries_total{source=\"queue\",result=\"not_kept\"} 1";
    until("it is told", async || app.app.metrics.render().contains(line).then_some(())).await;
    assert_eq!(app.jobs(None).await.len(), 1, "the other rule acts");
}
