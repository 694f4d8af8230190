//! What the config says about whom to tell.

use std::collections::BTreeSet;
use std::net::IpAddr;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::NoticeKind;
use crate::ingest::{AmqpTls, BrokerUrl};
use crate::settings::{Duration, SecretRef};

/// Whom to tell what became of alerts, and what waits for a person: a webhook (`url`) or a broker (`amqp`). Every message is
/// signed as Standard Webhooks are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifySettings {
    /// Where messages are posted to: `https://...`, or plain `http` on this machine. As text, or as a reference where the
    /// URL itself is a secret.
    #[serde(default)]
    pub url: Option<TargetUrl>,
    /// Where messages are published instead.
    #[serde(default)]
    pub amqp: Option<TargetAmqp>,
    /// What messages are signed with: `whsec_` and base64.
    pub secret: SecretRef,
    /// The kinds that are sent. Default: all of them.
    #[serde(default)]
    pub events: Option<Vec<NoticeKind>>,
    /// How long one attempt may take. Default: 10s.
    #[serde(default = "ten_seconds")]
    pub timeout: Duration,
    /// How long a message is tried. What is not taken by then is given up and shown. Default: 24h.
    #[serde(default = "one_day")]
    pub give_up_after: Duration,
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn one_day() -> Duration {
    Duration::from_secs(24 * 60 * 60)
}

/// A URL, or where to find it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TargetUrl {
    /// The URL itself.
    Text(String),
    /// The URL is a secret.
    Reference(SecretRef),
}

/// Shows no URL: whoever knows it may be able to post there.
impl std::fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("url (not shown)"),
            Self::Reference(reference) => reference.fmt(f),
        }
    }
}

/// A queue or an exchange of a broker.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetAmqp {
    /// The brokers of one cluster, tried in turn, written as those of a source are.
    pub urls: Vec<BrokerUrl>,
    /// The exchange. Default: the broker's default one, which routes to the queue that the key names.
    #[serde(default)]
    pub exchange: String,
    /// The routing key, or the name of a queue.
    #[serde(default)]
    pub routing_key: String,
    /// For `amqps`: whom to trust, and who we are.
    #[serde(default)]
    pub tls: AmqpTls,
}

impl NotifySettings {
    /// The kinds that are sent.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<NoticeKind> {
        self.events.clone().map_or_else(|| NoticeKind::ALL.into(), |kinds| kinds.into_iter().collect())
    }
}

impl TargetUrl {
    /// The URL, or what is wrong with it; the message shows nothing of it.
    pub(super) fn resolve(&self) -> Result<Url, String> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Reference(reference) => {
                reference.resolve().map(|text| text.expose().to_owned()).map_err(|error| error.to_string())?
            }
        };
        let wrong = || "is not a URL; write https:// with host and path".to_owned();
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(wrong());
        }
        let url = Url::parse(&text).map_err(|_| wrong())?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            _ => return Err("must begin with https://; plain http is for loopback addresses only".to_owned()),
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err("must hold neither a user, nor a password, nor a fragment".to_owned());
        }
        Ok(url)
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_nowhere_in_the_clear() {
        let resolve = |text: &str| TargetUrl::Text(text.to_owned()).resolve();
        for fine in ["https://hooks.acme.com/a?b=c", "http://127.0.0.1:9/x", "http://localhost/", "http://[::1]:1/"] {
            assert!(resolve(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "http://hooks.acme.com/",
            "ftp://x/",
            "hooks.acme.com",
            "https://u:p@acme.com/",
            "https://acme.com/#x",
            "",
            "https://acme.com/\n",
            "http://127.0.0.1.acme.com/",
        ] {
            let message = resolve(wrong).expect_err(wrong);
            assert!(wrong.is_empty() || !message.contains(wrong), "{message}");
        }
        assert!(!format!("{:?}", TargetUrl::Text("https://acme.com/secret".to_owned())).contains("secret"));
    }
}
