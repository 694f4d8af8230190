//! Intake from a queue: the service beside a bare lapin consumer that acknowledges each message, same messages.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use sever::clock::{Clock, SystemClock};

use crate::Scale;
use crate::alerts::{Message, Subject, messages};
use crate::report::{Line, Rounds};
use crate::service::{CONCURRENCY, Service};

/// As the config has it by default.
const PREFETCH: u16 = 256;

/// Messages on their way to the broker at once.
const WINDOW: usize = 256;

const NOWHERE: &str = "http://127.0.0.1:9";

/// The broker to measure at, if there is one.
#[expect(clippy::disallowed_methods, reason = "whoever measures says where the broker is")]
pub(crate) fn url() -> Option<String> {
    std::env::var("SEVER_TEST_AMQP_URL").ok()
}

/// Measures and compares.
pub(crate) fn measure(runtime: &tokio::runtime::Runtime, url: &str, scale: Scale) -> Vec<Line> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..scale.rounds {
        for turn in 0..if scale.alone { 1 } else { 2 } {
            if scale.alone || (round + turn) % 2 == 0 {
                ours.push(runtime.block_on(service(url, scale.alerts)));
            } else {
                theirs.push(runtime.block_on(bare(url, scale.alerts)));
            }
        }
    }
    let rate = |rates: &[f64]| format!("{:.0}/s", Rounds::of(rates.to_vec()).median());
    let what = format!("queue intake, quorum queue, prefetch {PREFETCH}, 1 KiB");
    let line = Line::new(&what, "bare consumer, one ack each", rate(&ours), rate(&theirs));
    vec![line.at_least(0.7, 0.7, Rounds::ratios(&ours, &theirs))]
}

/// A queue of its own, full of messages.
struct Queue {
    connection: Connection,
    channel: Channel,
    name: String,
}

impl Queue {
    async fn full(url: &str, count: usize) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("a broker");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let name = format!("bench.{}", uuid::Uuid::new_v4().simple());
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let durable = QueueDeclareOptions::durable();
        channel.queue_declare(name.as_str().into(), durable, arguments).await.expect("declared");
        let queue = Self { connection, channel, name };
        queue.fill(messages((0..count).map(Subject::numbered))).await;
        queue
    }

    async fn fill(&self, messages: Vec<Message>) {
        let publishes = messages.into_iter().map(|message| async move {
            let headers = message.headers.into_iter().fold(FieldTable::default(), |mut table, (name, value)| {
                table.insert(name.as_str().into(), AMQPValue::LongString(value.into()));
                table
            });
            let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
            let (options, name) = (BasicPublishOptions::default(), self.name.as_str().into());
            let confirm = self.channel.basic_publish("".into(), name, options, &message.body, properties).await;
            assert!(confirm.expect("published").await.expect("confirmed").is_ack());
        });
        futures_util::stream::iter(publishes).buffer_unordered(WINDOW).collect::<Vec<()>>().await;
    }

    async fn delete(self) {
        let deleted = self.channel.queue_delete(self.name.as_str().into(), QueueDeleteOptions::default()).await;
        assert_eq!(deleted.expect("deleted"), 0, "every message was acknowledged");
        self.connection.close(200, "done".into()).await.expect("closed");
    }
}

/// Messages in a second, from the start of the consumer until the last is stored.
async fn service(url: &str, count: usize) -> f64 {
    let queue = Queue::full(url, count).await;
    let service = Service::idle(NOWHERE, CONCURRENCY, Some((url, &queue.name))).await;
    service.pause().await;
    let clock = SystemClock::new();
    let began = clock.steady();
    service.app.consume_queues();
    let done = format!("sever_deliveries_total{{source=\"edr\",result=\"accepted\"}} {count}\n");
    while !service.app.metrics.render().contains(&done) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = clock.steady() - began;
    service.stop().await;
    queue.delete().await;
    count as f64 / took.total(jiff::Unit::Second).expect("a length")
}

async fn bare(url: &str, count: usize) -> f64 {
    let queue = Queue::full(url, count).await;
    let clock = SystemClock::new();
    let began = clock.steady();
    let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("a broker");
    let channel = connection.create_channel().await.expect("a channel");
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.expect("a prefetch");
    let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer =
        channel.basic_consume(queue.name.as_str().into(), "bench".into(), options, table).await.expect("a consumer");
    for _ in 0..count {
        let delivery = consumer.next().await.expect("a message").expect("a message");
        delivery.ack(BasicAckOptions::default()).await.expect("acknowledged");
    }
    let took = clock.steady() - began;
    connection.close(200, "done".into()).await.expect("closed");
    queue.delete().await;
    count as f64 / took.total(jiff::Unit::Second).expect("a length")
}
