//! The table of answers, row by row, and senders who mean no good.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, Request, StatusCode, header};
use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sever::clock::Clock;
use sever::domain::{JobState, SourceName};
use sever::verify::Signer;

use crate::process::Server;
use crate::testapp::{Answer, CONFIG, TestApp, by_email, signing, stolen, uuid};

fn with_source(lines: &str) -> String {
    CONFIG.replace("providers:", &format!("{lines}\nproviders:"))
}

fn signed(app: &TestApp, body: &[u8], at: jiff::Timestamp) -> Vec<(header::HeaderName, header::HeaderValue)> {
    let _ = app;
    Signer::new(&signing()).expect("a signer").sign(&uuid(), at, body).expect("signed")
}

fn problem(answer: &Answer) -> &str {
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json", "{}", answer.body);
    assert_eq!(answer.body["status"], answer.status.as_u16());
    answer.body["type"].as_str().expect("a type")
}

#[tokio::test]
async fn refusals_of_every_signature_look_the_same() {
    let app = TestApp::start().await;
    let body = by_email("edr-1", "ana@example.com").to_string().into_bytes();
    let now = app.clock.now();
    let good = || signed(&app, &body, now);
    let without = |name: &str| good().into_iter().filter(|(header, _)| header != name).collect::<Vec<_>>();
    let altered = |name: &'static str, value: &'static str| {
        let mut headers = without(name);
        headers.push((header::HeaderName::from_static(name), header::HeaderValue::from_static(value)));
        headers
    };
    let hour = Duration::from_secs(3600);
    let mut other_body = body.clone();
    other_body[10] ^= 1;
    let cases = [
        ("missing_header", Vec::new(), &body),
        ("missing_header", without("webhook-id"), &body),
        ("signature_mismatch", good(), &other_body),
        ("unknown_version", altered("webhook-signature", "v9,AAAA"), &body),
        ("timestamp_stale", signed(&app, &body, now - hour), &body),
        ("timestamp_future", signed(&app, &body, now + hour), &body),
    ];
    let mut seen = Vec::new();
    for (reason, headers, body) in cases {
        let answer = app.post("edr", headers, body.clone()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{reason}");
        assert_eq!(problem(&answer), "urn:sever:problem:not-authenticated");
        seen.push(answer.body.clone());
        let source: SourceName = "edr".parse().expect("a name");
        let refusals = app.app.intake.refusals().of(&source);
        assert_eq!(refusals[0].reason, reason, "the operator can read why");
        assert_eq!(refusals[0].peer.as_deref(), Some("203.0.113.9"));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "the sender can not: {seen:#?}");
    assert!(app.jobs(None).await.is_empty());
}

#[tokio::test]
async fn a_known_alert_in_quarantine_is_kept_listed_and_answered_422() {
    let app = TestApp::start().await;
    let mut alert = by_email("edr-1", "ana@example.com");
    alert["subjcts"] = json!([]);
    let answer = app.deliver(alert).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem(&answer), "urn:sever:problem:quarantined");
    let kept = app.app.store.quarantine(None, 10).await.expect("a list").items;
    assert_eq!(kept.len(), 1);
    assert!(kept[0].reason.contains("subjcts"), "the path is named: {}", kept[0].reason);
    assert_eq!(app.audit().await, ["quarantined"]);
}

#[tokio::test]
async fn a_sender_that_punishes_a_4xx_gets_202_for_what_is_kept() {
    let app = TestApp::with(&with_source("    on_undecodable: 202")).await;
    let answer = app.deliver(json!({"not": "an alert"})).await;
    assert_eq!((answer.status, &answer.body["status"]), (StatusCode::ACCEPTED, &json!("quarantined")));
}

#[tokio::test]
async fn a_rule_that_fails_puts_the_delivery_aside_and_the_others_act() {
    let rule = "  - {name: broken, when: 'alert.attributes.score > 5', revoke: [{provider: okta}]}\nguardrails:";
    let app = TestApp::with(&CONFIG.replace("guardrails:", rule)).await;
    let ana = app.person("ana@example.com", 1);
    let answer = app.deliver(by_email("edr-1", "ana@example.com")).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
    app.drain().await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0, "the other rule acted");
    let kept = app.app.store.quarantine(None, 10).await.expect("a list").items;
    assert!(kept[0].reason.contains("broken"), "{}", kept[0].reason);

    // Mended, the delivery is planned again, and what was done is not done again.
    let app = app.restart_with(CONFIG).await;
    let actor = sever::audit::Actor::operator("oncall");
    let stored = app.app.store.delivery(kept[0].id).await.expect("read").expect("there");
    let admission = app.app.intake.plan_again(&stored).expect("planned");
    let receipt = app.app.store.replay(kept[0].id, admission, actor).await.expect("replayed");
    assert_eq!(receipt.alerts[0].jobs.len(), 1);
    app.drain().await;
    assert_eq!(app.okta().revocations_of(&ana.id), 1);
    assert!(app.app.store.quarantine(None, 10).await.expect("a list").items.is_empty());
}

