//! Whether our key works, found out without changing anything.
//!
//! `auth_info` answers 200 to everybody, also to nobody: only its body says who we are and what we may do.

use http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Operation;
use super::api::{Api, message};
use super::users::UserIds;
use crate::provider::http::Answer;
use crate::provider::{CredentialReport, ProviderError};

/// To list and to end another user's sessions.
const USER_ALL: &str = "RIGHT_USER_ALL";

/// Says why an account has fewer rights than it should.
const WARNING: &str = "x-warning";

const NOT_LOGGED_IN: &str = "the key signs nobody in; check credentials.api_key, and that the key still exists";
const LACKS_USER_ALL: &str = "the key is good, but does not carry RIGHT_USER_ALL on other users, without which no session can be \
                              listed or ended: it has to be an admin's own key with that right, the admin approved, and \
                              the Identity Server run with is.admin-rights.all: true";
const LACKS_ADMIN: &str = "admin status of the key's owner: without it nobody is found by e-mail address";

/// Who we are; all parts are left out for nobody.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AuthInfo {
    api_key: Option<KeyAccess>,
    oauth_access_token: Option<IgnoredAny>,
    user_session: Option<IgnoredAny>,
    gateway_token: Option<IgnoredAny>,
    universal_rights: Rights,
    is_admin: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KeyAccess {
    api_key: Key,
    entity_ids: EntityIds,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Key {
    id: String,
    rights: Vec<Right>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EntityIds {
    user_ids: Option<UserIds>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rights {
    rights: Vec<Right>,
}

/// Enumerations come by name, and from some servers by number.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Right {
    Name(String),
    Number(u32),
}

impl Right {
    /// Whether it allows everything on users. `RIGHT_ALL` (55) has `RIGHT_USER_ALL` (14) in it.
    fn reaches_all_of_users(&self) -> bool {
        match self {
            Self::Name(name) => matches!(name.as_str(), USER_ALL | "RIGHT_ALL"),
            Self::Number(number) => matches!(number, 14 | 55),
        }
    }

    /// Its name if it is about something other than users, whose rights are numbered from 1 to 14.
    fn beyond_users(&self) -> Option<String> {
        match self {
            Self::Name(name) if name.starts_with("RIGHT_USER_") => None,
            Self::Name(name) => Some(name.clone()),
            Self::Number(..=14) => None,
            Self::Number(55) => Some("RIGHT_ALL".to_owned()),
            Self::Number(number) => Some(format!("right number {number}")),
        }
    }
}

impl AuthInfo {
    fn is_somebody(&self) -> bool {
        let others = [&self.oauth_access_token, &self.user_session, &self.gateway_token];
        self.api_key.is_some() || others.into_iter().any(Option::is_some)
    }

    fn identity(&self) -> String {
        match &self.api_key {
            Some(KeyAccess { api_key, entity_ids: EntityIds { user_ids: Some(user) } }) => {
                format!("{} (API key {})", user.user_id, api_key.id)
            }
            Some(KeyAccess { api_key, .. }) => format!("API key {}", api_key.id),
            None => "a token that is no API key".to_owned(),
        }
    }

    fn excess(&self) -> Vec<String> {
        let rights = self.api_key.iter().flat_map(|access| &access.api_key.rights);
        rights.filter_map(Right::beyond_users).collect()
    }
}

impl Api {
    pub(super) async fn check(&self) -> Result<CredentialReport, ProviderError> {
        let operation = Operation::AuthInfo;
        let answer = self.get(operation, self.url("/auth_info")).await?;
        let info = (answer.status == StatusCode::OK).then(|| message::<AuthInfo>(&answer)).flatten();
        let info = info.ok_or_else(|| self.error(operation, &answer))?;
        if !info.is_somebody() {
            return Err(ProviderError::Unauthorized(operation.own(NOT_LOGGED_IN)));
        }
        if !info.universal_rights.rights.iter().any(Right::reaches_all_of_users) {
            return Err(ProviderError::Unauthorized(operation.own(&self.lacks_rights(&answer))));
        }
        Ok(CredentialReport {
            identity: self.scrub.text(&info.identity()),
            missing: (!info.is_admin).then(|| LACKS_ADMIN.to_owned()).into_iter().collect(),
            excess: info.excess().iter().map(|right| self.scrub.text(right)).collect(),
            unchecked: Vec::new(),
        })
    }

    fn lacks_rights(&self, answer: &Answer) -> String {
        let warning = answer.header(WARNING).map(|text| self.scrub.text(text)).filter(|text| !text.is_empty());
        let warning = warning.map(|text| format!("; the server warns: {text}")).unwrap_or_default();
        format!("{LACKS_USER_ALL}{warning}")
    }
}
