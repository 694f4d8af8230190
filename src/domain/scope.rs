//! Which of an account's sessions are to end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A session as the sender names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SessionRef {
    /// Its id at the provider.
    Id(String),
    /// Its id and the workspace it belongs to (Slack).
    InTeam(TeamSession),
}

/// A session within a workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamSession {
    /// The session's id, as text: Slack's have 64 bits.
    pub id: String,
    /// The workspace.
    pub team_id: String,
}

impl SessionRef {
    /// The session's id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::InTeam(session) => &session.id,
        }
    }
}

/// The word of a scope, as rules write it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// Every session.
    #[default]
    All,
    /// Sessions of browsers (Slack).
    Web,
    /// Sessions of phones and tablets (Slack).
    Mobile,
    /// Only those that the alert names at that provider.
    Sessions,
}

/// Which sessions a job ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind", content = "sessions")]
pub enum Scope {
    /// Every session.
    All,
    /// Sessions of browsers.
    Web,
    /// Sessions of phones and tablets.
    Mobile,
    /// These, each after it was seen to belong to the account. Never empty.
    Sessions(Vec<SessionRef>),
}

impl Scope {
    /// The word of this scope.
    #[must_use]
    pub fn kind(&self) -> ScopeKind {
        match self {
            Self::All => ScopeKind::All,
            Self::Web => ScopeKind::Web,
            Self::Mobile => ScopeKind::Mobile,
            Self::Sessions(_) => ScopeKind::Sessions,
        }
    }

    /// The smallest scope that covers both: `all` absorbs the rest, `web` and `mobile` make `all`, lists unite.
    /// A list beside `web` or `mobile` makes `all` too, for a session's kind is not known from its id.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::Web, Self::Web) => Self::Web,
            (Self::Mobile, Self::Mobile) => Self::Mobile,
            (Self::Sessions(mut ours), Self::Sessions(theirs)) => {
                ours.extend(theirs);
                ours.sort();
                ours.dedup();
                Self::Sessions(ours)
            }
            (Self::All | Self::Web | Self::Mobile | Self::Sessions(_), _) => Self::All,
        }
    }

    /// Whether ending `self` ends everything in `other`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) | (Self::Web, Self::Web) | (Self::Mobile, Self::Mobile) => true,
            (Self::Sessions(ours), Self::Sessions(theirs)) => theirs.iter().all(|session| ours.contains(session)),
            (Self::Web | Self::Mobile | Self::Sessions(_), _) => false,
        }
    }
}

/// What is asked of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RevokeRequest {
    /// Which sessions.
    pub scope: Scope,
    /// Also end OAuth refresh and access tokens (Okta). `None`: as the provider's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_tokens: Option<bool>,
    /// Also forget remembered devices (Okta). `None`: as the provider's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_devices: Option<bool>,
}

impl RevokeRequest {
    /// A request with nothing but a scope.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self { scope, oauth_tokens: None, forget_devices: None }
    }

    /// The request that does what both ask; where they disagree, more is ended.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            scope: self.scope.union(other.scope),
            oauth_tokens: stronger(self.oauth_tokens, other.oauth_tokens),
            forget_devices: stronger(self.forget_devices, other.forget_devices),
        }
    }
}

fn stronger(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (None, _) | (_, None) => None,
        (Some(false), Some(false)) => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(ids: &[&str]) -> Scope {
        Scope::Sessions(ids.iter().map(|id| SessionRef::Id((*id).to_owned())).collect())
    }

    #[test]
    fn scopes_unite_to_the_smallest_that_covers_both() {
        let table = [
            (Scope::Web, Scope::Web, Scope::Web),
            (Scope::Web, Scope::Mobile, Scope::All),
            (sessions(&["b"]), sessions(&["a", "b"]), sessions(&["a", "b"])),
            (sessions(&["a"]), Scope::Web, Scope::All),
            (Scope::All, sessions(&["a"]), Scope::All),
        ];
        for (one, other, union) in table {
            assert_eq!(one.clone().union(other.clone()), union, "{one:?} with {other:?}");
            assert!(union.covers(&one) && union.covers(&other));
        }
        assert!(!sessions(&["a"]).covers(&sessions(&["b"])));
        assert!(!Scope::Web.covers(&Scope::All));
    }

    #[test]
    fn a_setting_left_to_the_provider_is_not_overruled_by_a_weaker_one() {
        assert_eq!(stronger(None, Some(false)), None);
        assert_eq!(stronger(Some(false), Some(true)), Some(true));
        assert_eq!(stronger(None, Some(true)), Some(true));
    }
}
