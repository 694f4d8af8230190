//! Whether our credential works, found out without changing anything.

use http::StatusCode;
use serde::de::IgnoredAny;

use super::Operation;
use super::api::{Api, Call};
use super::auth::{Auth, OauthClient};
use super::users::{User, own};
use crate::provider::{CredentialReport, ProviderError};

const MAY_CLEAR: &str = "ending sessions: whether the admin role covers it for every user shows only when it is done \
                         (permission okta.users.lifecycle.clearSessions)";
const MAY_CLEAR_GIVEN: &str = "reading and ending given sessions (rules with `scope: sessions`)";

impl Api {
    pub(super) async fn check(&self) -> Result<CredentialReport, ProviderError> {
        match &self.auth {
            Auth::ApiToken(_) => self.check_token().await,
            Auth::Oauth(app) => self.check_app(app).await,
        }
    }

    async fn check_token(&self) -> Result<CredentialReport, ProviderError> {
        let call = Call::get(Operation::ReadTokenOwner, self.url("/api/v1/users/me"));
        let answer = self.call(&call).await?;
        let owner = (answer.status == StatusCode::OK).then(|| answer.json::<User>()).flatten();
        let owner = owner.ok_or_else(|| self.error(call.operation, &answer))?;
        self.list_one().await?;
        Ok(CredentialReport {
            identity: self.scrub.text(&owner.profile.login),
            missing: Vec::new(),
            excess: Vec::new(),
            unchecked: vec![MAY_CLEAR.to_owned(), MAY_CLEAR_GIVEN.to_owned()],
        })
    }

    async fn check_app(&self, app: &OauthClient) -> Result<CredentialReport, ProviderError> {
        let token = app.fresh_token(self).await?;
        if let Some(scope) = token.missing.iter().find(|scope| scope.starts_with("okta.users.")) {
            let words = format!("the access token came without {scope}; grant it to the app in Okta (API scopes)");
            return Err(ProviderError::Unauthorized(own(Operation::Token, &words)));
        }
        self.list_one().await?;
        let lacks = |scope: &&str| format!("{scope}: without it given sessions (`scope: sessions`) cannot be ended");
        Ok(CredentialReport {
            identity: app.client_id().to_owned(),
            missing: token.missing.iter().map(lacks).collect(),
            excess: Vec::new(),
            unchecked: vec![MAY_CLEAR.to_owned()],
        })
    }

    async fn list_one(&self) -> Result<(), ProviderError> {
        let mut url = self.url("/api/v1/users");
        url.set_query(Some("limit=1"));
        let call = Call::get(Operation::ListUsers, url);
        let answer = self.call(&call).await?;
        let is_list = answer.status == StatusCode::OK && answer.json::<Vec<IgnoredAny>>().is_some();
        if is_list { Ok(()) } else { Err(self.error(call.operation, &answer)) }
    }
}
