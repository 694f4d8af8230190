//! Whether our credential works, found out without changing anything.
//!
//! Each call that a job may need is made once, for the first user of the store; ending sessions alone is not tried.

use super::Operation;
use super::api::Api;
use super::users::User;
use crate::domain::Account;
use crate::provider::{CredentialReport, ProviderError};

const MAY_END: &str =
    "IdentityCenter:user:batchDeleteSession: whether it is allowed shows only when sessions are ended";
const NO_USER: &str = "IdentityCenter:user:describe, IdentityCenter:user:getUserId and \
                       IdentityCenter:user:listSessions: the identity store has no user to try them with";

impl Api {
    pub(super) async fn check(&self) -> Result<CredentialReport, ProviderError> {
        let users = self.page(&[("limit", "1")]).await?.users;
        let mut report = CredentialReport {
            identity: format!("the holder of an access key for identity store {}", self.store),
            missing: Vec::new(),
            excess: Vec::new(),
            unchecked: vec![MAY_END.to_owned()],
        };
        match users.into_iter().next() {
            Some(user) => self.try_with(&user, &mut report).await?,
            None => report.unchecked.push(NO_USER.to_owned()),
        }
        Ok(report)
    }

    /// No job goes on without reading a user and listing sessions, so a refusal of these is an error.
    async fn try_with(&self, user: &User, report: &mut CredentialReport) -> Result<(), ProviderError> {
        self.read_user(&user.user_id).await?;
        match self.look(&Account::new(&user.user_id, Vec::new())).await {
            // Deleted in between.
            Ok(_) | Err(ProviderError::UnknownAccount(_)) => {}
            Err(error) => return Err(error),
        }
        let Some(name) = &user.user_name else { return Ok(()) };
        match self.retrieve_by_name(name).await {
            Ok(_) => {}
            Err(ProviderError::Forbidden(_)) => report.missing.push(format!(
                "{}: without it a user name is looked for in the list of users, and external ids are not found",
                Operation::FindUser.action()
            )),
            Err(ProviderError::Refused(_)) => report.unchecked.push(format!(
                "`attribute_path: {}` is not taken, so user names are looked for in the list of users",
                self.attribute_path
            )),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
