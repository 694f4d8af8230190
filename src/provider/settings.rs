//! What the config says about every provider, whatever its kind.
//!
//! Each kind's own settings stand in its folder; `sever check` and the JSON schema come from these types.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{Duration, Rate};

/// What is wrong with a provider's settings: the field's path within it, and what to do about it.
pub type Problem = (String, String);

/// No wait that we plan is longer; a longer one in the config is a slip of the pen.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The settings that every kind has, gathered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CommonSettings {
    /// How much at once, and how fast.
    pub limits: LimitSettings,
    /// When to try again.
    pub retry: RetrySettings,
    /// When to look again.
    pub proof: ProofSettings,
    /// How long one call may take, in all.
    pub timeout: Duration,
    /// Resolves and judges, and sends nothing.
    pub dry_run: bool,
}

impl CommonSettings {
    /// Appends what is wrong with any of them.
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        let mut demand = |fine: bool, field: &str, mend: &str| {
            if !fine {
                problems.push((field.to_owned(), mend.to_owned()));
            }
        };
        let retry = &self.retry;
        demand(!self.timeout.0.is_zero(), "timeout", "no call can end in no time; the default is 10s");
        demand(self.timeout <= LONGEST_WAIT, "timeout", "is longer than 30 days; the default is 10s");
        demand(!retry.first.0.is_zero(), "retry.first", "must be above zero; the default is 1s");
        demand(retry.first <= retry.longest, "retry.longest", "must not be below `retry.first`; the default is 5m");
        demand(retry.longest <= LONGEST_WAIT, "retry.longest", "is longer than 30 days; the default is 5m");
        demand((1.0..=100.0).contains(&retry.factor), "retry.factor", "must lie in 1 to 100; the default is 2");
        demand(!retry.give_up_after.0.is_zero(), "retry.give_up_after", "must be above zero; the default is 24h");
        demand(self.proof.times > 0, "proof.times", "must be at least 1; the default is 3");
        demand(self.proof.after <= LONGEST_WAIT, "proof.after", "is longer than 30 days; the default is 2s");
    }
}

/// How much is asked of a provider at once, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// Jobs that may be at work there at the same time, over all replicas. Default: 8.
    #[serde(default = "eight")]
    pub concurrency: NonZeroU32,
    /// Calls that may go out in a stretch of time, over all replicas, for example `600/1m`; so many may go at once, and
    /// they grow back evenly. Default: none of our own, only what the provider asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self { concurrency: eight(), rate: None }
    }
}

fn eight() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(7)
}

/// When a call that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySettings {
    /// The wait after the first failure. Default: 1s.
    pub first: Duration,
    /// By how much each wait is longer than the one before, 1 to 100. Default: 2.
    pub factor: f64,
    /// No wait of our own is longer. Default: 5m. A wait that the provider asks for may last up to this or 15 minutes,
    /// whichever is more.
    pub longest: Duration,
    /// A job gives up after so long, not counting the time it was held, but not before it has failed 5 times. Default:
    /// 24h.
    pub give_up_after: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            factor: 2.0,
            longest: Duration::from_secs(5 * 60),
            give_up_after: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// When sessions are looked at again after they were ended, and when an absence is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProofSettings {
    /// How long to wait before the next look. Default: 2s.
    pub after: Duration,
    /// How many looks, at least 1. Default: 3.
    pub times: u32,
}

impl Default for ProofSettings {
    fn default() -> Self {
        Self { after: Duration::from_secs(2), times: 3 }
    }
}

/// How long one call may take where the config says nothing: 10 seconds.
pub(super) fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

/// For settings that are on unless switched off.
pub(super) fn on() -> bool {
    true
}
