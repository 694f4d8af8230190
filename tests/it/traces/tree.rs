//! The tree of a trace: who is below whom, also over a restart, and where alerts merge.

use std::collections::BTreeMap;
use std::time::Duration;

use sever::sandbox::faults::{Fault, Injection};

use super::PARENT;
use crate::support::collector::{Collector, Told};
use crate::support::postgres::Schema;
use crate::testapp::{CONFIG, TestApp, by_email};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SENDER: &str = "b7ad6b7169203331";
const INTAKE: &str = "POST /v1/alerts/{source}";

/// What `OpenTelemetry` calls them.
const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

async fn traced(more: &str, config: &str) -> (Collector, TestApp) {
    let collector = Collector::start().await;
    let app = TestApp::with(&format!("{}{config}", collector.config(more))).await;
    (collector, app)
}

fn says(span: &Told, wanted: &[(&str, &str)]) {
    for (key, value) in wanted {
        assert_eq!(span.said.get(*key).map(String::as_str), Some(*value), "{key} of {span:#?}");
    }
}

#[tokio::test]
async fn a_delivery_is_told_from_the_senders_trace_to_each_call() {
    let (collector, app) = traced("", CONFIG).await;
    let ana = app.person("ana@example.com", 2);
    let headers = [("traceparent", PARENT), ("tracestate", "acme=1,edr=x y")];
    let answer = app.deliver_with(&headers, by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    app.app.tracer.flush().await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);

    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace == TRACE && span.state == "acme=1,edr=x y"), "{spans:#?}");
    let intake = collector.only(INTAKE);
    assert_eq!((intake.kind, &intake.parent[..]), (SERVER, SENDER));
    // Sampled, and the parent is known to be of another process.
    assert_eq!(intake.flags, 0x301);
    says(
        &intake,
        &[
            ("http.request.method", "POST"),
            ("http.route", "/v1/alerts/{source}"),
            ("http.response.status_code", "202"),
            ("source.name", "edr"),
            ("result", "accepted"),
        ],
    );
    let attempt = collector.only("attempt okta");
    assert_eq!((attempt.kind, &attempt.parent), (INTERNAL, &intake.id));
    assert_eq!(attempt.links, [""; 0], "one alert is no link");
    says(
        &attempt,
        &[
            ("job.id", &answer.job().to_string()),
            ("job.attempt", "1"),
            ("provider.name", "okta"),
            ("class", "ok"),
            ("next", "done"),
            ("outcome", "confirmed"),
        ],
    );
    for part in ["resolve", "look", "revoke"] {
        assert_eq!(collector.only(part).parent, attempt.id, "{part}");
    }
    let revoke = collector.only("revoke");
    let call = spans.iter().find(|span| span.parent == revoke.id).expect("a call");
    assert_eq!((call.kind, call.name.split(' ').next()), (CLIENT, Some("DELETE")));
    says(
        call,
        &[("http.request.method", "DELETE"), ("server.address", "127.0.0.1"), ("http.response.status_code", "204")],
    );
    assert!(spans.iter().all(|span| !span.is_error), "{spans:#?}");
    let known: Vec<_> = spans.iter().map(|span| &span.id[..]).chain([SENDER]).collect();
    assert!(spans.iter().all(|span| known.contains(&&span.parent[..])), "one hangs in the air: {spans:#?}");
}

