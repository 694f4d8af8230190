//! In which order due jobs are claimed.

use std::time::Duration;

use crate::domain::Severity;

/// How much longer than a critical job one of this severity waits for its turn. What has waited longer than that
/// goes first all the same, so that nothing is starved.
fn patience(severity: Severity) -> Duration {
    Duration::from_secs(match severity {
        Severity::Critical => 0,
        Severity::High => 30,
        Severity::Medium => 120,
        Severity::Low => 600,
        Severity::Informational => 1800,
    })
}

/// The lane of looks at sessions that the provider said it ended. They wait for the revocations, so that a short rate is
/// spent on those, but not for ever.
pub(super) const LOOKS: u8 = 5;

/// The lane of what is leased; its time is the end of the lease.
pub(super) const LEASED: u8 = 6;

/// How much longer than a critical job a look waits for its turn.
const PATIENCE_OF_LOOKS: Duration = Duration::from_secs(120);

/// How much longer than a critical job one in this lane waits for its turn.
pub(super) fn patience_of(lane: u8) -> Duration {
    match Severity::from_rank(lane) {
        Some(severity) => patience(severity),
        None if lane == LOOKS => PATIENCE_OF_LOOKS,
        None => Duration::ZERO,
    }
}
