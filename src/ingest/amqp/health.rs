//! How each queue stands, for readiness and metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::SourceName;
use crate::telemetry::{Metrics, SourceOnly};

/// How a queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody was asked yet.
    Starting,
    /// Messages come in.
    Consuming,
    /// Messages are held, for they cannot be stored.
    Holding,
    /// The store does not work, so nothing is taken.
    Waiting,
    /// No broker answers, or the link broke.
    Unreachable,
    /// The broker does not let us.
    Denied,
    /// There is no such queue, or it is made otherwise.
    NoQueue,
    /// The URL or the files for TLS are wrong.
    Misconfigured,
}

impl Standing {
    /// In words that may be shown to anybody; `None`: it is as it should be.
    fn trouble(self) -> Option<&'static str> {
        match self {
            Self::Consuming => None,
            Self::Starting => Some("not connected to its broker yet"),
            Self::Holding => Some("its messages cannot be stored"),
            Self::Waiting => Some("the store does not work, so its messages wait"),
            Self::Unreachable => Some("no connection to its broker"),
            Self::Denied => Some("its broker refuses us"),
            Self::NoQueue => Some("its queue is not there as it should be"),
            Self::Misconfigured => Some("its broker's address or certificates are wrong"),
        }
    }

    fn is_connected(self) -> bool {
        matches!(self, Self::Consuming | Self::Holding)
    }
}

/// The queues of this process.
#[derive(Debug)]
pub struct QueueHealth {
    standings: Mutex<BTreeMap<SourceName, Standing>>,
    metrics: Arc<Metrics>,
}

impl QueueHealth {
    /// Of these sources.
    pub fn new(sources: impl IntoIterator<Item = SourceName>, metrics: Arc<Metrics>) -> Self {
        let health = Self { standings: Mutex::default(), metrics };
        for source in sources {
            health.set(&source, Standing::Starting);
        }
        health
    }

    /// Notes how a queue stands now; whether that is news.
    pub fn set(&self, source: &SourceName, standing: Standing) -> bool {
        let connected = self.metrics.amqp_connected.get_or_create(&SourceOnly { source: source.to_string() });
        connected.set(i64::from(standing.is_connected()));
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        standings.insert(source.clone(), standing) != Some(standing)
    }

    /// A queue that nobody takes from any more.
    pub fn forget(&self, source: &SourceName) {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).remove(source);
        self.metrics.amqp_connected.remove(&SourceOnly { source: source.to_string() });
    }

    /// What is wrong, one line for each queue.
    #[must_use]
    pub fn degraded(&self) -> Vec<String> {
        let standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        let lines =
            standings.iter().filter_map(|(source, standing)| Some(format!("{source}: {}", standing.trouble()?)));
        lines.collect()
    }

    /// Whether any queue is connected.
    #[must_use]
    pub fn is_any_connected(&self) -> bool {
        let standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        standings.values().any(|standing| standing.is_connected())
    }
}
