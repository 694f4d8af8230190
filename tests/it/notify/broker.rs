//! By AMQP: persistent, confirmed, signed, and told where it leads nowhere.

use std::collections::BTreeSet;

use lapin::types::AMQPValue;
use serde_json::Value;
use sever::domain::TargetName;
use sever::verify::Verifier;

use super::{SECRET, config};
use crate::support::broker::{Broker, url};
use crate::testapp::{TestApp, by_email};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_published_with_the_headers_of_a_webhook() {
    let (broker, queue) = (Broker::at(&url()).await, format!("test.notify.{}", uuid::Uuid::new_v4().simple()));
    broker.queues(&queue).await;
    let target = |key: &str| {
        format!("  bus: {{amqp: {{urls: [\"{}\"], routing_key: {key}}}, secret: {{value: {SECRET}}}}}\n", url())
    };
    let app = TestApp::with(&config(&target(&queue))).await;
    app.app.begin_telling().await.expect("begun");
    for id in ["edr-1", "edr-2"] {
        app.person(&format!("{id}@example.com"), 1);
        app.deliver(by_email(id, &format!("{id}@example.com"))).await.assert_accepted();
    }
    app.drain().await;
    assert_eq!(app.tell().await, 2);
    let (message, other) = (broker.next(&queue).await, broker.next(&queue).await);
    let properties = &message.delivery.properties;
    assert_eq!(properties.delivery_mode(), &Some(2));
    assert_eq!(properties.kind().as_ref().map(|kind| kind.as_str()), Some("alert.done"));
    let table = properties.headers().clone().expect("headers");
    let headers: Vec<_> = table
        .inner()
        .iter()
        // A quorum queue counts deliveries in a header of its own.
        .filter(|(name, _)| name.as_str().starts_with("webhook-"))
        .map(|(name, value)| {
            let AMQPValue::LongString(value) = value else { panic!("{value:?}") };
            let name: http::HeaderName = name.as_str().parse().expect("a name");
            (name, http::HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
        })
        .collect();
    let settings = serde_json::json!({"scheme": "standard-webhooks", "secrets": [{"value": SECRET}]});
    let settings = serde_json::from_value(settings).expect("settings");
    let verifier = Verifier::new("edr".parse().expect("a name"), &settings).expect("a verifier");
    let delivery = crate::verify::delivery(&headers, &message.delivery.data);
    let now: &dyn sever::clock::Clock = app.clock.as_ref();
    assert!(verifier.verify(delivery, now.now()).is_ok());
    // In the order in which their jobs ended.
    let told = [message, other].map(|message| {
        let body: Value = serde_json::from_slice(&message.delivery.data).expect("JSON");
        body["data"]["alert"]["external_id"].as_str().expect("an id").to_owned()
    });
    assert_eq!(BTreeSet::from(told), BTreeSet::from(["edr-1".to_owned(), "edr-2".to_owned()]));

    // A key that leads nowhere is no success.
    let app = app.restart_with(&config(&target("test.notify.nowhere"))).await;
    app.app.begin_telling().await.expect("begun");
    app.person("ben@example.com", 1);
    app.deliver(by_email("edr-3", "ben@example.com")).await.assert_accepted();
    app.drain().await;
    assert_eq!(app.tell().await, 1);
    let status = app.app.store.status().await.expect("a status");
    let found = &status.notify[&"bus".parse::<TargetName>().expect("a name")];
    assert_eq!((found.waiting, found.dead), (1, 0));
    assert!(found.note.as_deref().is_some_and(|note| note.contains("leads nowhere")), "{found:?}");
}
