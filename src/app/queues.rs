//! One consumer for each queue of the config, also of a config that changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::SourceName;
use crate::ingest::{AmqpSettings, QueueConsumer, QueueParts};
use crate::lifecycle::Lifecycle;

/// The queues that are consumed.
pub(super) struct Queues {
    parts: QueueParts,
    running: Mutex<BTreeMap<SourceName, Running>>,
}

struct Running {
    settings: AmqpSettings,
    lifecycle: Lifecycle,
}

impl Queues {
    pub(super) fn new(parts: QueueParts) -> Self {
        Self { parts, running: Mutex::default() }
    }

    /// From now on these. A consumer whose queue is no longer there, or reached in another way, answers what it holds and
    /// ends; the rest go on. Whether a broker is there is each consumer's own concern.
    pub(super) fn consume(&self, wanted: &BTreeMap<SourceName, AmqpSettings>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|name, consumer| {
            let stays = wanted.get(name) == Some(&consumer.settings);
            if !stays {
                consumer.lifecycle.start_drain();
            }
            if !wanted.contains_key(name) {
                self.parts.health.forget(name);
            }
            stays
        });
        for (name, settings) in wanted {
            if !running.contains_key(name) {
                running.extend(self.start(name, settings).map(|consumer| (name.clone(), consumer)));
            }
        }
    }

    fn start(&self, name: &SourceName, settings: &AmqpSettings) -> Option<Running> {
        let source = self.parts.intake.source(name.as_str())?;
        let lifecycle = self.parts.lifecycle.part();
        let parts = QueueParts { lifecycle: lifecycle.clone(), ..self.parts.clone() };
        let consumer = QueueConsumer::new(parts, source, settings.clone());
        lifecycle.spawn_vital("queue consumer", consumer.run());
        Some(Running { settings: settings.clone(), lifecycle })
    }
}
