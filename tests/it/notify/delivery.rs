//! Receivers that fail, hang, lose answers and go away; and processes that die.

use std::time::Duration;

use serde_json::json;
use sever::config::Loaded;

use super::{Receiver, Reply, config, target, telling};
use crate::process::Server;
use crate::testapp::{CONFIG, TestApp, by_email};

const LONG: Duration = Duration::from_secs(3600);

/// A service with one message that is due.
async fn with_message(receiver: &Receiver, more: &str) -> TestApp {
    let app = telling(receiver, more).await;
    app.person("ana@example.com", 1);
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    app
}

async fn standing(app: &TestApp) -> (u64, u64) {
    let status = app.app.store.status().await.expect("a status");
    status.notify.values().next().map_or((0, 0), |found| (found.waiting, found.dead))
}

#[tokio::test]
async fn a_message_is_sent_until_it_is_taken_under_one_id() {
    let replies =
        [Reply::Status(500), Reply::Status(429), Reply::Lost, Reply::Redirect, Reply::Hang, Reply::Status(204)];
    let receiver = Receiver::start(&replies);
    let app = with_message(&receiver, "").await;
    for attempt in 1..=replies.len() {
        assert_eq!(app.tell().await, 1, "attempt {attempt}");
        assert_eq!(app.tell().await, 0, "nothing is due at once after attempt {attempt}");
        assert_eq!(receiver.received().len(), attempt);
        let expected = if attempt < replies.len() { (1, 0) } else { (0, 0) };
        assert_eq!(standing(&app).await, expected, "after attempt {attempt}");
        // The waits grow to ten minutes, and half as much again by chance.
        app.clock.advance(Duration::from_secs(900));
    }
    assert_eq!(app.tell().await, 0, "it was taken");
    let received = receiver.received();
    assert!(received.iter().all(|message| message.id() == received[0].id() && message.body == received[0].body));
    let mut times: Vec<_> = received.iter().map(|message| message.headers["webhook-timestamp"].clone()).collect();
    times.dedup();
    assert_eq!(times.len(), replies.len(), "each attempt is signed at its own time");
    assert_eq!(receiver.script.lock().expect("the script").elsewhere, 0, "a redirect was followed");
}

#[tokio::test]
async fn what_is_not_taken_for_long_is_given_up_and_seen() {
    let receiver = Receiver::start(&[Reply::Status(503); 100]);
    let app = with_message(&receiver, ", give_up_after: 2h").await;
    for _ in 0..20 {
        app.tell().await;
        app.clock.advance(Duration::from_secs(900));
    }
    assert!((4..=10).contains(&receiver.received().len()), "{}", receiver.received().len());
    assert_eq!(standing(&app).await, (0, 1));
    let status = app.app.store.status().await.expect("a status");
    let found = status.notify.values().next().expect("a target");
    assert_eq!(found.note.as_deref(), Some("the receiver answered 503"));
    let metrics = app.app.metrics.render();
    assert!(metrics.contains("sever_notify_total{target=\"soc\",result=\"dead\"} 1"), "{metrics}");
    // It goes with the jobs of its time.
    use sever::store::Retention;
    let week = Duration::from_secs(7 * 86_400);
    app.clock.advance(week + LONG);
    let retention = Retention { jobs: week, ignored: week, quarantine: week };
    app.app.store.prune(&retention, 0).await.expect("pruned");
    assert_eq!(standing(&app).await, (0, 0));
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    let receiver = Receiver::start(&[Reply::Status(410)]);
    let app = with_message(&receiver, "").await;
    app.tell().await;
    app.clock.advance(LONG);
    assert_eq!(app.tell().await, 0);
    assert_eq!((receiver.received().len(), standing(&app).await), (1, (0, 1)));
}

#[tokio::test]
async fn one_that_hangs_delays_nobody_else() {
    let (hanging, quick) = (Receiver::start(&[Reply::Hang; 50]), Receiver::start(&[]));
    let text = config(&[target("a", &hanging, ", events: [alert.done]"), target("b", &quick, "")].concat());
    let folder = tempfile::tempdir().expect("a folder");
    let server = serving(&folder, &text);
    for number in 0..5 {
        deliver(&server, number).await;
    }
    quick.until("all of them are told", |messages| messages.len() >= 5).await;
}

