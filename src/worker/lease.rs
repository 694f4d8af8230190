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

/// Every lease of this process.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<i64, (u32, Arc<Lease>)>>);

impl Leases {
    pub(super) fn hold(&self, claim: &Claim) -> Arc<Lease> {
        let until = AtomicI64::new(claim.lease_until.as_microsecond());
        let lease = Arc::new(Lease { until, lost: AtomicBool::new(false) });
        self.lock().insert(claim.row, (claim.attempt, Arc::clone(&lease)));
        lease
    }

    pub(super) fn let_go(&self, claim: &Claim) {
        self.lock().remove(&claim.row);
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
