//! From one connection to its end: messages come in, each is judged in a task of its own, and is acknowledged once
//! everything about it is on disk.
//!
//! Many are under way at once, at most the prefetch, so that they share commits; acknowledgements share frames.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::book::{Answer, Book, Verdict};
use super::consumer::{QueueConsumer, QueueParts, age};
use super::health::Standing;
use super::link::{ANSWER_TIMEOUT, Link, LinkError};
use super::message::Message;
use super::settings::BrokerUrl;
use super::topology;
use crate::ingest::queued::Queued;
use crate::ingest::source::SourceIntake;
use crate::schedule::Schedule;

/// A message that could not be stored for so long goes back, for others may be able to. Brokers end a consumer that
/// holds one for 30 minutes (RabbitMQ, "Consumers", section "Acknowledgement timeout").
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Between attempts to store a held message. A lock or a full disk rarely lasts seconds, and then minutes.
const HOLD: Schedule = Schedule {
    first: Duration::from_millis(100),
    factor: 2.0,
    longest: Duration::from_secs(10),
    spread: Schedule::SPREAD,
};

/// How a session ended.
pub(super) enum End {
    /// The process drains, and everything that was held is answered.
    Drained,
    /// The broker is of no use now.
    Failed {
        /// Host and port, where there is a right URL.
        place: Option<String>,
        /// Why.
        error: LinkError,
    },
    /// Messages were held for [`PATIENCE`].
    Unstored,
    /// The store does not work, so nothing was taken.
    StoreAway,
}

/// Connects and consumes until something ends it.
pub(super) async fn run(consumer: &QueueConsumer, url: &BrokerUrl) -> End {
    let lifecycle = &consumer.parts.lifecycle;
    let place = url.resolve().ok().map(|address| address.to_string());
    let failed = |error| End::Failed { place: place.clone(), error };
    // A message that could not be stored would only be brought nearer to its delivery limit.
    if !consumer.parts.intake.store_works().await {
        return End::StoreAway;
    }
    let opening = open(consumer, url);
    let (link, channel, messages) = tokio::select! {
        () = lifecycle.draining() => return End::Drained,
        opened = opening => match opened {
            Ok(opened) => opened,
            Err(error) => return failed(error),
        },
    };
    consumer.parts.stand(&consumer.source, Standing::Consuming);
    let end = Session::new(consumer, &channel).run(messages).await;
    if matches!(end, Ok(End::Drained | End::Unstored)) {
        link.close().await;
    }
    end.unwrap_or_else(failed)
}

async fn open(consumer: &QueueConsumer, url: &BrokerUrl) -> Result<(Link, Channel, Consumer), LinkError> {
    let (settings, source) = (&consumer.settings, consumer.source.name());
    let purpose = format!("sever: {source}");
    let link = Link::open(url, &settings.tls, &purpose, settings.max_body.0).await?;
    let channel = link.channel().await?;
    let waiting = topology::prepare(&channel, settings).await?;
    // Before consuming: it counts for consumers that come after it.
    let qos = channel.basic_qos(settings.prefetch, BasicQosOptions::default());
    tokio::time::timeout(ANSWER_TIMEOUT, qos).await??;
    let (queue, tag) = (settings.queue.as_str().into(), format!("sever.{source}").into());
    let consuming = channel.basic_consume(queue, tag, BasicConsumeOptions::default(), FieldTable::default());
    let messages = tokio::time::timeout(ANSWER_TIMEOUT, consuming).await??;
    tracing::info!(source.name = %source, broker = %link.address(), queue = settings.queue, waiting, "consuming");
    Ok((link, channel, messages))
}

/// A decision: the delivery's tag, what becomes of it, and whether patience ran out over it.
type Decision = (u64, Verdict, bool);

struct Session<'a> {
    channel: &'a Channel,
    hands: Arc<Hands>,
    book: Book,
    decisions: mpsc::UnboundedReceiver<Decision>,
    tell: mpsc::UnboundedSender<Decision>,
    out_of_patience: bool,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.hands.over.cancel();
    }
}

impl<'a> Session<'a> {
    fn new(consumer: &QueueConsumer, channel: &'a Channel) -> Self {
        // Bounded by the prefetch: each delivery sends once.
        let (tell, decisions) = mpsc::unbounded_channel();
        let hands = Arc::new(Hands {
            parts: consumer.parts.clone(),
            source: Arc::clone(&consumer.source),
            over: CancellationToken::new(),
            troubled: AtomicUsize::new(0),
        });
        Self { channel, hands, book: Book::default(), decisions, tell, out_of_patience: false }
    }

    async fn run(mut self, mut messages: Consumer) -> Result<End, LinkError> {
        let lifecycle = self.hands.parts.lifecycle.clone();
        loop {
            tokio::select! {
                () = lifecycle.draining() => return self.drain(&messages).await,
                Some(decision) = self.decisions.recv() => {
                    self.note(decision);
                    self.answer().await?;
                    if self.out_of_patience {
                        return Ok(End::Unstored);
                    }
                }
                message = messages.next() => self.take(message.ok_or(LinkError::Cancelled)??),
            }
        }
    }

