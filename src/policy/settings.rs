//! What the config says about rules and guardrails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{ProviderName, ScopeKind};

/// Which alerts end whose sessions where, and what must never happen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// The rules. Every one that matches adds its jobs; their order has no meaning.
    #[serde(default)]
    pub rules: Vec<RuleSettings>,
    /// What stands above every rule.
    #[serde(default)]
    pub guardrails: GuardrailSettings,
}

/// When sessions end, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// How receipts and jobs call it. Unique.
    pub name: String,
    /// A CEL expression over `alert`, `subject` and `source`, evaluated for each subject of each alert, for example
    /// `alert.severity >= high && alert.kind == "session_stolen"`. At most 4096 bytes.
    pub when: String,
    /// The providers at which the subject's sessions end; at least one.
    pub revoke: Vec<RevokeSettings>,
    /// Whether a person has to agree first. Default: `false`.
    #[serde(default)]
    pub approval: bool,
    /// Whether its jobs resolve the account and send nothing. Default: `false`.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a rule ends at one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeSettings {
    /// A name under `providers`.
    pub provider: ProviderName,
    /// Which sessions. Default: `all`.
    #[serde(default)]
    pub scope: ScopeKind,
    /// Whether OAuth tokens end too (Okta). Default: as the provider's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_tokens: Option<bool>,
    /// Whether remembered devices are forgotten too (Okta). Default: as the provider's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_devices: Option<bool>,
}

/// What stands above every rule, and above operators.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardrailSettings {
    /// Accounts that are never touched. Default: none.
    #[serde(default)]
    pub protected: Vec<ProtectedSettings>,
    /// Whether nothing is sent anywhere. Default: `false`.
    #[serde(default)]
    pub dry_run: bool,
}

/// Accounts that are never touched: one of `email`, `username` and `id`, in which `*` stands for any characters.
/// Compared without regard to case and width, with every name that the account has, whatever its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtectedSettings {
    /// An e-mail address, for example `breakglass-*@acme.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A user name or login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// An account id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Beside `id`: the only provider at which it is meant. Default: every provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
}
