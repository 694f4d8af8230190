//! What each of Slack's answers means, by method and code. Slack says no under HTTP 200 as well.
//!
//! Always holds: nothing classified here is a success. A code that we do not know is a refusal that shows it.

use std::time::Duration;

use serde::Deserialize;

use super::Operation::{self, Invalidate, List, LookupByEmail, Reset, ResetBulk, UserInfo};
use crate::provider::http::Answer;
use crate::provider::{CallReport, ProviderError};

/// The header with Slack's id of a call, which its support asks for.
const REQUEST_ID: &str = "x-slack-req-id";

/// What every answer has.
#[derive(Debug, Default, Deserialize)]
struct Envelope {
    ok: bool,
    error: Option<String>,
    needed: Option<String>,
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
}

/// Codes that mean the same at these methods.
struct Row {
    /// Empty: at every method.
    at: &'static [Operation],
    codes: &'static [&'static str],
    class: Class,
    words: &'static str,
}

const fn row(at: &'static [Operation], codes: &'static [&'static str], class: Class, words: &'static str) -> Row {
    Row { at, codes, class, words }
}

const ADMIN: &[Operation] = &[List, Reset, ResetBulk, Invalidate];
const RESETS: &[Operation] = &[Reset, ResetBulk];

/// Slack's method pages of 2026-05. The first row that fits counts.
const TABLE: &[Row] = &[
    row(
        &[List, Reset, ResetBulk, Invalidate, UserInfo],
        &["user_not_found"],
        Class::UnknownAccount,
        "no user has this id",
    ),
    row(&[LookupByEmail], &["users_not_found"], Class::UnknownAccount, "no user has this address"),
    row(&[UserInfo], &["user_not_visible"], Class::Forbidden, "the token may not see this user"),
    row(RESETS, &["user_session_reset_failed"], Class::Unavailable, "the reset could not be started"),
    row(&[Invalidate], &["session_invalidation_failed"], Class::Unavailable, "the session could not be ended just now"),
    row(&[ResetBulk], &["failed_for_some_users"], Class::Unavailable, "the reset could not be started for some users"),
    row(RESETS, &["cannot_reset_bot"], Class::Refused, "a bot's sessions cannot be ended"),
    row(ADMIN, &["bots_not_allowed"], Class::Refused, "bots have no sessions"),
    row(
        &[Reset, ResetBulk, Invalidate],
        &["cannot_reset_primary_owner", "session_reset_not_allowed", "cannot_invalidate_primary_owner"],
        Class::Refused,
        "only the primary owner may end the primary owner's sessions; ask that person to sign out of all other sessions",
    ),
    row(
        ADMIN,
        &["not_an_admin", "admin_unauthorized"],
        Class::Unauthorized,
        "the token's owner is no Org Admin or Org Owner any more; install the app again as one",
    ),
    row(ADMIN, &["restricted_action"], Class::Forbidden, "the role of the token's owner does not cover this"),
    row(
        ADMIN,
        &["feature_not_enabled"],
        Class::Misconfigured,
        "sessions can be ended in Enterprise organizations only; this is none, or the app is not installed on all of it",
    ),
    row(
        &[],
        &["unknown_method", "deprecated_endpoint", "method_deprecated"],
        Class::Misconfigured,
        "the method is not available; check `url`",
    ),
    row(&[List], &["team_not_found", "missing_team"], Class::Refused, "no such workspace; check `team_ids`"),
    row(&[List], &["missing_user"], Class::Refused, "the listing was asked for without a user"),
    row(&[List], &["invalid_cursor"], Class::Refused, "the listing changed; begin it again without a cursor"),
    row(
        &[],
        &["not_authed"],
        Class::Unauthorized,
        "the request arrived without its token; is there a proxy in between?",
    ),
    row(&[], &["invalid_auth"], Class::Unauthorized, "the token is not valid, or not taken from this address"),
    row(&[], &["account_inactive"], Class::Unauthorized, "the token's owner is deactivated"),
    row(&[], &["token_revoked"], Class::Unauthorized, "the token was revoked; install the app again"),
    row(&[], &["token_expired"], Class::Unauthorized, "the token has expired and its file holds no newer one"),
    row(&[], &["missing_scope"], Class::Unauthorized, "the token lacks a scope"),
    row(
        &[],
        &["not_allowed_token_type"],
        Class::Unauthorized,
        "this kind of token may not; it has to be a user token (xoxp-...)",
    ),
    row(&[], &["two_factor_setup_required"], Class::Unauthorized, "the token's owner has to set up a second factor"),
    row(
        &[],
        &[
            "no_permission",
            "access_denied",
            "team_access_not_granted",
            "enterprise_is_restricted",
            "ekm_access_denied",
            "accesslimited",
            "org_login_required",
        ],
        Class::Forbidden,
        "not allowed; is the app installed on the whole organization?",
    ),
    row(&[], &["team_added_to_org"], Class::Unavailable, "the workspace is moving into the organization"),
    row(&[], &["ratelimited"], Class::Throttled, "the rate limit of this method is reached"),
    row(
        &[],
        &["internal_error", "fatal_error", "service_unavailable", "request_timeout"],
        Class::Unavailable,
        "Slack has trouble; a part may have been done",
    ),
    row(
        &[],
        &[
            "invalid_arguments",
            "invalid_arg_name",
            "invalid_array_arg",
            "invalid_charset",
            "invalid_form_data",
            "invalid_post_type",
            "missing_post_type",
            "invalid_json",
            "json_not_object",
        ],
        Class::Refused,
        "the request is not understood; is there a proxy in between?",
    ),
];

/// Codes of a token that another one may replace.
const TURNED_DOWN: [&str; 4] = ["invalid_auth", "token_expired", "token_revoked", "account_inactive"];

/// Whether this is Slack's yes.
pub(super) fn is_yes(answer: &Answer) -> bool {
    answer.status.as_u16() == 200 && answer.json::<Envelope>().is_some_and(|envelope| envelope.ok)
}

/// Slack's code in a no under HTTP 200. Under any other status a code says nothing about what was asked for.
pub(super) fn code_of(answer: &Answer) -> Option<String> {
    no(answer).filter(|_| answer.status.as_u16() == 200)?.error
}

/// Whether Slack asks us to wait. It does so under 429 and under 200.
pub(super) fn is_throttled(answer: &Answer) -> bool {
    answer.status.as_u16() == 429 || no(answer).and_then(|no| no.error).as_deref() == Some("ratelimited")
}

/// A token that Slack does not take, whatever the method.
pub(super) fn is_turned_down(answer: &Answer) -> bool {
    no(answer).and_then(|no| no.error).is_some_and(|code| TURNED_DOWN.contains(&code.as_str()))
}

fn no(answer: &Answer) -> Option<Envelope> {
    answer.json::<Envelope>().filter(|envelope| !envelope.ok)
}

/// What an answer that is not the documented success means. `wait` is what it asked for.
pub(super) fn classify(operation: Operation, answer: &Answer, wait: Option<Duration>) -> ProviderError {
    let no = no(answer).unwrap_or_default();
    let code = no.error.as_deref();
    let (class, words) = judge(operation, answer.status.as_u16(), code);
    let words = match (code, no.needed.filter(|needed| is_scopes(needed))) {
        (Some("missing_scope"), Some(needed)) => {
            format!("the token lacks {needed}; add it to the app's user scopes and install the app again")
        }
        _ => words.to_owned(),
    };
    error_of(class, report(operation, answer, code, &words), wait)
}

fn is_scopes(text: &str) -> bool {
    text.len() <= 120 && text.bytes().all(|b| b.is_ascii_lowercase() || b":._-, ".contains(&b))
}

fn judge(operation: Operation, status: u16, code: Option<&str>) -> (Class, &'static str) {
    let fits = |row: &&Row| row.at.is_empty() || row.at.contains(&operation);
    let known = code.and_then(|code| TABLE.iter().filter(fits).find(|row| row.codes.contains(&code)));
    match (status, known, code) {
        (429, _, _) => (Class::Throttled, "the rate limit of this method is reached"),
        (500.., _, _) => (Class::Unavailable, "Slack has trouble; a part may have been done"),
        (300..400, _, _) => {
            (Class::Misconfigured, "it redirects elsewhere; `url` has to be the API's own, https://slack.com/api")
        }
        (_, Some(row), _) => (row.class, row.words),
        (_, None, Some(_)) => (Class::Refused, "refused with a code that sever does not know"),
        (200..300, None, None) => (
            Class::Unavailable,
            "unexpected answer: not what Slack documents for this call, so it is not believed; is there a proxy or a \
             captive portal in between?",
        ),
        (_, None, None) => {
            (Class::Unavailable, "refused in words that are not Slack's; check `url`, or is there a proxy in between?")
        }
    }
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
    }
}

fn report(operation: Operation, answer: &Answer, code: Option<&str>, words: &str) -> CallReport {
    let status = answer.status.as_u16();
    let code = code.and_then(|code| answer.scrub.word(code));
    let mut message = format!("Slack answered {status}");
    message.extend(code.as_ref().map(|code| format!(" {code}")));
    message.push_str(&format!(": {words}"));
    CallReport {
        operation: operation.as_str(),
        status: Some(status),
        code,
        message: answer.scrub.text(&message),
        request_id: answer.header(REQUEST_ID).and_then(|id| answer.scrub.word(id)),
    }
}