    /// Hands a message to a task of its own.
    fn take(&mut self, delivery: Delivery) {
        let tag = delivery.delivery_tag;
        self.book.take(tag);
        let (hands, tell) = (Arc::clone(&self.hands), self.tell.clone());
        let lifecycle = self.hands.parts.lifecycle.clone();
        lifecycle.spawn(async move {
            let source = hands.source.name().clone();
            let (verdict, out_of_patience) =
                AssertUnwindSafe(hands.decide(delivery)).catch_unwind().await.unwrap_or_else(|_| {
                    tracing::error!(source.name = %source, "a message brought its task down and is rejected");
                    (Verdict::Reject, false)
                });
            // Nobody listens any more: then the channel is gone, and the message comes again.
            let _ = tell.send((tag, verdict, out_of_patience));
        });
    }

    /// Notes this decision and all others that are there: those of one commit come together.
    fn note(&mut self, first: Decision) {
        let mut next = Some(first);
        while let Some((tag, verdict, out_of_patience)) = next {
            self.book.decide(tag, verdict);
            self.out_of_patience |= out_of_patience;
            next = self.decisions.try_recv().ok();
        }
    }

    /// Frames go out in the order in which they are asked for; waiting for each in turn would cost a round each.
    async fn answer(&mut self) -> Result<(), LinkError> {
        let told = self.book.answers().into_iter().map(|answer| tell(self.channel, answer));
        tokio::select! {
            () = self.hands.parts.lifecycle.aborting() => Ok(()),
            told = try_join_all(told) => told.map(drop).map_err(LinkError::from),
        }
    }

    /// Takes nothing new, and answers what is held; the rest goes back to the queue.
    async fn drain(mut self, messages: &Consumer) -> Result<End, LinkError> {
        let cancel = self.channel.basic_cancel(messages.tag(), BasicCancelOptions::default());
        let _ = tokio::time::timeout(ANSWER_TIMEOUT, cancel).await;
        while self.book.undecided() > 0 {
            tokio::select! {
                () = self.hands.parts.lifecycle.aborting() => break,
                Some(decision) = self.decisions.recv() => self.note(decision),
            }
            self.answer().await?;
        }
        Ok(End::Drained)
    }
}

async fn tell(channel: &Channel, answer: Answer) -> lapin::Result<()> {
    match answer {
        Answer::Ack { tag, multiple } => channel.basic_ack(tag, BasicAckOptions { multiple }).await,
        Answer::Reject { tag } => channel.basic_reject(tag, BasicRejectOptions { requeue: false }).await,
    }
}

/// What the tasks of one session share.
struct Hands {
    parts: QueueParts,
    source: Arc<SourceIntake>,
    /// The session is over; what is held comes again.
    over: CancellationToken,
    /// Messages that are held because they could not be stored. Others may pass meanwhile: a full quarantine is no trouble for
    /// what needs none.
    troubled: AtomicUsize,
}

impl Hands {
    /// What becomes of a message, and whether patience ran out over it.
    async fn decide(&self, delivery: Delivery) -> (Verdict, bool) {
        let now = self.parts.clock.now();
        let size_bytes = delivery.data.len() as u64;
        let source = self.source_now();
        match Message::new(&delivery.properties, delivery.data, source.max_body, now) {
            Ok(message) => self.store(&message).await,
            Err(refusal) => {
                self.parts.intake.refuse(&source, &refusal, None, size_bytes);
                (Verdict::Reject, false)
            }
        }
    }

    /// Keeps the message for as long as it cannot be stored.
    async fn store(&self, message: &Message) -> (Verdict, bool) {
        let (clock, lifecycle) = (&self.parts.clock, &self.parts.lifecycle);
        let began = clock.steady();
        for failures in 0.. {
            let delivery = message.delivery(self.source.name());
            match self.parts.intake.receive_queued(&self.source_now(), delivery, message.id()).await {
                Queued::Stored => {
                    self.stored(failures);
                    return (Verdict::Ack, false);
                }
                Queued::Refused => return (Verdict::Reject, false),
                Queued::Unstored(why) => self.unstored(failures, &why),
            }
            if age(began, clock.steady()) >= PATIENCE {
                return (Verdict::Leave, true);
            }
            tokio::select! {
                () = self.over.cancelled() => break,
                () = lifecycle.draining() => break,
                () = tokio::time::sleep(HOLD.delay(failures)) => {}
            }
        }
        (Verdict::Leave, false)
    }

    /// As the config of now has it. One that left the config ends what it began.
    fn source_now(&self) -> Arc<SourceIntake> {
        self.parts.intake.source(self.source.name().as_str()).unwrap_or_else(|| Arc::clone(&self.source))
    }

    /// What failed before is no trouble any more.
    fn stored(&self, failures: u32) {
        let was_last = failures > 0 && self.troubled.fetch_sub(1, Ordering::Relaxed) == 1;
        if was_last && !self.over.is_cancelled() {
            self.parts.stand(&self.source, Standing::Consuming);
            tracing::info!(source.name = %self.source.name(), "messages can be stored again");
        }
    }

    /// Told once for all that are held.
    fn unstored(&self, failures: u32, why: &str) {
        let is_first = failures == 0 && self.troubled.fetch_add(1, Ordering::Relaxed) == 0;
        if is_first && !self.over.is_cancelled() {
            self.parts.stand(&self.source, Standing::Holding);
            let source = self.source.name();
            tracing::error!(source.name = %source, error = why, "messages cannot be stored; they are held");
        }
    }
}
