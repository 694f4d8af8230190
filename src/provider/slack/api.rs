//! One call to Slack: counted, signed in, sent, and repeated once where the token was rotated meanwhile.

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, StatusCode};
use reqwest::{RequestBuilder, Url};
use serde::de::DeserializeOwned;

use super::quota::Quota;
use super::token::Token;
use super::{Operation, errors, own};
use crate::provider::ProviderError;
use crate::provider::hint::{self, Bounds};
use crate::provider::http::{Answer, Http};
use crate::provider::pace::{NO_SHARE, Pace};
use crate::provider::scrub::Scrub;
use crate::settings::Secret;

/// A call may sleep so long for its turn: less than the margin that a lease has over a timeout.
const PATIENCE: Duration = Duration::from_secs(2);

const ASKED: &str = "Slack asked us to wait";
const USED_UP: &str = "as many calls as Slack takes in a minute were made";

/// Everything that a call needs.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) base: Url,
    pub(super) token: Token,
    /// The workspaces looked at.
    pub(super) team_ids: Vec<String>,
    pub(super) http: Http,
    /// What Slack asked us to wait.
    pub(super) pace: Pace,
    /// What we allow ourselves.
    pub(super) quota: Quota,
    pub(super) bounds: Bounds,
    pub(super) scrub: Scrub,
}

/// A call that can be sent twice.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    arguments: Vec<(&'static str, String)>,
    is_patient: bool,
    is_counted: bool,
}

impl Call {
    pub(super) fn new(operation: Operation) -> Self {
        Self { operation, arguments: Vec::new(), is_patient: true, is_counted: false }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.arguments.push((name, value.into()));
        self
    }

    /// Does not sleep for its turn: what could be done meanwhile is more urgent.
    pub(super) fn at_once(self) -> Self {
        Self { is_patient: false, ..self }
    }

    /// Was counted by [`Api::reserve`].
    pub(super) fn counted(self) -> Self {
        Self { is_counted: true, ..self }
    }
}

impl Api {
    /// Makes the call and returns whatever Slack answers.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, ProviderError> {
        let token = self.token.current();
        let answer = self.send(call, &token).await?;
        if !errors::is_turned_down(&answer) {
            return Ok(answer);
        }
        match self.token.other_than(&token) {
            Some(other) => self.send(call, &other).await,
            None => Ok(answer),
        }
    }

    /// Makes the call; only `"ok": true` under 200, in the documented shape, is a success.
    pub(super) async fn ask<T: DeserializeOwned>(&self, call: &Call) -> Result<(T, Answer), ProviderError> {
        let answer = self.call(call).await?;
        match answer.json() {
            Some(found) if errors::is_yes(&answer) => Ok((found, answer)),
            _ => Err(self.error(call.operation, &answer)),
        }
    }

    /// The error that an answer other than the documented success means.
    pub(super) fn error(&self, operation: Operation, answer: &Answer) -> ProviderError {
        errors::classify(operation, answer, hint::retry_after(answer, self.bounds))
    }

    /// How long `operation` has to wait; `None`: it may be called.
    pub(super) fn obstacle(&self, operation: Operation) -> Option<Duration> {
        self.pace.wait(&[operation.as_str()]).max(self.quota.wait(operation))
    }

    /// Makes room for so many calls, which are of no use without each other.
    pub(super) fn reserve(&self, operation: Operation, count: usize) -> Result<(), ProviderError> {
        if let Some((wait, why)) = self.hindrance(operation) {
            return Err(held_back(operation, wait, why));
        }
        self.quota.take(operation, count).map_err(|wait| held_back(operation, wait, USED_UP))
    }

    async fn send(&self, call: &Call, token: &Secret) -> Result<Answer, ProviderError> {
        self.ready(call).await?;
        let scrub = self.scrub.with(token);
        let answer = self.http.send(call.operation.as_str(), self.request(call, token), &scrub).await?;
        self.learn(call.operation, &answer);
        Ok(answer)
    }

    fn request(&self, call: &Call, token: &Secret) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{}", self.base.path().trim_end_matches('/'), call.operation.as_str()));
        let request = if call.operation.is_get() {
            self.http.client().get(url).query(&call.arguments)
        } else {
            // Forms have no charset: Slack remarks on one as superfluous.
            self.http.client().post(url).form(&call.arguments)
        };
        authorize(request.header(ACCEPT, "application/json"), token)
    }

    /// Returns once the call may be made, or with the wait that is too long to sleep through.
    async fn ready(&self, call: &Call) -> Result<(), ProviderError> {
        let mut patience = if call.is_patient { PATIENCE } else { Duration::ZERO };
        loop {
            let (wait, why) = match self.hindrance(call.operation) {
                Some(hindrance) => hindrance,
                None if call.is_counted => return Ok(()),
                None => match self.quota.take(call.operation, 1) {
                    Ok(()) => return Ok(()),
                    Err(wait) => (wait, USED_UP),
                },
            };
            // Sleeping uses patience up, so that this ends even if the clock stands still.
            patience = patience.checked_sub(wait).ok_or_else(|| held_back(call.operation, wait, why))?;
            tokio::time::sleep(wait).await;
        }
    }

    /// What keeps a call from being made, whether or not it is counted.
    fn hindrance(&self, operation: Operation) -> Option<(Duration, &'static str)> {
        let asked = self.pace.wait(&[operation.as_str()]).map(|wait| (wait, ASKED));
        asked.or_else(|| Some((self.pace.without_share()?, NO_SHARE)))
    }

    fn learn(&self, operation: Operation, answer: &Answer) {
        let (name, asked) = (operation.as_str(), hint::retry_after(answer, self.bounds));
        if errors::is_throttled(answer) {
            return self.pace.limit_met(name, asked);
        }
        self.pace.flows(name);
        if let Some(wait) = asked.filter(|_| answer.status == StatusCode::SERVICE_UNAVAILABLE) {
            self.pace.close(name, wait);
        }
    }
}

fn held_back(operation: Operation, wait: Duration, why: &str) -> ProviderError {
    ProviderError::Throttled { retry_after: Some(wait), report: own(operation, &format!("not called: {why}")) }
}

/// Adds the token, marked so that no library prints it.
fn authorize(request: RequestBuilder, token: &Secret) -> RequestBuilder {
    match HeaderValue::try_from(format!("Bearer {}", token.expose())) {
        Ok(mut value) => {
            value.set_sensitive(true);
            request.header(AUTHORIZATION, value)
        }
        // Checked when the token was read; without one, Slack answers `not_authed`.
        Err(_) => request,
    }
}
