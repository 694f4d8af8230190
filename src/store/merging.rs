//! When one job does another one's work.

use std::time::Duration;

use crate::domain::RevokeRequest;

/// How long a job waits for another one's call for the same account.
pub(super) const BUSY_RETRY: Duration = Duration::from_secs(1);

/// Whether a job that was asked this does everything that `request` asks.
pub(super) fn covers(asked: &RevokeRequest, request: &RevokeRequest) -> bool {
    let both = asked.clone().union(request.clone());
    asked.scope.covers(&request.scope)
        && both.oauth_tokens == asked.oauth_tokens
        && both.forget_devices == asked.forget_devices
}
