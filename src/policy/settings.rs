//! What the config says about rules and guardrails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{ProviderName, ScopeKind, Severity, SourceName, TargetName};
use crate::settings::Duration;

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
    /// Who is told what became of its jobs: names under `notify`. Default: whoever the source names, or everyone.
    #[serde(default)]
    pub notify: Option<Vec<TargetName>>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardrailSettings {
    /// Accounts that are never touched. Default: none.
    #[serde(default)]
    pub protected: Vec<ProtectedSettings>,
    /// How many people may lose their sessions in how long; each one that counts a job must have room. Beyond it jobs are
    /// `held: budget` until a person approves them. Default: `[{users: 100, per: 10m}]`; `[]` means no bound.
    #[serde(default = "usual_budgets")]
    pub budgets: Vec<BudgetSettings>,
    /// Whether whoever asked for a job may not approve it: an operator's revocation begins `held: approval` until another
    /// one agrees, and whoever requeued a job leaves its approval to others. Default: `false`.
    #[serde(default)]
    pub four_eyes: bool,
    /// Whether nothing is sent anywhere. Default: `false`.
    #[serde(default)]
    pub dry_run: bool,
}

impl Default for GuardrailSettings {
    fn default() -> Self {
        Self { protected: Vec::new(), budgets: usual_budgets(), four_eyes: false, dry_run: false }
    }
}

/// More people at once than a day's theft of sessions has, and few enough to be let in again by hand.
fn usual_budgets() -> Vec<BudgetSettings> {
    let per = Duration::from_secs(600);
    vec![BudgetSettings { users: 100, per, source: None, provider: None, rule: None, reserve: None }]
}

/// At most so many people in any stretch of time so long. What it names narrows what it counts; without any it counts
/// everything, also what operators ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetSettings {
    /// People. One person counts once, at however many providers; at least 1.
    pub users: u32,
    /// The stretch of time, which slides, for example `10m`.
    pub per: Duration,
    /// Counts only what this source asks for; `operator` stands for operators. Default: every source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// Counts only what is done at this provider. Default: every provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
    /// Counts only what this rule asks for. Default: every rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What is kept for grave alerts. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve: Option<ReserveSettings>,
}

/// A part of a budget that only grave alerts may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveSettings {
    /// Alerts of at least this severity may use it.
    pub severity: Severity,
    /// So many of the budget's people; fewer than all.
    pub users: u32,
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
