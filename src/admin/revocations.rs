//! `/v1/revocations`: sessions end because an operator says so.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AdminState;
use super::body::Body;
use super::fault::Fault;
use super::guard::Caller;
use super::jobs::Reason;
use super::params::{NoParameters, Parameter, text};
use crate::domain::{AlertSubject, ProviderName, ScopeKind, SessionRef, Severity, check_identifier};
use crate::ingest::Order;
use crate::policy::RevokeSettings;
use crate::store::{Admitted, Receipt};

/// The header of `draft-ietf-httpapi-idempotency-key-header`.
const KEY: &str = "idempotency-key";

/// What the route reads of the headers.
pub(super) const HEADERS: &[Parameter] =
    &[text("Idempotency-Key", "The same for repeats of one request: 1 to 128 visible ASCII characters.")];

/// Longer than any UUID or request id.
const LONGEST_KEY_CHARS: usize = 128;

/// Whose sessions are to end, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationRequest {
    /// Whose: at least one of `email`, `username` and `ids`, as in an alert.
    pub subject: AlertSubject,
    /// Where. Default: every provider that has the scope; with `scope: sessions`, those that `subject.sessions` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<ProviderName>>,
    /// Which sessions. Default: `all`.
    #[serde(default)]
    pub scope: ScopeKind,
    /// Whether OAuth tokens end too (Okta). Default: as the provider's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_tokens: Option<bool>,
    /// Whether remembered devices are forgotten too (Okta). Default: as the provider's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_devices: Option<bool>,
    /// How soon, compared with others. Default: `critical`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Whether the account is resolved and judged and nothing is sent. Default: `false`.
    #[serde(default)]
    pub dry_run: bool,
    /// For the audit record. Default: nothing.
    #[serde(default)]
    pub reason: String,
}

/// Stores the jobs; 202, or 200 for the same request under the same `Idempotency-Key` once more.
pub(super) async fn create(
    State(state): State<AdminState>,
    headers: HeaderMap,
    caller: Caller,
    _: NoParameters,
    Body(request): Body<RevocationRequest>,
) -> Result<(StatusCode, Json<Receipt>), Fault> {
    check_names(&request.subject)?;
    let targets = state.targets(&request)?;
    let body = serde_json::to_vec(&request).map_err(|error| Fault::Malformed(error.to_string()))?;
    let reason = Reason { reason: request.reason }.checked()?;
    let order = Order {
        subject: request.subject,
        targets,
        severity: request.severity.unwrap_or(Severity::Critical),
        dry_run: request.dry_run,
        reason,
        key: key(&headers)?,
        body: body.into(),
    };
    let body = order.body.clone();
    let (admission, sessionless) = state.intake.plan_order(order, caller.actor().as_str(), state.clock.now());
    if let Some(provider) = sessionless.first() {
        return Err(Fault::Malformed(format!(
            "`subject.sessions` names no session at {provider}; name some, or use another `scope`"
        )));
    }
    match state.operations.order(admission, caller.actor()).await? {
        Admitted::New(receipt) => Ok((StatusCode::ACCEPTED, Json(receipt))),
        Admitted::Duplicate(receipt) => {
            state.check_same(&receipt, &body).await?;
            Ok((StatusCode::OK, Json(receipt)))
        }
    }
}

/// Given by the caller, so that a repeat is known as one; else every request is a new one.
fn key(headers: &HeaderMap) -> Result<String, Fault> {
    let Some(value) = headers.get(KEY) else { return Ok(uuid::Uuid::now_v7().to_string()) };
    let fits =
        |text: &&str| (1..=LONGEST_KEY_CHARS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let wrong = || Fault::Malformed(format!("`Idempotency-Key` has 1 to {LONGEST_KEY_CHARS} visible ASCII characters"));
    value.to_str().ok().filter(fits).map(str::to_owned).ok_or_else(wrong)
}

/// A name that is nobody's must not reach a provider.
fn check_names(subject: &AlertSubject) -> Result<(), Fault> {
    if subject.identifiers().next().is_none() {
        return Err(Fault::Malformed("`subject` needs at least one of email, username and ids".to_owned()));
    }
    for (place, name) in subject.identifiers() {
        check_identifier(name).map_err(|error| Fault::Malformed(format!("`subject.{place}` {error}")))?;
    }
    for (provider, sessions) in &subject.sessions {
        for (position, session) in sessions.iter().enumerate() {
            let place = format!("subject.sessions.{provider}[{position}]");
            let team = match session {
                SessionRef::Id(_) => None,
                SessionRef::InTeam(session) => Some(session.team_id.as_str()),
            };
            for name in [Some(session.id()), team].into_iter().flatten() {
                check_identifier(name).map_err(|error| Fault::Malformed(format!("`{place}` {error}")))?;
            }
        }
    }
    Ok(())
}

impl AdminState {
    fn targets(&self, request: &RevocationRequest) -> Result<Vec<RevokeSettings>, Fault> {
        let named = request.providers.iter().flatten().map(|name| ("providers", name));
        let ids = request.subject.ids.keys().map(|name| ("subject.ids", name));
        let sessions = request.subject.sessions.keys().map(|name| ("subject.sessions", name));
        for (place, name) in named.chain(ids).chain(sessions) {
            if !self.providers.contains_key(name) {
                return Err(Fault::Malformed(format!("`{place}`: there is no provider {:?}", name.as_str())));
            }
        }
        let providers = self.meant(request)?;
        let target = |provider| RevokeSettings {
            provider,
            scope: request.scope,
            oauth_tokens: request.oauth_tokens,
            forget_devices: request.forget_devices,
        };
        Ok(providers.into_iter().map(target).collect())
    }

    /// The providers at which sessions are to end. One that is named and lacks the scope is an error.
    fn meant(&self, request: &RevocationRequest) -> Result<BTreeSet<ProviderName>, Fault> {
        let has_scope =
            |name: &&ProviderName| self.providers.get(*name).is_some_and(|it| it.kind.supports(request.scope));
        let providers: BTreeSet<ProviderName> = match &request.providers {
            Some(named) => {
                if let Some(name) = named.iter().find(|name| !has_scope(name)) {
                    let scope = serde_json::json!(request.scope);
                    return Err(Fault::Malformed(format!(
                        "`scope`: {name} has no {scope}; leave it out, or use `all`"
                    )));
                }
                named.iter().cloned().collect()
            }
            None if request.scope == ScopeKind::Sessions => request.subject.sessions.keys().cloned().collect(),
            None => self.providers.keys().filter(has_scope).cloned().collect(),
        };
        if providers.is_empty() {
            return Err(Fault::Malformed(
                "no provider is left to end sessions at; name some in `providers`".to_owned(),
            ));
        }
        Ok(providers)
    }

    /// A key stands for one request.
    async fn check_same(&self, receipt: &Receipt, body: &[u8]) -> Result<(), Fault> {
        let Some(alert) = receipt.alerts.first() else { return Ok(()) };
        match self.operations.delivery_of(alert.id).await? {
            Some(stored) if stored.body != body => {
                Err(Fault::Conflict("this Idempotency-Key was used for another request; use a new one".to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }
}
