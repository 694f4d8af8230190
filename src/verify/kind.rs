//! The schemes by name, and what follows from the name alone: keys of the config, methods, content types, defaults.

use std::time::Duration;

use http::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::headers;

/// What Standard Webhooks, Slack and Stripe use both ways: five minutes.
const DEFAULT_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// SNS keeps the time of publishing over its retries, so it has to be looked for further back.
const SNS_TOLERANCE: Duration = Duration::from_secs(60 * 60);

/// How a sender signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureScheme {
    /// Standard Webhooks (v1 HMAC, v1a ed25519) and Svix, over id, time and body.
    StandardWebhooks,
    /// GitHub: HMAC over the body. No time is signed.
    Github,
    /// Slack: HMAC over time and body.
    Slack,
    /// Zoom: HMAC over time and body. Its URL validation is answered.
    Zoom,
    /// Stripe, and who signs like it: HMAC over time and body, several signatures in one header.
    Stripe,
    /// PagerDuty V3: HMAC over the body, several signatures in one header. No time is signed.
    Pagerduty,
    /// Grafana Alerting: HMAC over the body, and over the time where `timestamp_header` is set.
    Grafana,
    /// Shopify, and who signs like it: HMAC over the body, in base64. No time is signed.
    Shopify,
    /// CrowdStrike Falcon Fusion: HMAC over body and time.
    Crowdstrike,
    /// Amazon SNS: RSA over fields of the body, with the certificate of AWS.
    AwsSns,
    /// Okta event hooks: a secret in a header, nothing signed. The one-time verification is answered.
    OktaEventHook,
    /// HTTP Message Signatures, with HMAC or ed25519.
    Rfc9421,
    /// Any other HMAC over the body and perhaps an id and a time.
    Hmac,
    /// A secret after `Bearer`, nothing signed. For senders that cannot sign.
    Bearer,
    /// User and password, nothing signed. For senders that cannot sign.
    Basic,
    /// A secret in a header of your choice, nothing signed. For senders that cannot sign.
    StaticHeader,
}

impl SignatureScheme {
    /// Every scheme, in the order of the documentation.
    pub const ALL: [Self; 16] = [
        Self::StandardWebhooks,
        Self::Github,
        Self::Slack,
        Self::Zoom,
        Self::Stripe,
        Self::Pagerduty,
        Self::Grafana,
        Self::Shopify,
        Self::Crowdstrike,
        Self::AwsSns,
        Self::OktaEventHook,
        Self::Rfc9421,
        Self::Hmac,
        Self::Bearer,
        Self::Basic,
        Self::StaticHeader,
    ];

    /// The name used in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StandardWebhooks => "standard-webhooks",
            Self::Github => "github",
            Self::Slack => "slack",
            Self::Zoom => "zoom",
            Self::Stripe => "stripe",
            Self::Pagerduty => "pagerduty",
            Self::Grafana => "grafana",
            Self::Shopify => "shopify",
            Self::Crowdstrike => "crowdstrike",
            Self::AwsSns => "aws-sns",
            Self::OktaEventHook => "okta-event-hook",
            Self::Rfc9421 => "rfc9421",
            Self::Hmac => "hmac",
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::StaticHeader => "static-header",
        }
    }

    /// Whether the sender stops sending, or drops the alert, when it is answered with a 4xx.
    #[must_use]
    pub fn punishes_refusals(self) -> bool {
        matches!(self, Self::Pagerduty | Self::OktaEventHook | Self::AwsSns)
    }

    /// Whether a GET is a question of the scheme, and not a mistake.
    pub(super) fn asks_by_get(self) -> bool {
        matches!(self, Self::OktaEventHook)
    }

    /// Whether nothing is signed although the sender could have been another product: worth a warning.
    pub(super) fn cannot_sign(self) -> bool {
        matches!(self, Self::Bearer | Self::Basic | Self::StaticHeader)
    }

    /// Whether a body of this type may come in. A forgotten type is forgiven: the decoder will tell.
    pub(super) fn takes(self, content_type: Option<&HeaderValue>) -> bool {
        // SNS calls its JSON text/plain (Amazon SNS developer guide, "HTTP/S notification JSON format").
        let is_text = |value| self == Self::AwsSns && headers::is_plain_text(value);
        content_type.is_none_or(|value| headers::is_json(value) || is_text(value))
    }

    /// How far a signed time may be from ours where the config does not say.
    pub(super) fn default_tolerance(self) -> Duration {
        if self == Self::AwsSns { SNS_TOLERANCE } else { DEFAULT_TOLERANCE }
    }

    /// The keys that only some schemes have and this one has.
    pub(super) fn own_keys(self) -> &'static [&'static str] {
        match self {
            Self::StandardWebhooks => &["header_prefix"],
            Self::Github | Self::Slack | Self::Zoom | Self::Pagerduty | Self::Bearer | Self::Basic => &[],
            Self::Stripe | Self::Shopify | Self::OktaEventHook | Self::StaticHeader => &["header"],
            Self::Grafana => &["header", "timestamp_header"],
            Self::Crowdstrike => &["header", "encoding", "signed", "timestamp_header", "timestamp_format"],
            Self::AwsSns => &["topic_arns", "signature_versions"],
            Self::Rfc9421 => &["key_ids", "components"],
            Self::Hmac => &[
                "header",
                "prefix",
                "algorithm",
                "encoding",
                "signed",
                "id_header",
                "timestamp_header",
                "timestamp_format",
            ],
        }
    }
}

impl std::fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
