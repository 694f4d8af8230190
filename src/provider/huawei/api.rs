//! One call to Huawei Cloud: paced, signed with a date of its own, sent, and signed once more where the clocks differ.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, StatusCode};
use jiff::SignedDuration;
use reqwest::{RequestBuilder, Url};
use serde::Serialize;

use super::sign::{DATE_FORMAT, Keys, Signed, Unsigned, query};
use super::{Operation, errors};
use crate::clock::Clock;
use crate::provider::http::{Answer, Http};
use crate::provider::pace::Pace;
use crate::provider::scrub::Scrub;
use crate::provider::{ProviderError, hint};
use crate::settings::Secret;

/// The official SDK sends it with every call, also where there is no body.
const JSON: &str = "application/json";

const PROJECT: &str = "x-project-id";

/// Clocks this far apart are worth a word, and worth signing by the provider's. The gateway allows 15 minutes.
const NOTABLE_CLOCK_SECONDS: u64 = 60;

/// Everything that a call needs.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) base: Url,
    pub(super) keys: Keys,
    pub(super) store: String,
    pub(super) attribute_path: String,
    pub(super) external_id_issuer: Option<String>,
    pub(super) project_id: Option<String>,
    pub(super) http: Http,
    pub(super) pace: Pace,
    pub(super) bounds: hint::Bounds,
    pub(super) scrub: Scrub,
    pub(super) clock: Arc<dyn Clock>,
    /// By how many seconds the provider's clock is ahead of ours, as far as it mattered.
    pub(super) ahead_s: AtomicI64,
}

/// A call that can be sent twice.
pub(super) struct Call {
    operation: Operation,
    method: Method,
    /// Below the identity store; encoded.
    path: String,
    query: String,
    body: Vec<u8>,
}

impl Call {
    pub(super) fn get(operation: Operation, path: impl Into<String>, pairs: &[(&str, &str)]) -> Self {
        Self { operation, method: Method::GET, path: path.into(), query: query(pairs), body: Vec::new() }
    }

    pub(super) fn post(operation: Operation, path: impl Into<String>, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("our own bodies are plain texts and lists");
        Self { operation, method: Method::POST, path: path.into(), query: String::new(), body }
    }
}

