//! The config as a whole. Each part's settings live beside the part.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::{AdminSettings, MetricsSettings};
use crate::audit::AuditSettings;
use crate::domain::{ProviderName, SourceName, TargetName};
use crate::ingest::{ListenSettings, SourceSettings};
use crate::notify::NotifySettings;
use crate::policy::{GuardrailSettings, RuleSettings};
use crate::provider::ProviderSettings;
use crate::settings::{Duration, SecretRef};
use crate::store::StoreUrl;
use crate::telemetry::trace::TelemetrySettings;

/// `sever.yaml`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where alerts come in: an address, or an address with limits. Default: `0.0.0.0:8080`.
    #[serde(default = "anywhere")]
    pub listen: ListenSettings,
    /// The operator API. Without it nobody can look in or approve.
    #[serde(default)]
    pub admin: Option<AdminSettings>,
    /// `GET /metrics` without a token, on an address of its own. Default: only the operator API has it.
    #[serde(default)]
    pub metrics: Option<MetricsSettings>,
    /// Traces for OpenTelemetry. Default: none.
    #[serde(default)]
    pub telemetry: TelemetrySettings,
    /// Where jobs are kept. Default: `sqlite:///var/lib/sever/sever.db`.
    #[serde(default)]
    pub store: StoreSettings,
    /// How long records are kept.
    #[serde(default)]
    pub retention: RetentionSettings,
    /// How the audit record is sealed.
    #[serde(default)]
    pub audit: AuditSettings,
    /// Who is told what became of alerts, and what waits for a person, by name.
    #[serde(default)]
    pub notify: BTreeMap<TargetName, NotifySettings>,
    /// Who sends alerts, by name.
    #[serde(default)]
    pub sources: BTreeMap<SourceName, SourceSettings>,
    /// Where sessions end, by name.
    #[serde(default)]
    pub providers: BTreeMap<ProviderName, ProviderSettings>,
    /// Which alerts end whose sessions where.
    #[serde(default)]
    pub rules: Vec<RuleSettings>,
    /// What must never happen.
    #[serde(default)]
    pub guardrails: GuardrailSettings,
}

fn anywhere() -> ListenSettings {
    ListenSettings::Address(SocketAddr::from(([0, 0, 0, 0], 8080)))
}

/// The store: a URL, or where to find it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StoreSettings {
    /// `sqlite://` and the path of a file, or `postgres://user@host/database`.
    Url(String),
    /// The URL is a secret, for it holds a password.
    Secret(SecretUrl),
}

/// A URL that is kept elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretUrl {
    /// Where to find it.
    pub url: SecretRef,
}

impl StoreSettings {
    /// Where it is.
    pub fn locate(&self) -> Result<StoreUrl, String> {
        let text = match self {
            Self::Url(text) => text.clone(),
            Self::Secret(SecretUrl { url }) => {
                url.resolve().map(|url| url.expose().to_owned()).map_err(|error| error.to_string())?
            }
        };
        text.parse()
    }
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self::Url("sqlite:///var/lib/sever/sever.db".to_owned())
    }
}

/// How long records are kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSettings {
    /// Finished jobs, with their alerts and deliveries. Default: 90d.
    pub jobs: Duration,
    /// Deliveries that matched no rule. Default: 7d.
    pub ignored: Duration,
    /// Deliveries in quarantine. Default: 30d.
    pub quarantine: Duration,
    /// The audit record, as far as it is sealed, and never less than what jobs that are kept refer to. Default: 400d.
    pub audit: Duration,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        Self { jobs: days(90), ignored: days(7), quarantine: days(30), audit: days(400) }
    }
}
