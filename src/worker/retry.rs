//! When a job is tried again. Pure: the next time is computed once and stored.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{Claim, DeadReason, Disposition, Next};
use crate::schedule::Schedule;

/// A job that was claimed so often, and is told to wait once more, may be given up if it is old enough.
const TOLD_TO_WAIT: u32 = 10;

/// Age alone gives no job up: sever may have been off for longer, or the job waited behind others. So often it has failed
/// before; by default the waits between are 15 s in all.
const FEWEST_FAILURES: u32 = 5;

/// How a provider's jobs are retried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// The first wait.
    pub first: Duration,
    /// Each wait is so many times the one before.
    pub factor: f64,
    /// No wait is longer, but for the randomisation.
    pub longest: Duration,
    /// Waits are spread by this part of themselves in both directions, so that jobs do not come in step.
    pub spread: f64,
    /// A job ends this long after it was stored, not counting the time it was held, once it has failed a few times.
    pub give_up_after: Duration,
}

impl RetryPolicy {
    /// The default spread.
    pub const SPREAD: f64 = Schedule::SPREAD;

    /// What an error makes of its job. `None`: the provider's `check` has to tell whether it is about us.
    #[must_use]
    pub fn settle(&self, claim: &Claim, disposition: Disposition, now: Timestamp) -> Option<Next> {
        let next = match disposition {
            Disposition::Throttle { after, asked } => {
                let wait = after.unwrap_or_else(|| self.delay(claim.failures));
                let next = Next::Retry { due_at: now + wait, failed: false };
                // Waiting for its turn is no reason to give a job up; being told to wait for days is.
                if asked && claim.attempt >= TOLD_TO_WAIT { self.unless_exhausted(claim, now, next) } else { next }
            }
            Disposition::Retry => {
                let next = Next::Retry { due_at: now + self.delay(claim.failures), failed: true };
                let is_first_of_few = claim.failures.saturating_add(1) < FEWEST_FAILURES;
                if is_first_of_few { next } else { self.unless_exhausted(claim, now, next) }
            }
            Disposition::Hold(reason) => Next::Held(reason),
            Disposition::GiveUp(reason) => Next::Dead(reason),
            Disposition::AskCheck | Disposition::CloseGate(_) => return None,
        };
        Some(next)
    }

    fn unless_exhausted(&self, claim: &Claim, now: Timestamp, next: Next) -> Next {
        let age = Duration::try_from(now - claim.created_at).unwrap_or_default();
        let tried_for = age.saturating_sub(claim.held);
        if tried_for >= self.give_up_after { Next::Dead(DeadReason::Exhausted) } else { next }
    }

    /// The wait after so many failures, entered at the stored count, so that a restart changes nothing.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        let Self { first, factor, longest, spread, .. } = *self;
        Schedule { first, factor, longest, spread }.delay(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AlertId, JobId};
    use crate::domain::{HoldReason, ProviderName, RevokeRequest, Scope, Severity, SourceName, Subject, Traces};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            first: Duration::from_secs(1),
            factor: 2.0,
            longest: Duration::from_secs(300),
            spread: 0.0,
            give_up_after: Duration::from_secs(86_400),
        }
    }

    fn claim(failures: u32, age: Duration, held: Duration) -> Claim {
        Claim {
            job: JobId::new(),
            row: 1,
            provider: "okta".parse::<ProviderName>().expect("a name"),
            subject: Subject::default(),
            request: RevokeRequest::new(Scope::All),
            severity: Severity::High,
            dry_run: false,
            attempt: failures + 1,
            failures,
            absence: None,
            created_at: NOW - age,
            held,
            account_id: None,
            approved: false,
            unread_ok: false,
            alike_ok: false,
            counted: false,
            past_budget: false,
            call_open: false,
            was_repeated: false,
            proof: None,
            proving: false,
            lease_until: NOW,
            alert: AlertId::new(),
            source: "edr".parse::<SourceName>().expect("a name"),
            received_at: NOW,
            occurred_at: NOW,
            traces: Traces::default(),
        }
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        let waits: Vec<u64> = [0, 1, 2, 8, 9, 1000].map(|failures| policy().delay(failures).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 256, 300, 300]);
    }

    #[test]
    fn the_spread_stays_within_its_part() {
        let policy = RetryPolicy { spread: 0.5, ..policy() };
        for _ in 0..1000 {
            let wait = policy.delay(3).as_secs_f64();
            assert!((4.0..=12.1).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn throttling_waits_as_asked_and_is_no_failure() {
        let throttle = Disposition::Throttle { after: Some(Duration::from_secs(30)), asked: true };
        let next = policy().settle(&claim(5, Duration::ZERO, Duration::ZERO), throttle, NOW);
        assert_eq!(next, Some(Next::Retry { due_at: NOW + Duration::from_secs(30), failed: false }));
    }

    #[test]
    fn every_job_ends_and_held_time_does_not_count() {
        let day = Duration::from_secs(86_400);
        for disposition in [Disposition::Retry, Disposition::Throttle { after: None, asked: true }] {
            let old = policy().settle(&claim(9, day, Duration::ZERO), disposition, NOW);
            assert_eq!(old, Some(Next::Dead(DeadReason::Exhausted)), "{disposition:?}");
            let held = policy().settle(&claim(9, day, Duration::from_secs(1)), disposition, NOW);
            assert!(matches!(held, Some(Next::Retry { .. })), "{disposition:?} gave {held:?}");
        }
        let waiting = Disposition::Throttle { after: None, asked: false };
        let next = policy().settle(&claim(9, day * 30, Duration::ZERO), waiting, NOW);
        assert!(matches!(next, Some(Next::Retry { .. })), "a long queue kills nothing: {next:?}");
        let gate = Disposition::CloseGate(HoldReason::Credential);
        let next = policy().settle(&claim(9, day * 30, Duration::ZERO), gate, NOW);
        assert_eq!(next, None, "nothing dies because our credential did");
    }

    #[test]
    fn age_alone_gives_no_job_up() {
        // sever was switched off over the weekend: the first failure on Monday is no reason.
        let old = |failures| {
            policy().settle(&claim(failures, Duration::from_secs(259_200), Duration::ZERO), Disposition::Retry, NOW)
        };
        for failures in 0..4 {
            assert!(matches!(old(failures), Some(Next::Retry { failed: true, .. })), "{failures} failures before");
        }
        assert_eq!(old(4), Some(Next::Dead(DeadReason::Exhausted)));
    }
}
