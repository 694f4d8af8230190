//! The sender: one alert after the other over many connections, each for another person.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use http::{StatusCode, Uri};
use jiff::Timestamp;
use serde_json::json;

use super::super::signing::Signing;
use super::pace::{Pace, Turn};
use crate::domain::{ProviderName, Severity};

/// A service that takes longer is as good as gone.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where alerts go, and how they are signed.
pub(super) struct Target {
    pub(super) url: Uri,
    pub(super) signing: Signing,
}

/// What each alert says.
pub(super) struct Kind {
    pub(super) kind: String,
    pub(super) severity: Severity,
    pub(super) provider: ProviderName,
}

/// The account that an alert names. Its form is Okta's; `run` keeps two runs apart.
#[must_use]
pub(super) fn account(run: &str, number: u64) -> String {
    format!("00u{run}{number:09}")
}

/// What came of the sending.
#[derive(Debug, Default)]
pub(super) struct Volley {
    /// Alerts that were begun.
    pub(super) sent: u64,
    /// Accounts of those that were acknowledged with a job, with the time at which each was to be sent.
    pub(super) acknowledged: BTreeMap<String, Timestamp>,
    /// How long each acknowledgement took.
    pub(super) waits: Vec<Duration>,
    /// Other answers, by status.
    pub(super) refused: BTreeMap<u16, u64>,
    /// Acknowledged, and no job was made: no rule matched.
    pub(super) jobless: u64,
    /// No answer came.
    pub(super) unanswered: u64,
    /// From the first turn to the last answer.
    pub(super) took: Duration,
}

enum Heard {
    Acknowledged,
    Jobless,
    Refused(StatusCode),
    Nothing,
}

struct Shared {
    target: Target,
    kind: Kind,
    pace: Pace,
    client: reqwest::Client,
    run: String,
    volley: Mutex<Volley>,
}

impl Volley {
    /// Sends until the pace ends, and waits for every answer.
    pub(super) async fn fire(target: Target, kind: Kind, pace: Pace, connections: usize) -> anyhow::Result<Self> {
        let run = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
        let started = pace.started();
        let client = client(connections)?;
        let shared = Arc::new(Shared { target, kind, pace, client, run, volley: Mutex::default() });
        let mut senders = tokio::task::JoinSet::new();
        for _ in 0..connections {
            senders.spawn(Arc::clone(&shared).send());
        }
        while let Some(ended) = senders.join_next().await {
            ended.context("a sender failed")??;
        }
        let took = Duration::try_from(shared.pace.now().duration_since(started)).unwrap_or_default();
        let mut volley = std::mem::take(&mut *shared.volley.lock().unwrap_or_else(PoisonError::into_inner));
        volley.took = took;
        Ok(volley)
    }
}

impl Shared {
    async fn send(self: Arc<Self>) -> anyhow::Result<()> {
        while let Some(turn) = self.pace.turn().await {
            let account = account(&self.run, turn.number);
            let heard = self.post(&account, turn).await?;
            let waited = Duration::try_from(self.pace.now().duration_since(turn.at)).unwrap_or_default();
            self.note(account, turn, heard, waited);
        }
        Ok(())
    }

    async fn post(&self, account: &str, turn: Turn) -> anyhow::Result<Heard> {
        let body = self.alert(account).to_string().into_bytes();
        let id = format!("msg_load_{}_{}", self.run, turn.number);
        let headers = self.target.signing.sign_as(&id, self.pace.wall(), &body);
        let headers = headers.map_err(|reason| anyhow::anyhow!("it cannot be signed: {reason}"))?;
        let mut request = self.client.post(self.target.url.to_string()).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let Ok(answer) = request.body(body).send().await else { return Ok(Heard::Nothing) };
        let status = answer.status();
        let Ok(text) = answer.bytes().await else { return Ok(Heard::Nothing) };
        Ok(match status {
            StatusCode::ACCEPTED if text.starts_with(br#"{"status":"accepted""#) => Heard::Acknowledged,
            StatusCode::ACCEPTED => Heard::Jobless,
            status => Heard::Refused(status),
        })
    }

    fn alert(&self, account: &str) -> serde_json::Value {
        let Kind { kind, severity, provider } = &self.kind;
        json!({
            "id": account, "kind": kind, "severity": severity, "occurred_at": self.pace.wall().to_string(),
            "subjects": [{"email": format!("{account}@load.invalid"), "ids": {provider.as_str(): account}}],
            "reason": "a load test", "attributes": {"ip": "203.0.113.9"},
        })
    }

    fn note(&self, account: String, turn: Turn, heard: Heard, waited: Duration) {
        let mut volley = self.volley.lock().unwrap_or_else(PoisonError::into_inner);
        volley.sent += 1;
        match heard {
            Heard::Acknowledged => {
                volley.acknowledged.insert(account, turn.at);
                volley.waits.push(waited);
            }
            Heard::Jobless => volley.jobless += 1,
            Heard::Refused(status) => *volley.refused.entry(status.as_u16()).or_default() += 1,
            Heard::Nothing => volley.unanswered += 1,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a sender of alerts, who is outside of the service")]
fn client(connections: usize) -> anyhow::Result<reqwest::Client> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::none());
    client.pool_max_idle_per_host(connections).tcp_nodelay(true).build().context("the HTTP client cannot start")
}
