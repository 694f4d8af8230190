//! The queue as the config wants it: there already, or declared with what a queue of alerts needs.

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};

use super::link::{ANSWER_TIMEOUT, LinkError, table, text};
use super::settings::AmqpSettings;

/// What a queue holds at most. Beyond it a publisher with confirms is told no, and keeps its alert.
const MAX_LENGTH: i64 = 1_000_000;

/// What a dead-letter queue holds at most. Whoever may publish can fill it, so the oldest go.
const MAX_DEAD: i64 = 100_000;

/// Redeliveries after which a message counts as poison. RabbitMQ 4 has the same default, earlier versions none.
const DELIVERY_LIMIT: i64 = 20;

/// The dead-letter queue that `declare` makes.
#[must_use]
pub fn dead_letter_queue(queue: &str) -> String {
    format!("{queue}.dead")
}

/// Makes sure that the queue is there; how many messages wait in it.
pub(super) async fn prepare(channel: &Channel, settings: &AmqpSettings) -> Result<u32, LinkError> {
    if settings.declare {
        // First the target: what is rejected meanwhile would be lost.
        declare(channel, &dead_letter_queue(&settings.queue), dead_letter_arguments()).await?;
        declare(channel, &settings.queue, arguments(&settings.queue)).await
    } else {
        look(channel, &settings.queue).await
    }
}

/// How many messages wait in a queue that has to be there.
pub async fn look(channel: &Channel, queue: &str) -> Result<u32, LinkError> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let looking = channel.queue_declare(queue.into(), options, FieldTable::default());
    Ok(tokio::time::timeout(ANSWER_TIMEOUT, looking).await??.message_count())
}

async fn declare(channel: &Channel, queue: &str, arguments: FieldTable) -> Result<u32, LinkError> {
    let declaring = channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments);
    Ok(tokio::time::timeout(ANSWER_TIMEOUT, declaring).await??.message_count())
}

/// Dead letters leave the queue only once the target has them, which RabbitMQ does for quorum queues that refuse
/// publishers when they are full (RabbitMQ, "Quorum queues", section "At-least-once dead lettering").
fn arguments(queue: &str) -> FieldTable {
    table([
        ("x-queue-type", text("quorum")),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(&dead_letter_queue(queue))),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
        ("x-max-length", AMQPValue::LongLongInt(MAX_LENGTH)),
        ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT)),
    ])
}

fn dead_letter_arguments() -> FieldTable {
    table([
        ("x-queue-type", text("quorum")),
        ("x-overflow", text("drop-head")),
        ("x-max-length", AMQPValue::LongLongInt(MAX_DEAD)),
    ])
}
