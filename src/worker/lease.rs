//! Leases that this process holds, and the task that extends them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::Claim;
use crate::store::JobStore;

/// How long a job is ours without a word. Renewed at a third of it.
pub const LEASE: Duration = Duration::from_secs(60);

/// What has to be left of a lease besides the call's timeout before a call is made: the time for the answer to be
/// written down.
pub const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// One lease, as the attempt sees it.
#[derive(Debug)]
pub(super) struct Lease {
    until: AtomicI64,
    lost: AtomicBool,
}

impl Lease {
    /// Whether a call of this length would end well within the lease. `now` is the steady clock.
    pub(super) fn has_room(&self, now: Timestamp, timeout: Duration) -> bool {
        let until = self.until.load(Ordering::Acquire);
        let needed = i64::try_from((timeout + LEASE_MARGIN).as_micros()).unwrap_or(i64::MAX);
        !self.lost.load(Ordering::Acquire) && now.as_microsecond().saturating_add(needed) <= until
    }
}

/// A lease as long as somebody works under it. However that ends, also in a panic, it is no longer renewed.
#[derive(Debug)]
pub(super) struct HeldLease<'l> {
    leases: &'l Leases,
    row: i64,
    lease: Arc<Lease>,
}

impl std::ops::Deref for HeldLease<'_> {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.lease
    }
}

impl Drop for HeldLease<'_> {
    fn drop(&mut self) {
        let mut leases = self.leases.lock();
        // Once it was lost, a later attempt may hold the job here.
        if leases.get(&self.row).is_some_and(|(_, lease)| Arc::ptr_eq(lease, &self.lease)) {
            leases.remove(&self.row);
        }
    }
}

/// Every lease of this process.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<i64, (u32, Arc<Lease>)>>);

impl Leases {
    pub(super) fn hold(&self, claim: &Claim) -> HeldLease<'_> {
        self.hold_until(claim.row, claim.attempt, claim.lease_until)
    }

    fn hold_until(&self, row: i64, attempt: u32, until: Timestamp) -> HeldLease<'_> {
        let lease = Arc::new(Lease { until: AtomicI64::new(until.as_microsecond()), lost: AtomicBool::new(false) });
        self.lock().insert(row, (attempt, Arc::clone(&lease)));
        HeldLease { leases: self, row, lease }
    }

    /// Extends every lease. One that was lost meanwhile makes no further call.
    pub(super) async fn renew(&self, store: &dyn JobStore, now: Timestamp) {
        let held: Vec<(i64, u32, Arc<Lease>)> =
            self.lock().iter().map(|(row, (fence, lease))| (*row, *fence, Arc::clone(lease))).collect();
        if held.is_empty() {
            return;
        }
        let claims = held.iter().map(|(row, fence, _)| (*row, *fence)).collect();
        match store.renew(claims, LEASE).await {
            Ok(renewed) => {
                for ((_, _, lease), ours) in held.iter().zip(renewed) {
                    lease.until.store((now + LEASE).as_microsecond(), Ordering::Release);
                    lease.lost.store(!ours, Ordering::Release);
                }
            }
            Err(error) => {
                tracing::warn!(error = %error, "leases could not be renewed; running attempts may be repeated")
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i64, (u32, Arc<Lease>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    impl Leases {
        fn count(&self) -> usize {
            self.lock().len()
        }
    }

    #[test]
    fn a_lease_ends_with_its_attempt_also_in_a_panic() {
        let leases = Leases::default();
        let end = catch_unwind(AssertUnwindSafe(|| {
            let _lease = leases.hold_until(1, 1, Timestamp::UNIX_EPOCH);
            assert_eq!(leases.count(), 0, "a bug");
        }));
        assert!(end.is_err());
        assert_eq!(leases.count(), 0, "it would be renewed for ever");
    }

    #[test]
    fn an_attempt_that_lost_its_lease_does_not_end_a_later_ones() {
        let leases = Leases::default();
        let lost = leases.hold_until(1, 1, Timestamp::UNIX_EPOCH);
        let later = leases.hold_until(1, 2, Timestamp::UNIX_EPOCH);
        drop(lost);
        assert_eq!(leases.count(), 1);
        drop(later);
        assert_eq!(leases.count(), 0);
    }
}
