//! Switches that make a stand-in behave as providers do on a bad day. Generic over the provider's operations.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One way to misbehave. Unless it says otherwise, the call it meets has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The call is carried out this much later (and is so even if the client has gone). Adds to any other fault.
    Latency {
        /// Milliseconds of real time.
        duration_ms: u64,
    },
    /// The call is carried out at once and answered this much later.
    LateAnswer {
        /// Milliseconds of real time.
        duration_ms: u64,
    },
    /// 429 with a reset time, relative to the answer's own `Date`.
    RateLimit {
        /// Seconds.
        reset_in_s: i64,
    },
    /// 429 of the concurrency limit: limit and remaining are 0, and the reset time is only an estimate.
    ConcurrencyLimit {
        /// Seconds; may be negative.
        reset_in_s: i64,
    },
    /// 429 with neither `Date` nor a reset time.
    ThrottleWithoutHint,
    /// 429 whose reset header occurs several times; the smallest counts.
    RepeatedReset {
        /// Seconds, in the order of the headers.
        resets_in_s: Vec<i64>,
    },
    /// An error in the provider's own form.
    Error {
        /// HTTP status.
        status: u16,
        /// The provider's code, such as `E0000009`, or one of OAuth, such as `access_denied`. Empty: a web page, as
        /// gateways send it.
        code: String,
    },
    /// The connection is closed and nothing was done.
    LostBefore,
    /// The call is carried out, then the connection is closed without an answer.
    LostAfter,
    /// Success is reported and nothing was done.
    LyingSuccess,
    /// 200 with a web page, as captive portals and maintenance pages send it.
    Html,
    /// 200 with JSON that ends too early.
    MalformedJson,
    /// 200 with a body of this size.
    HugeBody {
        /// Bytes.
        size_bytes: usize,
    },
    /// 200 with a body that comes one byte at a time.
    SlowBody {
        /// Bytes.
        size_bytes: usize,
        /// Milliseconds of real time between them.
        every_ms: u64,
    },
    /// Searches do not see a person, or anybody, although a read by id does: the index lags.
    StaleSearch {
        /// Whom; `None` is everybody.
        user_id: Option<String>,
    },
    /// Listings of sessions show how things stood before the latest revocation: a replica lags.
    StaleList,
    /// The call is carried out, and each person whose sessions it ended signs in again at once.
    SignInAgain,
    /// Half of what the call asks is done (the larger half, where it is odd), and then it fails with this status.
    Partial {
        /// HTTP status.
        status: u16,
    },
    /// 302 to this place.
    Redirect {
        /// The `Location`.
        to: String,
    },
}

/// A fault, where it strikes and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection<O> {
    fault: Fault,
    on: Option<O>,
    times: Option<u32>,
}

impl<O> Injection<O> {
    /// `fault` on the next call, whichever that is.
    #[must_use]
    pub fn once(fault: Fault) -> Self {
        Self { fault, on: None, times: Some(1) }
    }

    /// Strikes this operation only.
    #[must_use]
    pub fn on(mut self, operation: O) -> Self {
        self.on = Some(operation);
        self
    }

    /// Strikes the next `calls` calls.
    #[must_use]
    pub fn times(mut self, calls: u32) -> Self {
        self.times = Some(calls);
        self
    }

    /// Strikes until [`Faults::clear`].
    #[must_use]
    pub fn until_cleared(mut self) -> Self {
        self.times = None;
        self
    }
}

impl<O> From<Fault> for Injection<O> {
    fn from(fault: Fault) -> Self {
        Self::once(fault)
    }
}

/// What the faults in force do to one call.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    pub(super) latency: Duration,
    pub(super) fault: Option<Fault>,
}

/// The faults in force at one stand-in.
#[derive(Debug)]
pub struct Faults<O>(Mutex<Vec<Injection<O>>>);

impl<O> Default for Faults<O> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<O: Copy + PartialEq> Faults<O> {
    /// Adds a fault behind those in force. A bare [`Fault`] strikes the next call.
    pub fn inject(&self, injection: impl Into<Injection<O>>) {
        self.lock().push(injection.into());
    }

    /// Ends every fault.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Spends what strikes a call of `operation`: all latencies, and the first of the others.
    pub(super) fn draw(&self, operation: Option<O>) -> Drawn {
        let mut drawn = Drawn::default();
        self.spend(operation, |fault| match fault {
            Fault::Latency { duration_ms } => {
                drawn.latency += Duration::from_millis(*duration_ms);
                true
            }
            Fault::StaleSearch { .. } => false,
            other if drawn.fault.is_none() => {
                drawn.fault = Some(other.clone());
                true
            }
            _ => false,
        });
        drawn
    }

    /// Spends what hides people from a search: the ids hidden, `None` standing for everybody.
    pub(super) fn draw_hidden(&self, operation: O) -> Vec<Option<String>> {
        let mut hidden = Vec::new();
        self.spend(Some(operation), |fault| match fault {
            Fault::StaleSearch { user_id } => {
                hidden.push(user_id.clone());
                true
            }
            _ => false,
        });
        hidden
    }

    /// Offers each fault that may strike `operation`; one that is taken counts down, and ends at nought.
    fn spend(&self, operation: Option<O>, mut take: impl FnMut(&Fault) -> bool) {
        self.lock().retain_mut(|injection| {
            let strikes = injection.times != Some(0) && (injection.on.is_none() || injection.on == operation);
            if strikes && take(&injection.fault) {
                injection.times = injection.times.map(|left| left - 1);
            }
            injection.times != Some(0)
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Injection<O>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
