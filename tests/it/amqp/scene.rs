//! A service with a queue, and whoever publishes to it.

use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use serde_json::Value;
use sever::clock::Clock;
use sever::ingest::RefusalView;
use sever::verify::Signer;

use crate::support::broker::{Broker, Outgoing, until, url};
use crate::testapp::{CONFIG, SECRET, TestApp, signing};

/// A service that takes from a queue of its own, and by webhook under the same issuer.
pub(super) struct Scene {
    pub(super) app: TestApp,
    pub(super) broker: Broker,
    pub(super) queue: String,
    signer: Signer,
}

/// A name that no other test, and no earlier run at the same broker, has used.
pub(super) fn queue_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test.{}.{}", uuid::Uuid::new_v4().simple(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Sources of [`CONFIG`], and a queue beside them.
pub(super) fn config(url: &str, queue: &str, more: &str) -> String {
    let verify = format!("verify: {{scheme: standard-webhooks, secrets: [{{value: \"{SECRET}\"}}], tolerance: 24h}}");
    let source =
        format!("  queue:\n    issuer: soc\n    amqp: {{urls: [\"{url}\"], queue: {queue}{more}}}\n    {verify}\n");
    // Some tests act on more people than the budget that there is by default has.
    let config = CONFIG.replace("guardrails:", "guardrails:\n  budgets: []");
    config.replace("  edr:\n", "  edr:\n    issuer: soc\n").replace("providers:\n", &format!("{source}providers:\n"))
}

impl Scene {
    pub(super) async fn start() -> Self {
        Self::with("").await
    }

    /// With more settings of the queue: `, prefetch: 10`.
    pub(super) async fn with(more: &str) -> Self {
        let scene = Self::idle(&url(), more).await;
        scene.app.app.consume_queues();
        scene.until_consuming().await;
        scene
    }

    /// Everything is there, and nothing is consumed yet.
    pub(super) async fn idle(url: &str, more: &str) -> Self {
        Self::apart(url, url, more).await
    }

    /// With more keys at the head of the config.
    #[cfg(feature = "otel")]
    pub(super) async fn under(head: &str) -> Self {
        let (broker, queue) = (Broker::at(&url()).await, queue_name());
        broker.queues(&queue).await;
        let app = TestApp::with(&format!("{head}{}", config(&url(), &queue, ""))).await;
        let scene = Self { app, broker, queue, signer: Signer::new(&signing()).expect("a signer") };
        scene.app.app.consume_queues();
        scene.until_consuming().await;
        scene
    }

    /// The service reaches the broker in another way than we do.
    pub(super) async fn apart(ours: &str, url: &str, more: &str) -> Self {
        let (broker, queue) = (Broker::at(ours).await, queue_name());
        broker.queues(&queue).await;
        let app = TestApp::with(&config(url, &queue, more)).await;
        Self { app, broker, queue, signer: Signer::new(&signing()).expect("a signer") }
    }

    pub(super) fn signed(&self, id: &str, body: &Value) -> Outgoing {
        self.signed_at(id, self.app.clock.now(), body)
    }

    pub(super) fn signed_at(&self, id: &str, time: Timestamp, body: &Value) -> Outgoing {
        let headers = self.signer.sign(id, time, body.to_string().as_bytes()).expect("signed");
        let mut message = Outgoing::new(body, headers);
        message.properties = message.properties.with_message_id(id.into()).with_content_type("application/json".into());
        message
    }

    pub(super) async fn publish(&self, message: &Outgoing) {
        self.broker.publish(&self.queue, message).await;
    }

    /// The next dead letter.
    pub(super) async fn dead(&self) -> lapin::message::BasicGetMessage {
        self.broker.next(&format!("{}.dead", self.queue)).await
    }

    pub(super) async fn until_consuming(&self) {
        until("the queue is consumed", async || self.degraded().await.is_empty().then_some(())).await;
    }

    /// What is wrong with the queues, also while readiness can tell nothing but that the store is away.
    pub(super) async fn degraded(&self) -> Vec<String> {
        self.app.app.queue_health.degraded()
    }

    pub(super) async fn until_degraded(&self, line: &str) {
        let line = format!("queue: {line}");
        until(&line, async || self.degraded().await.contains(&line).then_some(())).await;
    }

    /// Status and `degraded` list of `/readyz`.
    pub(super) async fn ready(&self) -> (u16, Vec<String>) {
        let request = axum::http::Request::get("/readyz").body(axum::body::Body::empty()).expect("a request");
        let answer = self.app.send(request).await;
        let lines = answer.body["degraded"].as_array().into_iter().flatten();
        (answer.status.as_u16(), lines.filter_map(|line| line.as_str().map(str::to_owned)).collect())
    }

    /// So many deliveries of the queue came to this.
    pub(super) fn counted(&self, result: &str) -> u64 {
        let metrics = self.app.app.metrics.render();
        let name = format!("sever_deliveries_total{{source=\"queue\",result=\"{result}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
    }

    pub(super) async fn until_counted(&self, result: &str, times: u64) {
        until(&format!("{times} {result}"), async || (self.counted(result) >= times).then_some(())).await;
        assert_eq!(self.counted(result), times, "{result}");
    }

    pub(super) fn refusals(&self) -> Vec<RefusalView> {
        self.app.app.intake.refusals().of(&"queue".parse().expect("a name"))
    }

    /// Stops consuming; whatever was not acknowledged is in the queue again.
    pub(super) async fn stop(&self) {
        self.app.lifecycle.finish(std::time::Duration::from_secs(60), std::time::Duration::from_secs(1)).await;
    }

    /// Nothing was left behind, held or not.
    pub(super) async fn assert_all_answered(&self) {
        self.stop().await;
        self.broker.assert_empty(&self.queue).await;
    }
}
