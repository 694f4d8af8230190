//! Removes what is older than it is to be kept, again and again.

use std::sync::Arc;

use super::running::Running;
use crate::clock::rest;
use crate::lifecycle::Lifecycle;

/// Until the end begins. After a storm there may be as much to remove as came in, and meanwhile more comes: after each batch,
/// others have the store for as long as it took, its commit left out.
pub(super) async fn prune_forever(running: Arc<Running>, lifecycle: Lifecycle) {
    loop {
        tokio::select! {
            () = lifecycle.draining() => return,
            () = tokio::time::sleep(running.retention.get().look_every()) => {}
        }
        let (mut removed, mut from) = (0, 0);
        while !lifecycle.is_draining() {
            match running.store.prune(&running.retention.get(), from).await {
                Ok(pruned) => {
                    removed += pruned.rows;
                    let Some(next) = pruned.next else { break };
                    from = next;
                    rest(pruned.busy).await;
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
