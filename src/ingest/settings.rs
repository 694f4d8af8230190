//! What the config says about a source, and about the listener that its alerts come in by.

use std::net::SocketAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::{AlertFormat, MappingSettings};
use crate::settings::{ByteSize, Duration, Rate};
use crate::verify::VerifySettings;

/// A source of alerts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    /// Takes deliveries at `POST /v1/alerts/{source}`.
    #[serde(default)]
    pub webhook: WebhookSettings,
    /// How its deliveries are authenticated.
    pub verify: VerifySettings,
    /// What their bodies look like. Default: `sever`, where there is no `alert` either.
    #[serde(default)]
    pub format: Option<AlertFormat>,
    /// How alerts are made of bodies of any other look; takes the place of `format`. `sever formats show NAME` prints
    /// the mapping that a format is, to copy and change.
    #[serde(default)]
    pub alert: Option<MappingSettings>,
    /// Under whose name its alert ids are unique. Sources that carry the same alerts share one. Default: the source.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Authentic deliveries taken, for example `500/1s`. Default: no limit.
    #[serde(default)]
    pub limit: Option<Rate>,
    /// Alerts that happened longer ago than this are refused as stale. Default: no limit.
    #[serde(default)]
    pub max_age: Option<Duration>,
    /// The answer to an authentic delivery that cannot be decoded: 422, or 202 for senders that punish a 4xx.
    #[serde(default)]
    pub on_undecodable: OnUndecodable,
    /// Its alerts are planned and resolved, and nothing is sent. Default: false.
    #[serde(default)]
    pub dry_run: bool,
}

/// A webhook.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSettings {
    /// The largest body taken. Default: 1MiB.
    pub max_body: ByteSize,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self { max_body: ByteSize(1 << 20) }
    }
}

/// The answer to an authentic delivery that cannot be decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u16", into = "u16")]
#[schemars(with = "u16")]
pub enum OnUndecodable {
    /// 422: the sender should know.
    #[default]
    Unprocessable,
    /// 202: the sender would give up on us.
    Accepted,
}

impl TryFrom<u16> for OnUndecodable {
    type Error = String;

    fn try_from(status: u16) -> Result<Self, String> {
        match status {
            422 => Ok(Self::Unprocessable),
            202 => Ok(Self::Accepted),
            other => Err(format!("{other} is neither 422 nor 202")),
        }
    }
}

impl From<OnUndecodable> for u16 {
    fn from(answer: OnUndecodable) -> Self {
        match answer {
            OnUndecodable::Unprocessable => 422,
            OnUndecodable::Accepted => 202,
        }
    }
}

/// The listener that alerts come in by: an address, or an address with limits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ListenSettings {
    /// Only the address, for example `0.0.0.0:8080`.
    Address(#[schemars(with = "String")] SocketAddr),
    /// The address and more.
    Detailed(DetailedListen),
}

/// An address with limits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetailedListen {
    /// Address and port.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// Networks of proxies whose `X-Forwarded-For` names the peer, for example `10.0.0.0/8`. Default: none.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// Connections at once. Default: 1024.
    #[serde(default = "default_connections")]
    pub max_connections: usize,
    /// The longest that a request's head may take. Default: 10s.
    #[serde(default = "ten_seconds")]
    pub header_timeout: Duration,
    /// The longest that a request's body may take. Default: 10s.
    #[serde(default = "ten_seconds")]
    pub body_timeout: Duration,
}

fn default_connections() -> usize {
    1024
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

impl ListenSettings {
    /// With every default filled in.
    #[must_use]
    pub fn detailed(&self) -> DetailedListen {
        match self {
            Self::Detailed(settings) => settings.clone(),
            Self::Address(address) => DetailedListen {
                address: *address,
                trusted_proxies: Vec::new(),
                max_connections: default_connections(),
                header_timeout: ten_seconds(),
                body_timeout: ten_seconds(),
            },
        }
    }
}
