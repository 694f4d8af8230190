//! What the handle of every stand-in can do: stop, misbehave, and tell what reached it.

/// The part of a handle that is the same for each. The handle has a `state`, which is a
/// [`StandIn`](super::exchange::StandIn) with a ledger, and a `listener`.
macro_rules! handle {
    ($handle:ty, $operation:ty) => {
        impl $handle {
            /// Stops listening and drops open connections.
            pub fn stop(&self) {
                self.listener.stop();
            }

            /// The same, and waits for the calls in progress.
            pub async fn shutdown(&self) {
                self.listener.shutdown().await;
            }

            /// The fault switches.
            #[must_use]
            pub fn faults(&self) -> &$crate::sandbox::faults::Faults<$operation> {
                &self.state.faults
            }

            /// Every call so far, refused ones too, oldest first.
            #[must_use]
            pub fn ledger(&self) -> Vec<$crate::sandbox::ledger::Call> {
                self.state.ledger.calls()
            }

            /// The calls that would have reached somebody, or something, that no honest client means.
            #[must_use]
            pub fn tripwires(&self) -> Vec<$crate::sandbox::ledger::Call> {
                self.state.ledger.tripwires()
            }

            /// Forgets the calls so far.
            pub fn clear_ledger(&self) {
                self.state.ledger.clear();
            }
        }
    };
}
pub(super) use handle;
