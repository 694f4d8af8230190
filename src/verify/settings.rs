//! The `verify` key of a source.
//!
//! One flat list of keys for all schemes, so that the schema names every legal key; which of them belong to the scheme
//! at hand is checked here, with a message that says whose the others are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::VerifierProblem;
use super::scheme::Plan;
use crate::settings::{Duration, SecretRef};

/// What Standard Webhooks, Slack and Stripe use both ways: five minutes.
const DEFAULT_TOLERANCE: std::time::Duration = std::time::Duration::from_secs(5 * 60);

/// Signed times have whole seconds, so a shorter window would refuse honest deliveries.
const SHORTEST_TOLERANCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Guards against repeats are kept for twice the tolerance; beyond a year a window protects from nothing.
const LONGEST_TOLERANCE: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 60 * 60);

/// How the deliveries of a source are authenticated:
/// `{scheme: standard-webhooks, secrets: [{env: EDR_SECRET}], tolerance: 5m}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifySettings {
    /// How the sender signs.
    pub scheme: SignatureScheme,
    /// The secrets shared with the sender; any of them may have signed, so that rotation needs no pause. At least one.
    /// `sever sign` uses the first.
    pub secrets: Vec<SecretRef>,
    /// How far the signed time may be from ours, either way, limits included: 1s to 365d. Default: 5m. A queue that
    /// may hold messages needs more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Duration>,
    /// `standard-webhooks`: what the three headers begin with. Default: `webhook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_prefix: Option<HeaderPrefix>,
    /// `hmac`: the header with the signature. Required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// `hmac`: what stands before the signature in its header, for example `sha256=`. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// `hmac`: the hash. Default: `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<MacAlgorithm>,
    /// `hmac`: how the signature is written. Default: `hex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<SignatureEncoding>,
    /// `hmac`: the signed bytes, with `{body}` once and `{id}` and `{timestamp}` at most once, for example
    /// `{timestamp}.{body}`. Default: `{body}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<String>,
    /// `hmac`: the header with the id. Required with `{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_header: Option<String>,
    /// `hmac`: the header with the time of signing. Required with `{timestamp}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_header: Option<String>,
    /// `hmac`: how the time is written. Default: `unix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_format: Option<TimestampFormat>,
}

/// How a sender signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureScheme {
    /// Standard Webhooks v1 and Svix: HMAC over id, time and body.
    StandardWebhooks,
    /// GitHub: HMAC over the body. No time is signed.
    Github,
    /// Any other HMAC over the body and perhaps an id and a time.
    Hmac,
}

impl SignatureScheme {
    /// Every scheme, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::StandardWebhooks, Self::Github, Self::Hmac];

    /// The name used in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StandardWebhooks => "standard-webhooks",
            Self::Github => "github",
            Self::Hmac => "hmac",
        }
    }

    /// The keys that only some schemes have and this one has.
    fn own_keys(self) -> &'static [&'static str] {
        match self {
            Self::StandardWebhooks => &["header_prefix"],
            Self::Github => &[],
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

/// What the headers of Standard Webhooks begin with. A sender uses one of them for all three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeaderPrefix {
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    #[default]
    Webhook,
    /// `svix-id`, `svix-timestamp`, `svix-signature`.
    Svix,
}

/// The hash inside an HMAC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MacAlgorithm {
    /// SHA-256: 32 bytes.
    #[default]
    Sha256,
    /// SHA-512: 64 bytes.
    Sha512,
}

impl MacAlgorithm {
    /// The length of a MAC, in bytes (FIPS 180-4 section 1).
    pub(super) fn tag_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignatureEncoding {
    /// Lower-case hex.
    #[default]
    Hex,
    /// Padded base64 (RFC 4648 section 4).
    Base64,
}

/// How a signed time is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimestampFormat {
    /// Seconds since 1970, digits only.
    #[default]
    Unix,
    /// Milliseconds since 1970, digits only.
    UnixMs,
    /// RFC 3339 with seconds and `Z` or a numeric offset.
    Rfc3339,
}

/// Something that works and is perhaps not what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyWarning {
    /// `tolerance` is given and the scheme signs no time.
    ToleranceUnused(SignatureScheme),
}

impl std::fmt::Display for VerifyWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ToleranceUnused(scheme) => write!(
                f,
                "tolerance: has no effect, because {scheme} signs no time here; repeats are recognised for ever instead"
            ),
        }
    }
}

impl VerifySettings {
    /// Every problem that can be told without reading a secret; empty if there is none.
    #[must_use]
    pub fn validate(&self) -> Vec<VerifierProblem> {
        self.plan().err().unwrap_or_default()
    }

    /// What `sever check` should mention although it works.
    #[must_use]
    pub fn warnings(&self) -> Vec<VerifyWarning> {
        let timeless = self.plan().is_ok_and(|plan| !plan.signs_time());
        let unused = timeless && self.tolerance.is_some();
        unused.then_some(VerifyWarning::ToleranceUnused(self.scheme)).into_iter().collect()
    }

    /// How far a signed time may be from ours, either way.
    pub(super) fn tolerance(&self) -> std::time::Duration {
        self.tolerance.map_or(DEFAULT_TOLERANCE, |given| given.0)
    }

    /// The settings as the scheme needs them, or everything that is wrong with them.
    pub(super) fn plan(&self) -> Result<Plan, Vec<VerifierProblem>> {
        let mut problems: Vec<_> = self.foreign_keys().collect();
        if self.secrets.is_empty() {
            let message = "holds no secret, so nothing could be verified; add one: [{env: NAME}] or [{file: PATH}]";
            problems.push(VerifierProblem::new("secrets", message));
        }
        if !(SHORTEST_TOLERANCE..=LONGEST_TOLERANCE).contains(&self.tolerance()) {
            problems.push(VerifierProblem::new("tolerance", "must be from 1s to 365d; 5m suits a webhook"));
        }
        match Plan::new(self) {
            Ok(plan) if problems.is_empty() => Ok(plan),
            Ok(_) => Err(problems),
            Err(own) => {
                problems.extend(own);
                Err(problems)
            }
        }
    }

    fn foreign_keys(&self) -> impl Iterator<Item = VerifierProblem> {
        let own = self.scheme.own_keys();
        self.given_keys().filter(|key| !own.contains(key)).map(|key| {
            let owners = SignatureScheme::ALL.into_iter().filter(|scheme| scheme.own_keys().contains(&key));
            let owners = owners.map(SignatureScheme::as_str).collect::<Vec<_>>().join(", ");
            let message = format!("belongs to the scheme {owners} and means nothing to {}; remove it", self.scheme);
            VerifierProblem::new(key, message)
        })
    }

    fn given_keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        let keys = [
            ("header_prefix", self.header_prefix.is_some()),
            ("header", self.header.is_some()),
            ("prefix", self.prefix.is_some()),
            ("algorithm", self.algorithm.is_some()),
            ("encoding", self.encoding.is_some()),
            ("signed", self.signed.is_some()),
            ("id_header", self.id_header.is_some()),
            ("timestamp_header", self.timestamp_header.is_some()),
            ("timestamp_format", self.timestamp_format.is_some()),
        ];
        keys.into_iter().filter_map(|(key, given)| given.then_some(key))
    }
}
