//! What sessions an account has. Mattermost lists all of them at once, without their secrets, from a replica of its
//! database where it has one, so a list may be a little old.

use jiff::Timestamp;
use serde::Deserialize;

use super::Operation;
use super::api::{Api, Call};
use super::errors;
use super::users::is_id;
use crate::domain::{Account, Device, Look, Session};
use crate::provider::ProviderError;
use crate::provider::hint;
use crate::provider::scrub::Scrub;

/// What `props.type` says of a session that a personal access token made.
const OF_TOKEN: &str = "UserAccessToken";

/// `Date` has whole seconds: a session of the same second may have begun up to so much later, and still before the answer.
const REST_OF_SECOND_MS: i64 = 999;

/// A session, as far as we read it: `props` may hold a CSRF token, which is not read.
#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    user_id: String,
    #[serde(default)]
    create_at: i64,
    #[serde(default)]
    expires_at: i64,
    #[serde(default)]
    last_activity_at: i64,
    #[serde(default)]
    device_id: String,
    #[serde(default)]
    is_oauth: bool,
    #[serde(default)]
    props: Option<Props>,
}

#[derive(Debug, Default, Deserialize)]
struct Props {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    user_access_token_id: String,
    #[serde(default)]
    is_bot: String,
    #[serde(default)]
    browser: String,
    #[serde(default)]
    os: String,
    #[serde(default, rename = "isMobile")]
    is_mobile: String,
}

impl Listed {
    /// Expired ones are listed until a clean-up removes them. 0: never. Without the server's time nothing has expired.
    fn is_alive(&self, date: Option<i64>) -> bool {
        self.expires_at <= 0 || date.is_none_or(|seconds| self.expires_at >= seconds.saturating_mul(1000))
    }

    fn into_session(self, scrub: &Scrub) -> Session {
        let props = self.props.unwrap_or_default();
        Session {
            created_at: time(self.create_at),
            last_active_at: time(self.last_activity_at),
            expires_at: time(self.expires_at),
            device: props.device(&self.device_id),
            client: props.client(self.is_oauth, scrub),
            id: self.id,
            ..Session::default()
        }
    }
}

impl Props {
    fn client(&self, is_oauth: bool, scrub: &Scrub) -> Option<String> {
        let from = match (self.browser.is_empty(), self.os.is_empty()) {
            (false, false) => format!("{} on {}", self.browser, self.os),
            _ => format!("{}{}", self.browser, self.os),
        };
        let token = match self.user_access_token_id.is_empty() {
            true => "personal access token".to_owned(),
            false => format!("personal access token {}", self.user_access_token_id),
        };
        let mut words = Vec::new();
        words.extend((self.kind == OF_TOKEN).then_some(token));
        words.extend((self.is_bot == "true").then(|| "bot".to_owned()));
        words.extend(is_oauth.then(|| "OAuth app".to_owned()));
        words.extend(Some(from).filter(|from| !from.is_empty()));
        Some(scrub.text(&words.join(", "))).filter(|text| !text.is_empty())
    }

    /// Only the mobile apps register a device. The desktop app is neither.
    fn device(&self, device_id: &str) -> Option<Device> {
        if !device_id.is_empty() || self.is_mobile == "true" {
            return Some(Device::Mobile);
        }
        let in_browser = !self.browser.is_empty() && !self.browser.starts_with("Desktop App");
        (in_browser && self.is_mobile == "false" && self.kind != OF_TOKEN).then_some(Device::Web)
    }
}

/// Unix milliseconds; 0 is none.
fn time(milliseconds: i64) -> Option<Timestamp> {
    (milliseconds > 0).then(|| Timestamp::from_millisecond(milliseconds).ok()).flatten()
}

impl Api {
    /// Every session of `account` that is alive.
    pub(super) async fn look(&self, account: &Account) -> Result<Look, ProviderError> {
        let id = self.own_segment(account, Operation::ListSessions)?;
        let call = Call::get(Operation::ListSessions, self.url(&format!("/users/{id}/sessions")));
        let (listed, answer) = self.read::<Vec<Listed>>(&call).await?;
        if listed.iter().any(|session| session.user_id != account.id || !is_id(&session.id)) {
            // Another user's list, perhaps out of a proxy's cache.
            return Err(errors::unexpected(call.operation, &answer));
        }
        let date = hint::date(&answer);
        let alive = listed.into_iter().filter(|session| session.is_alive(date));
        let mut sessions: Vec<_> = alive.map(|session| session.into_session(&self.scrub)).collect();
        let mut seen = std::collections::HashSet::new();
        sessions.retain(|session| seen.insert(session.id.clone()));
        let at = date.and_then(|seconds| time(seconds.saturating_mul(1000).saturating_add(REST_OF_SECOND_MS)));
        Ok(Look { sessions, complete: true, at })
    }

    /// The account's id, fit for a path.
    pub(super) fn own_segment<'a>(&self, account: &'a Account, operation: Operation) -> Result<&'a str, ProviderError> {
        let id = account.id.as_str();
        is_id(id).then_some(id).ok_or_else(|| super::unclear(operation, "the account's id is none of Mattermost's"))
    }
}