#[tokio::test]
async fn an_attempt_that_fails_says_so_and_the_next_is_its_sibling() {
    let (collector, app) = traced("", CONFIG).await;
    app.person("ana@example.com", 1);
    app.okta().faults().inject(Injection::once(Fault::Error { status: 503, code: String::new() }));
    app.deliver_with(&[("traceparent", PARENT)], by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    app.wait_and_drain(Duration::from_secs(60)).await;
    app.app.tracer.flush().await;
    let spans = collector.spans();
    let attempts: Vec<_> = spans.iter().filter(|span| span.name == "attempt okta").collect();
    assert_eq!(attempts.len(), 2, "{spans:#?}");
    assert_eq!(attempts[0].parent, attempts[1].parent);
    assert!(attempts[0].is_error && !attempts[1].is_error);
    says(attempts[0], &[("class", "unavailable"), ("next", "retry"), ("error.type", "unavailable")]);
    let call = spans.iter().find(|span| span.kind == CLIENT).expect("a call");
    says(call, &[("http.response.status_code", "503"), ("error.type", "503")]);
    assert!(call.is_error);
}

#[tokio::test]
async fn a_trace_begins_here_where_the_sender_has_none() {
    let (collector, app) = traced("", CONFIG).await;
    app.person("ana@example.com", 1);
    // What cannot be read is absent, and no fault of the delivery's.
    app.deliver_with(&[("traceparent", "00-nonsense")], by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    app.app.tracer.flush().await;
    let (intake, attempt) = (collector.only(INTAKE), collector.only("attempt okta"));
    assert_eq!(intake.parent, "");
    // Sampled, random, and no parent of another process.
    assert_eq!(intake.flags, 0x103);
    assert_eq!((&attempt.trace, &attempt.parent), (&intake.trace, &intake.id));
}

#[tokio::test]
async fn what_the_sender_does_not_record_is_not_recorded() {
    let (collector, app) = traced("", CONFIG).await;
    let ana = app.person("ana@example.com", 1);
    let parent = PARENT.replace("-01", "-00");
    app.deliver_with(&[("traceparent", &parent)], by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    app.app.tracer.flush().await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);
    assert_eq!(collector.received().len(), 0, "{:#?}", collector.spans());
}

#[tokio::test]
async fn the_ratio_decides_about_our_own_traces_as_a_whole_and_about_no_other() {
    let (collector, app) = traced(", sample_ratio: 0", CONFIG).await;
    app.person("ana@example.com", 1);
    app.person("ben@example.com", 1);
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.deliver_with(&[("traceparent", PARENT)], by_email("edr-2", "ben@example.com")).await.assert_accepted();
    app.drain().await;
    app.app.tracer.flush().await;
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace == TRACE), "{spans:#?}");
    collector.only("attempt okta");

    let (collector, app) = traced(", sample_ratio: 0.5", CONFIG).await;
    for number in 0..40 {
        let email = format!("p{number}@example.com");
        app.person(&email, 1);
        app.deliver(by_email(&email, &email)).await.assert_accepted();
    }
    app.drain().await;
    app.app.tracer.flush().await;
    let mut traces: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for span in collector.spans() {
        traces.entry(span.trace).or_default().push(span.name);
    }
    // All or nothing of 40 comes once in a lifetime of the universe.
    assert!((1..40).contains(&traces.len()), "{}", traces.len());
    for names in traces.values() {
        assert!([INTAKE, "attempt okta", "revoke"].iter().all(|name| names.iter().any(|it| it == name)), "{names:?}");
    }
}

#[tokio::test]
async fn two_alerts_in_one_job_are_two_links() {
    let (collector, app) = traced("", CONFIG).await;
    app.person("ana@example.com", 1);
    let other = "00-11111111111111111111111111111111-2222222222222222-01";
    app.deliver_with(&[("traceparent", PARENT)], by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.deliver_with(&[("traceparent", other)], by_email("edr-2", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    app.app.tracer.flush().await;
    let intakes: Vec<_> = collector.spans().into_iter().filter(|span| span.name == INTAKE).collect();
    let traces: Vec<_> = intakes.iter().map(|span| &span.trace[..]).collect();
    assert_eq!(traces, [TRACE, "11111111111111111111111111111111"]);
    let attempt = collector.only("attempt okta");
    assert_eq!((&attempt.trace[..], &attempt.parent), (TRACE, &intakes[0].id));
    assert_eq!(attempt.links, [&intakes[0].id[..], &intakes[1].id[..]]);
}

#[tokio::test]
async fn a_repeat_is_a_span_of_its_own_and_changes_nothing() {
    let (collector, app) = traced("", CONFIG).await;
    app.person("ana@example.com", 1);
    let other = "00-11111111111111111111111111111111-2222222222222222-01";
    app.deliver_again("msg_1", &[("traceparent", PARENT)], by_email("edr-1", "ana@example.com")).await;
    app.deliver_again("msg_1", &[("traceparent", other)], by_email("edr-1", "ana@example.com")).await;
    app.drain().await;
    app.app.tracer.flush().await;
    let attempt = collector.only("attempt okta");
    assert_eq!((&attempt.trace[..], attempt.links.len()), (TRACE, 0));
    let repeat = collector.spans().into_iter().find(|span| span.trace.starts_with("11")).expect("the repeat");
    says(&repeat, &[("result", "duplicate"), ("http.response.status_code", "200")]);
}

#[tokio::test]
async fn a_trace_goes_on_after_a_restart_on_sqlite() {
    goes_on_after_a_restart(CONFIG).await;
}

#[tokio::test]
async fn a_trace_goes_on_after_a_restart_on_postgres() {
    let schema = Schema::new();
    goes_on_after_a_restart(&CONFIG.replace("sqlite://{dir}/sever.db", &format!("\"{}\"", schema.url()))).await;
}

async fn goes_on_after_a_restart(config: &str) {
    let (collector, app) = traced("", config).await;
    let ana = app.person("ana@example.com", 2);
    app.deliver_with(&[("traceparent", PARENT)], by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.app.tracer.flush().await;
    let app = app.restart_with(&format!("{}{config}", collector.config(""))).await;
    app.drain().await;
    app.app.tracer.flush().await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);
    let (intake, attempt) = (collector.only(INTAKE), collector.only("attempt okta"));
    assert_eq!((&attempt.trace[..], &attempt.parent), (TRACE, &intake.id));
    let instances: Vec<_> = collector.resources().into_iter().map(|said| said["service.instance.id"].clone()).collect();
    assert!(instances.len() == 2 && instances[0] != instances[1], "{instances:?}");
}
