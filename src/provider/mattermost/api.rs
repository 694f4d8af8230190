//! One call to Mattermost: paced, with our token, sent, and judged.

use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Operation, errors};
use crate::provider::http::{Answer, Http};
use crate::provider::pace::Pace;
use crate::provider::scrub::Scrub;
use crate::provider::{ProviderError, hint};
use crate::settings::Secret;

/// Seconds until the limit is full again, or the epoch second of it: the reference and the server differ.
const RESET: &str = "x-ratelimit-reset";

/// Everything that a call needs.
#[derive(Debug)]
pub(super) struct Api {
    /// The server, with its sub-path if it has one, without a slash at the end.
    pub(super) base: Url,
    pub(super) token: Secret,
    pub(super) http: Http,
    pub(super) pace: Pace,
    pub(super) bounds: hint::Bounds,
    pub(super) scrub: Scrub,
}

/// A call that can be sent twice.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    method: Method,
    url: Url,
    body: Option<Value>,
}

impl Call {
    pub(super) fn get(operation: Operation, url: Url) -> Self {
        Self { operation, method: Method::GET, url, body: None }
    }

    pub(super) fn post(operation: Operation, url: Url) -> Self {
        Self { operation, method: Method::POST, url, body: None }
    }

    pub(super) fn with(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

/// The body of every yes.
#[derive(Deserialize)]
struct Yes {
    status: String,
}

impl Api {
    /// The URL of `path` below `/api/v4`, whose segments are encoded already.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let below = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{below}/api/v4{path}"));
        url
    }

    /// Makes the call when the pace allows it, and returns whatever comes back.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, ProviderError> {
        let name = call.operation.as_str();
        self.pace.ready(name).await?;
        let request = self.http.client().request(call.method.clone(), call.url.clone());
        let request = request.bearer_auth(self.token.expose()).header(http::header::ACCEPT, "application/json");
        let request = match &call.body {
            Some(body) => request.json(body),
            None => request,
        };
        let http = match call.operation {
            Operation::ListSessions => self.http.reading_listings(),
            _ => self.http.clone(),
        };
        let answer = http.send(name, request, &self.scrub).await?;
        self.learn(call.operation, &answer);
        Ok(answer)
    }

    /// What a reading call found. Anything but the documented answer is an error.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: &Call) -> Result<(T, Answer), ProviderError> {
        let answer = self.call(call).await?;
        let found = (answer.status == StatusCode::OK).then(|| answer.json::<T>()).flatten();
        let found = found.ok_or_else(|| self.error(call.operation, &answer))?;
        Ok((found, answer))
    }

    /// Whether Mattermost's answer is its yes: 200 and `{"status":"OK"}`, nothing else.
    pub(super) fn is_yes(answer: &Answer) -> bool {
        answer.status == StatusCode::OK && answer.json::<Yes>().is_some_and(|yes| yes.status == "OK")
    }

    /// A limit closes the operation that met it. What is left of a limit is of no interest: the server lets a call
    /// through every tenth of a second by default, so waiting for all of it would cost more than a 429.
    fn learn(&self, operation: Operation, answer: &Answer) {
        let (name, asked) = (operation.as_str(), self.asked_wait(answer));
        match (answer.status, asked) {
            (StatusCode::TOO_MANY_REQUESTS, asked) => return self.pace.limit_met(name, asked),
            (StatusCode::SERVICE_UNAVAILABLE, Some(wait)) => self.pace.close(name, wait),
            _ => {}
        }
        self.pace.flows(name);
    }

    /// How long Mattermost asks us to wait: `Retry-After` is the time to the next call. Its reset header is the time to
    /// a full limit, which is longer and only a stand-in. `None`: it does not say.
    fn asked_wait(&self, answer: &Answer) -> Option<Duration> {
        let reset = || hint::until_reset_or_for(answer, RESET, self.bounds);
        hint::retry_after(answer, self.bounds).or_else(reset)
    }

    /// The error that an answer other than the documented success means.
    pub(super) fn error(&self, operation: Operation, answer: &Answer) -> ProviderError {
        if answer.status.is_success() {
            return errors::unexpected(operation, answer);
        }
        errors::classify(operation, answer, self.asked_wait(answer))
    }
}
