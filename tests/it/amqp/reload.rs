//! The config changes while queues are consumed.

use super::scene::{Scene, config};
use crate::support::broker::{Node, until};
use crate::testapp::{CONFIG, by_email};

const OTHER_SECRET: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVzLi4u";

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_comes_and_goes_and_changes_with_the_config() {
    let (node, _turn) = Node::shared().await;
    let scene = Scene::idle(&node.url(), "").await;
    scene.app.app.consume_queues();
    scene.until_consuming().await;
    let with = |more: &str| config(&node.url(), &scene.queue, more);
    let alert = |id: &str| scene.signed(id, &by_email(id, "ana@example.com"));
    scene.publish(&alert("msg_1")).await;
    scene.until_counted("accepted", 1).await;

    // Gone: what comes stays with the broker, and nothing is called wrong.
    scene.app.reload(&CONFIG.replace("  edr:\n", "  edr:\n    issuer: soc\n")).await.expect("taken on");
    scene.publish(&alert("msg_2")).await;
    until("it stays in the queue", async || (scene.broker.waiting(&scene.queue).await == 1).then_some(())).await;
    assert_eq!(scene.ready().await, (200, Vec::new()));
    assert!(!scene.app.app.metrics.render().contains("sever_amqp_connected{"), "nobody waits for it to be connected");

    scene.app.reload(&with("")).await.expect("taken on");
    scene.until_counted("accepted", 2).await;

    // Reached in another way.
    assert_eq!(scene.app.reload(&with(", prefetch: 10")).await.expect("taken on"), ["sources.queue"]);
    scene.publish(&alert("msg_3")).await;
    scene.until_counted("accepted", 3).await;
    scene.until_consuming().await;

    // Consumed as before, and believed by another secret.
    let (before, rest) =
        with(", prefetch: 10").rsplit_once("whsec_").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a secret");
    let (_, rest) = rest.split_once('"').expect("the end of it");
    scene.app.reload(&format!("{before}{OTHER_SECRET}\"{rest}")).await.expect("taken on");
    scene.publish(&alert("msg_4")).await;
    scene.until_counted("refused", 1).await;
    scene.assert_all_answered().await;
}
