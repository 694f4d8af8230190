//! What each answer of Huawei Cloud means, by operation, status and code.
//!
//! Always holds: nothing classified here is a success. A code that we do not know falls back to what its status means.
//! Codes recur with other statuses and then mean something else, so neither is read alone.
//!
//! Sources: the error codes of IAM Identity Center (`IIC.*`) and of the API gateway (`APIGW.*`).

use std::time::Duration;

use serde_json::{Map, Value};

use super::Operation;
use crate::provider::http::Answer;
use crate::provider::scrub::without_names;
use crate::provider::{CallReport, ProviderError};

/// The header with Huawei's id of a call, which its support asks for.
const REQUEST_ID: &str = "x-request-id";

/// Gateways wrap the error once; the official SDK looks as deep as it goes.
const DEEPEST: usize = 3;

/// What the class of an answer is, before its report is attached.
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

/// Which codes a row is about.
#[derive(Debug, Clone, Copy)]
enum Codes {
    /// Whatever the code, also none.
    Any,
    /// One of these.
    Of(&'static [&'static str]),
    /// Any code of Huawei's.
    Some,
}

/// A line of the table. The first that fits counts.
#[derive(Debug)]
struct Row {
    /// Empty: every operation.
    operations: &'static [Operation],
    statuses: std::ops::RangeInclusive<u16>,
    codes: Codes,
    class: Class,
    words: &'static str,
}

const fn row(
    statuses: std::ops::RangeInclusive<u16>,
    codes: &'static [&'static str],
    class: Class,
    words: &'static str,
) -> Row {
    Row { operations: &[], statuses, codes: Codes::Of(codes), class, words }
}

const fn rest(statuses: std::ops::RangeInclusive<u16>, codes: Codes, class: Class, words: &'static str) -> Row {
    Row { operations: &[], statuses, codes, class, words }
}

const LIMIT: &str = "the rate limit is reached";
const KEYS: &str = "the access key or the signature is refused: check access_key, secret_key and, with temporary \
                    credentials, security_token and whether they have run out; or a clock is wrong";
const LACKS: &str = "our credential may not do this; allow {action} in its policy, and \
                     organizations:delegatedAdministrators:list, in the management account or a delegated \
                     administrator's";
const STORE: &str = "there is no such identity store; check `identity_store_id` and the region in `url`";
const PARAMETER: &str = "the request has a parameter that is not taken";

/// Everything that Huawei documents for these calls, then what a status alone says.
static TABLE: &[Row] = &[
    // The limit's own code counts whatever status a gateway gave it.
    row(400..=599, &["APIGW.0308"], Class::Throttled, LIMIT),
    rest(429..=429, Codes::Any, Class::Throttled, LIMIT),
    row(500..=599, &["IIC.1209"], Class::Unavailable, "an error in the organizations service behind it"),
    row(502..=504, &["APIGW.0201"], Class::Unavailable, "the gateway does not reach the service, or not in time"),
    rest(500..=599, Codes::Any, Class::Unavailable, "Huawei Cloud has trouble"),
    rest(
        300..=399,
        Codes::Any,
        Class::Misconfigured,
        "it redirects elsewhere; `url` has to be https://identitystore.REGION.myhuaweicloud.com",
    ),
    row(401..=401, &["APIGW.0301"], Class::Unauthorized, KEYS),
    row(401..=401, &["APIGW.0303"], Class::Unauthorized, KEYS),
    rest(401..=401, Codes::Any, Class::Unauthorized, "our credential is refused"),
    row(403..=403, &["IIC.1000"], Class::Forbidden, LACKS),
    row(403..=403, &["IIC.1001"], Class::Forbidden, LACKS),
    row(403..=403, &["APIGW.0302"], Class::Forbidden, LACKS),
    // About us rather than about the person, which `check` finds out.
    row(400..=400, &["IIC.1219"], Class::Forbidden, "the identity token of our credential could not be had"),
    row(403..=403, &["IIC.1219"], Class::Forbidden, "the identity token of our credential could not be had"),
    row(403..=403, &["IIC.1003", "IIC.1004"], Class::Refused, PARAMETER),
    rest(403..=403, Codes::Any, Class::Forbidden, "forbidden"),
    Row {
        operations: &[Operation::ListUsers],
        statuses: 404..=404,
        codes: Codes::Of(&["IIC.404"]),
        class: Class::Misconfigured,
        words: STORE,
    },
    // The caller has looked, and the sessions are still listed: so the user is there, and it is not over.
    Row {
        operations: &[Operation::DeleteSessions],
        statuses: 404..=404,
        codes: Codes::Of(&["IIC.404"]),
        class: Class::Unavailable,
        words: "not found, although the sessions are listed",
    },
    row(404..=404, &["IIC.404"], Class::UnknownAccount, "there is no such user"),
    row(400..=404, &["IIC.1308"], Class::Misconfigured, STORE),
    row(404..=404, &["APIGW.0101"], Class::Misconfigured, "there is no such API; check the host in `url`"),
    row(404..=404, &["IIC.400", "IIC.1002"], Class::Refused, PARAMETER),
    row(400..=400, &["IIC.400"], Class::Refused, PARAMETER),
    row(400..=494, &["APIGW.0201"], Class::Refused, "the gateway does not take the request, or it is too large"),
    row(409..=409, &["IIC.1006"], Class::Unavailable, "another change is under way"),
    row(409..=409, &["IIC.1007"], Class::Unavailable, "the change did not come about"),
    rest(409..=409, Codes::Any, Class::Unavailable, "a conflict with another change"),
    rest(408..=408, Codes::Any, Class::Unavailable, "it did not take the request in time"),
    rest(425..=425, Codes::Any, Class::Unavailable, "it did not take the request in time"),
    rest(400..=499, Codes::Some, Class::Refused, "refused"),
    rest(
        400..=499,
        Codes::Any,
        Class::Unavailable,
        "refused in words that are not Huawei Cloud's; is there a proxy in between?",
    ),
    rest(0..=999, Codes::Any, Class::Unavailable, "unexpected answer"),
];

