//! Tells the outside what became of alerts, and what waits for a person.
//!
//! Messages stand in the store's outbox, written in the transaction of the change that they tell of. Here they are leased,
//! signed as Standard Webhooks, sent, and taken off once the receiver has said yes: at least once, with the same id in every
//! attempt. What fails is tried again later and later, and given up after a day.

mod queue;
mod settings;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use self::queue::Queue;
pub use self::settings::{NotifySettings, TargetAmqp, TargetUrl};
use self::webhook::Webhook;
use crate::clock::Clock;
use crate::domain::TargetName;
use crate::lifecycle::Lifecycle;
use crate::schedule::Schedule;
use crate::store::{Message, MessageEnd, Outbox, StoreError};
use crate::telemetry::Metrics;
use crate::verify::{Signer, VerifySettings};

/// How often the outbox is looked into.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Messages under way to one target at once.
const AT_ONCE: u32 = 8;

/// A lease outlives its attempt by this much.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// From 5 s to 10 min: a receiver that restarts is back in seconds, one that is down for hours is not asked in vain for long.
const SCHEDULE: Schedule = Schedule {
    first: Duration::from_secs(5),
    factor: 2.0,
    longest: Duration::from_secs(600),
    spread: Schedule::SPREAD,
};

/// Why a message was not taken. No text names a URL or a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    note: String,
    /// How long the receiver wants to be left alone.
    wait: Option<Duration>,
    /// Trying again is of no use.
    is_final: bool,
}

impl Trouble {
    fn new(note: impl Into<String>) -> Self {
        Self { note: note.into(), wait: None, is_final: false }
    }
}

/// Someone who is told.
pub struct Target {
    name: TargetName,
    way: Way,
    signer: Signer,
    timeout: Duration,
    give_up_after: Duration,
}

enum Way {
    Webhook(Webhook),
    Queue(Box<Queue>),
}

impl Target {
    /// Fails with every problem, each with the key that it is about. Calls nobody.
    pub fn new(name: &TargetName, settings: &NotifySettings) -> Result<Self, Vec<(String, String)>> {
        let mut problems = Vec::new();
        let way = way(settings).map_err(|problem| problems.push(problem)).ok();
        let signer = signer(settings).map_err(|found| problems.extend(found)).ok();
        if settings.timeout.0.is_zero() || settings.timeout.0 > Duration::from_secs(60) {
            problems.push(("timeout".to_owned(), "use more than nothing and at most 60s".to_owned()));
        }
        match (way, signer) {
            (Some(way), Some(signer)) if problems.is_empty() => Ok(Self {
                name: name.clone(),
                way,
                signer,
                timeout: settings.timeout.0,
                give_up_after: settings.give_up_after.0,
            }),
            _ => Err(problems),
        }
    }

    /// Its name in the config.
    #[must_use]
    pub fn name(&self) -> &TargetName {
        &self.name
    }

    async fn send(&self, message: &Message, clock: &dyn Clock) -> Result<(), Trouble> {
        let now = clock.now();
        let signed = self.signer.sign(&message.id, now, message.body.as_bytes());
        let headers: Vec<(HeaderName, HeaderValue)> =
            signed.map_err(|_| Trouble { is_final: true, ..Trouble::new("the message cannot be signed") })?;
        match &self.way {
            Way::Webhook(webhook) => webhook.send(&headers, message.body.clone()).await,
            Way::Queue(queue) => {
                queue.send(&headers, message, u64::try_from(now.as_second()).unwrap_or_default()).await
            }
        }
    }
}

fn way(settings: &NotifySettings) -> Result<Way, (String, String)> {
    let timeout = settings.timeout.0;
    match (&settings.url, &settings.amqp) {
        (Some(url), None) => {
            let webhook = url.resolve().and_then(|url| Webhook::new(url, timeout));
            webhook.map(Way::Webhook).map_err(|message| ("url".to_owned(), message))
        }
        (None, Some(amqp)) => {
            for (position, url) in amqp.urls.iter().enumerate() {
                url.resolve().map_err(|message| (format!("amqp.urls[{position}]"), message))?;
            }
            let is_nowhere = amqp.urls.is_empty() || (amqp.exchange.is_empty() && amqp.routing_key.is_empty());
            if is_nowhere {
                let message = "name a broker in `urls`, and an `exchange` or a queue as `routing_key`";
                return Err(("amqp".to_owned(), message.to_owned()));
            }
            Ok(Way::Queue(Box::new(Queue::new(amqp.clone(), timeout))))
        }
        (Some(_), Some(_)) | (None, None) => Err((String::new(), "give either `url` or `amqp`".to_owned())),
    }
}

