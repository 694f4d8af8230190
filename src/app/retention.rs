//! Removes what is older than it is to be kept, again and again.

use std::sync::Arc;

use super::running::Running;
use crate::clock::rest;
use crate::lifecycle::Lifecycle;
use crate::store::{PRUNE_BATCH, Pruned};

/// Until the end begins. After a storm there may be as much to remove as came in, and meanwhile more comes: others have the
/// store for half of the time.
pub(super) async fn prune_forever(running: Arc<Running>, lifecycle: Lifecycle) {
    loop {
        tokio::select! {
            () = lifecycle.draining() => return,
            () = tokio::time::sleep(running.retention.get().look_every()) => {}
        }
        let mut removed = 0;
        while !lifecycle.is_draining() {
            match running.store.prune(&running.retention.get()).await {
                Ok(Pruned { rows, busy }) => {
                    removed += rows;
                    // What grew old meanwhile is no batch yet, and waits for the next time.
                    if rows < u64::from(PRUNE_BATCH) {
                        break;
                    }
                    rest(busy).await;
                }
                Err(error) => {
                    tracing::warn!(error = %error, "old records could not be removed");
                    break;
                }
            }
        }
        if removed > 0 {
            tracing::info!(rows = removed, "removed old records");
        }
    }
}
