//! The one process that has the file open.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::store::replica::{Pulse, Replica, ReplicaView};

/// What it said of itself last. Nobody else could read it, so it is not stored.
#[derive(Default)]
pub(super) struct Itself(Mutex<Option<ReplicaView>>);

impl Itself {
    pub(super) fn beat(&self, replica: Replica, now: Timestamp) -> Pulse {
        self.set(Some(ReplicaView::new(replica, now)));
        Pulse::Alone
    }

    pub(super) fn leave(&self) {
        self.set(None);
    }

    pub(super) fn list(&self) -> Vec<ReplicaView> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn set(&self, view: Option<ReplicaView>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = view;
    }
}