fn signer(settings: &NotifySettings) -> Result<Signer, Vec<(String, String)>> {
    let scheme = serde_json::json!({"scheme": "standard-webhooks", "secrets": [settings.secret]});
    let wrong = |message: String| vec![("secret".to_owned(), message)];
    let settings: VerifySettings = serde_json::from_value(scheme).map_err(|error| wrong(error.to_string()))?;
    Signer::new(&settings)
        .map_err(|found| found.into_iter().map(|problem| ("secret".to_owned(), problem.message)).collect())
}

/// Empties the outbox.
pub struct Notifier {
    outbox: Arc<dyn Outbox>,
    targets: BTreeMap<TargetName, Arc<Target>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Notifier {
    /// Tells these.
    #[must_use]
    pub fn new(outbox: Arc<dyn Outbox>, targets: Vec<Target>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let targets = targets.into_iter().map(|target| (target.name.clone(), Arc::new(target))).collect();
        Self { outbox, targets, clock, metrics }
    }

    /// Works until the end begins: each target for itself, so that one that hangs delays nobody else.
    pub fn start(self: &Arc<Self>, lifecycle: &Lifecycle) {
        for target in self.targets.values() {
            let (this, target, ending) = (Arc::clone(self), Arc::clone(target), lifecycle.clone());
            lifecycle.spawn_vital("notifier", async move { this.run(&target, &ending).await });
        }
    }

    async fn run(&self, target: &Target, lifecycle: &Lifecycle) {
        while !lifecycle.is_draining() {
            let sent = tokio::select! {
                sent = self.round(target) => sent,
                // Whatever is under way is due again when its lease is over, under the same id.
                () = lifecycle.aborting() => return,
            };
            match sent {
                Ok(sent) if sent > 0 => {}
                Ok(_) => rest(lifecycle).await,
                Err(error) => {
                    tracing::warn!(notify.target = %target.name, error = %error, "the outbox cannot be read");
                    rest(lifecycle).await;
                }
            }
        }
    }

    /// One round for every target; how many messages were tried. For tests, which move the clock themselves.
    pub async fn step(&self) -> Result<usize, StoreError> {
        let mut tried = 0;
        for target in self.targets.values() {
            tried += self.round(target).await?;
        }
        Ok(tried)
    }

    async fn round(&self, target: &Target) -> Result<usize, StoreError> {
        let lease = target.timeout + LEASE_MARGIN;
        let messages = self.outbox.claim_messages(&target.name, AT_ONCE, lease).await?;
        let deliveries = messages.iter().map(|message| self.deliver(target, message));
        futures_util::future::join_all(deliveries).await.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(messages.len())
    }

    async fn deliver(&self, target: &Target, message: &Message) -> Result<(), StoreError> {
        let end = match target.send(message, self.clock.as_ref()).await {
            Ok(()) => MessageEnd::Delivered,
            Err(trouble) => self.after(target, message, trouble),
        };
        self.tell(target, message, &end);
        match self.outbox.settle_message(message, end).await {
            // Somebody else has it now, and the receiver knows a repeat by its id.
            Err(StoreError::LeaseLost) => Ok(()),
            settled => settled,
        }
    }

    fn after(&self, target: &Target, message: &Message, trouble: Trouble) -> MessageEnd {
        let now = self.clock.steady();
        let delay = SCHEDULE.delay(message.attempt.saturating_sub(1));
        let delay = trouble.wait.map_or(delay, |wait| delay.max(wait.min(SCHEDULE.longest)));
        let due_at = now.saturating_add(delay).unwrap_or(now);
        let give_up_at = message.made_at.saturating_add(target.give_up_after).unwrap_or(due_at);
        if trouble.is_final || due_at > give_up_at {
            MessageEnd::Dead { note: trouble.note }
        } else {
            MessageEnd::Retry { due_at, note: trouble.note }
        }
    }

    fn tell(&self, target: &Target, message: &Message, end: &MessageEnd) {
        let (name, id, kind, attempt) = (&target.name, &message.id, message.kind.as_str(), message.attempt);
        let result = match end {
            MessageEnd::Delivered => {
                tracing::info!(notify.target = %name, message.id = %id, kind, attempt, "told");
                "delivered"
            }
            MessageEnd::Retry { note, .. } => {
                tracing::warn!(notify.target = %name, message.id = %id, kind, attempt, note, "not told yet");
                "failed"
            }
            MessageEnd::Dead { note } => {
                tracing::error!(notify.target = %name, message.id = %id, kind, attempt, note, "not told, and given up");
                "dead"
            }
        };
        self.metrics.notified(name.as_str(), result);
    }
}

async fn rest(lifecycle: &Lifecycle) {
    tokio::select! {
        () = lifecycle.draining() => {}
        () = tokio::time::sleep(LOOK_EVERY) => {}
    }
}
