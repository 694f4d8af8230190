//! Whether our token works, found out without changing anything.

use serde::Deserialize;

use super::api::{Api, Call};
use super::{Operation, errors, own};
use crate::provider::{CredentialReport, ProviderError};

/// The header with the token's scopes.
const SCOPES: &str = "x-oauth-scopes";

const ENDS: &str = "admin.users:write";
const LOOKS: &str = "admin.users:read";
const READS: &str = "users:read";
const READS_ADDRESSES: &str = "users:read.email";

/// Without these no job can be done.
const ESSENTIAL: [&str; 2] = [ENDS, READS];

/// What does not work without the others.
const USEFUL: [(&str, &str); 2] = [
    (READS_ADDRESSES, "people cannot be found by e-mail address, only by id"),
    (LOOKS, "there are no looks, so no outcome is better than `accepted`, and given sessions cannot be ended"),
];

/// Granted to every token, or of no power.
const HARMLESS: [&str; 1] = ["identify"];

const NOT_EVERYWHERE: &str = "an installation on the whole organization: without it the admin methods are refused";

/// What `auth.test` tells.
#[derive(Debug, Deserialize)]
struct Identity {
    user: Option<String>,
    user_id: String,
    team: Option<String>,
    bot_id: Option<String>,
    is_enterprise_install: Option<bool>,
}

impl Identity {
    fn words(&self) -> String {
        let user = self.user.as_deref().unwrap_or(&self.user_id);
        let team = self.team.as_deref().map(|team| format!(" at {team}")).unwrap_or_default();
        format!("{user} ({}){team}", self.user_id)
    }
}

impl Api {
    pub(super) async fn check(&self) -> Result<CredentialReport, ProviderError> {
        let (identity, answer) = self.ask::<Identity>(&Call::new(Operation::AuthTest)).await?;
        if identity.bot_id.is_some() {
            return Err(unauthorized("this is a bot's token; give the user token (xoxp-...) of the app"));
        }
        let mut report = CredentialReport {
            identity: self.scrub.text(&identity.words()),
            missing: Vec::new(),
            excess: Vec::new(),
            unchecked: Vec::new(),
        };
        let scopes = answer.header(SCOPES).map(|text| {
            text.split(',').map(|scope| scope.trim().to_owned()).filter(|scope| !scope.is_empty()).collect::<Vec<_>>()
        });
        match &scopes {
            Some(scopes) => judge_scopes(scopes, &mut report)?,
            None => report.unchecked.push("scopes: Slack did not tell which the token has".to_owned()),
        }
        match identity.is_enterprise_install {
            Some(true) => {}
            Some(false) => report.missing.push(NOT_EVERYWHERE.to_owned()),
            None => report.unchecked.push(NOT_EVERYWHERE.to_owned()),
        }
        if scopes.is_none_or(|scopes| scopes.iter().any(|scope| scope == LOOKS)) {
            self.check_role(&mut report).await?;
        }
        Ok(report)
    }

    /// A token outlives its owner's role, and no scope shows that: one session of anybody's is asked for.
    async fn check_role(&self, report: &mut CredentialReport) -> Result<(), ProviderError> {
        let call = Call::new(Operation::List).with("limit", "1").at_once();
        let error = match self.call(&call).await {
            Ok(answer) if errors::is_yes(&answer) => return Ok(()),
            Ok(answer) if errors::code_of(&answer).as_deref() == Some("no_active_sessions") => return Ok(()),
            Ok(answer) => self.error(call.operation, &answer),
            Err(error) => error,
        };
        if matches!(error, ProviderError::Throttled { .. }) {
            report.unchecked.push("the role of the token's owner: Slack asked us to wait".to_owned());
            return Ok(());
        }
        Err(error)
    }
}

fn judge_scopes(scopes: &[String], report: &mut CredentialReport) -> Result<(), ProviderError> {
    let has = |wanted: &str| scopes.iter().any(|scope| scope == wanted);
    if let Some(scope) = ESSENTIAL.into_iter().find(|scope| !has(scope)) {
        let words = format!("the token lacks {scope}; add it to the app's user scopes and install the app again");
        return Err(unauthorized(&words));
    }
    let lacking = USEFUL.into_iter().filter(|(scope, _)| !has(scope));
    report.missing.extend(lacking.map(|(scope, without)| format!("{scope}: without it {without}")));
    let is_needed = |scope: &str| {
        ESSENTIAL.contains(&scope) || HARMLESS.contains(&scope) || USEFUL.iter().any(|(useful, _)| *useful == scope)
    };
    report.excess.extend(scopes.iter().filter(|scope| !is_needed(scope)).cloned());
    Ok(())
}

fn unauthorized(words: &str) -> ProviderError {
    ProviderError::Unauthorized(own(Operation::AuthTest, words))
}
