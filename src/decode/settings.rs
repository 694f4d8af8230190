//! What the config says about the spelling of alerts: the name of a format, or a mapping.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a source spells its alerts: the config word `format`. Each may also come in a CloudEvents 1.0 envelope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertFormat {
    /// Our own format, `schemas/alert.schema.json`.
    #[default]
    Sever,
    /// OCSF Detection Finding and Authentication.
    Ocsf,
    /// Okta event hooks.
    Okta,
    /// Splunk's webhook alert action.
    Splunk,
    /// Kibana's webhook connector, with the alerts of a detection rule.
    Elastic,
    /// Microsoft Sentinel incidents, as its automation sends them.
    Sentinel,
    /// Wazuh alerts, as an integration script sends them.
    Wazuh,
    /// CrowdStrike Falcon Fusion's webhook action.
    Crowdstrike,
    /// Grafana Alerting's webhook contact point.
    Grafana,
    /// Falco events through Falcosidekick.
    Falcosidekick,
    /// Amazon GuardDuty findings, through SNS or as EventBridge sends them.
    Guardduty,
}

impl AlertFormat {
    /// Every format.
    pub const ALL: [Self; 11] = [
        Self::Sever,
        Self::Ocsf,
        Self::Okta,
        Self::Splunk,
        Self::Elastic,
        Self::Sentinel,
        Self::Wazuh,
        Self::Crowdstrike,
        Self::Grafana,
        Self::Falcosidekick,
        Self::Guardduty,
    ];

    /// The word in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sever => "sever",
            Self::Ocsf => "ocsf",
            Self::Okta => "okta",
            Self::Splunk => "splunk",
            Self::Elastic => "elastic",
            Self::Sentinel => "sentinel",
            Self::Wazuh => "wazuh",
            Self::Crowdstrike => "crowdstrike",
            Self::Grafana => "grafana",
            Self::Falcosidekick => "falcosidekick",
            Self::Guardduty => "guardduty",
        }
    }

    /// The mapping that the format is, as YAML to copy and change. Our own format is none.
    #[must_use]
    pub fn preset(self) -> Option<&'static str> {
        match self {
            Self::Sever => None,
            Self::Ocsf => Some(include_str!("presets/ocsf.yaml")),
            Self::Okta => Some(include_str!("presets/okta.yaml")),
            Self::Splunk => Some(include_str!("presets/splunk.yaml")),
            Self::Elastic => Some(include_str!("presets/elastic.yaml")),
            Self::Sentinel => Some(include_str!("presets/sentinel.yaml")),
            Self::Wazuh => Some(include_str!("presets/wazuh.yaml")),
            Self::Crowdstrike => Some(include_str!("presets/crowdstrike.yaml")),
            Self::Grafana => Some(include_str!("presets/grafana.yaml")),
            Self::Falcosidekick => Some(include_str!("presets/falcosidekick.yaml")),
            Self::Guardduty => Some(include_str!("presets/guardduty.yaml")),
        }
    }
}

/// What identifies a format in the config, on the command line.
impl std::str::FromStr for AlertFormat {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.as_str() == word).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|format| format.as_str()).collect();
            format!("{word:?} is no format; there are {}", known.join(", "))
        })
    }
}

/// How alerts are made of what a product sends: CEL expressions over `payload` (the body as JSON), `item` (an element of
/// `each`), `headers` (those that are kept, in lower case), `event` (CloudEvents attributes) and `received_at`. An
/// expression has at most 4096 bytes. What fails while evaluated is kept in quarantine under the field's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingSettings {
    /// A list: one alert is made of each element, which is `item` in the other fields. Default: one alert of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// What is true here never acts: resolved alerts, tests. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_when: Option<String>,
    /// The sender's id of the alert, a string: the same id never costs a second revocation.
    pub id: String,
    /// What happened, as a word of `a-z`, `0-9`, `_`, `.` and `-`, for example `'"account_compromised"'`.
    pub kind: String,
    /// How bad it is: `informational`, `low`, `medium`, `high` or `critical`.
    pub severity: String,
    /// When it happened, for example `time(payload.timestamp)`, or `received_at` where the sender does not say.
    pub occurred_at: String,
    /// Whose sessions it is about: a list of maps with `email`, `username`, `ids` or `sessions`.
    pub subjects: String,
    /// For people to read. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A map of anything else that rules may look at. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<String>,
    /// Where this is true, nothing is sent. It can only weaken what the config says. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<String>,
}
