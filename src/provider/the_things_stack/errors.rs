//! What each answer of The Things Stack means, by operation, status, and the namespace and name of its error.
//!
//! Always holds: nothing classified here is a success. The message is for people and is never read; an error that we do
//! not know falls back to what its status means. A gateway's plain error has a gRPC code and no name.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::Operation;
use super::api::message;
use crate::provider::http::Answer;
use crate::provider::scrub::without_names;
use crate::provider::{CallReport, ProviderError};

const STORE: &str = "pkg/identityserver/store";
const RIGHTS: &str = "pkg/auth/rights";
const IDENTITY_SERVER: &str = "pkg/identityserver";

/// The name of a session that is not there.
const SESSION_GONE: &str = "user_session_not_found";

/// The gRPC codes that say more than their HTTP status.
const RESOURCE_EXHAUSTED: i64 = 8;
const ABORTED: i64 = 10;

/// `google.rpc.Status`.
#[derive(Debug, Deserialize)]
struct Status {
    code: i64,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    namespace: String,
    name: String,
    /// The message before anybody's name is put into it.
    message_format: String,
    correlation_id: String,
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

/// How much the body says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Namespace and name.
    Name,
    /// A gRPC code.
    Code,
    /// Nothing in the server's words: a proxy's page, or nothing at all.
    Nothing,
}

/// An error with a name.
struct Named {
    status: u16,
    /// Empty where the vendor's documents give names without it.
    namespace: &'static str,
    /// One that ends in `*` stands for all that begin so.
    names: &'static [&'static str],
    /// Empty: all.
    operations: &'static [Operation],
    class: Class,
    words: &'static str,
}

/// The calls whose path names a user.
const OF_A_USER: &[Operation] = &[Operation::GetUser, Operation::ListSessions, Operation::DeleteSession];

/// The first row that fits counts.
#[rustfmt::skip]
const NAMED: &[Named] = &[
    Named { status: 404, namespace: STORE, names: &["user_not_found", "entity_not_found", "account_not_found"], operations: OF_A_USER,
        class: Class::UnknownAccount, words: "no user has this id" },
    Named { status: 404, namespace: STORE, names: &["user_not_found", "entity_not_found", "account_not_found"], operations: &[],
        class: Class::Misconfigured, words: "nobody was asked about, and somebody is missing; is there a proxy in between?" },
    // Of a call that ends one this is no error and does not come here.
    Named { status: 404, namespace: STORE, names: &[SESSION_GONE], operations: &[],
        class: Class::Refused, words: "the session is not there" },
    Named { status: 403, namespace: RIGHTS, names: &["no_user_rights"], operations: &[],
        class: Class::Forbidden, words: "our key has no right on this user, or there is no such user" },
    Named { status: 403, namespace: RIGHTS, names: &["insufficient_user_rights"], operations: &[],
        class: Class::Unauthorized,
        words: "our key lacks RIGHT_USER_ALL on this user; an admin's key has it only with is.admin-rights.all: true" },
    Named { status: 403, namespace: IDENTITY_SERVER, names: &["permission_denied", "search_forbidden"], operations: &[],
        class: Class::Unauthorized, words: "this is for admins, and the key's owner is none" },
    Named { status: 403, namespace: "", names: &["user_suspended", "user_rejected", "user_requested"], operations: &[],
        class: Class::Unauthorized, words: "the account of the key's owner is not approved" },
    Named { status: 403, namespace: "", names: &["oauth_client_*"], operations: &[],
        class: Class::Unauthorized, words: "the OAuth client behind our token is not approved" },
    Named { status: 401, namespace: "", names: &["api_key_not_found"], operations: &[],
        class: Class::Unauthorized, words: "the key does not exist; was it deleted?" },
    Named { status: 401, namespace: "", names: &["api_key_expired", "token_expired"], operations: &[],
        class: Class::Unauthorized, words: "the key has expired" },
    Named { status: 401, namespace: "", names: &["token_not_found"], operations: &[],
        class: Class::Unauthorized, words: "the token does not exist" },
    Named { status: 401, namespace: "", names: &["invalid_authorization", "unsupported_authorization", "unauthenticated"],
        operations: &[], class: Class::Unauthorized, words: "the key is not taken; check credentials.api_key" },
    // A malformed key is a bad request here, and not a 401.
    Named { status: 400, namespace: "pkg/auth", names: &["token"], operations: &[],
        class: Class::Unauthorized, words: "the key is malformed; copy credentials.api_key again" },
    Named { status: 400, namespace: "pkg/errors", names: &["validation"], operations: &[],
        class: Class::Refused, words: "a parameter did not pass validation" },
    Named { status: 429, namespace: "pkg/ratelimit", names: &["rate_limit_exceeded"], operations: &[],
        class: Class::Throttled, words: "the rate limit is reached" },
    Named { status: 409, namespace: "", names: &["aborted"], operations: &[],
        class: Class::Unavailable, words: "two changes met; it is tried again" },
    Named { status: 409, namespace: "", names: &["already_exists"], operations: &[],
        class: Class::Refused, words: "it exists already" },
    Named { status: 500, namespace: "pkg/util/store", names: &["driver"], operations: &[],
        class: Class::Unavailable, words: "its database has trouble" },
    Named { status: 501, namespace: "", names: &["unimplemented"], operations: &[],
        class: Class::Misconfigured, words: "this host does not answer such calls; `url` has to be the Identity Server's" },
    Named { status: 503, namespace: "", names: &["database_unavailable", "unavailable"], operations: &[],
        class: Class::Unavailable, words: "it is not available" },
];

