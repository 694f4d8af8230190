//! The gateway's throttling: calls of one user to one API within a window.

use std::collections::HashMap;

use jiff::Timestamp;

use super::operation::Operation;
use super::refusal::Refusal;

/// The window that the gateway's message most often names. Huawei documents no numbers for this service.
const WINDOW_S: i64 = 1;

/// The windows in force.
#[derive(Debug, Default)]
pub(super) struct Quota {
    /// `None`: no limit.
    pub(super) limit: Option<u32>,
    windows: HashMap<(String, Operation), Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    ends_at_s: i64,
    used: u32,
}

impl Quota {
    /// Counts one call.
    pub(super) fn spend(&mut self, access_key: &str, operation: Operation, now: Timestamp) -> Result<(), Refusal> {
        let Some(limit) = self.limit else { return Ok(()) };
        let fresh = Window { ends_at_s: now.as_second() + WINDOW_S, used: 0 };
        let window = self.windows.entry((access_key.to_owned(), operation)).or_insert(fresh);
        if window.ends_at_s <= now.as_second() {
            *window = fresh;
        }
        window.used = window.used.saturating_add(1);
        match window.used > limit {
            true => Err(throttled("APIGW.0308", limit, WINDOW_S)),
            false => Ok(()),
        }
    }
}

/// 429. The message alone names limit and window; no header does.
pub(super) fn throttled(code: &str, limit: u32, window_s: i64) -> Refusal {
    Refusal::new(429, code, format!("policy user over ratelimit,limit:{limit},time:{window_s} second"))
}
