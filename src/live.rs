//! A part that may be replaced while others use it. Whoever has taken the old one goes on with it to the end.

use std::sync::{Arc, PoisonError, RwLock};

/// The one that holds now.
#[derive(Debug)]
pub struct Live<T>(RwLock<Arc<T>>);

impl<T> Live<T> {
    /// This one, until another takes its place.
    #[must_use]
    pub fn new(first: T) -> Self {
        Self(RwLock::new(Arc::new(first)))
    }

    /// The one that holds now.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        // Nothing can panic under the lock, so a poisoned one is whole too.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in its place.
    pub fn set(&self, next: T) {
        self.replace(Arc::new(next));
    }

    /// The same with one that others may have as well.
    pub fn replace(&self, next: Arc<T>) {
        let before = std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), next);
        // What it takes to end the old one does not keep readers waiting.
        drop(before);
    }
}

impl<T> From<Arc<T>> for Live<T> {
    fn from(first: Arc<T>) -> Self {
        Self(RwLock::new(first))
    }
}