impl Api {
    /// Makes the call and returns whatever comes back, after one more try if the date may have been what was wrong.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, ProviderError> {
        let answer = self.attempt(call, self.ahead_s.load(Ordering::Relaxed)).await?;
        if !errors::may_be_the_clock(&answer) {
            return Ok(answer);
        }
        let ahead_s = self.clocks_apart(&answer).unwrap_or(0);
        let answer = self.attempt(call, ahead_s).await?;
        if !errors::may_be_the_clock(&answer) {
            self.ahead_s.store(ahead_s, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// The date is taken after the wait and anew for each attempt: a signature ages.
    async fn attempt(&self, call: &Call, ahead_s: i64) -> Result<Answer, ProviderError> {
        let operation = call.operation.as_str();
        self.pace.ready(operation).await?;
        let now = self.clock.now();
        let now = now.checked_add(SignedDuration::from_secs(ahead_s)).unwrap_or(now);
        let (request, signed) = self.signed(call, &now.strftime(DATE_FORMAT).to_string());
        let answer = self.reader_of(call).send(operation, request, &self.scrub_of(&signed)).await?;
        self.learn(call.operation, &answer);
        Ok(answer)
    }

    fn reader_of(&self, call: &Call) -> Http {
        match call.operation {
            Operation::ListSessions => self.http.reading_listings(),
            _ => self.http.clone(),
        }
    }

    fn signed(&self, call: &Call, date: &str) -> (RequestBuilder, Signed) {
        let (url, host) = (self.url(call), self.host());
        let mut headers = vec![(CONTENT_TYPE.as_str(), JSON)];
        headers.extend(self.project_id.as_deref().map(|id| (PROJECT, id)));
        let (method, path) = (call.method.as_str(), url.path());
        let unsigned =
            Unsigned { method, host: &host, path, query: &call.query, date, headers: &headers, body: &call.body };
        let signed = self.keys.sign(&unsigned);
        let mut request = self.http.client().request(call.method.clone(), url.clone()).header(ACCEPT, JSON);
        for (name, value) in headers.into_iter().chain([(HOST.as_str(), host.as_str()), ("x-sdk-date", date)]) {
            request = request.header(name, value);
        }
        let secrets = [(AUTHORIZATION.as_str(), Some(&signed.authorization))];
        for (name, secret) in secrets.into_iter().chain([("x-security-token", self.keys.security_token.as_ref())]) {
            request = with_secret(request, name, secret);
        }
        if !call.body.is_empty() {
            request = request.body(call.body.clone());
        }
        (request, signed)
    }

    fn url(&self, call: &Call) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v1/identity-stores/{}{}", self.store, call.path));
        url.set_query(Some(call.query.as_str()).filter(|query| !query.is_empty()));
        url
    }

    /// As it stands in `Host`: with the port, unless it is the scheme's own.
    fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// What an answer to this very request might echo.
    fn scrub_of(&self, signed: &Signed) -> Scrub {
        self.scrub.with(&signed.authorization).with(&signed.signature).with(&signed.canonical)
    }

    fn learn(&self, operation: Operation, answer: &Answer) {
        let (name, asked) = (operation.as_str(), self.asked_wait(answer));
        match (answer.status, asked) {
            (StatusCode::TOO_MANY_REQUESTS, asked) => return self.pace.limit_met(name, asked),
            (StatusCode::SERVICE_UNAVAILABLE, Some(wait)) => self.pace.close(name, wait),
            _ => {}
        }
        self.pace.flows(name);
    }

    /// Huawei documents no header for it; a gateway may all the same send the one of RFC 9110.
    fn asked_wait(&self, answer: &Answer) -> Option<Duration> {
        hint::retry_after(answer, self.bounds)
    }

    /// By how many seconds the provider's clock is ahead of ours; `None`: they agree, or it does not tell.
    fn clocks_apart(&self, answer: &Answer) -> Option<i64> {
        let seconds = hint::date(answer)?.saturating_sub(self.clock.now().as_second());
        (seconds.unsigned_abs() > NOTABLE_CLOCK_SECONDS).then_some(seconds)
    }

    /// The error that an answer other than the documented success means.
    pub(super) fn error(&self, operation: Operation, answer: &Answer) -> ProviderError {
        if answer.status.is_success() {
            return errors::unexpected(operation, answer);
        }
        let apart = self.clocks_apart(answer).filter(|_| answer.status == StatusCode::UNAUTHORIZED);
        let apart = apart.map(|seconds| format!("this machine's clock and Huawei's are {} s apart", seconds.abs()));
        errors::classify(operation, answer, self.asked_wait(answer), apart.as_deref())
    }
}

/// Adds a header that no library prints.
fn with_secret(request: RequestBuilder, name: &str, secret: Option<&Secret>) -> RequestBuilder {
    match secret.map(|secret| HeaderValue::try_from(secret.expose())) {
        Some(Ok(mut value)) => {
            value.set_sensitive(true);
            request.header(name, value)
        }
        // Checked when the secrets were read; without it, the gateway answers 401.
        Some(Err(_)) | None => request,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::SystemClock;
    use crate::provider::huawei::HuaweiSettings;

    #[test]
    fn an_echo_of_the_very_request_is_hidden_also_without_its_line_ends() {
        let settings: HuaweiSettings = serde_json::from_value(json!({
            "url": "https://identitystore.cn-north-4.myhuaweicloud.com",
            "identity_store_id": "d-1234567890",
            "credentials": {"access_key": {"value": "AKIDEXAMPLE0000000001"}, "secret_key": {"value": "sk/Example+1"},
                            "security_token": {"value": "ggpjbi1TEMPORARYTOKEN"}},
        }))
        .expect("settings");
        let client = settings.build(&"cloud".parse().expect("a name"), Arc::new(SystemClock::new())).expect("a client");
        let call = Call::get(Operation::ListUsers, "/users", &[("user_name", "zoe")]);
        let (_, signed) = client.api.signed(&call, "20261121T220000Z");
        let scrub = client.api.scrub_of(&signed);
        for echo in [&signed.authorization, &signed.signature, &signed.canonical] {
            for text in [echo.expose().to_owned(), echo.expose().replace('\n', "|")] {
                let shown = scrub.text(&format!("no: {text}"));
                let parts = ["AKID", "ggpj", "zoe", "identity-stores", "x-sdk-date:", signed.signature.expose()];
                assert!(shown.starts_with("no: ") && !parts.iter().any(|part| shown.contains(part)), "{shown}");
            }
        }
    }
}