/// What a status means where the name is unknown.
struct ByStatus {
    statuses: RangeInclusive<u16>,
    /// `None`: whatever it is.
    grpc: Option<i64>,
    /// Empty: whatever is told.
    told: &'static [Told],
    class: Class,
    words: &'static str,
}

const PROXY: &str = "refused in words that are not The Things Stack's; is there a proxy in between?";

/// The first row that fits counts, and the last ones fit everything.
#[rustfmt::skip]
const BY_STATUS: &[ByStatus] = &[
    ByStatus { statuses: 429..=429, grpc: None, told: &[], class: Class::Throttled, words: "the rate limit is reached" },
    // The limit's own code counts whatever status a gateway gave it.
    ByStatus { statuses: 400..=999, grpc: Some(RESOURCE_EXHAUSTED), told: &[], class: Class::Throttled, words: "the rate limit is reached" },
    ByStatus { statuses: 300..=399, grpc: None, told: &[], class: Class::Misconfigured,
        words: "it redirects elsewhere; `url` has to be the Identity Server's own host, without a path" },
    ByStatus { statuses: 401..=401, grpc: None, told: &[], class: Class::Unauthorized, words: "our key is refused" },
    ByStatus { statuses: 403..=403, grpc: None, told: &[], class: Class::Forbidden, words: "forbidden" },
    ByStatus { statuses: 404..=404, grpc: None, told: &[Told::Code, Told::Nothing], class: Class::Misconfigured,
        words: "there is no such path; `url` has to be the Identity Server's own host (in The Things Stack Cloud, that of eu1)" },
    ByStatus { statuses: 405..=406, grpc: None, told: &[], class: Class::Misconfigured,
        words: "the request arrived changed (method or headers), or `url` is another host's" },
    ByStatus { statuses: 408..=408, grpc: None, told: &[], class: Class::Unavailable, words: "it did not take the request in time" },
    ByStatus { statuses: 409..=409, grpc: Some(ABORTED), told: &[], class: Class::Unavailable, words: "two changes met; it is tried again" },
    ByStatus { statuses: 425..=425, grpc: None, told: &[], class: Class::Unavailable, words: "it did not take the request in time" },
    ByStatus { statuses: 499..=499, grpc: None, told: &[], class: Class::Unavailable, words: "the call was cut off on its way" },
    ByStatus { statuses: 400..=499, grpc: None, told: &[Told::Name, Told::Code], class: Class::Refused, words: "refused" },
    ByStatus { statuses: 400..=499, grpc: None, told: &[], class: Class::Unavailable, words: PROXY },
    ByStatus { statuses: 501..=501, grpc: None, told: &[], class: Class::Misconfigured,
        words: "this host does not answer such calls; `url` has to be the Identity Server's" },
    ByStatus { statuses: 504..=504, grpc: None, told: &[], class: Class::Unavailable,
        words: "it did not answer in time, and may have done what was asked" },
    ByStatus { statuses: 500..=999, grpc: None, told: &[], class: Class::Unavailable, words: "it has trouble" },
];

