//! Whose account a subject is: by id, e-mail address or user name, each as Mattermost itself compares it.
//!
//! Always holds: an account is only what was read just now, carries the name that it was asked for, and has all of its
//! names: one whose e-mail address is hidden from us may be protected by it, and is not acted on.

use serde::Deserialize;

use super::api::{Api, Call};
use super::{Operation, own, unclear};
use crate::domain::{Account, Subject, check_identifier};
use crate::provider::ProviderError;
use crate::provider::address::segment;
use crate::provider::names::same_in_any_case;

/// Mattermost's ids: 26 letters and digits (z-base-32 of 16 bytes).
const ID_LENGTH: usize = 26;

/// A user, as far as we read it.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) username: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    pub(super) roles: String,
}

/// What a user is looked for by.
#[derive(Debug, Clone, Copy)]
enum Name<'a> {
    Email(&'a str),
    Username(&'a str),
}

impl Name<'_> {
    fn operation(self) -> Operation {
        match self {
            Self::Email(_) => Operation::FindByEmail,
            Self::Username(_) => Operation::FindByUsername,
        }
    }

    /// The path that leads to it; `None`: no user of Mattermost can have this name.
    fn path(self) -> Option<String> {
        match self {
            Self::Email(address) => {
                is_path_safe(address).then(|| segment(address).ok())?.map(|email| format!("/users/email/{email}"))
            }
            // A name in capitals is refused, not found.
            Self::Username(name) => is_username(name).then(|| format!("/users/username/{}", name.to_ascii_lowercase())),
        }
    }

    fn names(self, user: &User) -> bool {
        match self {
            // One that is hidden is told apart later.
            Self::Email(address) => user.email.is_empty() || same_in_any_case(address, &user.email),
            Self::Username(name) => user.username == name.to_ascii_lowercase(),
        }
    }
}

impl User {
    /// The account with every identifier that a guardrail may name.
    fn into_account(self) -> Result<Account, ProviderError> {
        if self.email.is_empty() {
            let words = "the account's e-mail address is hidden from our token, so it is not known whether the account is \
                         protected; show addresses (Site Configuration, Users and Teams), or give the token's owner the \
                         system admin role";
            return Err(ProviderError::Refused(own(Operation::GetUser, words)));
        }
        let identifiers = vec![self.id.clone(), self.username, self.email];
        Ok(Account::new(self.id, identifiers))
    }
}

/// Whether `text` has the shape of an id. Nothing else is put in a path: `/users//sessions/revoke/all` may be read as the
/// call that ends the sessions of everyone.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// The letters that the server's route for user names takes. Another one would end at a page that is not found.
fn is_username(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// Servers and proxies on the way may decode these and find another path.
fn is_path_safe(text: &str) -> bool {
    !text.contains(['/', '\\', '%', ';', '?', '#'])
}

impl Api {
    /// The account of `subject`. An id wins; an address and a user name must not lead to two different accounts.
    pub(super) async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        if let Some(id) = &subject.id {
            return self.read_given(id).await?.into_account().map(Some);
        }
        let email = subject.email.as_deref().map(Name::Email);
        let username = subject.username.as_deref().map(Name::Username);
        let names: Vec<_> = email.into_iter().chain(username).collect();
        for Name::Email(text) | Name::Username(text) in &names {
            check_identifier(text).map_err(|error| unclear(Operation::GetUser, &format!("the name {error}")))?;
        }
        let mut found: Option<User> = None;
        let mut unusable = 0;
        for name in &names {
            match self.find(*name).await {
                Ok(user) => found = agreed(found, user)?,
                // The other name may be of use.
                Err(ProviderError::Unclear(_)) if unusable + 1 < names.len() => unusable += 1,
                Err(error) => return Err(error),
            }
        }
        if names.is_empty() {
            return Err(unclear(Operation::GetUser, "the alert gives no name that is of use at Mattermost"));
        }
        found.map(User::into_account).transpose()
    }

    async fn read_given(&self, id: &str) -> Result<User, ProviderError> {
        check_identifier(id).map_err(|error| unclear(Operation::GetUser, &format!("the id {error}")))?;
        let user = if is_id(id) { self.read_user(id).await? } else { None };
        user.ok_or_else(|| {
            let words =
                "Mattermost has no user with this id (26 letters and digits); the mapping that gave it is wrong";
            ProviderError::UnknownAccount(own(Operation::GetUser, words))
        })
    }

    /// The user of this id, which has been seen to have the shape of one.
    pub(super) async fn read_user(&self, id: &str) -> Result<Option<User>, ProviderError> {
        let user = self.ask(Operation::GetUser, &format!("/users/{id}")).await?;
        match user {
            Some(user) if user.id != id => Err(somebody_else(Operation::GetUser)),
            user => Ok(user),
        }
    }

    async fn find(&self, name: Name<'_>) -> Result<Option<User>, ProviderError> {
        let operation = name.operation();
        let path = name.path().ok_or_else(|| unclear(operation, "no user of Mattermost can have this name"))?;
        let user = self.ask(operation, &path).await?;
        match user {
            Some(user) if !is_id(&user.id) => Err(somebody_else(operation)),
            // The server's addresses are compared less exactly than ours.
            Some(user) if !name.names(&user) => Ok(None),
            user => Ok(user),
        }
    }

    async fn ask(&self, operation: Operation, path: &str) -> Result<Option<User>, ProviderError> {
        match self.read::<User>(&Call::get(operation, self.url(path))).await {
            Ok((user, _)) => Ok(Some(user)),
            Err(ProviderError::UnknownAccount(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn somebody_else(operation: Operation) -> ProviderError {
    ProviderError::Unavailable(own(
        operation,
        "unexpected answer: not the user who was asked for, so it is not believed",
    ))
}

/// Both names found somebody: it has to be the same person.
fn agreed(one: Option<User>, other: Option<User>) -> Result<Option<User>, ProviderError> {
    match (one, other) {
        (Some(one), Some(other)) if one.id != other.id => Err(unclear(
            Operation::FindByUsername,
            "the e-mail address and the user name belong to 2 different accounts; give the id of the one that is meant",
        )),
        (Some(one), _) => Ok(Some(one)),
        (None, other) => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_26_letters_and_digits() {
        assert!(is_id("u1v2w3x4y5z6a7b8c9d0e1f2g3"));
        for other in ["", "me", "u1v2w3x4y5z6a7b8c9d0e1f2g", "U1v2w3x4y5z6a7b8c9d0e1f2g3", "u1v2w3x4y5z6a7b8c9d0e1f2/3"]
        {
            assert!(!is_id(other), "{other}");
        }
    }
}
