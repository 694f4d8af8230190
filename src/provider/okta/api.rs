//! One call to Okta: paced, signed in, sent, and repeated once where an access token had gone stale.

use std::sync::Arc;

use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Url};

use super::auth::{AccessToken, Auth, authorize};
use super::{Operation, errors};
use crate::clock::Clock;
use crate::provider::http::{Answer, Http};
use crate::provider::pace::Pace;
use crate::provider::scrub::Scrub;
use crate::provider::{ProviderError, hint};

const REMAINING: &str = "x-rate-limit-remaining";
const RESET: &str = "x-rate-limit-reset";
const LIMIT: &str = "x-rate-limit-limit";

/// Everything that a call needs.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) base: Url,
    pub(super) auth: Auth,
    pub(super) http: Http,
    pub(super) pace: Pace,
    pub(super) bounds: hint::Bounds,
    pub(super) scrub: Scrub,
    pub(super) clock: Arc<dyn Clock>,
}

/// A call that can be sent twice.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) method: Method,
    pub(super) url: Url,
}

impl Call {
    pub(super) fn get(operation: Operation, url: Url) -> Self {
        Self { operation, method: Method::GET, url }
    }

    pub(super) fn delete(operation: Operation, url: Url) -> Self {
        Self { operation, method: Method::DELETE, url }
    }
}

impl Api {
    /// The URL of `path`, whose segments are encoded already.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    /// Makes the call and returns whatever Okta answers, after one renewal if an access token was turned down.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, ProviderError> {
        let app = match &self.auth {
            Auth::ApiToken(token) => {
                return self.send(call.operation, authorize(self.request(call), "SSWS", token), &self.scrub).await;
            }
            Auth::Oauth(app) => app,
        };
        let token = app.token(self, None).await?;
        let answer = self.bear(call, &token).await?;
        if !is_turned_down(&answer) {
            return Ok(answer);
        }
        let token = app.token(self, Some(&token.secret)).await?;
        self.bear(call, &token).await
    }

    async fn bear(&self, call: &Call, token: &AccessToken) -> Result<Answer, ProviderError> {
        let request = authorize(self.request(call), "Bearer", &token.secret);
        self.send(call.operation, request, &self.scrub.with(&token.secret)).await
    }

    fn request(&self, call: &Call) -> RequestBuilder {
        self.http.client().request(call.method.clone(), call.url.clone())
    }

    /// Sends a request when the pace allows it, and learns from the answer's headers.
    pub(super) async fn send(
        &self,
        operation: Operation,
        request: RequestBuilder,
        scrub: &Scrub,
    ) -> Result<Answer, ProviderError> {
        self.pace.ready(operation.as_str()).await?;
        let request = request.header(http::header::ACCEPT, "application/json");
        let answer = self.http.send(operation.as_str(), request, scrub).await?;
        self.learn(operation, &answer);
        Ok(answer)
    }

    fn learn(&self, operation: Operation, answer: &Answer) {
        let used_up = self.is_used_up(answer);
        let is_limit = answer.status == StatusCode::TOO_MANY_REQUESTS;
        if !is_limit {
            self.pace.flows(operation.as_str());
        }
        if !used_up && !is_limit && answer.status != StatusCode::SERVICE_UNAVAILABLE {
            return;
        }
        let Some(wait) = self.asked_wait(answer) else {
            return if is_limit {
                self.pace.limit_met(operation.as_str(), None)
            };
        };
        // The concurrency limit, which shows as a limit of nothing, is the whole org's.
        let for_all = is_limit && hint::numbers(answer, LIMIT).any(|n| n == 0);
        let closed = if for_all { Operation::ALL } else { std::slice::from_ref(&operation) };
        for operation in closed {
            self.pace.close(operation.as_str(), wait);
        }
    }

    /// How long Okta asks us to wait: the longer of its reset header and `Retry-After`. `None`: it does not say.
    pub(super) fn asked_wait(&self, answer: &Answer) -> Option<std::time::Duration> {
        let used_up = answer.status == StatusCode::TOO_MANY_REQUESTS || self.is_used_up(answer);
        let reset = hint::until_reset(answer, RESET, self.bounds).filter(|_| used_up);
        reset.max(hint::retry_after(answer, self.bounds))
    }

    /// What is left is left for all who share it: where it is less than a call for each, none is for us.
    fn is_used_up(&self, answer: &Answer) -> bool {
        hint::numbers(answer, REMAINING).any(|left| left < i64::from(self.pace.workers()))
    }

    /// The error that an answer other than the documented success means.
    pub(super) fn error(&self, operation: Operation, answer: &Answer) -> ProviderError {
        if answer.status.is_success() {
            return errors::unexpected(operation, answer);
        }
        errors::classify(operation, answer, self.asked_wait(answer))
    }
}

/// A 401 that a fresh access token may mend. E0000015 is about the org.
fn is_turned_down(answer: &Answer) -> bool {
    answer.status == StatusCode::UNAUTHORIZED && errors::code_of(answer).as_deref() != Some("E0000015")
}
