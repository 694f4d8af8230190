//! What the config says about a queue, and what can be said against it without a broker.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::tls;
use crate::settings::{ByteSize, SecretRef};

/// Enough that group commits pay, few enough that a crash brings back little: each is redelivered once.
const DEFAULT_PREFETCH: u16 = 256;

/// Beyond it a larger group commits no faster, and more has to be kept in memory and redelivered.
const LARGEST_PREFETCH: u16 = 4096;

/// A name in AMQP is a short string (AMQP 0.9.1 section 4.2.5.3).
const LONGEST_NAME_BYTES: usize = 255;

/// Messages in memory, all at their largest, beyond which `sever check` speaks up.
const MUCH_MEMORY_BYTES: u64 = 1 << 30;

/// A queue of RabbitMQ, or of another broker that speaks AMQP 0.9.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AmqpSettings {
    /// The brokers of one cluster, tried in turn: `amqps://user:password@host:5671/vhost`, as text or as a reference.
    /// Without user and password the broker's `guest` is meant, who may come from loopback only. `?heartbeat=10` sets
    /// the heartbeat in seconds (1 to 300; default: 10), `?auth_mechanism=external` signs in by the client certificate.
    pub urls: Vec<BrokerUrl>,
    /// The queue.
    pub queue: String,
    /// Messages held at once, not acknowledged yet: 1 to 4096. Default: 256.
    #[serde(default = "default_prefetch")]
    pub prefetch: u16,
    /// Declares the queue, as a quorum queue that dead-letters to `<queue>.dead`, which is declared too. Default: false,
    /// the queue has to be there.
    #[serde(default)]
    pub declare: bool,
    /// For `amqps`: whom to trust, and who we are.
    #[serde(default)]
    pub tls: AmqpTls,
    /// The largest message taken; larger ones are rejected. Default: 1MiB.
    #[serde(default = "default_max_body")]
    pub max_body: ByteSize,
    /// The broker's management API, for example `https://broker:15671`, so that `sever check --online` can look at the
    /// queue's policies and its dead-letter target, with user and password of the first of `urls`.
    #[serde(default)]
    pub management: Option<String>,
}

fn default_prefetch() -> u16 {
    DEFAULT_PREFETCH
}

fn default_max_body() -> ByteSize {
    ByteSize(1 << 20)
}

/// A broker's URL, or where to find it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BrokerUrl {
    /// The URL itself; with a password in it, a reference is better.
    Text(String),
    /// The URL is a secret, for it holds a password. A file is read again for each connection.
    Reference(SecretRef),
}

/// Shows no URL: it may hold a password.
impl std::fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("url (not shown)"),
            Self::Reference(reference) => reference.fmt(f),
        }
    }
}

impl BrokerUrl {
    /// The address as it is now.
    pub fn resolve(&self) -> Result<Address, String> {
        match self {
            Self::Text(text) => text.parse(),
            Self::Reference(reference) => reference.resolve().map_err(|error| error.to_string())?.expose().parse(),
        }
    }
}

/// TLS towards a broker. The files are PEM, and read again for each connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AmqpTls {
    /// The certificates that may have signed the broker's. Default: those that the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Our certificate with its chain, for brokers that ask for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SecretRef>,
}

impl AmqpTls {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AmqpSettings {
    /// Everything that is wrong, each with its key below `amqp`.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut add = |key: &str, message: &str| found.push((key.to_owned(), message.to_owned()));
        if self.urls.is_empty() {
            add("urls", "holds no broker; add one: [{env: AMQP_URL}]");
        }
        if !(1..=LARGEST_PREFETCH).contains(&self.prefetch) {
            add("prefetch", "must be from 1 to 4096; 256 suits most queues");
        }
        if self.queue.is_empty() || self.queue.len() > LONGEST_NAME_BYTES {
            add("queue", "a queue's name has 1 to 255 bytes");
        }
        if self.max_body.0 == 0 {
            add("max_body", "nothing could be taken; 1MiB suits alerts");
        }
        if let Some(message) = self.management.as_deref().and_then(wrong_management) {
            add("management", message);
        }
        if self.tls.cert.is_some() != self.tls.key.is_some() {
            add("tls", "a certificate needs its key, and a key its certificate; give both `cert` and `key`");
        } else if let Err(error) = tls::connector(&self.tls) {
            add("tls", &error);
        }
        for (position, url) in self.urls.iter().enumerate() {
            if let Err(message) = url.resolve() {
                add(&format!("urls[{position}]"), &message);
            }
        }
        found
    }

    /// What works and should be better, each with its key below `amqp`.
    #[must_use]
    pub fn warnings(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let addresses: Vec<_> = self.addresses().collect();
        for (position, address) in &addresses {
            if !address.is_encrypted() && !address.is_loopback() {
                let message = "amqp:// sends the password and every alert in the clear; use amqps://".to_owned();
                found.push((format!("urls[{position}]"), message));
            }
        }
        for (position, url) in self.urls.iter().enumerate() {
            if matches!(url, BrokerUrl::Text(text) if has_password(text)) {
                let message = "the password stands in the file; use {env: NAME} or {file: PATH}".to_owned();
                found.push((format!("urls[{position}]"), message));
            }
        }
        if !self.tls.is_empty() && !addresses.iter().any(|(_, address)| address.is_encrypted()) {
            found.push(("tls".to_owned(), "has no effect, for no URL begins with amqps://".to_owned()));
        }
        if u64::from(self.prefetch).saturating_mul(self.max_body.0) > MUCH_MEMORY_BYTES {
            let message = "together with `max_body` it lets more than 1 GiB of messages into memory; lower one of them";
            found.push(("prefetch".to_owned(), message.to_owned()));
        }
        found
    }

    /// The brokers whose URL is right, by their place in `urls`.
    pub fn addresses(&self) -> impl Iterator<Item = (usize, Address)> {
        self.urls.iter().enumerate().filter_map(|(position, url)| Some((position, url.resolve().ok()?)))
    }
}

fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

fn wrong_management(url: &str) -> Option<&'static str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Some("write https://broker:15671") };
    if !matches!(scheme, "http" | "https") || rest.is_empty() {
        return Some("write https://broker:15671");
    }
    rest.contains('@').then_some("user and password are those of the first of `urls`; leave them out here")
}
