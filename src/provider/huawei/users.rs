//! Whose account a subject is: by id, external id, user name or e-mail, and always read by its id in the end.
//!
//! Only the user name and the external id can be asked for; an address is looked for through every page of users. What
//! was found has to carry what was asked for, as read by id just now.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Operation;
use super::api::{Api, Call};
use super::errors::{own, unclear, unexpected};
use crate::domain::{Account, IdentifierError, Subject, check_identifier};
use crate::provider::ProviderError;
use crate::provider::address::segment;
use crate::provider::names::same_in_any_case;

/// The most that a page may hold.
const PAGE: &str = "100";

/// 50,000 users. Where there are more, an address is too dear to look for and has to come with an id or a user name.
const MOST_PAGES: usize = 500;

/// 47 in one place of Huawei's reference, 64 in another.
const LONGEST_USER_ID: usize = 64;

/// Limits of `attribute_value` and of `external_id.id`.
const LONGEST_VALUE_CHARS: usize = 255;
const LONGEST_EXTERNAL_ID_CHARS: usize = 256;

/// What stands beside user ids in paths.
const OTHER_PATHS: [&str; 2] = ["retrieve-user-id", "batch-query"];

/// A user, as far as we read it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct User {
    pub(super) user_id: String,
    pub(super) user_name: Option<String>,
    emails: Option<Vec<Email>>,
    external_id: Option<String>,
    external_ids: Option<Vec<ExternalId>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Email {
    value: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct ExternalId {
    id: Option<String>,
}

/// A page of users.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) users: Vec<User>,
    page_info: Option<PageInfo>,
}

#[derive(Debug, Deserialize)]
struct PageInfo {
    next_marker: Option<String>,
}

#[derive(Deserialize)]
struct Found {
    user_id: String,
}

/// Exactly one of the two ways to ask for a user's id.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Identifier<'a> {
    UniqueAttribute { attribute_path: &'a str, attribute_value: &'a str },
    ExternalId { id: &'a str, issuer: &'a str },
}

#[derive(Serialize)]
struct Question<'a> {
    alternate_identifier: Identifier<'a>,
}

