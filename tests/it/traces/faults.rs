//! A collector that is down, slow or refuses costs traces and nothing else.

use std::sync::Arc;

use jiff::Timestamp;
use sever::clock::{Clock, ManualClock};
use sever::telemetry::Metrics;
use sever::telemetry::trace::{Kind, OtlpSettings, Tracer};

use super::PARENT;
use crate::support::collector::Collector;
use crate::testapp::{CONFIG, TestApp, by_email};

/// An address at which nobody listens.
fn nowhere() -> String {
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", held.local_addr().expect("an address"))
}

async fn revokes_all_the_same(endpoint: &str, more: &str) -> TestApp {
    let config = format!("telemetry: {{otlp: {{endpoint: \"{endpoint}\"{more}}}}}\n{CONFIG}");
    let app = TestApp::with(&config).await;
    let ana = app.person("ana@example.com", 2);
    app.app.start().await.expect("started");
    app.deliver_with(&[("traceparent", PARENT)], by_email("edr-1", "ana@example.com")).await.assert_accepted();
    crate::support::broker::until("her sessions end", async || (app.okta().sessions_of(&ana.id) == 0).then_some(()))
        .await;
    crate::support::broker::until("the job is over", async || {
        app.jobs(None).await.iter().all(|job| job.state.is_final()).then_some(())
    })
    .await;
    app.app.finish().await;
    app
}

#[tokio::test]
async fn alerts_are_revoked_while_the_collector_is_down() {
    let app = revokes_all_the_same(&nowhere(), "").await;
    assert!(app.counted("failed") > 4, "{}", app.app.metrics.render());
    assert_eq!((app.counted("sent"), app.counted("no_room")), (0, 0));
}

#[tokio::test]
async fn alerts_are_revoked_and_the_process_ends_while_the_collector_hangs() {
    // Whoever connects is never answered.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let app = revokes_all_the_same(&url, ", timeout: 1h").await;
    assert!(app.counted("failed") > 4, "{}", app.app.metrics.render());
}

#[tokio::test]
async fn what_the_collector_refuses_is_counted_and_not_sent_again() {
    let collector = Collector::start().await;
    collector.answer(400);
    let app = revokes_all_the_same(&format!("http://{}", collector.address), "").await;
    let spans = collector.spans().len() as u64;
    assert!(spans > 4 && app.counted("refused") == spans, "{spans}: {}", app.app.metrics.render());
    assert_eq!((app.counted("sent"), app.counted("failed")), (0, 0));
}

#[tokio::test]
async fn what_a_collector_does_not_take_for_now_is_sent_again() {
    let collector = Collector::start().await;
    collector.answer(503);
    let app = TestApp::with(&format!("{}{CONFIG}", collector.config(""))).await;
    app.person("ana@example.com", 1);
    app.app.start().await.expect("started");
    app.deliver_with(&[("traceparent", PARENT)], by_email("edr-1", "ana@example.com")).await.assert_accepted();
    let first = || collector.received().first().map(|(_, body)| body.clone());
    let batch = crate::support::broker::until("a batch comes", async || first()).await;
    collector.answer(0);
    crate::support::broker::until("it comes again", async || {
        (collector.received().iter().filter(|(_, body)| *body == batch).count() > 1).then_some(())
    })
    .await;
    app.app.finish().await;
    assert_eq!((app.counted("failed"), app.counted("refused")), (0, 0));
    assert!(app.counted("sent") > 4, "{}", app.app.metrics.render());
}

#[tokio::test]
async fn what_finds_no_room_is_counted_and_keeps_nobody_waiting() {
    let settings: OtlpSettings = serde_json::from_value(serde_json::json!({"endpoint": nowhere()})).expect("settings");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
    let metrics = Arc::new(Metrics::new());
    let tracer = Tracer::to(Some(settings.collector().expect("a collector")), &clock, &metrics).expect("a tracer");
    for _ in 0..5000 {
        tracer.arrival(Kind::Server, || "x".to_owned(), None, clock.now()).end();
    }
    let told = |result: &str| metrics.render().contains(result);
    assert!(told("sever_trace_spans_total{result=\"no_room\"} 2952"), "{}", metrics.render());
    tracer.flush().await;
    assert!(told("sever_trace_spans_total{result=\"failed\"} 2048"), "{}", metrics.render());
}
