//! A trace that comes with a message.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use sever::domain::TraceContext;
use sever::ingest::message_headers;

use crate::traces::PARENT;

#[test]
fn a_trace_is_text_of_either_length_and_nothing_else() {
    let read = |value: AMQPValue| {
        let mut table = FieldTable::default();
        table.insert("traceparent".into(), value);
        TraceContext::from_headers(&message_headers(&BasicProperties::default().with_headers(table)))
    };
    for text in [AMQPValue::LongString(PARENT.into()), AMQPValue::ShortString(PARENT.into())] {
        assert_eq!(read(text).map(|trace| trace.to_string()).as_deref(), Some(PARENT));
    }
    for other in [AMQPValue::ByteArray(PARENT.as_bytes().to_vec().into()), AMQPValue::LongInt(1), AMQPValue::Void] {
        assert_eq!(read(other), None);
    }
}

#[cfg(feature = "otel")]
mod told {
    use serde_json::json;

    use super::*;
    use crate::amqp::scene::Scene;
    use crate::support::broker::{Outgoing, until};
    use crate::support::collector::Collector;
    use crate::testapp::by_email;

    fn with_trace(mut message: Outgoing) -> Outgoing {
        let mut table = message.properties.headers().clone().unwrap_or_default();
        table.insert("traceparent".into(), AMQPValue::LongString(PARENT.into()));
        table.insert("tracestate".into(), AMQPValue::LongString("acme=1".into()));
        message.properties = message.properties.with_headers(table);
        message
    }

    #[tokio::test]
    async fn a_message_is_told_from_its_publishers_trace_to_each_call() {
        let collector = Collector::start().await;
        let scene = Scene::under(&collector.config("")).await;
        let ana = scene.app.person("ana@example.com", 2);
        scene.publish(&with_trace(scene.signed("msg_1", &by_email("edr-1", "ana@example.com")))).await;
        scene.until_counted("accepted", 1).await;
        scene.app.drain().await;
        assert_eq!(scene.app.okta().sessions_of(&ana.id), 0);
        scene.app.app.tracer.flush().await;
        let process = collector.only(&format!("process {}", scene.queue));
        assert_eq!((&process.trace[..], &process.parent[..], process.kind), (&PARENT[3..35], &PARENT[36..52], 5));
        assert_eq!(process.state, "acme=1");
        let said = json!(process.said);
        assert_eq!(said["messaging.system"], "rabbitmq");
        assert_eq!(said["messaging.destination.name"], scene.queue);
        assert_eq!(said["messaging.operation.type"], "process");
        assert_eq!(said["result"], "accepted");
        let attempt = collector.only("attempt okta");
        assert_eq!((&attempt.trace, &attempt.parent), (&process.trace, &process.id));
        assert_eq!(collector.only("revoke").parent, attempt.id);
        scene.assert_all_answered().await;
    }

    #[tokio::test]
    async fn a_message_that_nobody_signed_has_no_place_in_a_trace() {
        let collector = Collector::start().await;
        let scene = Scene::under(&collector.config("")).await;
        let mut message = with_trace(scene.signed("msg_1", &by_email("edr-1", "ana@example.com")));
        message.body.push(b' ');
        scene.publish(&message).await;
        until("it is a dead letter", async || (scene.counted("refused") == 1).then_some(())).await;
        scene.app.app.tracer.flush().await;
        assert_eq!(collector.received().len(), 0, "{:#?}", collector.spans());
    }
}