/// What a user is looked for by.
#[derive(Debug, Clone, Copy)]
enum Name<'a> {
    Email(&'a str),
    Username(&'a str),
}

impl User {
    fn has_email(&self, address: &str) -> bool {
        self.emails().any(|email| same_in_any_case(email, address))
    }

    fn emails(&self) -> impl Iterator<Item = &str> {
        self.emails.iter().flatten().filter_map(|email| email.value.as_deref())
    }

    /// Whether the external ids that it shows, if any, hold this one.
    fn may_have_external_id(&self, id: &str) -> bool {
        let more = self.external_ids.iter().flatten().filter_map(|external| external.id.as_deref());
        let mut all = self.external_id.as_deref().into_iter().chain(more).filter(|id| !id.is_empty()).peekable();
        all.peek().is_none() || all.any(|theirs| theirs == id)
    }

    /// The account with every identifier that a guardrail may name.
    fn into_account(self) -> Account {
        let emails: Vec<String> = self.emails().map(str::to_owned).collect();
        let external = self.external_ids.into_iter().flatten().filter_map(|external| external.id);
        let mut identifiers = vec![self.user_id.clone()];
        identifiers.extend(self.user_name.into_iter().chain(emails).chain(self.external_id).chain(external));
        let mut seen = std::collections::HashSet::new();
        identifiers.retain(|name| !name.is_empty() && seen.insert(name.clone()));
        Account::new(self.user_id, identifiers)
    }
}

impl Api {
    /// The account of `subject`. An id wins; an address and a user name must not lead to two different accounts.
    pub(super) async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        if let Some(id) = &subject.id {
            return self.by_given_id(id).await.map(|user| Some(user.into_account()));
        }
        let email = subject.email.as_deref().map(Name::Email);
        let username = subject.username.as_deref().map(Name::Username);
        let names: Vec<_> = email.into_iter().chain(username).collect();
        for name in &names {
            check_name(*name)?;
        }
        if names.is_empty() {
            return Err(unclear("the alert gives no name that is of use at IAM Identity Center"));
        }
        let mut found: Option<User> = None;
        for name in &names {
            found = agreed(found, self.find(*name).await?)?;
        }
        Ok(found.map(User::into_account))
    }

    async fn find(&self, name: Name<'_>) -> Result<Option<User>, ProviderError> {
        match name {
            Name::Email(address) => self.search(&[], |user| user.has_email(address)).await,
            Name::Username(name) => self.by_user_name(name).await,
        }
    }

    /// A given id is a user id or, where `external_id_issuer` is set, what that issuer calls the user. Both are asked,
    /// so that no id means two people.
    async fn by_given_id(&self, id: &str) -> Result<User, ProviderError> {
        check_identifier(id).map_err(|error| unclear(&format!("the id {error}")))?;
        let direct = match (user_segment(id), &self.external_id_issuer) {
            (Ok(_), _) => self.read_user(id).await?,
            (Err(_), Some(_)) => None,
            (Err(error), None) => return Err(error),
        };
        let external = match self.external_id_issuer.as_deref() {
            Some(issuer) => self.by_external_id(id, issuer).await,
            None => Ok(None),
        };
        match (direct, external) {
            (Some(one), Ok(Some(other))) if one.user_id != other.user_id => Err(unclear(
                "the id is the user id of one account and the external id of another; give an e-mail address",
            )),
            // That external ids may not be asked for is no reason to leave a known user signed in.
            (Some(user), Ok(_) | Err(ProviderError::Refused(_) | ProviderError::Forbidden(_))) => Ok(user),
            (None, Ok(Some(user))) => Ok(user),
            (None, Ok(None)) => Err(self.unknown_id().await),
            (_, Err(error)) => Err(error),
        }
    }

    /// In an identity store that is not there nobody is known, which says nothing about the id.
    async fn unknown_id(&self) -> ProviderError {
        match self.page(&[("limit", "1")]).await {
            Err(error @ ProviderError::Misconfigured(_)) => error,
            Ok(_) | Err(_) => ProviderError::UnknownAccount(own(
                Operation::GetUser,
                "the identity store has no user with this id; the mapping that gave it is wrong",
            )),
        }
    }

    async fn by_external_id(&self, id: &str, issuer: &str) -> Result<Option<User>, ProviderError> {
        if id.chars().count() > LONGEST_EXTERNAL_ID_CHARS {
            return Ok(None);
        }
        match self.retrieve(Identifier::ExternalId { id, issuer }).await? {
            Some(user_id) => Ok(self.read_user(&user_id).await?.filter(|user| user.may_have_external_id(id))),
            None => Ok(None),
        }
    }

    /// By the call made for it. What that does not find, or does not take, is looked for among all users: that the name
    /// of the attribute is `user_name` is not documented, and an identity store that is not there answers here as if
    /// the user were not.
    async fn by_user_name(&self, name: &str) -> Result<Option<User>, ProviderError> {
        let user = match self.retrieve_by_name(name).await {
            Ok(Some(user_id)) => self.read_user(&user_id).await?,
            Ok(None) | Err(ProviderError::Refused(_) | ProviderError::Forbidden(_)) => None,
            Err(error) => return Err(error),
        };
        // The call compares by the provider's own rule, which may not mind the case.
        if let Some(user) =
            user.filter(|user| user.user_name.as_deref().is_some_and(|theirs| same_in_any_case(theirs, name)))
        {
            return Ok(Some(user));
        }
        self.search(&[("user_name", name)], |user| user.user_name.as_deref() == Some(name)).await
    }

    /// The id of the user of this name; `None` if there is none.
    pub(super) async fn retrieve_by_name(&self, name: &str) -> Result<Option<String>, ProviderError> {
        let (attribute_path, attribute_value) = (self.attribute_path.as_str(), name);
        self.retrieve(Identifier::UniqueAttribute { attribute_path, attribute_value }).await
    }

    async fn retrieve(&self, alternate_identifier: Identifier<'_>) -> Result<Option<String>, ProviderError> {
        let operation = Operation::FindUser;
        let call = Call::post(operation, "/users/retrieve-user-id", &Question { alternate_identifier });
        let answer = self.call(&call).await?;
        if answer.status == StatusCode::OK {
            let found = answer.json::<Found>().filter(|found| user_segment(&found.user_id).is_ok());
            return found.map(|found| Some(found.user_id)).ok_or_else(|| unexpected(operation, &answer));
        }
        match self.error(operation, &answer) {
            ProviderError::UnknownAccount(_) => Ok(None),
            error => Err(error),
        }
    }

    /// The one user among all pages that `is_meant`, read again by id.
    async fn search(
        &self,
        filter: &[(&str, &str)],
        is_meant: impl Fn(&User) -> bool,
    ) -> Result<Option<User>, ProviderError> {
        let mut ids = self.ids(filter, &is_meant).await?;
        if ids.len() > 1 {
            let many = ids.len();
            return Err(unclear(&format!("{many} accounts have this name; give the id of the one that is meant")));
        }
        match ids.pop_first() {
            Some(id) => Ok(self.read_user(&id).await?.filter(is_meant)),
            None => Ok(None),
        }
    }

    async fn ids(
        &self,
        filter: &[(&str, &str)],
        is_meant: impl Fn(&User) -> bool,
    ) -> Result<std::collections::BTreeSet<String>, ProviderError> {
        let mut ids = std::collections::BTreeSet::new();
        let mut markers: Vec<String> = Vec::new();
        for _ in 0..MOST_PAGES {
            let mut pairs = vec![("limit", PAGE)];
            pairs.extend(filter);
            pairs.extend(markers.last().map(|marker| ("marker", marker.as_str())));
            let page = self.page(&pairs).await?;
            ids.extend(page.users.into_iter().filter(&is_meant).map(|user| user.user_id));
            let next = page.page_info.and_then(|info| info.next_marker).filter(|marker| !marker.is_empty());
            match next {
                None => return Ok(ids),
                // It would go round for ever.
                Some(next) if markers.contains(&next) => break,
                Some(next) => markers.push(next),
            }
        }
        let pages = markers.len().max(1);
        Err(unclear(&format!("the users do not end after {pages} pages; give the user's id or user name instead")))
    }

    /// One page of users.
    pub(super) async fn page(&self, pairs: &[(&str, &str)]) -> Result<Page, ProviderError> {
        let operation = Operation::ListUsers;
        let answer = self.call(&Call::get(operation, "/users", pairs)).await?;
        let page = (answer.status == StatusCode::OK).then(|| answer.json::<Page>()).flatten();
        page.ok_or_else(|| self.error(operation, &answer))
    }

    /// The user of this id; `None` if there is none.
    pub(super) async fn read_user(&self, id: &str) -> Result<Option<User>, ProviderError> {
        let operation = Operation::GetUser;
        let call = Call::get(operation, format!("/users/{}", user_segment(id)?), &[]);
        let answer = self.call(&call).await?;
        if answer.status == StatusCode::OK {
            let user = answer.json::<User>().filter(|user| user.user_id == id);
            return user.map(Some).ok_or_else(|| unexpected(operation, &answer));
        }
        match self.error(operation, &answer) {
            ProviderError::UnknownAccount(_) => Ok(None),
            error => Err(error),
        }
    }
}

