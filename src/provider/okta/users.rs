//! Whose account a subject is: by id, login or e-mail, compared exactly, and always read by its id in the end.
//!
//! Okta's `GET /users/{x}` takes ids, logins and short names alike, and its search runs on an index that lags. So no
//! hit is believed for having been found: what was asked for has to stand in the user as read by id just now.

use http::StatusCode;
use reqwest::Url;
use serde::Deserialize;

use super::api::{Api, Call};
use super::{Operation, errors};
use crate::domain::{Account, IdentifierError, Subject, check_identifier};
use crate::provider::address::{same_place, segment};
use crate::provider::names::same_in_any_case;
use crate::provider::{CallReport, ProviderError};

/// 200 users to a page: a name that fills more than this many pages is nobody's.
const MOST_PAGES: usize = 5;

const USERS: &str = "/api/v1/users";

/// A user, as far as we read it.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) profile: Profile,
    credentials: Option<Credentials>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    pub(super) login: String,
    email: Option<String>,
    #[serde(rename = "secondEmail")]
    second_email: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Credentials {
    emails: Option<Vec<Email>>,
}

#[derive(Debug, Deserialize)]
struct Email {
    value: Option<String>,
}

/// What a user is looked for by.
#[derive(Debug, Clone, Copy)]
enum Name<'a> {
    Email(&'a str),
    Username(&'a str),
}

impl Name<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Email(text) | Self::Username(text) => text,
        }
    }

    fn property(&self) -> &'static str {
        match self {
            Self::Email(_) => "profile.email",
            Self::Username(_) => "profile.login",
        }
    }

    /// Whether a search hit carries this name where it was searched.
    fn is_hit(&self, user: &User) -> bool {
        match self {
            Self::Email(address) => user.has_email(address),
            Self::Username(login) => same_in_any_case(&user.profile.login, login),
        }
    }

    /// Whether a user read by this name or by id carries it. An address may be the login as well.
    fn names(&self, user: &User) -> bool {
        match self {
            Self::Email(address) => user.has_email(address) || same_in_any_case(&user.profile.login, address),
            Self::Username(_) => self.is_hit(user),
        }
    }
}

impl User {
    /// The second address is one to fall back on, and may be anybody's: it is protected, and names nobody.
    fn has_email(&self, address: &str) -> bool {
        self.profile.email.as_deref().is_some_and(|email| same_in_any_case(email, address))
    }

    /// The account with every identifier that a guardrail may name.
    fn into_account(self) -> Account {
        let Profile { login, email, second_email } = self.profile;
        let short_name = login.split_once('@').map(|(short, _)| short.to_owned());
        let emails = self.credentials.and_then(|credentials| credentials.emails).unwrap_or_default();
        let mut identifiers = vec![self.id.clone(), login];
        identifiers.extend([short_name, email, second_email].into_iter().flatten());
        identifiers.extend(emails.into_iter().filter_map(|email| email.value));
        let mut seen = std::collections::HashSet::new();
        identifiers.retain(|name| !name.is_empty() && seen.insert(name.clone()));
        Account::new(self.id, identifiers)
    }
}