#[tokio::test]
async fn no_rule_matching_is_told_with_the_reason() {
    let app = TestApp::start().await;
    let mut alert = by_email("edr-1", "ana@example.com");
    alert["severity"] = "low".into();
    let answer = app.deliver(alert).await;
    assert_eq!((answer.status, &answer.body["status"]), (StatusCode::ACCEPTED, &json!("ignored")));
    let skipped = &answer.body["alerts"][0]["skipped"][0];
    assert_eq!(skipped["rule"], "stolen session");
    assert!(skipped["reason"].as_str().is_some_and(|reason| reason.contains("severity")), "{skipped}");
}

#[tokio::test]
async fn method_size_type_and_source_have_their_own_answers() {
    let app = TestApp::with(&with_source("    webhook: {max_body: 2KiB}")).await;
    let get = app.send(Request::get("/v1/alerts/edr").body(Body::empty()).expect("a request")).await;
    assert_eq!((get.status, problem(&get)), (StatusCode::METHOD_NOT_ALLOWED, "urn:sever:problem:method-not-allowed"));
    assert_eq!(get.headers[header::ALLOW], "POST");

    let unknown = app.post("nobody", Vec::new(), b"{}".to_vec()).await;
    assert_eq!((unknown.status, problem(&unknown)), (StatusCode::NOT_FOUND, "urn:sever:problem:unknown-source"));

    let large = app.post("edr", Vec::new(), vec![b' '; 2049]).await;
    assert_eq!((large.status, problem(&large)), (StatusCode::PAYLOAD_TOO_LARGE, "urn:sever:problem:too-large"));

    let form = Request::post("/v1/alerts/edr")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("payload=%7B%7D"))
        .expect("a request");
    let form = app.send(form).await;
    assert_eq!(form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(problem(&form), "urn:sever:problem:unsupported-type");
}

#[tokio::test]
async fn the_limit_of_a_source_counts_authentic_deliveries_only() {
    let app = TestApp::with(&with_source("    limit: 3/1m")).await;
    for _ in 0..25 {
        app.post("edr", Vec::new(), b"{}".to_vec()).await;
    }
    for number in 0..3 {
        app.deliver(by_email(&format!("edr-{number}"), "ana@example.com")).await.assert_accepted();
    }
    let over = app.deliver(by_email("edr-9", "ana@example.com")).await;
    assert_eq!((over.status, problem(&over)), (StatusCode::TOO_MANY_REQUESTS, "urn:sever:problem:too-many"));
    let wait: u64 = over.headers[header::RETRY_AFTER].to_str().expect("text").parse().expect("seconds");
    app.clock.advance(Duration::from_secs(wait));
    app.deliver(by_email("edr-9", "ana@example.com")).await.assert_accepted();
}

#[tokio::test]
async fn forged_deliveries_of_one_peer_are_limited_and_honest_ones_are_not() {
    let app = TestApp::start().await;
    let flood = join_all((0..100).map(|_| app.post("edr", Vec::new(), b"{}".to_vec()))).await;
    let limited = flood.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS).count();
    assert!(limited >= 75, "{limited} of 100 were limited");
    // It is told so late, or it would take the processors from everybody else.
    let before = tokio::time::Instant::now();
    let late = app.post("edr", Vec::new(), b"{}".to_vec()).await;
    assert_eq!(late.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(before.elapsed() >= Duration::from_millis(100));
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();

    // Neither does a flood of anything else that anybody can send fill the log.
    let large = app.post("edr", Vec::new(), vec![b' '; 2 << 20]).await;
    assert_eq!(large.status, StatusCode::TOO_MANY_REQUESTS);
    let source: SourceName = "edr".parse().expect("a name");
    assert!(app.app.intake.refusals().of(&source).len() < 30);
}