/// A user id as one path segment. Letters, digits, `-` and `_`: what else might be read as another path does not leave.
pub(super) fn user_segment(id: &str) -> Result<String, ProviderError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let fine = id.len() <= LONGEST_USER_ID && id.chars().all(is_plain) && check_identifier(id).is_ok();
    let segment = segment(id).ok().filter(|_| fine && !OTHER_PATHS.contains(&id.to_ascii_lowercase().as_str()));
    segment.ok_or_else(|| unclear("the id is not one of IAM Identity Center's: at most 64 letters, digits and hyphens"))
}

/// Both names found somebody: it has to be the same person.
fn agreed(one: Option<User>, other: Option<User>) -> Result<Option<User>, ProviderError> {
    match (one, other) {
        (Some(one), Some(other)) if one.user_id != other.user_id => Err(unclear(
            "the e-mail address and the user name belong to 2 different accounts; give the id of the one that is meant",
        )),
        (Some(one), _) => Ok(Some(one)),
        (None, other) => Ok(other),
    }
}

fn check_name(name: Name<'_>) -> Result<(), ProviderError> {
    let (field, text) = match name {
        Name::Email(text) => ("e-mail address", text),
        Name::Username(text) => ("user name", text),
    };
    let refuse = |error: IdentifierError| unclear(&format!("the {field} {error}"));
    check_identifier(text).map_err(refuse)?;
    if text.chars().count() > LONGEST_VALUE_CHARS {
        return Err(unclear(&format!("the {field} is longer than any at IAM Identity Center, 255 characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_carries_every_name_once() {
        let user: User = serde_json::from_str(
            r#"{"user_id":"1a2b-3c","user_name":"zoe","display_name":"Zoe","enabled":true,"external_id":"00u1",
                "emails":[{"primary":true,"type":"work","value":"zoe@example.com"},{"value":null}],
                "external_ids":[{"id":"00u1","issuer":"https://idp.example"},{"id":"x2","issuer":"i"}]}"#,
        )
        .expect("a user");
        assert_eq!(user.into_account().identifiers, ["1a2b-3c", "zoe", "zoe@example.com", "00u1", "x2"]);
        let bare: User = serde_json::from_str(r#"{"user_id":"1","user_name":null,"emails":null}"#).expect("a user");
        assert_eq!(bare.into_account().identifiers, ["1"]);
    }

    #[test]
    fn a_user_id_stays_one_segment() {
        for fine in ["1a2b3c4d-0000-1111-2222-333344445555", "90676b3d5d-1a2b3c4d-0000-1111-2222-333344445555", "u_1"] {
            assert_eq!(user_segment(fine).expect("an id"), fine);
        }
        let hostile = ["", ".", "..", "me", "a/b", "a%2Fb", "a b", "ü", "a;b", "a?b", "*", "retrieve-user-id", "a.b"];
        for id in hostile.iter().map(|id| (*id).to_owned()).chain(["x".repeat(65)]) {
            assert!(user_segment(&id).is_err(), "{id:?} was taken");
        }
    }
}