impl Api {
    /// The account of `subject`. An id wins; an address and a login must not lead to two different accounts.
    pub(super) async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        if let Some(id) = &subject.id {
            check("id", id)?;
            return self.read_given(id).await.map(Some);
        }
        let email = subject.email.as_deref().map(Name::Email);
        let username = subject.username.as_deref().map(Name::Username);
        let names: Vec<_> = email.into_iter().chain(username).collect();
        for name in &names {
            check(name.property(), name.text())?;
        }
        let mut found: Option<User> = None;
        for name in &names {
            found = agreed(found, self.find(*name).await?)?;
        }
        if names.is_empty() {
            Err(unclear("the alert gives no name that is of use at Okta"))
        } else {
            Ok(found.map(User::into_account))
        }
    }

    /// The user of an id that was given. A login or short name given as an id is not one.
    async fn read_given(&self, id: &str) -> Result<Account, ProviderError> {
        let user = self.read_user(Operation::GetUser, id).await?;
        let user = user.filter(|user| user.id == id).ok_or_else(|| self.unknown_id())?;
        Ok(user.into_account())
    }

    async fn find(&self, name: Name<'_>) -> Result<Option<User>, ProviderError> {
        let found = match name {
            Name::Email(_) => self.search(name).await?,
            Name::Username(_) => self.look_up(name).await?,
        };
        if found.is_some() {
            return Ok(found);
        }
        match name {
            // The index lags; a login does not, and most logins are addresses.
            Name::Email(_) => self.look_up(name).await,
            // A `/` cannot be looked up, and somebody's id or short name may hide somebody else's login.
            Name::Username(_) => self.search(name).await,
        }
    }

    /// By path: an id, a login or a short name, whichever Okta takes it for. Only a user who carries the name counts.
    async fn look_up(&self, name: Name<'_>) -> Result<Option<User>, ProviderError> {
        if !is_path_safe(name.text()) {
            return Ok(None);
        }
        let found = self.read_user(Operation::FindUser, name.text()).await?;
        match found.filter(|user| name.names(user)) {
            Some(user) => self.read_again(user, name).await,
            None => Ok(None),
        }
    }

    /// By search, which pages and lags.
    async fn search(&self, name: Name<'_>) -> Result<Option<User>, ProviderError> {
        let mut hits: Vec<User> = Vec::new();
        let mut next = Some(self.search_url(name));
        for _ in 0..MOST_PAGES {
            let Some(url) = next.take() else { break };
            let (users, link) = self.page(url).await?;
            hits.extend(users.into_iter().filter(|user| name.is_hit(user)));
            next = link;
        }
        hits.sort_by(|one, other| one.id.cmp(&other.id));
        hits.dedup_by(|one, other| one.id == other.id);
        match (hits.len(), next) {
            (_, Some(_)) => Err(unclear(&format!("more than {MOST_PAGES} pages of users answer to this name"))),
            (0 | 1, None) => match hits.pop() {
                Some(user) => self.read_again(user, name).await,
                None => Ok(None),
            },
            (many, None) => {
                Err(unclear(&format!("{many} accounts have this name; give the id of the one that is meant")))
            }
        }
    }

    fn search_url(&self, name: Name<'_>) -> Url {
        let mut url = self.url(USERS);
        let expression = format!("{} eq {}", name.property(), quoted(name.text()));
        // `%20` and not `+`: Okta documents percent-encoding for expressions.
        let encoded =
            percent_encoding::utf8_percent_encode(&expression, percent_encoding::NON_ALPHANUMERIC).to_string();
        url.set_query(Some(&format!("search={encoded}")));
        url
    }

    async fn page(&self, url: Url) -> Result<(Vec<User>, Option<Url>), ProviderError> {
        let call = Call::get(Operation::SearchUsers, url);
        let answer = self.call(&call).await?;
        let users = (answer.status == StatusCode::OK).then(|| answer.json::<Vec<User>>()).flatten();
        let users = users.ok_or_else(|| self.error(call.operation, &answer))?;
        match next_link(&answer.headers).map(|text| Url::parse(&text)) {
            None => Ok((users, None)),
            Some(Ok(next)) if same_place(&next, &self.url(USERS)) => Ok((users, Some(next))),
            // Following it would take our credential to another host.
            Some(_) => Err(errors::unexpected(call.operation, &answer)),
        }
    }

    /// What was found may come from an index that lags: the user as it is now has to carry the name still.
    async fn read_again(&self, found: User, name: Name<'_>) -> Result<Option<User>, ProviderError> {
        if check_identifier(&found.id).is_err() || !is_path_safe(&found.id) {
            return Err(ProviderError::Unavailable(own(
                Operation::GetUser,
                "unexpected answer: a user without a usable id",
            )));
        }
        let user = self.read_user(Operation::GetUser, &found.id).await?;
        Ok(user.filter(|user| user.id == found.id && name.names(user)))
    }

    /// The user that Okta knows by `key`; `None` if it knows none.
    async fn read_user(&self, operation: Operation, key: &str) -> Result<Option<User>, ProviderError> {
        let segment = segment(key).map_err(|error| unclear(&format!("the name {error}")))?;
        let call = Call::get(operation, self.url(&format!("{USERS}/{segment}")));
        let answer = self.call(&call).await?;
        if answer.status == StatusCode::OK {
            let user = answer.json::<User>().ok_or_else(|| self.error(operation, &answer))?;
            return Ok(Some(user));
        }
        match self.error(operation, &answer) {
            ProviderError::UnknownAccount(_) => Ok(None),
            error => Err(error),
        }
    }

    fn unknown_id(&self) -> ProviderError {
        ProviderError::UnknownAccount(own(
            Operation::GetUser,
            "Okta has no user with this id; the mapping that gave it is wrong",
        ))
    }
}

