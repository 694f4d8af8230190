//! Whose account a subject is: by user id, which is the login name, or by e-mail address, which can only be compared.
//!
//! There is no search by address, and the search that there is finds substrings of names. So the users are read page
//! by page and compared by the server's own rule. Whoever was found is read again by id before anything is believed.

use http::StatusCode;
use serde::Deserialize;

use super::Operation;
use super::api::{Api, message};
use super::paging::{End, List};
use crate::domain::{Account, Subject, check_identifier};
use crate::provider::ProviderError;
use crate::provider::names::same_in_any_case;

/// 1000 users to a page: a network beyond that needs the user ids in its alerts.
const MOST_PAGES: u32 = 100;

/// Users come and go while they are read: a list that moved is read again.
const MOST_WALKS: u32 = 3;

/// The longest user id there is.
const LONGEST_ID_CHARS: usize = 36;

/// A user, as far as we read it. What has its default value is left out of answers.
#[derive(Debug, Deserialize)]
struct User {
    ids: UserIds,
    #[serde(default)]
    primary_email_address: String,
}

/// The identifiers of a user.
#[derive(Debug, Deserialize)]
pub(super) struct UserIds {
    pub(super) user_id: String,
}

/// One more key would be another message, such as an error that a proxy sends with a 200.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Users {
    #[serde(default)]
    users: Vec<User>,
}

impl List for Users {
    type Item = User;

    fn items(self) -> Vec<User> {
        self.users
    }

    fn id(user: &User) -> &str {
        &user.ids.user_id
    }
}

/// `^[a-z0-9](?:[-]?[a-z0-9]){1,}$` and at most 36 letters. What has this form is one path segment as it is.
pub(super) fn is_user_id(text: &str) -> bool {
    let parts_are_fine = text
        .split('-')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    (2..=LONGEST_ID_CHARS).contains(&text.len()) && parts_are_fine
}

impl Api {
    /// The account of `subject`. An id wins; an address and a user name must not lead to two different accounts.
    pub(super) async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        if let Some(id) = &subject.id {
            check("id", Some(id))?;
            return match is_user_id(id) {
                true => self.read_user(id).await?.map(Some).ok_or_else(unknown_id),
                false => Err(unclear(NO_USER_ID)),
            };
        }
        let (email, username) = (subject.email.as_deref(), subject.username.as_deref());
        check("email", email)?;
        check("username", username)?;
        // Names of other systems are often none that a user can have here; the address still tells who is meant.
        let (email, user_id) = (email.filter(|it| it.contains('@')), username.filter(|name| is_user_id(name)));
        if email.is_none() && user_id.is_none() {
            return Err(unclear(if username.is_some() { NO_USER_ID } else { NO_NAME }));
        }
        let named = match user_id {
            Some(id) => self.read_user(id).await?,
            None => None,
        };
        let addressed = match email {
            Some(address) => self.find(address).await?,
            None => None,
        };
        agreed(named, addressed)
    }

    /// The only user who has this address now.
    async fn find(&self, address: &str) -> Result<Option<Account>, ProviderError> {
        let mut end = End::Moved;
        for _ in 0..MOST_WALKS {
            let (hits, ended) = self.hits(address).await?;
            match &hits[..] {
                [] => {}
                [id] => {
                    let account = self.read_user(id).await?;
                    return Ok(
                        account.filter(|account| account.identifiers.iter().any(|it| same_in_any_case(it, address)))
                    );
                }
                many => {
                    let words =
                        format!("{} accounts have this address; give the id of the one that is meant", many.len());
                    return Err(unclear(&words));
                }
            }
            end = ended;
            if end != End::Moved {
                break;
            }
        }
        match end {
            End::Complete => Ok(None),
            End::Moved => Err(ProviderError::Unavailable(Operation::ListUsers.own(
                "the list of users changed each time it was read, so it is not known whether nobody has this address",
            ))),
            End::TooLong => {
                Err(unclear("there are more than 100000 users, and an address can only be compared; give the user id"))
            }
        }
    }

    /// The ids of those who have this address, and whether everybody was asked.
    async fn hits(&self, address: &str) -> Result<(Vec<String>, End), ProviderError> {
        let mut url = self.url("/users");
        // Without the mask nothing but ids and times comes back.
        url.query_pairs_mut().append_pair("field_mask", "primary_email_address");
        let has_it = |user: &User| same_in_any_case(&user.primary_email_address, address);
        let walk = self.walk::<Users>(Operation::ListUsers, &url, MOST_PAGES, has_it).await?;
        if walk.items.iter().any(|user| !is_user_id(&user.ids.user_id)) {
            let words = "unexpected answer: a user without a usable id";
            return Err(ProviderError::Unavailable(Operation::ListUsers.own(words)));
        }
        Ok((walk.items.into_iter().map(|user| user.ids.user_id).collect(), walk.end))
    }

    /// The user of this id, with every name; `None` if there is none.
    async fn read_user(&self, id: &str) -> Result<Option<Account>, ProviderError> {
        let operation = Operation::GetUser;
        let mut url = self.url(&format!("/users/{id}"));
        url.query_pairs_mut().append_pair("field_mask", "primary_email_address");
        let answer = self.get(operation, url).await?;
        if answer.status != StatusCode::OK {
            return match self.error(operation, &answer) {
                ProviderError::UnknownAccount(_) => Ok(None),
                error => Err(error),
            };
        }
        let user = message::<User>(&answer).filter(|user| user.ids.user_id == id);
        let user = user.ok_or_else(|| self.error(operation, &answer))?;
        if user.primary_email_address.is_empty() {
            // Everybody has one. Whoever may not see it does not know whether a guardrail is about it.
            return Err(ProviderError::Refused(operation.own(UNSEEN_ADDRESS)));
        }
        Ok(Some(Account::new(id, vec![id.to_owned(), user.primary_email_address])))
    }
}

