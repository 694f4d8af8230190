//! One consumer per source. It never gives up: whatever ends a session, another one is begun.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::health::{QueueHealth, Standing};
use super::link::LinkError;
use super::session::{self, End};
use super::settings::AmqpSettings;
use crate::clock::Clock;
use crate::ingest::intake::Intake;
use crate::ingest::source::SourceIntake;
use crate::lifecycle::Lifecycle;
use crate::schedule::Schedule;

/// An alert should not wait for us once its broker is back: one attempt every few seconds costs next to nothing.
const RECONNECT: Schedule = Schedule {
    first: Duration::from_millis(200),
    factor: 2.0,
    longest: Duration::from_secs(5),
    spread: Schedule::SPREAD,
};

/// A session that lasted so long was a good one: the next failure is a first one.
const STEADY: Duration = Duration::from_secs(10);

/// What every consumer shares.
#[derive(Clone)]
pub struct QueueParts {
    /// The way in.
    pub intake: Arc<Intake>,
    /// How the queues stand.
    pub health: Arc<QueueHealth>,
    /// Tells how long a message was held.
    pub clock: Arc<dyn Clock>,
    /// Tells when to stop.
    pub lifecycle: Lifecycle,
}

impl QueueParts {
    /// Notes how a queue stands. One that is being left is no longer ours to tell of.
    pub(super) fn stand(&self, source: &SourceIntake, standing: Standing) {
        if !self.lifecycle.is_draining() {
            self.health.set(source.name(), standing);
        }
    }
}

/// Takes the messages of one queue.
pub struct QueueConsumer {
    pub(super) parts: QueueParts,
    pub(super) source: Arc<SourceIntake>,
    pub(super) settings: AmqpSettings,
}

impl QueueConsumer {
    /// For this source.
    #[must_use]
    pub fn new(parts: QueueParts, source: Arc<SourceIntake>, settings: AmqpSettings) -> Self {
        Self { parts, source, settings }
    }

    /// Consumes until the process drains, or its own part of the lifecycle.
    pub async fn run(self) {
        let (lifecycle, clock) = (&self.parts.lifecycle, &self.parts.clock);
        let (mut turn, mut failures) = (0, 0);
        while !lifecycle.is_draining() {
            let began = clock.steady();
            let end = session::run(&self, &self.settings.urls[turn % self.settings.urls.len()]).await;
            let Some(standing) = self.tell(&end) else { return };
            self.parts.stand(&self.source, standing);
            turn += 1;
            let round = u32::try_from(self.settings.urls.len()).unwrap_or(u32::MAX);
            failures = if age(began, clock.steady()) >= STEADY { 1 } else { failures + 1 };
            // The other brokers of the cluster are tried at once.
            let delay = if failures % round == 0 { RECONNECT.delay(failures / round - 1) } else { Duration::ZERO };
            tokio::select! {
                () = lifecycle.draining() => return,
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// One line for each end; `None`: there is no next session.
    fn tell(&self, end: &End) -> Option<Standing> {
        let source = self.source.name();
        let (standing, place, error) = match end {
            End::Drained => return None,
            End::Failed { place, error } => (standing(error), place.as_deref(), error.to_string()),
            End::Unstored => {
                let message = "held messages could not be stored for ten minutes: they go back to the queue until the \
                               store works; free its disk, or end what locks it";
                (Standing::Waiting, None, message.to_owned())
            }
            End::StoreAway => {
                let message = "the store does not work, so no message is taken; free its disk, or end what locks it";
                (Standing::Waiting, None, message.to_owned())
            }
        };
        tracing::warn!(source.name = %source, broker = place, error, "the queue is not consumed; trying again");
        Some(standing)
    }
}

/// Time that has passed by the steady clock.
pub(super) fn age(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to - from).unwrap_or_default()
}

fn standing(error: &LinkError) -> Standing {
    match error {
        LinkError::Config(_) => Standing::Misconfigured,
        LinkError::Unreachable(_) => Standing::Unreachable,
        LinkError::Denied(_) => Standing::Denied,
        LinkError::Absent(_) | LinkError::Different(_) | LinkError::Cancelled => Standing::NoQueue,
    }
}