#[tokio::test]
async fn what_a_target_that_left_waits_for_is_given_up() {
    let receiver = Receiver::start(&[]);
    let app = with_message(&receiver, "").await;
    assert_eq!(standing(&app).await, (1, 0));
    let app = app.restart_with(CONFIG).await;
    app.app.begin_telling().await.expect("begun");
    assert_eq!(standing(&app).await, (0, 1));
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test]
async fn nothing_is_lost_between_commit_and_sending() {
    let receiver = Receiver::start(&[]);
    let app = with_message(&receiver, "").await;
    // The process ends here, before it has told anybody.
    let text = config(&target("soc", &receiver, ""));
    let app = app.restart_with(&text).await;
    app.app.begin_telling().await.expect("begun");
    assert_eq!(app.tell().await, 1);
    assert_eq!(receiver.of_kind("alert.done").len(), 1);
}

/// The binary, on this config.
fn serving(folder: &tempfile::TempDir, text: &str) -> Server {
    let dir = folder.path().to_str().expect("a path");
    let protected = "guardrails:\n  protected: [{email: \"*@example.com\"}]\n";
    let (before, _) = text.split_once("guardrails:").expect("guardrails");
    let text = format!("{before}{protected}").replace("{dir}", dir).replace("{okta}", "http://127.0.0.1:9");
    let file = folder.path().join("sever.yaml");
    std::fs::write(&file, text).expect("written");
    Server::start(&file).expect("it starts")
}

/// An alert about somebody who is protected: it ends as it is taken.
async fn deliver(server: &Server, number: usize) {
    use sever::clock::{Clock, SystemClock};
    let signer = sever::verify::Signer::new(&crate::testapp::signing()).expect("a signer");
    let body = by_email(&format!("edr-{number}"), &format!("p{number}@example.com")).to_string();
    let headers = signer.sign(&crate::testapp::uuid(), SystemClock::new().now(), body.as_bytes()).expect("signed");
    let url = format!("http://{}/v1/alerts/edr", server.alerts);
    #[expect(clippy::disallowed_methods, reason = "a sender of alerts, not a client of a provider")]
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = headers.into_iter().fold(client.post(url).body(body), |it, (name, value)| it.header(name, value));
    assert_eq!(request.send().await.expect("an answer").status(), 202);
}

#[tokio::test]
async fn kill_9_in_the_middle_of_sending_sends_it_again_under_its_id() {
    let receiver = Receiver::start(&[Reply::Hang]);
    let text = config(&target("soc", &receiver, ", events: [alert.done]").replace("timeout: 1s", "timeout: 60s"));
    let folder = tempfile::tempdir().expect("a folder");
    let server = serving(&folder, &text);
    deliver(&server, 1).await;
    receiver.until("the first attempt", |messages| messages.len() == 1).await;
    server.kill();
    let server = serving(&folder, &text);
    receiver.until("the second attempt", |messages| messages.len() == 2).await;
    let received = receiver.received();
    assert_eq!((received[0].id(), &received[0].body), (received[1].id(), &received[1].body));
    assert_eq!(received[0].json()["data"]["totals"], json!({"dead": 1}));
    drop(server);
}

#[test]
fn a_config_that_cannot_work_is_told_with_its_places() {
    let clock: std::sync::Arc<dyn sever::clock::Clock> = crate::testapp::clock();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sever.yaml");
    let notify = "notify:\n  a: {url: \"http://hooks.acme.com/key-123\", secret: {value: whsec_QQ==}}\n  \
                  b: {secret: {value: nonsense!}, url: https://x.example}\n  c: {secret: {value: whsec_QQ==}}\n  \
                  d: {secret: {value: whsec_QQ==}, amqp: {urls: []}}\n";
    let text = CONFIG
        .replace("sources:\n", &format!("{notify}sources:\n"))
        .replace("  edr:\n", "  edr:\n    notify: [nobody]\n");
    std::fs::write(&file, text.replace("{okta}", "https://x.okta.com").replace("{dir}", "/tmp/never"))
        .expect("written");
    let Err(problems) = Loaded::from_file(&file, &clock) else { panic!("it was taken") };
    let said = problems.to_string();
    for place in ["notify.a.url", "notify.b.secret", "notify.c", "notify.d.amqp", "sources.edr.notify[0]"] {
        assert!(said.contains(place), "{place} is not in {said}");
    }
    assert!(!said.contains("key-123") && !said.contains("nonsense!"), "{said}");
}