/// Both names found somebody: it has to be the same person.
fn agreed(one: Option<User>, other: Option<User>) -> Result<Option<User>, ProviderError> {
    match (one, other) {
        (Some(one), Some(other)) if one.id != other.id => Err(unclear(
            "the e-mail address and the user name belong to 2 different accounts; give the id of the one that is meant",
        )),
        (Some(one), _) => Ok(Some(one)),
        (None, other) => Ok(other),
    }
}

fn check(field: &str, text: &str) -> Result<(), ProviderError> {
    let refuse = |error: IdentifierError| unclear(&format!("the {} {error}", field.trim_start_matches("profile.")));
    check_identifier(text).map_err(refuse)?;
    if field == "id" && !is_path_safe(text) { Err(refuse(IdentifierError::Reserved)) } else { Ok(()) }
}

/// Servers and proxies on the way may decode these and find another path.
pub(super) fn is_path_safe(text: &str) -> bool {
    !text.contains(['/', '\\', '%', ';', '?', '#']) && segment(text).is_ok()
}

/// A string of the filter language. How it escapes is not documented; this is JSON's way, as in SCIM (RFC 7644).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The target of `rel="next"` (RFC 8288), in one header or several.
fn next_link(headers: &http::HeaderMap) -> Option<String> {
    let values = headers.get_all("link").into_iter().filter_map(|value| value.to_str().ok());
    let links = values.flat_map(|value| value.split('<').skip(1)).filter_map(|link| link.split_once('>'));
    let is_next = |parameters: &str| {
        let mut parameters = parameters.split([';', ',']).filter_map(|parameter| parameter.trim().split_once('='));
        parameters
            .any(|(name, value)| name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"') == "next")
    };
    links.into_iter().find(|(_, parameters)| is_next(parameters)).map(|(target, _)| target.to_owned())
}

/// A report of ours, about no answer in particular.
pub(super) fn own(operation: Operation, message: &str) -> CallReport {
    CallReport { operation: operation.as_str(), message: message.to_owned(), ..CallReport::default() }
}

pub(super) fn unclear(message: &str) -> ProviderError {
    ProviderError::Unclear(own(Operation::FindUser, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_expressions_cannot_end_early() {
        assert_eq!(quoted("ana@example.com"), r#""ana@example.com""#);
        assert_eq!(quoted(r#"a" or id pr or "b"#), r#""a\" or id pr or \"b""#);
        assert_eq!(quoted(r#"a\"#), r#""a\\""#);
        assert_eq!(quoted(r#"a\" or"#), r#""a\\\" or""#);
    }

    #[test]
    fn the_next_page_is_found_in_every_way_to_write_links() {
        let next = "https://acme.okta.com/api/v1/users?after=2&limit=200";
        let table: [(&[String], bool); 5] = [
            (&[format!("<https://acme.okta.com/api/v1/users>; rel=\"self\", <{next}>; rel=\"next\"")], true),
            (&["<https://acme.okta.com/x>; rel=\"self\"".to_owned(), format!("<{next}>; rel=next")], true),
            (&[format!("<{next}>; title=\"x\"; REL=\"next\"")], true),
            (&[format!("<{next}>; rel=\"self\"")], false),
            (&["nonsense".to_owned()], false),
        ];
        for (values, found) in table {
            let mut headers = http::HeaderMap::new();
            for value in values {
                headers.append("link", value.parse().expect("a header value"));
            }
            assert_eq!(next_link(&headers).as_deref(), found.then_some(next), "{values:?}");
        }
    }

    #[test]
    fn an_account_carries_every_name_once() {
        let user: User = serde_json::from_str(
            r#"{"id":"00u1","profile":{"login":"ana@example.com","email":"ana@example.com",
                "secondEmail":"a@home.example","mobilePhone":"+1-555"},
                "credentials":{"emails":[{"value":"old@example.com","status":"VERIFIED"}]}}"#,
        )
        .expect("a user");
        let account = user.into_account();
        assert_eq!(account.identifiers, ["00u1", "ana@example.com", "ana", "a@home.example", "old@example.com"]);
    }
}
