//! What traces never tell, and whom they are never told.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;

use super::PARENT;
use crate::support::collector::{Collector, serve};
use crate::testapp::{CONFIG, SECRET, TOKEN, TestApp, by_email, stolen};

#[tokio::test]
async fn a_forged_delivery_has_no_place_in_a_trace() {
    let collector = Collector::start().await;
    let app = TestApp::with(&format!("{}{CONFIG}", collector.config(""))).await;
    let ana = app.person("ana@example.com", 1);
    let forged = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", "1790000000"),
        ("webhook-signature", "v1,c2lnbmF0dXJl"),
        ("traceparent", PARENT),
        ("tracestate", "acme=1"),
    ];
    let headers = forged.map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
    let answer = app.post("edr", headers.to_vec(), by_email("edr-1", "ana@example.com").to_string().into()).await;
    assert_eq!(answer.status, 401);
    app.drain().await;
    app.app.tracer.flush().await;
    assert_eq!(collector.received().len(), 0, "{:#?}", collector.spans());
    app.assert_untouched(&ana, 1);

    // Nor does it have a part in what comes after it.
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    app.app.tracer.flush().await;
    let spans = collector.spans();
    assert!(spans.len() > 4 && spans.iter().all(|span| !PARENT.contains(&span.trace)), "{spans:#?}");
}

#[tokio::test]
async fn no_trace_holds_a_secret_or_a_person() {
    let collector = Collector::start().await;
    let headers = ", headers: {authorization: {value: \"Bearer theCollectorsOwn\"}}";
    let app = TestApp::with(&format!("{}{CONFIG}", collector.config(headers))).await;
    let ana = app.person("ana@example.com", 2);
    app.deliver_with(&[("traceparent", PARENT)], by_email("edr-1", "ana@example.com")).await.assert_accepted();
    let by_id = serde_json::json!([{"ids": {"okta": ana.id}}, {"email": "breakglass-1@example.com"}, {"username": "nobody.here"}]);
    app.deliver(stolen("edr-2", by_id)).await.assert_accepted();
    app.drain().await;
    app.wait_and_drain(std::time::Duration::from_secs(60)).await;
    app.app.tracer.flush().await;
    let received = collector.received();
    assert!(!received.is_empty());
    for (headers, body) in &received {
        assert_eq!(headers["authorization"], "Bearer theCollectorsOwn");
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let text = String::from_utf8_lossy(body);
        for secret in
            ["example.com", "ana@", &ana.id, "nobody", "edr-1", "infostealer", SECRET, TOKEN, "theCollectorsOwn"]
        {
            assert!(!text.contains(secret), "{secret} is in a trace: {:#?}", collector.spans());
        }
    }
    let resource = &collector.resources()[0];
    assert_eq!((&resource["service.name"][..], &resource["service.version"][..]), ("sever", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn no_provider_learns_of_a_trace() {
    let asked: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let kept = Arc::clone(&asked);
    let router = Router::new().fallback(async move |headers: HeaderMap| {
        kept.lock().expect("headers").push(headers);
        "[]"
    });
    let url = format!("http://{}", serve(router).await);
    let collector = Collector::start().await;
    let app = TestApp::with(&format!("{}{}", collector.config(""), CONFIG.replace("{okta}", &url))).await;
    let headers = [("traceparent", PARENT), ("tracestate", "acme=1"), ("baggage", "a=b")];
    app.deliver_with(&headers, by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    app.app.tracer.flush().await;
    assert_eq!(collector.only("resolve").trace, PARENT[3..35], "the call was recorded");
    let asked = asked.lock().expect("headers");
    assert!(!asked.is_empty());
    for headers in asked.iter() {
        for name in ["traceparent", "tracestate", "baggage", "b3"] {
            assert!(!headers.contains_key(name), "{headers:?}");
        }
    }
}
