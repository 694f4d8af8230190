//! What each of Mattermost's answers means: a table of operation, status and error id.
//!
//! Always holds: nothing classified here is a success, and an id that we do not know falls back to what its status
//! means. Messages are translated by the server and may name people, so only ids are read and told.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::Operation;
use crate::provider::http::Answer;
use crate::provider::{CallReport, ProviderError};

/// Mattermost's id of a call, which is in its own log as well.
const REQUEST_ID: &str = "x-request-id";

/// The session is unknown or has ended already.
pub(super) const SESSION_GONE: &str = "app.session.get.app_error";

/// The personal access token is unknown or was revoked already.
pub(super) const TOKEN_GONE: &str = "app.user_access_token.get_by_user.app_error";

#[derive(Debug, Default, Deserialize)]
struct AppError {
    #[serde(default)]
    id: String,
    #[serde(default)]
    request_id: String,
}

/// The class of an answer, before its report is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Throttled,
    Unavailable,
    Unauthorized,
    Misconfigured,
    Forbidden,
    Refused,
    UnknownAccount,
    Unclear,
}

/// Which ids a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Id {
    Is(&'static str),
    StartsWith(&'static str),
    /// One of Mattermost's, whichever.
    Some,
    /// One of Mattermost's or none, as in a proxy's page.
    Any,
}

impl Id {
    fn covers(self, id: Option<&str>) -> bool {
        match self {
            Self::Is(known) => id == Some(known),
            Self::StartsWith(start) => id.is_some_and(|id| id.starts_with(start)),
            Self::Some => id.is_some(),
            Self::Any => true,
        }
    }
}

/// One row: on these operations (none: all), with this status and id, it means this.
struct Row(&'static [Operation], RangeInclusive<u16>, Id, Class, &'static str);

use Class::{Forbidden, Misconfigured, Refused, Throttled, Unauthorized, Unavailable, Unclear, UnknownAccount};
use Id::{Any, Is, Some as OneOf, StartsWith};

const ALL: &[Operation] = &[];
const USERS: &[Operation] = &[Operation::GetUser, Operation::FindByEmail, Operation::FindByUsername];
const OF_USER: &[Operation] =
    &[Operation::ListSessions, Operation::RevokeAll, Operation::RevokeSession, Operation::ListTokens];
const EMAIL: &[Operation] = &[Operation::FindByEmail];
const USERNAME: &[Operation] = &[Operation::FindByUsername];
const SESSION: &[Operation] = &[Operation::RevokeSession];
const TOKENS: &[Operation] = &[Operation::ListTokens, Operation::RevokeToken];

const EXPIRED: &str = "the token is unknown, expired or revoked, its owner is deactivated, or personal access tokens are \
                       switched off";
const NEEDS_MFA: &str = "the owner of our token has to set up multi-factor authentication first";
const NO_EMAILS: &str = "e-mail addresses are hidden from our token; name the account by id, show addresses (Site \
                         Configuration, Users and Teams), or give the token's owner the system admin role";
const NO_TOKENS: &str = "our token may not read or revoke personal access tokens (read_user_access_token, \
                         revoke_user_access_token), or not those of a system admin";
const NO_USERS: &str =
    "our token lacks edit_other_users, or the account is a system admin's, which takes manage_system";
const OTHER_URL: &str = "`url` has to be the server's own, with its sub-path if it has one";
const PROXY: &str = "refused in words that are not Mattermost's; is there a proxy in between?";

/// The first row that fits counts.
const TABLE: &[Row] = &[
    Row(ALL, 429..=429, Any, Throttled, "the rate limit is reached"),
    Row(ALL, 501..=501, Any, Misconfigured, "this feature is switched off, or not in the server's licence"),
    Row(ALL, 500..=599, Is("api.context.server_busy.app_error"), Unavailable, "the server is too busy"),
    Row(ALL, 500..=599, StartsWith("app.session."), Unavailable, "its database has trouble with sessions"),
    Row(ALL, 500..=599, StartsWith("app.oauth."), Unavailable, "its database has trouble with OAuth apps"),
    // A hardened server gives no id with a 5xx.
    Row(ALL, 500..=599, Any, Unavailable, "the server or a proxy before it has trouble"),
    Row(ALL, 300..=399, Any, Misconfigured, OTHER_URL),
    Row(ALL, 401..=401, Is("api.context.session_expired.app_error"), Unauthorized, EXPIRED),
    Row(ALL, 401..=401, Is("api.context.token_provided.app_error"), Unauthorized, "the token arrived in the query"),
    Row(ALL, 401..=401, Any, Unauthorized, "our token is refused"),
    Row(ALL, 403..=403, Is("api.context.mfa_required.app_error"), Unauthorized, NEEDS_MFA),
    Row(EMAIL, 403..=403, Is("api.user.get_user_by_email.permissions.app_error"), Refused, NO_EMAILS),
    Row(TOKENS, 403..=403, Is("api.context.permissions.app_error"), Forbidden, NO_TOKENS),
    Row(ALL, 403..=403, Is("api.context.permissions.app_error"), Forbidden, NO_USERS),
    Row(ALL, 403..=403, Any, Forbidden, "forbidden"),
    Row(USERS, 404..=404, Is("app.user.missing_account.const"), UnknownAccount, "no user has this name or id"),
    Row(USERNAME, 404..=404, Is("app.user.get_by_username.app_error"), UnknownAccount, "no user has this name"),
    Row(OF_USER, 404..=404, Is("app.user.missing_account.const"), UnknownAccount, "no user has this id"),
    Row(TOKENS, 404..=404, Is(TOKEN_GONE), Refused, "there is no such personal access token"),
    // Another id is that of the web app's own page.
    Row(ALL, 404..=404, Any, Misconfigured, OTHER_URL),
    Row(ALL, 405..=405, Any, Misconfigured, "the request arrived changed; is there a proxy in between?"),
    Row(SESSION, 400..=400, Is(SESSION_GONE), Refused, "there is no such session"),
    Row(SESSION, 400..=400, Is("api.context.invalid_url_param.app_error"), Refused, "the session is somebody else's"),
    Row(EMAIL, 400..=400, Is("api.context.invalid_url_param.app_error"), Unclear, "no e-mail address to Mattermost"),
    // The id is that of a wrong body, although the name stands in the path.
    Row(USERNAME, 400..=400, Is("api.context.invalid_body_param.app_error"), Unclear, "no user name to Mattermost"),
    Row(ALL, 400..=400, Is("api.context.invalid_url_param.app_error"), Refused, "an id in the path is not valid"),
    Row(ALL, 400..=400, Is("api.context.invalid_body_param.app_error"), Refused, "the body is not valid"),
    Row(ALL, 408..=408, Any, Unavailable, "it did not take the request in time"),
    Row(ALL, 413..=413, Any, Refused, "the request is too large for it"),
    Row(ALL, 414..=414, Any, Refused, "the URL is too long for it"),
    Row(ALL, 423..=423, Any, Unavailable, "locked for the moment"),
    Row(ALL, 425..=425, Any, Unavailable, "it did not take the request in time"),
    Row(ALL, 400..=499, OneOf, Refused, "refused"),
    Row(ALL, 400..=499, Any, Unavailable, PROXY),
];

impl Row {
    fn fits(&self, operation: Operation, status: u16, id: Option<&str>) -> bool {
        let Self(operations, statuses, ids, ..) = self;
        (operations.is_empty() || operations.contains(&operation)) && statuses.contains(&status) && ids.covers(id)
    }
}

/// Mattermost's id in an answer, if it is one of Mattermost's.
pub(super) fn id_of(answer: &Answer) -> Option<String> {
    answer.json::<AppError>().map(|error| error.id).filter(|id| is_id(id))
}

/// Ids are words with dots and underscores; anything else may be a sentence with a name in it.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// What an answer that is not the documented success means. `wait` is what it asked for.
pub(super) fn classify(operation: Operation, answer: &Answer, wait: Option<Duration>) -> ProviderError {
    let id = id_of(answer);
    let status = answer.status.as_u16();
    let row = TABLE.iter().find(|row| row.fits(operation, status, id.as_deref()));
    let (class, words) = row.map_or((Class::Unavailable, "unexpected answer"), |Row(.., class, words)| (*class, words));
    error_of(class, report(operation, answer, id.as_deref(), words), wait)
}

/// An answer with the status of success that is not what was documented.
pub(super) fn unexpected(operation: Operation, answer: &Answer) -> ProviderError {
    if is_web_page(answer) {
        let words = "a web page instead of the API's answer; `url` is not the server's own, or a sign-in proxy stands \
                     in between";
        return ProviderError::Misconfigured(report(operation, answer, None, words));
    }
    let words = "unexpected answer: not what Mattermost documents for this call, so it is not believed";
    ProviderError::Unavailable(report(operation, answer, None, words))
}

/// A login page or the web app itself, with whatever type it was labelled.
fn is_web_page(answer: &Answer) -> bool {
    let is_html = answer.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
    is_html || answer.body.trim_ascii_start().starts_with(b"<")
}

fn error_of(class: Class, report: CallReport, wait: Option<Duration>) -> ProviderError {
    match class {
        Class::Throttled => ProviderError::Throttled { retry_after: wait, report },
        Class::Unavailable => ProviderError::Unavailable(report),
        Class::Unauthorized => ProviderError::Unauthorized(report),
        Class::Misconfigured => ProviderError::Misconfigured(report),
        Class::Forbidden => ProviderError::Forbidden(report),
        Class::Refused => ProviderError::Refused(report),
        Class::UnknownAccount => ProviderError::UnknownAccount(report),
        Class::Unclear => ProviderError::Unclear(report),
    }
}

fn report(operation: Operation, answer: &Answer, id: Option<&str>, words: &str) -> CallReport {
    let status = answer.status.as_u16();
    let mut message = format!("Mattermost answered {status}");
    message.extend(id.map(|id| format!(" {id}")));
    message.push_str(&format!(": {words}"));
    let in_body = answer.json::<AppError>().map(|error| error.request_id);
    let request_id = answer.header(REQUEST_ID).map(str::to_owned).or(in_body);
    CallReport {
        operation: operation.as_str(),
        status: Some(status),
        code: id.and_then(|id| answer.scrub.word(id)),
        message: answer.scrub.text(&message),
        request_id: request_id.and_then(|id| answer.scrub.word(&id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::scrub::Scrub;
    use crate::settings::Secret;

    const EVERY: [Operation; 9] = [
        Operation::GetUser,
        Operation::FindByEmail,
        Operation::FindByUsername,
        Operation::ListSessions,
        Operation::RevokeAll,
        Operation::RevokeSession,
        Operation::ListTokens,
        Operation::RevokeToken,
        Operation::ReadOwner,
    ];

    fn answer(status: u16, body: &str, headers: &[(&'static str, &str)]) -> Answer {
        let mut map = http::HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        let status = http::StatusCode::from_u16(status).expect("a status");
        Answer { status, headers: map, body: bytes::Bytes::copy_from_slice(body.as_bytes()), scrub: Scrub::default() }
    }

    fn body(id: &str, status: u16) -> String {
        serde_json::json!({"id":id,"message":"Zoë war's","detailed_error":"","request_id":"smda55ckcfy89b6tia58shk5fh",
            "status_code":status})
        .to_string()
    }

    fn class(error: &ProviderError) -> Class {
        match error {
            ProviderError::Throttled { .. } => Throttled,
            ProviderError::Unavailable(_) => Unavailable,
            ProviderError::Unauthorized(_) => Unauthorized,
            ProviderError::Misconfigured(_) => Misconfigured,
            ProviderError::Forbidden(_) => Forbidden,
            ProviderError::Refused(_) => Refused,
            ProviderError::UnknownAccount(_) => UnknownAccount,
            ProviderError::Unclear(_) => Unclear,
        }
    }

    #[test]
    fn every_documented_answer_has_its_class() {
        use Operation as O;
        let table: &[(&[Operation], u16, &str, Class)] = &[
            (SESSION, 400, "app.session.get.app_error", Refused),
            (&[O::RevokeAll, O::ListSessions, O::GetUser], 400, "app.session.get.app_error", Refused),
            (&[O::RevokeAll, O::RevokeSession, O::GetUser], 400, "api.context.invalid_url_param.app_error", Refused),
            (EMAIL, 400, "api.context.invalid_url_param.app_error", Unclear),
            (&[O::RevokeSession, O::RevokeToken], 400, "api.context.invalid_body_param.app_error", Refused),
            (USERNAME, 400, "api.context.invalid_body_param.app_error", Unclear),
            (&EVERY, 401, "api.context.session_expired.app_error", Unauthorized),
            (&EVERY, 401, "api.context.token_provided.app_error", Unauthorized),
            (&EVERY, 403, "api.context.permissions.app_error", Forbidden),
            (&EVERY, 403, "api.context.mfa_required.app_error", Unauthorized),
            (EMAIL, 403, "api.user.get_user_by_email.permissions.app_error", Refused),
            (USERS, 404, "app.user.missing_account.const", UnknownAccount),
            (OF_USER, 404, "app.user.missing_account.const", UnknownAccount),
            (&[O::ReadOwner, O::RevokeToken], 404, "app.user.missing_account.const", Misconfigured),
            (USERNAME, 404, "app.user.get_by_username.app_error", UnknownAccount),
            (&[O::RevokeAll, O::ListSessions], 404, "app.user.get_by_username.app_error", Misconfigured),
            (&[O::RevokeToken], 404, "app.user_access_token.get_by_user.app_error", Refused),
            (&[O::RevokeAll, O::GetUser], 404, "app.user_access_token.get_by_user.app_error", Misconfigured),
            (&EVERY, 404, "api.context.404.app_error", Misconfigured),
            (&EVERY, 413, "api.context.request_body_too_large.app_error", Refused),
            (&EVERY, 414, "", Refused),
            (&EVERY, 429, "", Throttled),
            (&EVERY, 500, "app.session.get_sessions.app_error", Unavailable),
            (&EVERY, 500, "app.session.remove.app_error", Unavailable),
            (&EVERY, 500, "app.oauth.get_access_data_by_user_for_app.app_error", Unavailable),
            (&EVERY, 500, "", Unavailable),
            (&EVERY, 501, "api.user.create_user_access_token.disabled.app_error", Misconfigured),
            (&EVERY, 501, "", Misconfigured),
            (&EVERY, 502, "", Unavailable),
            (&EVERY, 503, "api.context.server_busy.app_error", Unavailable),
            (&EVERY, 504, "", Unavailable),
        ];
        for (operations, status, id, expected) in table {
            for operation in *operations {
                let error = classify(*operation, &answer(*status, &body(id, *status), &[]), None);
                assert_eq!(class(&error), *expected, "{operation:?} {status} {id}");
                let report = error.report();
                assert_eq!((report.status, report.operation), (Some(*status), operation.as_str()));
                assert_eq!(report.code.as_deref().unwrap_or_default(), *id);
                assert_eq!(report.request_id.as_deref(), Some("smda55ckcfy89b6tia58shk5fh"));
            }
        }
    }

    #[test]
    fn an_unknown_id_and_none_fall_back_to_the_status() {
        for (status, with_id, without) in [
            (301, Misconfigured, Misconfigured),
            (304, Misconfigured, Misconfigured),
            (400, Refused, Unavailable),
            (401, Unauthorized, Unauthorized),
            (403, Forbidden, Forbidden),
            (404, Misconfigured, Misconfigured),
            (405, Misconfigured, Misconfigured),
            (408, Unavailable, Unavailable),
            (418, Refused, Unavailable),
            (423, Unavailable, Unavailable),
            (425, Unavailable, Unavailable),
            (429, Throttled, Throttled),
            (500, Unavailable, Unavailable),
            (599, Unavailable, Unavailable),
            (700, Unavailable, Unavailable),
        ] {
            for operation in EVERY {
                let known = classify(operation, &answer(status, &body("app.novelty.app_error", status), &[]), None);
                assert_eq!(class(&known), with_id, "{operation:?} {status}");
                for page in ["<html>not here</html>", "limit exceeded\n", "", "[]", r#"{"id":7}"#] {
                    let error = classify(operation, &answer(status, page, &[]), None);
                    assert_eq!(class(&error), without, "{operation:?} {status} {page}");
                    assert_eq!(error.report().code, None);
                }
            }
        }
    }

    #[test]
    fn every_row_can_be_reached() {
        for (at, row) in TABLE.iter().enumerate() {
            let Row(operations, statuses, ids, ..) = row;
            let operations = if operations.is_empty() { &EVERY } else { *operations };
            let id = match ids {
                Is(id) => Some((*id).to_owned()),
                StartsWith(start) => Some(format!("{start}x")),
                OneOf => Some("app.novelty".to_owned()),
                Any => None,
            };
            let reached = operations.iter().any(|operation| {
                statuses
                    .clone()
                    .any(|status| TABLE.iter().position(|row| row.fits(*operation, status, id.as_deref())) == Some(at))
            });
            assert!(reached, "row {at} is behind others: {ids:?}");
        }
    }

    #[test]
    fn a_web_page_with_200_is_a_wrong_url_and_nonsense_is_trouble() {
        let html = answer(200, "<!doctype html><title>Sign in</title>", &[("content-type", "application/json")]);
        assert_eq!(class(&unexpected(Operation::RevokeAll, &html)), Misconfigured);
        let labelled = answer(200, r#"{"status":"OK"}"#, &[("content-type", "text/html; charset=utf-8")]);
        assert_eq!(class(&unexpected(Operation::RevokeAll, &labelled)), Misconfigured);
        for nonsense in ["", "{", "null", r#"{"status":"FAIL"}"#] {
            assert_eq!(class(&unexpected(Operation::RevokeAll, &answer(200, nonsense, &[]))), Unavailable);
        }
    }

    #[test]
    fn neither_our_token_nor_a_name_nor_a_message_is_told() {
        let mut scrub = Scrub::default();
        scrub.hide(&Secret::new("9xuqwrwgstrb3mzrxb83nb357a"));
        for id in ["9xuqwrwgstrb3mzrxb83nb357a", "no user ana@example.com", "a\u{7}b"] {
            let text = serde_json::json!({"id":id,"message":"ana@example.com 9xuqwrwgstrb3mzrxb83nb357a",
                "detailed_error":"csrf=geheim","request_id":"9xuqwrwgstrb3mzrxb83nb357a"});
            let mut hostile = answer(418, &text.to_string(), &[]);
            hostile.scrub = scrub.clone();
            let shown = format!("{:?}", classify(Operation::GetUser, &hostile, None));
            for canary in ["9xuq", "ana@", "geheim", "\u{7}"] {
                assert!(!shown.contains(canary), "{shown}");
            }
        }
    }
}
