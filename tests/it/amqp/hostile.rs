//! What somebody who may publish, and knows no secret, can do.

use std::process::Command;

use sever::clock::Clock;

use super::scene::Scene;
use crate::service::python;
use crate::support::broker::{death, until, url};
use crate::testapp::{SECRET, by_email};

/// Publishes with `pika`, whose encoder is made to write what no honest client writes.
const POISON: &str = r#"
import sys, pika
from pika import data
url, queue, kind = sys.argv[1:]
def nested(depth):
    table = b""
    for _ in range(depth):
        table = b"\x01aF" + len(table).to_bytes(4, "big") + table
    return table
raw = {"deep": nested(18000), "key": b"\x01\xffV", "id": b""}[kind]
encode = data.encode_table
def raw_table(pieces, table):
    if table != {"raw": True}:
        return encode(pieces, table)
    pieces.append(len(raw).to_bytes(4, "big"))
    pieces.append(raw)
    return 4 + len(raw)
data.encode_table = raw_table
properties = pika.BasicProperties(headers={"raw": True}, delivery_mode=2)
if kind == "id":
    properties = pika.BasicProperties(message_id=b"\xff\xfe", delivery_mode=2)
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.confirm_delivery()
channel.basic_publish("", queue, b"poison", properties, mandatory=True)
connection.close()
"#;

/// The signature is made by the reference implementation, the message by a client that is not ours.
const HONEST: &str = r#"
import datetime, sys, pika
from standardwebhooks.webhooks import Webhook
url, queue, secret, time, body = sys.argv[1:]
now = datetime.datetime.fromtimestamp(int(time), tz=datetime.timezone.utc)
signature = Webhook(secret).sign("msg_pika_1", now, body)
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.confirm_delivery()
channel.basic_publish("", queue, body.encode(), pika.BasicProperties(
    message_id="msg_pika_1", delivery_mode=2, content_type="application/json", headers={
        "webhook-id": "msg_pika_1", "webhook-timestamp": int(time), "webhook-signature": signature,
    }), mandatory=True)
connection.close()
"#;

fn run(script: &str, arguments: &[&str]) {
    let ran = Command::new(python()).args(["-c", script]).args(arguments).output().expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_another_client_is_accepted() {
    let scene = Scene::start().await;
    let ana = scene.app.person("ana@example.com", 2);
    let time = scene.app.clock.now().as_second().to_string();
    let body = by_email("edr-1", "ana@example.com").to_string();
    run(HONEST, &[&url(), &scene.queue, SECRET, &time, &body]);
    scene.until_counted("accepted", 1).await;
    scene.app.drain().await;
    assert_eq!(scene.app.okta().sessions_of(&ana.id), 0);
    scene.assert_all_answered().await;
}

/// Tables nested so deep that a parser which recurses runs out of stack, and names that are no text: the message goes to
/// the dead letters, the connection stays, and so does the process.
#[tokio::test(flavor = "multi_thread")]
async fn poison_ends_neither_the_process_nor_the_connection() {
    let scene = Scene::start().await;
    for (kind, refused) in [("deep", 1), ("key", 2), ("id", 3)] {
        run(POISON, &[&url(), &scene.queue, kind]);
        let dead = format!("{}.dead", scene.queue);
        until(&format!("{kind}: it is dead"), async || (scene.broker.waiting(&dead).await == refused).then_some(()))
            .await;
        assert_eq!(scene.refusals()[0].reason, "malformed_request", "{kind}");
    }
    scene.publish(&scene.signed("msg_1", &by_email("edr-1", "ana@example.com"))).await;
    scene.until_counted("accepted", 1).await;
    scene.assert_all_answered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_messages_are_refused_and_keep_their_body_among_the_dead() {
    let scene = Scene::with(", max_body: 64KiB, prefetch: 64").await;
    let mut large = scene.signed("msg_1", &by_email("edr-1", "ana@example.com"));
    large.body = vec![b' '; 16 << 20];
    for _ in 0..8 {
        scene.publish(&large).await;
    }
    scene.until_counted("refused", 8).await;
    assert!(scene.refusals().iter().all(|refusal| refusal.reason == "too_large"));
    let dead = scene.dead().await;
    assert_eq!((death(&dead).as_str(), dead.data.len()), ("rejected", 16 << 20));
    scene.assert_all_answered().await;
}

/// Whoever may publish can be refused any number of times: a few are told, and all are counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_forged_messages_is_counted_and_not_told() {
    let scene = Scene::start().await;
    let forged = crate::support::broker::Outgoing::new(&by_email("edr-1", "ana@example.com"), []);
    for _ in 0..200 {
        scene.publish(&forged).await;
    }
    scene.until_counted("refused", 200).await;
    assert_eq!(scene.refusals().len(), 50, "of 200");
    scene.publish(&scene.signed("msg_1", &by_email("edr-2", "ana@example.com"))).await;
    scene.until_counted("accepted", 1).await;
    scene.assert_all_answered().await;
}
