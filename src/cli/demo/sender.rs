//! The sender of alerts, a security product as far as the service can tell: signs, and posts over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use ::http::{HeaderName, HeaderValue, StatusCode};
use anyhow::{Context, anyhow};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::folder::Folder;
use super::http;
use crate::cli::init::webhook_secret;
use crate::clock::Clock;
use crate::domain::JobId;
use crate::store::Receipt;
use crate::verify::{Signer, VerifySettings};

/// Signs with the key that the service knows, and with one that it does not.
pub(super) struct Sender {
    client: reqwest::Client,
    signer: Signer,
    forger: Signer,
    url: String,
    clock: Arc<dyn Clock>,
}

/// A delivery, ready to be posted, as often as one likes.
pub(super) struct Letter {
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

/// What the service said.
pub(super) struct Answer {
    pub(super) sent_at: Timestamp,
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Answer {
    /// Status and word: the receipt's `status`, or the last part of the problem's `type`.
    pub(super) fn word(&self) -> String {
        let problem = || self.body["type"].as_str()?.rsplit(':').next();
        let word = self.body["status"].as_str().or_else(problem).unwrap_or("?");
        format!("{} {word}", self.status.as_u16())
    }

    /// For the timeline: the receipt in a few words.
    pub(super) fn summary(&self) -> String {
        let jobs: Vec<String> = self.jobs().iter().map(ToString::to_string).collect();
        match jobs.as_slice() {
            [] => self.word(),
            jobs => format!("{}: job {}", self.word(), jobs.join(" and ")),
        }
    }

    /// The jobs of the receipt; none where it is not one.
    pub(super) fn jobs(&self) -> Vec<JobId> {
        let receipt = serde_json::from_value::<Receipt>(self.body.clone());
        let alerts = receipt.map(|receipt| receipt.alerts).unwrap_or_default();
        alerts.into_iter().flat_map(|alert| alert.jobs).map(|job| job.id).collect()
    }

    /// Why rules made no job.
    pub(super) fn skipped(&self) -> Vec<String> {
        let receipt = serde_json::from_value::<Receipt>(self.body.clone());
        let alerts = receipt.map(|receipt| receipt.alerts).unwrap_or_default();
        let skipped = alerts.into_iter().flat_map(|alert| alert.skipped);
        skipped.map(|skipped| format!("rule \"{}\": {}", skipped.rule, skipped.reason)).collect()
    }
}

impl Sender {
    pub(super) fn new(folder: &Folder, alerts: SocketAddr, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        Ok(Self {
            client: http::client()?,
            signer: signer(&json!({"file": folder.alert_secret()}))?,
            forger: signer(&json!({"value": webhook_secret()?}))?,
            url: format!("http://{alerts}/v1/alerts/edr"),
            clock,
        })
    }

    /// Signed as the service expects it.
    pub(super) fn sign(&self, id: &str, body: &[u8]) -> anyhow::Result<Letter> {
        self.letter(&self.signer, id, body)
    }

    /// Signed with a key that the service does not know.
    pub(super) fn forge(&self, id: &str, body: &[u8]) -> anyhow::Result<Letter> {
        self.letter(&self.forger, id, body)
    }

    fn letter(&self, signer: &Signer, id: &str, body: &[u8]) -> anyhow::Result<Letter> {
        let headers = signer.sign(id, self.clock.now(), body).map_err(|why| anyhow!("cannot sign: {why:?}"))?;
        Ok(Letter { headers, body: body.to_vec() })
    }

    /// Posts it and waits for the answer.
    pub(super) async fn post(&self, letter: &Letter) -> anyhow::Result<Answer> {
        let mut request = self.client.post(&self.url).header("content-type", "application/json");
        for (name, value) in &letter.headers {
            request = request.header(name, value);
        }
        let sent_at = self.clock.now();
        let response = request.body(letter.body.clone()).send().await.context("the alert listener did not answer")?;
        let status = response.status();
        let text = response.bytes().await.context("the answer broke off")?;
        Ok(Answer { sent_at, status, body: serde_json::from_slice(&text).unwrap_or_default() })
    }
}

fn signer(secret: &Value) -> anyhow::Result<Signer> {
    let settings = json!({"scheme": "standard-webhooks", "secrets": [secret]});
    let settings: VerifySettings = serde_json::from_value(settings)?;
    Signer::new(&settings).map_err(|problems| anyhow!("cannot sign: {problems:?}"))
}
