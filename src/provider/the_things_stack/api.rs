//! One call to The Things Stack: paced, signed in, sent, and its rate headers learned from.

use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::Url;
use serde::de::DeserializeOwned;

use super::{Operation, errors};
use crate::provider::http::{Answer, Http};
use crate::provider::pace::Pace;
use crate::provider::scrub::Scrub;
use crate::provider::{ProviderError, hint};
use crate::settings::Secret;

/// Under which the HTTP API lives. The published description leaves it out.
const PREFIX: &str = "/api/v3";

const AVAILABLE: &str = "x-rate-limit-available";
const RESET: &str = "x-rate-limit-reset";
const RETRY: &str = "x-rate-limit-retry";

/// The body as a message, which is a JSON object; `None` if it is anything else. Serde would take an array for one.
pub(super) fn message<T: DeserializeOwned>(answer: &Answer) -> Option<T> {
    answer.json().filter(|_: &T| answer.body.trim_ascii_start().starts_with(b"{"))
}

/// Everything that a call needs.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) base: Url,
    pub(super) key: Secret,
    pub(super) http: Http,
    pub(super) pace: Pace,
    pub(super) bounds: hint::Bounds,
    pub(super) scrub: Scrub,
    pub(super) send_email: bool,
}

impl Api {
    /// The URL of `path`, whose segments were checked already, without a query.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{PREFIX}{path}"));
        url
    }

    pub(super) async fn get(&self, operation: Operation, url: Url) -> Result<Answer, ProviderError> {
        self.call(operation, Method::GET, url).await
    }

    pub(super) async fn delete(&self, operation: Operation, url: Url) -> Result<Answer, ProviderError> {
        self.call(operation, Method::DELETE, url).await
    }

    /// Makes the call and returns whatever the answer is.
    async fn call(&self, operation: Operation, method: Method, url: Url) -> Result<Answer, ProviderError> {
        self.pace.ready(operation.as_str()).await?;
        let request = self.http.client().request(method, url).header(http::header::ACCEPT, "application/json");
        // Reqwest marks the value as one that no library prints.
        let request = request.bearer_auth(self.key.expose());
        let answer = self.http.send(operation.as_str(), request, &self.scrub).await?;
        self.learn(operation, &answer);
        Ok(answer)
    }

    /// A limit may be for one method alone, so only this operation waits.
    fn learn(&self, operation: Operation, answer: &Answer) {
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return self.pace.limit_met(operation.as_str(), self.asked_wait(answer));
        }
        self.pace.flows(operation.as_str());
        // The last call of a burst. `Reset` is when the whole burst is back, long after the next call may go, and a `Retry`
        // of 0 is no wait: then the next call finds out.
        let used_up = hint::numbers(answer, AVAILABLE).any(|left| left <= 0);
        let has_wait = hint::numbers(answer, RETRY).any(|seconds| seconds > 0);
        if let Some(wait) = hint::from_now(answer, RETRY, self.bounds).filter(|_| used_up && has_wait) {
            // One call grows back in that time, for all who share.
            self.pace.close(operation.as_str(), self.bounds.within(wait * self.pace.workers()));
        }
    }

    /// How long a 429 asks us to wait. `Retry` is when the next call may go, `Reset` when all of the limit is back; a
    /// proxy in front knows neither and says `Retry-After`. `None`: none of them says.
    pub(super) fn asked_wait(&self, answer: &Answer) -> Option<Duration> {
        let own = |name| hint::from_now(answer, name, self.bounds);
        own(RETRY).or_else(|| own(RESET)).or_else(|| hint::retry_after(answer, self.bounds))
    }

    /// The error that an answer other than the documented success means.
    pub(super) fn error(&self, operation: Operation, answer: &Answer) -> ProviderError {
        if answer.status.is_success() {
            return errors::unexpected(operation, answer);
        }
        errors::classify(operation, answer, self.asked_wait(answer))
    }
}
