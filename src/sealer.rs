//! Seals the record each minute, and removes what is older than it is to be kept.
//!
//! A seal goes into the store and, in full, into the log, so that wherever logs are shipped to holds a copy. Whoever can
//! write to the database and has not the key cannot make another; a copy elsewhere shows if the end was cut off.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::audit::{Seal, Signed, SigningKey, Stub};
use crate::clock::Clock;
use crate::lifecycle::Lifecycle;
use crate::store::{AuditStore, Removal, StoreError};

/// The most that cutting off the end could take without a trace.
const SEAL_EVERY: Duration = Duration::from_secs(60);

/// Seals the record of one store.
pub struct Sealer {
    store: Arc<dyn AuditStore>,
    key: SigningKey,
    keep: Duration,
    clock: Arc<dyn Clock>,
}

impl Sealer {
    /// Signs with this key, and removes rows once they are as old as `keep`.
    #[must_use]
    pub fn new(store: Arc<dyn AuditStore>, key: SigningKey, keep: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { store, key, keep, clock }
    }

    /// Works until the end begins, and seals once more then.
    pub async fn run(self: Arc<Self>, lifecycle: Lifecycle) {
        loop {
            match self.step().await {
                Ok(()) => {}
                // Another replica was faster.
                Err(StoreError::Conflict(reason)) => tracing::debug!(reason, "the record is sealed already"),
                Err(error) => tracing::error!(error = %error, "the audit record could not be sealed"),
            }
            if lifecycle.is_draining() {
                return;
            }
            tokio::select! {
                () = lifecycle.draining() => {}
                () = tokio::time::sleep(SEAL_EVERY) => {}
            }
        }
    }

    /// Seals what is new, and removes what is old.
    pub async fn step(&self) -> Result<(), StoreError> {
        self.seal().await?;
        // The earlier of the two clocks: a wall clock that jumped ahead must not throw the record away.
        let now = self.clock.now().min(self.clock.steady());
        let Ok(before) = now.checked_sub(self.keep) else { return Ok(()) };
        self.store.thin_seals(before).await?;
        // What grows old meanwhile waits for the next time, or a busy service would do nothing else. Between two batches others
        // have the store, while what goes next is looked for and signed.
        let mut removed = 0;
        loop {
            match self.shorten(before).await? {
                0 => break,
                rows => removed += rows,
            }
        }
        if removed > 0 {
            tracing::info!(rows = removed, "removed old rows of the audit record");
        }
        Ok(())
    }

    /// Seals the record, if anything was recorded since the last seal.
    pub async fn seal(&self) -> Result<Option<Signed<Seal>>, StoreError> {
        let found = self.store.audit_heads().await?;
        if !found.is_changed {
            return Ok(None);
        }
        let (key, number) = (self.key.id().to_owned(), found.last_seal + 1);
        let seal = self.key.sign(Seal { at: self.clock.now(), heads: found.heads, key, number });
        self.store.keep_seal(seal.clone()).await?;
        let text = serde_json::to_string(&seal).unwrap_or_default();
        tracing::info!(seal = %text, number, "sealed the audit record");
        Ok(Some(seal))
    }

    /// Removes some of what is old; how many rows. Zero: nothing old is left.
    async fn shorten(&self, before: Timestamp) -> Result<u64, StoreError> {
        let stubs: Vec<_> = self.store.prunable_audit(before).await?.into_iter().map(|it| self.stub(it)).collect();
        if stubs.is_empty() { Ok(0) } else { self.store.prune_audit(stubs).await }
    }

    fn stub(&self, removal: Removal) -> Signed<Stub> {
        let Removal { writer, seq, hash, removed, seal } = removal;
        let (at, key) = (self.clock.now(), self.key.id().to_owned());
        self.key.sign(Stub { at, hash, key, removed, seal, seq, writer })
    }
}