impl Row {
    fn fits(&self, operation: Operation, status: u16, code: Option<&str>) -> bool {
        let code = match self.codes {
            Codes::Any => true,
            Codes::Some => code.is_some(),
            Codes::Of(codes) => code.is_some_and(|code| codes.contains(&code)),
        };
        code && self.statuses.contains(&status) && (self.operations.is_empty() || self.operations.contains(&operation))
    }

    /// Whether it was written for the very code, so that its words say more than Huawei's.
    fn is_exact(&self) -> bool {
        matches!(self.codes, Codes::Of(_))
    }
}

/// An error in Huawei's words, in whichever of its shapes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// `IIC.404`, `APIGW.0301`, as it came.
    pub(super) code: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
}

impl Said {
    /// The error in a body: `error_code`, `errorCode` or `code`, at the top or within another object.
    pub(super) fn read(answer: &Answer) -> Self {
        answer.json::<Map<String, Value>>().and_then(|body| Self::find(&body, DEEPEST)).unwrap_or_default()
    }

    fn find(body: &Map<String, Value>, depth: usize) -> Option<Self> {
        let text = |name: &str| body.get(name).and_then(text_of);
        let shapes = [("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message")];
        let here = shapes.into_iter().find_map(|(code, message)| Some((text(code)?, text(message))));
        if let Some((code, message)) = here {
            return Some(Self { code: Some(code), message, request_id: text("request_id") });
        }
        let depth = depth.checked_sub(1)?;
        body.values().filter_map(Value::as_object).find_map(|inner| Self::find(inner, depth))
    }

    /// The code by one name: gateways of some regions write `APIG.`, and older services `IdentityCenter.`.
    pub(super) fn canonical(&self) -> Option<String> {
        let code = self.code.as_deref()?;
        let renamed = [("APIG.", "APIGW."), ("IdentityCenter.", "IIC.")];
        let found = renamed.into_iter().find_map(|(old, new)| Some(format!("{new}{}", code.strip_prefix(old)?)));
        Some(found.unwrap_or_else(|| code.to_owned()))
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a signature made with another date may be taken: the codes stand for a wrong key and a wrong clock alike.
pub(super) fn may_be_the_clock(answer: &Answer) -> bool {
    let code = Said::read(answer).canonical();
    answer.status == http::StatusCode::UNAUTHORIZED && matches!(code.as_deref(), Some("APIGW.0301" | "APIGW.0303"))
}

/// What an answer that is not the documented success means. `wait` is what a 429 asked for, and `more` what we know
/// besides.
pub(super) fn classify(
    operation: Operation,
    answer: &Answer,
    wait: Option<Duration>,
    more: Option<&str>,
) -> ProviderError {
    let said = Said::read(answer);
    let (status, code) = (answer.status.as_u16(), said.canonical());
    let row = TABLE.iter().find(|row| row.fits(operation, status, code.as_deref()));
    let (class, words, exact) =
        row.map_or((Class::Unavailable, "", false), |row| (row.class, row.words, row.is_exact()));
    let mut words = words.replace("{action}", operation.action());
    words.extend(more.map(|more| format!("; {more}")));
    let theirs = said.message.as_deref().filter(|_| !exact).and_then(safe_words);
    let report = report(operation, answer, &said, &words, theirs.as_deref());
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
    let words = "unexpected answer: not what Huawei Cloud documents for this call, so it is not believed; \
                 is there a proxy or a captive portal in between?";
    ProviderError::Unavailable(report(operation, answer, &Said::read(answer), words, None))
}

/// Huawei's own words, unless they are the echo of a signed request, which holds the token and names.
fn safe_words(message: &str) -> Option<String> {
    let lower = message.to_ascii_lowercase();
    let echoes = ["sdk-hmac", "x-sdk-date", "x-security-token", "signedheaders", "canonical"];
    (!echoes.iter().any(|echo| lower.contains(echo))).then(|| without_names(message))
}

fn report(operation: Operation, answer: &Answer, said: &Said, words: &str, theirs: Option<&str>) -> CallReport {
    let status = answer.status.as_u16();
    let code = said.code.as_deref();
    let mut message = format!("Huawei Cloud answered {status}");
    message.extend(code.map(|code| format!(" {code}")));
    message.push_str(&format!(": {words}"));
    message.extend(theirs.filter(|theirs| !theirs.is_empty()).map(|theirs| format!(" ({theirs})")));
    let request_id = answer.header(REQUEST_ID).or(said.request_id.as_deref());
    CallReport {
        operation: operation.as_str(),
        status: Some(status),
        code: code.and_then(|code| answer.scrub.word(code)),
        message: answer.scrub.text(&message),
        request_id: request_id.and_then(|id| answer.scrub.word(id)),
    }
}

/// A report of ours, about no answer in particular.
pub(super) fn own(operation: Operation, message: &str) -> CallReport {
    CallReport { operation: operation.as_str(), message: message.to_owned(), ..CallReport::default() }
}

/// Nobody can be found by what was given.
pub(super) fn unclear(message: &str) -> ProviderError {
    ProviderError::Unclear(own(Operation::FindUser, message))
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