const NO_NAME: &str = "the alert gives no name that is of use at The Things Stack";
const NO_USER_ID: &str = "no user of The Things Stack can have this name: it takes 2 to 36 letters of a-z and 0-9, and single \
                          dashes between them; give the user id";
const UNSEEN_ADDRESS: &str = "the user's e-mail address is not shown to our key, which an admin's key with RIGHT_USER_ALL \
                              would see";

/// Refuses a name that a server could read as something else.
fn check(field: &str, name: Option<&str>) -> Result<(), ProviderError> {
    let refuse = |error| unclear(&format!("the {field} {error}"));
    name.map_or(Ok(()), |name| check_identifier(name).map_err(refuse))
}

/// Both names found somebody: it has to be the same person.
fn agreed(one: Option<Account>, other: Option<Account>) -> Result<Option<Account>, ProviderError> {
    match (one, other) {
        (Some(one), Some(other)) if one.id != other.id => Err(unclear(
            "the e-mail address and the user name belong to 2 different accounts; give the id of the one that is meant",
        )),
        (Some(one), _) => Ok(Some(one)),
        (None, other) => Ok(other),
    }
}

pub(super) fn unclear(message: &str) -> ProviderError {
    ProviderError::Unclear(Operation::GetUser.own(message))
}

fn unknown_id() -> ProviderError {
    let words = "The Things Stack has no user with this id; the mapping that gave it is wrong";
    ProviderError::UnknownAccount(Operation::GetUser.own(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_ids_have_the_vendors_pattern() {
        let longest = "a".repeat(36);
        for fine in ["zoe", "a1", "00", "a-b-c", "zoe-2", &longest] {
            assert!(is_user_id(fine), "{fine} was refused");
        }
        let too_long = "a".repeat(37);
        let wrong = [
            "",
            "a",
            "-",
            "-a",
            "a-",
            "a--b",
            "Zoe",
            "zoe.b",
            "zoe_b",
            "zo e",
            "zoe/",
            "../zoe",
            "zoë",
            "zoe\n",
            "zoe%20",
            "zoe@example.com",
            &too_long,
        ];
        for text in wrong {
            assert!(!is_user_id(text), "{text:?} was taken");
        }
    }
}
