//! Whether our token works, found out without changing anything.

use super::Operation;
use super::api::{Api, Call};
use super::users::{User, is_id};
use crate::domain::Account;
use crate::provider::{CredentialReport, ProviderError};

const SYSTEM_ADMIN: &str = "system_admin";

/// What everybody has.
const PLAIN_USER: &str = "system_user";

const CANNOT_END: &str = "edit_other_users: our token's owner has no other role than system_user, which lacks it unless it \
                          was added; without it nobody's sessions can be read or ended";
const MAY_END: &str = "edit_other_users: whether our token's role has it shows only when somebody's sessions are ended";
const ADMINS: &str = "manage_system: without it the sessions of system admins cannot be read or ended";
const EMAILS: &str = "whether e-mail addresses are shown to our token: without them no account can be found by address, \
                      and each waits for approval";
const OTHERS_TOKENS: &str = "revoke_user_access_token: shows only when a personal access token is revoked";
const TOO_MUCH: &str =
    "system_admin: a role with edit_other_users is enough, unless system admins have to be signed out too";

impl Api {
    pub(super) async fn check(&self, tokens_too: bool) -> Result<CredentialReport, ProviderError> {
        let owner = self.owner().await?;
        let account = Account::new(owner.id, vec![owner.username.clone()]);
        // Nothing stops the call above when multi-factor authentication is demanded of us; this one it does.
        self.look(&account).await?;
        let no_tokens = match self.tokens(&account).await {
            Ok(_) => None,
            Err(ProviderError::Forbidden(_)) => Some(without_tokens(tokens_too)),
            Err(error) => return Err(error),
        };
        let is_plain = owner.roles.split_whitespace().all(|role| role == PLAIN_USER);
        let is_admin = owner.roles.split_whitespace().any(|role| role == SYSTEM_ADMIN);
        let unchecked = if is_admin { vec![] } else { vec![MAY_END, ADMINS, EMAILS] };
        let of_tokens = (tokens_too && !is_admin && no_tokens.is_none()).then_some(OTHERS_TOKENS);
        Ok(CredentialReport {
            identity: self.scrub.text(&owner.username),
            missing: is_plain.then(|| CANNOT_END.to_owned()).into_iter().chain(no_tokens).collect(),
            excess: is_admin.then(|| TOO_MUCH.to_owned()).into_iter().collect(),
            unchecked: unchecked.into_iter().chain(of_tokens).map(str::to_owned).collect(),
        })
    }

    async fn owner(&self) -> Result<User, ProviderError> {
        let call = Call::get(Operation::ReadOwner, self.url("/users/me"));
        let (owner, answer) = self.read::<User>(&call).await?;
        if is_id(&owner.id) { Ok(owner) } else { Err(super::errors::unexpected(call.operation, &answer)) }
    }
}

fn without_tokens(tokens_too: bool) -> String {
    let consequence = if tokens_too { "revoked (`revoke_access_tokens`)" } else { "counted" };
    format!("read_user_access_token: without it personal access tokens cannot be {consequence}")
}