/// Only who comes by no proxy waits: one that does would keep honest deliveries from getting through.
#[tokio::test]
async fn no_answer_is_late_but_that_of_a_peer_of_its_own_which_is_over_its_allowance() {
    let post = |app: &TestApp| app.post("edr", Vec::new(), b"{}".to_vec()).now_or_never().map(|answer| answer.status);
    let app = TestApp::start().await;
    assert!((0..20).all(|_| post(&app) == Some(StatusCode::UNAUTHORIZED)));
    assert_eq!(post(&app), None, "it is held");

    let listen = "listen: {address: 127.0.0.1:0, trusted_proxies: [203.0.113.9/32]}";
    let app = TestApp::with(&CONFIG.replace("listen: 127.0.0.1:0", listen)).await;
    assert!((0..20).all(|_| post(&app) == Some(StatusCode::UNAUTHORIZED)));
    assert_eq!(post(&app), Some(StatusCode::TOO_MANY_REQUESTS));
}

/// Nobody is over their allowance, and still the log is not filled.
#[tokio::test]
async fn a_flood_from_many_addresses_is_counted_and_not_told() {
    let listen = "listen: {address: 127.0.0.1:0, trusted_proxies: [203.0.113.9/32]}";
    let app = TestApp::with(&CONFIG.replace("listen: 127.0.0.1:0", listen)).await;
    let forged = |number: u8| {
        let from =
            (HeaderName::from_static("x-forwarded-for"), format!("198.51.100.{number}").parse().expect("a header"));
        app.post("edr", vec![from], b"{}".to_vec())
    };
    let flood = join_all((0..90).map(forged)).await;
    assert!(flood.iter().all(|answer| answer.status == StatusCode::UNAUTHORIZED));
    let source: SourceName = "edr".parse().expect("a name");
    assert_eq!(app.app.intake.refusals().of(&source).len(), 50, "of 90, by several addresses");
    let metrics = app.app.metrics.render();
    assert!(metrics.contains(r#"sever_deliveries_total{source="edr",result="refused"} 90"#), "{metrics}");
    app.clock.advance(Duration::from_secs(60));
    forged(90).await;
    assert_eq!(app.app.intake.refusals().of(&source)[0].peer.as_deref(), Some("198.51.100.90"));
}

#[tokio::test]
async fn an_alert_older_than_max_age_is_stale() {
    let app = TestApp::with(&with_source("    max_age: 1h")).await;
    let mut alert = by_email("edr-1", "ana@example.com");
    alert["occurred_at"] = "2026-11-21T20:59:00Z".into();
    assert_eq!(app.deliver(alert).await.status, StatusCode::UNAUTHORIZED);
    app.deliver(by_email("edr-2", "ana@example.com")).await.assert_accepted();
}

/// A mapping of elements `{id, at, user}`, for the source of [`CONFIG`].
const BATCHES: &str = "    alert: {each: payload, id: item.id, kind: '\"session_stolen\"', severity: critical, \
                       occurred_at: time(item.at), subjects: '[{\"email\": item.user}]'}";

#[tokio::test]
async fn what_is_bad_beside_an_old_alert_is_kept() {
    let app = TestApp::with(&with_source(&format!("    max_age: 1h\n{BATCHES}"))).await;
    let old = json!({"id": "1", "at": "2026-11-21T20:00:00Z", "user": "ana@example.com"});
    let answer = app.deliver(json!([old, {"id": "2", "at": "2026-11-21T21:59:00Z"}])).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
    let kept = app.app.store.quarantine(None, 10).await.expect("a list").items;
    let told = ["element 0: occurred_at is longer ago", "element 1: subjects: No such key: user"];
    assert!(told.iter().all(|problem| kept[0].reason.contains(problem)), "{kept:#?}");
    assert_eq!(app.deliver(json!([old])).await.status, StatusCode::UNAUTHORIZED, "old alone is stale");
}

#[tokio::test]
async fn whoever_sends_again_what_is_known_uses_up_nobodys_limit() {
    let app = TestApp::with(&with_source("    limit: 3/1m")).await;
    let body = by_email("edr-1", "ana@example.com").to_string().into_bytes();
    let headers = signed(&app, &body, app.clock.now());
    app.post("edr", headers.clone(), body.clone()).await.assert_accepted();
    let mut answers = Vec::new();
    for _ in 0..50 {
        answers.push(app.post("edr", headers.clone(), body.clone()).await.status);
    }
    let told = |status: StatusCode| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!(
        (told(StatusCode::OK), told(StatusCode::TOO_MANY_REQUESTS)),
        (20, 30),
        "a peer may repeat itself 20 times"
    );
    for number in 2..4 {
        app.deliver(by_email(&format!("edr-{number}"), "ana@example.com")).await.assert_accepted();
    }
}

#[tokio::test]
async fn where_an_alert_never_grows_old_its_delivery_is_known_for_ever() {
    let timeless = CONFIG.replace("standard-webhooks", "github").replace("whsec_", "");
    let mapping = BATCHES.replace("time(item.at)", "received_at");
    let config = timeless.replace("providers:", &format!("    max_age: 1h\n{mapping}\nproviders:"));
    let app = TestApp::with(&config).await;
    let settings = json!({"scheme": "github", "secrets": [{"value": crate::testapp::SECRET.replace("whsec_", "")}]});
    let signer = Signer::new(&serde_json::from_value(settings).expect("settings")).expect("a signer");
    let body = json!([{"id": "1", "user": "ana@example.com"}]).to_string().into_bytes();
    let headers = signer.sign("", app.clock.now(), &body).expect("signed");
    app.post("edr", headers.clone(), body.clone()).await.assert_accepted();
    app.clock.advance(Duration::from_secs(3 * 3600));
    let week = Duration::from_secs(7 * 24 * 3600);
    let retention = sever::store::Retention { jobs: week, ignored: week, quarantine: week };
    app.app.store.prune(&retention, 0).await.expect("pruned");
    let again = app.post("edr", headers, body).await;
    assert_eq!((again.status, &again.body["status"]), (StatusCode::OK, &json!("duplicate")));
}

#[tokio::test]
async fn many_subjects_make_many_jobs_in_one_delivery() {
    let app = TestApp::start().await;
    let people: Vec<_> = (0..100).map(|number| app.person(&format!("p{number}@example.com"), 1)).collect();
    let subjects: Vec<Value> = people.iter().map(|person| json!({"email": person.email})).collect();
    app.deliver(stolen("edr-1", subjects.into())).await.assert_accepted();
    app.drain().await;
    assert!(people.iter().all(|person| app.okta().sessions_of(&person.id) == 0));
    assert_eq!(app.jobs(Some(JobState::Done)).await.len(), 100);
}

/// A server in a process of its own, with short patience.
fn impatient() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let listen = "listen: {address: 127.0.0.1:0, max_connections: 16, header_timeout: 1s, body_timeout: 1s}";
    let text = CONFIG.replace("listen: 127.0.0.1:0", listen).replace("{okta}", "http://127.0.0.1:9");
    let file = folder.path().join("sever.yaml");
    std::fs::write(&file, text.replace("{dir}", folder.path().to_str().expect("a path"))).expect("written");
    let server = Server::start(&file).expect("it starts");
    (folder, server)
}

/// What comes back until the other side closes, within a few seconds.
fn rest_of(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_slow_head_and_a_slow_body_are_cut_off() {
    let (_folder, server) = impatient();
    let mut slow_head = TcpStream::connect(server.alerts).expect("connected");
    slow_head.write_all(b"POST /v1/alerts/edr HTTP/1.1\r\nhost: x\r\nx-slow: ").expect("written");
    assert!(!rest_of(slow_head).contains(" 202 "), "closed, with or without an answer");

    let mut slow_body = TcpStream::connect(server.alerts).expect("connected");
    slow_body.write_all(b"POST /v1/alerts/edr HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").expect("written");
    let answer = rest_of(slow_body);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn one_peer_cannot_take_every_connection() {
    let (_folder, server) = impatient();
    let held: Vec<TcpStream> = (0..16).filter_map(|_| TcpStream::connect(server.alerts).ok()).collect();
    std::thread::sleep(Duration::from_millis(200));
    // A quarter of 16 connections belongs to one peer; the others were closed at once, before a byte was sent.
    let is_closed = |stream: &&TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        match stream.peek(&mut [0; 1]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    };
    let closed = held.iter().filter(is_closed).count();
    assert_eq!(closed, 12);
}

#[tokio::test]
async fn a_replay_that_no_rule_matches_any_more_takes_nothing_back() {
    let app = TestApp::start().await;
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    let app = app.restart_with(&CONFIG.replace("\"session_stolen\"", "\"something_else\"")).await;
    let alert = app.app.store.alerts(None, 1).await.expect("alerts").items.remove(0);
    let stored = app.app.store.delivery_of(alert.id).await.expect("read").expect("there");
    let admission = app.app.intake.plan_again(&stored).expect("planned");
    let actor = sever::audit::Actor::operator("oncall");
    app.app.store.replay(stored.seq, admission, actor).await.expect("replayed");
    let after = app.app.store.delivery_of(alert.id).await.expect("read").expect("there");
    assert_eq!(after.status, sever::store::DeliveryStatus::Accepted, "its job is still there, and so must its body be");
    let alert = app.app.store.alert(alert.id).await.expect("read").expect("there");
    assert_eq!((alert.jobs.len(), alert.skipped.len()), (1, 1), "{alert:#?}");
}
