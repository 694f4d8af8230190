//! What the config says about a source, and about the listener that its alerts come in by.

use std::net::SocketAddr;

use http::Uri;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::amqp::AmqpSettings;
use crate::decode::{AlertFormat, MappingSettings};
use crate::domain::TargetName;
use crate::settings::{ByteSize, Duration, Rate};
use crate::tls::{ClientSubject, TlsSettings};
use crate::verify::VerifySettings;

/// A source of alerts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    /// Takes deliveries at `POST /v1/alerts/{source}`. Default: with the defaults, where there is no `amqp`.
    #[serde(default)]
    pub webhook: Option<WebhookSettings>,
    /// Takes the messages of a queue instead.
    #[serde(default)]
    pub amqp: Option<AmqpSettings>,
    /// How its deliveries are authenticated.
    pub verify: VerifySettings,
    /// What their bodies look like. Default: `sever`, where there is no `alert` either.
    #[serde(default)]
    pub format: Option<AlertFormat>,
    /// How alerts are made of bodies of any other look; takes the place of `format`. `sever formats show NAME` prints
    /// the mapping that a format is, to copy and change.
    #[serde(default)]
    pub alert: Option<MappingSettings>,
    /// Only holders of a client certificate for one of these may deliver, whatever the scheme: `["CN=edr,O=Acme"]`, the
    /// whole name of the subject, `dns:` or `uri:` and an entry of its alternative names. Needs `listen.tls.client_ca`.
    /// Default: anybody may.
    #[serde(default)]
    pub client_subjects: Option<Vec<ClientSubject>>,
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
    /// Default: 202 with the schemes `pagerduty`, `okta-event-hook` and `aws-sns`, else 422.
    #[serde(default)]
    pub on_undecodable: Option<OnUndecodable>,
    /// Its alerts are planned and resolved, and nothing is sent. Default: false.
    #[serde(default)]
    pub dry_run: bool,
    /// Who is told what became of its alerts: names under `notify`. Default: whoever its rules name, or everyone.
    #[serde(default)]
    pub notify: Option<Vec<TargetName>>,
}

impl SourceSettings {
    /// The answer to an authentic delivery that cannot be decoded.
    #[must_use]
    pub fn on_undecodable(&self) -> OnUndecodable {
        let usual =
            if self.verify.scheme.punishes_refusals() { OnUndecodable::Accepted } else { OnUndecodable::default() };
        self.on_undecodable.unwrap_or(usual)
    }

    /// Whether it takes requests.
    #[must_use]
    pub fn takes_webhooks(&self) -> bool {
        self.amqp.is_none()
    }

    /// The largest body taken.
    #[must_use]
    pub fn max_body(&self) -> ByteSize {
        match &self.amqp {
            Some(amqp) => amqp.max_body,
            None => self.webhook.clone().unwrap_or_default().max_body,
        }
    }
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

/// The address of this listener as senders know it: scheme, host, and perhaps the path that a proxy takes away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct PublicUrl(Uri);

impl PublicUrl {
    /// The whole address of a request to this path and query.
    #[must_use]
    pub fn with(&self, target: &str) -> Option<Uri> {
        let path = self.0.path().trim_end_matches('/');
        Uri::builder()
            .scheme(self.0.scheme_str()?)
            .authority(self.0.authority()?.as_str())
            .path_and_query(format!("{path}{target}"))
            .build()
            .ok()
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not an address; write https:// and the host, for example https://hooks.acme.com");
        let url: Uri = text.parse().map_err(|_| wrong())?;
        let is_web = matches!(url.scheme_str(), Some("https" | "http"));
        let is_plain = url.query().is_none() && !text.contains(['@', '#', '?']);
        if is_web && is_plain && url.host().is_some_and(|host| !host.is_empty()) { Ok(Self(url)) } else { Err(wrong()) }
    }
}

impl From<PublicUrl> for String {
    fn from(url: PublicUrl) -> Self {
        url.0.to_string()
    }
}

/// The listener that alerts come in by: an address, or an address with limits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ListenSettings {
    /// Only the address, for example `0.0.0.0:8080`.
    Address(#[schemars(with = "String")] SocketAddr),
    /// The address and more.
    Detailed(Box<DetailedListen>),
}

/// An address with limits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetailedListen {
    /// Address and port.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// Speaks HTTPS, and HTTP no more. Default: HTTP.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
    /// Networks of proxies whose `X-Forwarded-For` names the peer, for example `10.0.0.0/8`. Default: none.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// Where senders reach this listener, for example `https://hooks.acme.com`, if a proxy stands between: the scheme
    /// `rfc9421` checks that a delivery was meant for this address. Default: what the request says.
    #[serde(default)]
    pub public_url: Option<PublicUrl>,
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
            Self::Detailed(settings) => DetailedListen::clone(settings),
            Self::Address(address) => DetailedListen {
                address: *address,
                tls: None,
                trusted_proxies: Vec::new(),
                public_url: None,
                max_connections: default_connections(),
                header_timeout: ten_seconds(),
                body_timeout: ten_seconds(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_names_scheme_and_host() {
        for (text, whole) in [
            ("https://hooks.acme.com", "https://hooks.acme.com/v1/alerts/edr?a=b"),
            ("https://hooks.acme.com/", "https://hooks.acme.com/v1/alerts/edr?a=b"),
            ("https://acme.com:8443/sever/", "https://acme.com:8443/sever/v1/alerts/edr?a=b"),
        ] {
            let url = PublicUrl::try_from(text.to_owned()).expect("an address");
            assert_eq!(url.with("/v1/alerts/edr?a=b").expect("an address").to_string(), whole);
        }
        for wrong in
            ["", "hooks.acme.com", "ftp://acme.com", "https://", "https://a@acme.com", "https://acme.com?x", "/v1"]
        {
            assert!(PublicUrl::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn senders_that_punish_a_4xx_get_202_unless_told_otherwise() {
        for (scheme, more, status) in [
            ("{scheme: pagerduty, secrets: [{value: x}]}", "", 202),
            ("{scheme: okta-event-hook, secrets: [{value: x}]}", "", 202),
            ("{scheme: aws-sns, topic_arns: [x]}", "", 202),
            ("{scheme: aws-sns, topic_arns: [x]}", ", on_undecodable: 422", 422),
            ("{scheme: github, secrets: [{value: x}]}", "", 422),
            ("{scheme: github, secrets: [{value: x}]}", ", on_undecodable: 202", 202),
        ] {
            let text = format!("{{verify: {scheme}{more}}}");
            let settings: SourceSettings =
                serde_saphyr::from_str(&text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
            assert_eq!(u16::from(settings.on_undecodable()), status, "{text}");
        }
    }
}
