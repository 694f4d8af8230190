//! The `verify` key of a source.
//!
//! One flat list of keys for all schemes, so that the schema names every legal key; which of them belong to the scheme
//! at hand is checked here, with a message that says whose the others are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scheme::Plan;
use super::{SignatureScheme, VerifierProblem};
use crate::settings::{Duration, SecretRef};

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
    /// The secrets shared with the sender; any of them may have signed, so that rotation needs no pause. At least one,
    /// except with `aws-sns`, which has none. `sever sign` uses the first. `standard-webhooks` and `rfc9421` also take
    /// ed25519 public keys, which begin with `whpk_`; `basic` takes `user:password`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretRef>,
    /// How far the signed time may be from ours, either way, limits included: 1s to 365d. Default: 5m, and 1h with
    /// `aws-sns`, where at most 5m of it count ahead. A queue that may hold messages needs more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Duration>,
    /// `standard-webhooks`: what the three headers begin with. Default: `webhook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_prefix: Option<HeaderPrefix>,
    /// The header with the signature or the secret. Required with `hmac` and `static-header`; `stripe`, `grafana`,
    /// `shopify`, `crowdstrike` and `okta-event-hook` have the product's own as default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// `hmac`: what stands before the signature in its header, for example `sha256=`. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// `hmac`: the hash. Default: `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<MacAlgorithm>,
    /// `hmac`, `crowdstrike`: how the signature is written. Default: `hex`, and `base64` with `crowdstrike`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<SignatureEncoding>,
    /// `hmac`, `crowdstrike`: the signed bytes, with `{body}` once and `{id}` and `{timestamp}` at most once, for
    /// example `{timestamp}.{body}`. Default: `{body}`, and `{body}{timestamp}` with `crowdstrike`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<String>,
    /// `hmac`: the header with the id. Required with `{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_header: Option<String>,
    /// `hmac`, `grafana`, `crowdstrike`: the header with the time of signing. Required with `{timestamp}`. With
    /// `grafana` it says that the time is signed. Default with `crowdstrike`: `X-Cs-Delivery-Timestamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_header: Option<String>,
    /// `hmac`, `crowdstrike`: how the time is written. Default: `unix`, and `rfc3339` with `crowdstrike`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_format: Option<TimestampFormat>,
    /// `rfc9421`: the `keyid` of each of the `secrets`, in their order. Required.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_ids: Vec<String>,
    /// `rfc9421`: what a signature has to cover at least. `content-digest` is always among it.
    /// Default: `@method`, `@authority`, `@path`, `content-digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<Vec<String>>,
    /// `aws-sns`: the topics that may deliver here, as whole ARNs. Required: any customer of AWS can make SNS sign.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topic_arns: Vec<String>,
    /// `aws-sns`: the signature versions taken: 1 (SHA-1, what topics have unless told otherwise) and 2 (SHA-256).
    /// Default: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_versions: Option<Vec<SnsSignatureVersion>>,
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

/// How SNS signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u8", into = "u8")]
#[schemars(with = "u8")]
pub enum SnsSignatureVersion {
    /// RSA with SHA-1.
    Sha1,
    /// RSA with SHA-256.
    Sha256,
}

impl TryFrom<u8> for SnsSignatureVersion {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Self::Sha1),
            2 => Ok(Self::Sha256),
            other => Err(format!("{other} is no signature version of SNS; there are 1 and 2")),
        }
    }
}

impl From<SnsSignatureVersion> for u8 {
    fn from(version: SnsSignatureVersion) -> Self {
        match version {
            SnsSignatureVersion::Sha1 => 1,
            SnsSignatureVersion::Sha256 => 2,
        }
    }
}

/// Something that works and is perhaps not what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyWarning {
    /// `tolerance` is given and the scheme signs no time.
    ToleranceUnused(SignatureScheme),
    /// Nothing is signed: who once sees the secret can say anything.
    NothingSigned(SignatureScheme),
}

impl std::fmt::Display for VerifyWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ToleranceUnused(scheme) => write!(
                f,
                "tolerance: has no effect, because {scheme} signs no time here; repeats are recognised for ever instead"
            ),
            Self::NothingSigned(scheme) => write!(
                f,
                "scheme: {scheme} signs nothing, so whoever once sees the secret can send any alert; use a scheme that \
                 signs if the sender has one, keep the secret long and random, and change it now and then"
            ),
        }
    }
}

impl VerifySettings {
    /// A scheme with its secrets, and everything else as it is by default.
    #[must_use]
    pub fn new(scheme: SignatureScheme, secrets: Vec<SecretRef>) -> Self {
        Self {
            scheme,
            secrets,
            tolerance: None,
            header_prefix: None,
            header: None,
            prefix: None,
            algorithm: None,
            encoding: None,
            signed: None,
            id_header: None,
            timestamp_header: None,
            timestamp_format: None,
            key_ids: Vec::new(),
            components: None,
            topic_arns: Vec::new(),
            signature_versions: None,
        }
    }

    /// Every problem that can be told without reading a secret; empty if there is none.
    #[must_use]
    pub fn validate(&self) -> Vec<VerifierProblem> {
        self.plan().err().unwrap_or_default()
    }

    /// What `sever check` should mention although it works. `is_vouched_for`: the sender is known by something else too.
    #[must_use]
    pub fn warnings(&self, is_vouched_for: bool) -> Vec<VerifyWarning> {
        let timeless = self.plan().is_ok_and(|plan| !plan.signs_time());
        let unused = timeless && self.tolerance.is_some();
        let unused = unused.then_some(VerifyWarning::ToleranceUnused(self.scheme));
        let unsigned =
            (self.scheme.cannot_sign() && !is_vouched_for).then_some(VerifyWarning::NothingSigned(self.scheme));
        unused.into_iter().chain(unsigned).collect()
    }

    /// How far a signed time may be from ours, either way.
    pub(super) fn tolerance(&self) -> std::time::Duration {
        self.tolerance.map_or(self.scheme.default_tolerance(), |given| given.0)
    }

    /// The settings as the scheme needs them, or everything that is wrong with them.
    pub(super) fn plan(&self) -> Result<Plan, Vec<VerifierProblem>> {
        let mut problems: Vec<_> = self.foreign_keys().collect();
        problems.extend(self.wrong_secrets().map(|message| VerifierProblem::new("secrets", message)));
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

    fn wrong_secrets(&self) -> Option<&'static str> {
        match (self.scheme, self.secrets.is_empty()) {
            (SignatureScheme::AwsSns, false) => {
                Some("SNS signs with a key of AWS and shares no secret; remove this key")
            }
            (SignatureScheme::AwsSns, true) | (_, false) => None,
            (_, true) => {
                Some("holds no secret, so nothing could be verified; add one: [{env: NAME}] or [{file: PATH}]")
            }
        }
    }

    fn foreign_keys(&self) -> impl Iterator<Item = VerifierProblem> {
        let own = self.scheme.own_keys();
        self.given_keys().filter(|key| !own.contains(key)).map(|key| {
            let owners = SignatureScheme::ALL.into_iter().filter(|scheme| scheme.own_keys().contains(&key));
            let owners = owners.map(SignatureScheme::as_str).collect::<Vec<_>>().join(", ");
            let message = format!("belongs to {owners} and means nothing to {}; remove it", self.scheme);
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
            ("key_ids", !self.key_ids.is_empty()),
            ("components", self.components.is_some()),
            ("topic_arns", !self.topic_arns.is_empty()),
            ("signature_versions", self.signature_versions.is_some()),
        ];
        keys.into_iter().filter_map(|(key, given)| given.then_some(key))
    }
}