/// Fits where no row does: a status of neither success nor failure.
const OTHERWISE: (Class, &str) = (Class::Unavailable, "unexpected answer");

/// The first detail that has a name, and the gRPC code, if the body is one of the server's.
fn read(answer: &Answer) -> (Option<Detail>, Option<i64>) {
    let Some(status) = message::<Status>(answer) else { return (None, None) };
    (status.details.into_iter().find(|detail| !detail.name.is_empty()), Some(status.code))
}

/// Whether a 404 is about the session itself. A gateway's 404 says nothing.
pub(super) fn is_gone(answer: &Answer) -> bool {
    read(answer).0.is_some_and(|detail| detail.namespace == STORE && detail.name == SESSION_GONE)
}

/// What an answer that is not the documented success means. `wait` is what a 429 asked for.
pub(super) fn classify(operation: Operation, answer: &Answer, wait: Option<Duration>) -> ProviderError {
    let (detail, grpc) = read(answer);
    let status = answer.status.as_u16();
    let known = detail.as_ref().and_then(|detail| by_name(operation, status, detail));
    let (class, words) = known.unwrap_or_else(|| by_status(status, detail.is_some(), grpc));
    // The server's own words help where we have none of ours.
    let theirs = detail.as_ref().filter(|_| known.is_none()).map(|detail| without_names(&detail.message_format));
    let report = report(operation, answer, detail.as_ref(), words, theirs.as_deref());
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

/// An answer with the status of success that is not what was documented, such as a proxy's page.
pub(super) fn unexpected(operation: Operation, answer: &Answer) -> ProviderError {
    let words = "unexpected answer: not what The Things Stack documents for this call, so it is not believed; \
                 is there a proxy or a captive portal in between?";
    ProviderError::Unavailable(report(operation, answer, None, words, None))
}

fn by_name(operation: Operation, status: u16, detail: &Detail) -> Option<(Class, &'static str)> {
    let fits = |row: &&Named| {
        row.status == status
            && row.names.iter().any(|name| is_named(name, &detail.name))
            && (row.namespace.is_empty() || row.namespace == detail.namespace)
            && (row.operations.is_empty() || row.operations.contains(&operation))
    };
    NAMED.iter().find(fits).map(|row| (row.class, row.words))
}

fn is_named(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

fn by_status(status: u16, has_name: bool, grpc: Option<i64>) -> (Class, &'static str) {
    let told = match (has_name, grpc) {
        (true, _) => Told::Name,
        (false, Some(_)) => Told::Code,
        (false, None) => Told::Nothing,
    };
    let fits = |row: &&ByStatus| {
        row.statuses.contains(&status)
            && (row.grpc.is_none() || row.grpc == grpc)
            && (row.told.is_empty() || row.told.contains(&told))
    };
    BY_STATUS.iter().find(fits).map_or(OTHERWISE, |row| (row.class, row.words))
}

fn report(
    operation: Operation,
    answer: &Answer,
    detail: Option<&Detail>,
    words: &str,
    theirs: Option<&str>,
) -> CallReport {
    let status = answer.status.as_u16();
    let code = detail.map(|detail| format!("{}:{}", detail.namespace, detail.name));
    let mut message = format!("The Things Stack answered {status}");
    message.extend(code.iter().map(|code| format!(" {code}")));
    message.push_str(&format!(": {words}"));
    message.extend(theirs.filter(|text| !text.is_empty()).map(|text| format!(" ({text})")));
    CallReport {
        operation: operation.as_str(),
        status: Some(status),
        code: code.and_then(|code| answer.scrub.word(&code)),
        message: answer.scrub.text(&message),
        request_id: detail.and_then(|detail| answer.scrub.word(&detail.correlation_id)),
    }
}

#[cfg(test)]
mod tests;
