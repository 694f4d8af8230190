//! Whose account a subject is: by id or e-mail address, and always read by its id in the end.
//!
//! Slack has no way to find people by user name. An address that finds somebody counts only if it stands in the user as
//! read by id just now.

use serde::Deserialize;

use super::api::{Api, Call};
use super::{Operation, own};
use crate::domain::{Account, Subject, check_identifier};
use crate::provider::ProviderError;

/// Slack's ids have 9 to 11 letters today.
const LONGEST_ID_BYTES: usize = 64;

#[derive(Debug, Deserialize)]
struct Found {
    user: User,
}

/// A user, as far as we read it.
#[derive(Debug, Deserialize)]
struct User {
    id: String,
    name: Option<String>,
    profile: Option<Profile>,
    #[serde(default)]
    is_bot: bool,
    enterprise_user: Option<EnterpriseUser>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    email: Option<String>,
}

/// What the organization knows of a user.
#[derive(Debug, Deserialize)]
struct EnterpriseUser {
    id: Option<String>,
    teams: Option<Vec<String>>,
}

impl User {
    fn email(&self) -> Option<&str> {
        self.profile.as_ref()?.email.as_deref().filter(|email| !email.is_empty())
    }

    /// The account with every identifier that a guardrail may name.
    fn into_account(self) -> Account {
        let email = self.email().map(str::to_owned);
        let (other_id, teams) = self.enterprise_user.map(|user| (user.id, user.teams)).unwrap_or_default();
        let mut identifiers = vec![self.id.clone()];
        for name in [other_id, self.name, email].into_iter().flatten() {
            if !name.is_empty() && !identifiers.contains(&name) {
                identifiers.push(name);
            }
        }
        Account { teams: teams.unwrap_or_default(), ..Account::new(self.id, identifiers) }
    }
}

impl Api {
    /// The account of `subject`. An id wins.
    pub(super) async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        match (&subject.id, &subject.email) {
            (Some(id), _) => self.read_given(id).await.map(Some),
            (None, Some(email)) => self.find(email).await,
            (None, None) => {
                Err(unclear("Slack finds people by id or e-mail address only, and the alert gives neither"))
            }
        }
    }

    async fn read_given(&self, id: &str) -> Result<Account, ProviderError> {
        check_identifier(id).map_err(|error| unclear(&format!("the id {error}")))?;
        let user = self.read(check_user_id(id)?).await?;
        if user.email().is_none() && !user.is_bot {
            // Every person has one; `users.info` leaves it out where the token lacks the scope `users:read.email`.
            let words = "Slack does not show the user's address, so it is not known whether the account is protected; give \
                         the token the scope users:read.email";
            return Err(ProviderError::Refused(own(Operation::UserInfo, words)));
        }
        Ok(user.into_account())
    }

    /// The user whose address this is. Slack keeps addresses in lower case, and takes them in any.
    async fn find(&self, email: &str) -> Result<Option<Account>, ProviderError> {
        check_identifier(email).map_err(|error| unclear(&format!("the email {error}")))?;
        let call = Call::new(Operation::LookupByEmail).with("email", email);
        let found = match self.ask::<Found>(&call).await {
            Ok((found, _)) => found.user,
            Err(ProviderError::UnknownAccount(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(id) = check_user_id(&found.id) else {
            let message = "unexpected answer: a user without a usable id";
            return Err(ProviderError::Unavailable(own(Operation::LookupByEmail, message)));
        };
        let user = self.read(id).await?;
        match user.email() {
            Some(theirs) if theirs.eq_ignore_ascii_case(email) => Ok(Some(user.into_account())),
            // The address was somebody's until just now, or it is another one that Slack takes for the same.
            Some(_) => Ok(None),
            None => {
                Err(unclear("Slack does not show the address of the user it found, so it is not certain who it is"))
            }
        }
    }

    async fn read(&self, id: &str) -> Result<User, ProviderError> {
        let call = Call::new(Operation::UserInfo).with("user", id);
        let user = self.ask::<Found>(&call).await?.0.user;
        if user.id == id {
            return Ok(user);
        }
        let message = "Slack knows this id by another one; the mapping that gave it is wrong";
        Err(ProviderError::UnknownAccount(own(Operation::UserInfo, message)))
    }
}

/// `id`, if it can be a user's: `U` or `W`, then capitals and digits. Anything else could mean several users in a list.
pub(super) fn check_user_id(id: &str) -> Result<&str, ProviderError> {
    if is_id(id, &['U', 'W']) {
        return Ok(id);
    }
    Err(unclear("the id is not one of Slack's, which begin with U or W and have only capitals and digits"))
}

/// Whether `id` begins with one of `kinds` and has only capitals and digits.
pub(super) fn is_id(id: &str, kinds: &[char]) -> bool {
    id.starts_with(kinds)
        && (3..=LONGEST_ID_BYTES).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

pub(super) fn unclear(message: &str) -> ProviderError {
    ProviderError::Unclear(own(Operation::LookupByEmail, message))
}
