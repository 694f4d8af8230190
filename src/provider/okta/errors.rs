//! What each of Okta's answers means, by operation, status and code.
//!
//! Always holds: nothing classified here is a success. A code that we do not know falls back to what its status means.

use serde::Deserialize;

use super::Operation;
use crate::provider::http::Answer;
use crate::provider::scrub::without_names;
use crate::provider::{CallReport, ProviderError};

/// The header with Okta's id of a call, which its support asks for.
const REQUEST_ID: &str = "x-okta-request-id";

#[derive(Debug, Default, Deserialize)]
struct ApiError {
    #[serde(rename = "errorCode")]
    code: Option<String>,
    #[serde(rename = "errorSummary")]
    summary: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct OauthError {
    error: Option<String>,
    error_description: Option<String>,
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

/// Okta's code in an answer, if it is one of Okta's.
pub(super) fn code_of(answer: &Answer) -> Option<String> {
    answer.json::<ApiError>()?.code
}

/// What an answer that is not the documented success means. `wait` is what a 429 asked for.
pub(super) fn classify(operation: Operation, answer: &Answer, wait: Option<std::time::Duration>) -> ProviderError {
    let error = answer.json::<ApiError>().unwrap_or_default();
    let code = error.code.as_deref();
    let scope = lacking_scope(answer);
    let (class, words) = match &scope {
        Some(scope) => (Class::Unauthorized, lacks_scope(scope, operation)),
        None => judge(operation, answer.status.as_u16(), code),
    };
    let summary = error.summary.filter(|_| !is_known(code)).map(|summary| without_names(&summary));
    let code = code.map(str::to_owned).or_else(|| scope.map(|_| "insufficient_scope".to_owned()));
    error_of(class, report(operation, answer, code.as_deref(), &words, summary.as_deref()), wait)
}

/// An answer with the status of success that is not what was documented, such as a proxy's page.
pub(super) fn unexpected(operation: Operation, answer: &Answer) -> ProviderError {
    let words = "unexpected answer: not what Okta documents for this call, so it is not believed; \
                 is there a proxy or a captive portal in between?";
    ProviderError::Unavailable(report(operation, answer, None, words, None))
}

fn error_of(class: Class, report: CallReport, wait: Option<std::time::Duration>) -> ProviderError {
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

fn report(operation: Operation, answer: &Answer, code: Option<&str>, words: &str, summary: Option<&str>) -> CallReport {
    let status = answer.status.as_u16();
    let mut message = format!("Okta answered {status}");
    message.extend(code.map(|code| format!(" {code}")));
    message.push_str(&format!(": {words}"));
    message.extend(summary.filter(|summary| !summary.is_empty()).map(|summary| format!(" ({summary})")));
    CallReport {
        operation: operation.as_str(),
        status: Some(status),
        code: code.and_then(|code| answer.scrub.word(code)),
        message: answer.scrub.text(&message),
        request_id: answer.header(REQUEST_ID).and_then(|id| answer.scrub.word(id)),
    }
}

/// By code where it is one of Okta's documented ones, otherwise by status.
fn judge(operation: Operation, status: u16, code: Option<&str>) -> (Class, String) {
    let (class, words) = match (status, code) {
        // The limit's own code counts whatever status a gateway gave it.
        (429, _) | (400.., Some("E0000047")) => (Class::Throttled, "the rate or concurrency limit is reached"),
        (500.., _) => (Class::Unavailable, words_of_trouble(code)),
        (300..400, _) => {
            (Class::Misconfigured, "it redirects elsewhere; `url` has to be the org's own API host, without a path")
        }
        (401, Some("E0000015")) => {
            (Class::Misconfigured, "the feature is not enabled for this org; ask Okta's support")
        }
        (401, Some("E0000004")) => (Class::Unauthorized, "authentication failed; check the credential"),
        (401, Some("E0000011")) => {
            (Class::Unauthorized, "the token is not valid: revoked, expired (30 days unused), or of another org")
        }
        (401, _) => (Class::Unauthorized, "our credential is refused"),
        (403, Some("E0000005")) => (Class::Unauthorized, "the session behind our credential is not valid"),
        (403, Some("E0000038")) => (Class::Refused, "not allowed in the user's current status"),
        (403, Some("E0000006")) => {
            (Class::Forbidden, "our credential may not do this; its admin role does not cover this user or this action")
        }
        (403, _) => (Class::Forbidden, "forbidden"),
        (404, Some("E0000008")) => (Class::Misconfigured, "there is no such path; `url` is not an Okta API host"),
        (404, Some("E0000007")) | (410, Some("E0000156")) => absent(operation),
        (404, Some("E0000012")) | (405, Some("E0000022")) | (406, Some("E0000122")) => (
            Class::Misconfigured,
            "the request arrived changed (method, path or headers); is there a proxy in between?",
        ),
        (423, _) => (Class::Unavailable, "locked for the moment"),
        (408 | 425, _) => (Class::Unavailable, "it did not take the request in time"),
        (400.., Some(code)) => (Class::Refused, words_of_refusal(code)),
        (400.., None) => (Class::Unavailable, "refused in words that are not Okta's; is there a proxy in between?"),
        _ => (Class::Unavailable, "unexpected answer"),
    };
    (class, words.to_owned())
}

fn absent(operation: Operation) -> (Class, &'static str) {
    match operation {
        Operation::GetUser | Operation::FindUser | Operation::RevokeSessions => {
            (Class::UnknownAccount, "no user has this id")
        }
        // A session that is gone is no error to the caller, so only a 410 about its user comes here.
        Operation::ReadSession | Operation::RevokeSession => (Class::UnknownAccount, "the session's user is deleted"),
        Operation::SearchUsers | Operation::ListUsers | Operation::ReadTokenOwner | Operation::Token => {
            (Class::Misconfigured, "not found; `url` is not an Okta API host")
        }
    }
}

fn words_of_trouble(code: Option<&str>) -> &'static str {
    match code {
        Some("E0000009") => "Okta has an internal error",
        Some("E0000010") => "Okta is in read-only mode for maintenance",
        Some("E0000100") => "Okta's search is not available",
        Some("E0000067" | "E0000134" | "E0000137" | "E0000240" | "E0000241") => "a system behind Okta did not answer",
        _ => "Okta has trouble",
    }
}

fn words_of_refusal(code: &str) -> &'static str {
    match code {
        "E0000001" => "the request did not pass validation",
        "E0000002" => "the request has an argument that is not legal",
        "E0000028" => "the request lacks a parameter",
        "E0000031" => "the search expression is not valid",
        "E0000033" => "search and filter were given together",
        _ => "refused",
    }
}

/// Codes whose own words are better than Okta's summary, which may name people.
fn is_known(code: Option<&str>) -> bool {
    const KNOWN: [&str; 25] = [
        "E0000001", "E0000002", "E0000028", "E0000031", "E0000033", "E0000004", "E0000011", "E0000015", "E0000005",
        "E0000006", "E0000038", "E0000007", "E0000008", "E0000012", "E0000022", "E0000122", "E0000156", "E0000047",
        "E0000009", "E0000010", "E0000100", "E0000134", "E0000137", "E0000240", "E0000241",
    ];
    code.is_some_and(|code| KNOWN.contains(&code))
}

/// The scope that `WWW-Authenticate` asks for: an empty 403 has its only reason there. Empty if it names none.
fn lacking_scope(answer: &Answer) -> Option<String> {
    let values = answer.headers.get_all("www-authenticate").into_iter().filter_map(|value| value.to_str().ok());
    let challenge = values.into_iter().find(|value| value.contains("insufficient_scope"))?;
    // A parameter of another name may end in the same letters.
    let starts_name = |at: usize| challenge[..at].ends_with([' ', ',']);
    let start = challenge.match_indices("scope=\"").find(|(at, _)| starts_name(*at));
    let named = start.and_then(|(at, name)| challenge[at + name.len()..].split('"').next());
    matches!(answer.status.as_u16(), 401 | 403).then(|| named.unwrap_or_default().to_owned())
}

fn lacks_scope(named: &str, operation: Operation) -> String {
    let scope = if named.is_empty() { operation.scope().unwrap_or("a scope") } else { named };
    format!("the access token lacks {scope}; grant it to the app in Okta (API scopes)")
}

/// What an error of the token endpoint means. `clocks` tells how far the clocks are apart, if they are.
pub(super) fn classify_token(
    answer: &Answer,
    wait: Option<std::time::Duration>,
    clocks: Option<&str>,
) -> ProviderError {
    let error = answer.json::<OauthError>().unwrap_or_default();
    let Some(code) = error.error.as_deref() else {
        // A 429 and troubles of the gateway come in the API's format here too.
        return classify(Operation::Token, answer, wait);
    };
    let (class, words) = judge_token(answer.status.as_u16(), code);
    let words = match (code, clocks) {
        ("invalid_client", Some(clocks)) => format!("{words}; {clocks}"),
        _ => words.to_owned(),
    };
    let description = error.error_description.map(|text| without_names(&text));
    error_of(class, report(Operation::Token, answer, Some(code), &words, description.as_deref()), wait)
}

fn judge_token(status: u16, code: &str) -> (Class, &'static str) {
    match (status, code) {
        (429, _) => (Class::Throttled, "the rate limit for tokens is reached"),
        (500.., _) | (_, "server_error" | "temporarily_unavailable") => (Class::Unavailable, "Okta has trouble"),
        (_, "invalid_dpop_proof" | "use_dpop_nonce") => (Class::Misconfigured, DPOP),
        (_, "invalid_scope") => {
            (Class::Misconfigured, "grant okta.users.manage and okta.users.read to the app in Okta (API scopes)")
        }
        (_, "invalid_client") => (
            Class::Unauthorized,
            "check client_id, key_id and private_key, that the app is active, and `url`; or a clock is wrong",
        ),
        (_, "access_denied") => {
            (Class::Unauthorized, "access denied: a network zone or policy of the org keeps the app out")
        }
        (_, "unauthorized_client" | "invalid_grant") => (Class::Unauthorized, "the app may not get a token this way"),
        (_, "invalid_request" | "unsupported_grant_type") => (
            Class::Misconfigured,
            "the app does not take this kind of request; it has to be a service app (API Services) with a public key",
        ),
        (401 | 403, _) => (Class::Unauthorized, "no token for our credential"),
        _ => (Class::Misconfigured, "no token for this app"),
    }
}

/// Where an operator finds the box to untick.
pub(super) const DPOP: &str = "the app demands DPoP, which is not supported; in Okta open the app, General, and untick \
                               \"Require Demonstrating Proof of Possession (DPoP) header in token requests\"";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::scrub::Scrub;

    fn answer(status: u16, body: &str, headers: &[(&'static str, &str)]) -> Answer {
        let mut map = http::HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        let status = http::StatusCode::from_u16(status).expect("a status");
        Answer { status, headers: map, body: bytes::Bytes::copy_from_slice(body.as_bytes()), scrub: Scrub::default() }
    }

    fn body(code: &str) -> String {
        format!(r#"{{"errorCode":"{code}","errorSummary":"s","errorLink":"l","errorId":"i","errorCauses":[]}}"#)
    }

    fn class(error: &ProviderError) -> &'static str {
        match error {
            ProviderError::Throttled { .. } => "throttled",
            ProviderError::Unavailable(_) => "unavailable",
            ProviderError::Unauthorized(_) => "unauthorized",
            ProviderError::Misconfigured(_) => "misconfigured",
            ProviderError::Forbidden(_) => "forbidden",
            ProviderError::Refused(_) => "refused",
            ProviderError::UnknownAccount(_) => "unknown",
            ProviderError::Unclear(_) => "unclear",
        }
    }

    #[test]
    fn every_documented_answer_has_its_class() {
        let table: &[(u16, &[&str], &str)] = &[
            (400, &["E0000001", "E0000002", "E0000028", "E0000031", "E0000033", "E0099999"], "refused"),
            (400, &["E0000047"], "throttled"),
            (401, &["E0000004", "E0000011", "E0099999"], "unauthorized"),
            (401, &["E0000015"], "misconfigured"),
            (403, &["E0000005"], "unauthorized"),
            (403, &["E0000006", "E0099999"], "forbidden"),
            (403, &["E0000038"], "refused"),
            (404, &["E0000007"], "unknown"),
            (404, &["E0000008", "E0000012"], "misconfigured"),
            (404, &["E0099999"], "refused"),
            (405, &["E0000022"], "misconfigured"),
            (406, &["E0000122"], "misconfigured"),
            (410, &["E0000156"], "unknown"),
            (410, &["E0099999"], "refused"),
            (423, &["E0000239"], "unavailable"),
            (429, &["E0000047", "E0099999"], "throttled"),
            (500, &["E0000009", "E0000007", "E0099999"], "unavailable"),
            (502, &["E0000134", "E0000137", "E0000240", "E0000241", "E0000067"], "unavailable"),
            (504, &["E0000134", "E0000137", "E0000240", "E0000241", "E0000067"], "unavailable"),
            (503, &["E0000010", "E0000100"], "unavailable"),
        ];
        for (status, codes, expected) in table {
            for code in *codes {
                let error = classify(Operation::RevokeSessions, &answer(*status, &body(code), &[]), None);
                assert_eq!(class(&error), *expected, "{status} {code}");
                assert_eq!(error.report().code.as_deref(), Some(*code));
                assert_eq!(error.report().status, Some(*status));
            }
        }
    }

    #[test]
    fn an_answer_without_a_code_has_a_safe_class() {
        let table = [
            (301, "misconfigured"),
            (302, "misconfigured"),
            (307, "misconfigured"),
            (400, "unavailable"),
            (401, "unauthorized"),
            (403, "forbidden"),
            (404, "unavailable"),
            (408, "unavailable"),
            (429, "throttled"),
            (500, "unavailable"),
            (503, "unavailable"),
            (599, "unavailable"),
        ];
        for (status, expected) in table {
            for body in ["", "<html>no</html>", "[]", "{\"errorCode\":7}"] {
                let error = classify(Operation::RevokeSessions, &answer(status, body, &[]), None);
                assert_eq!(class(&error), expected, "{status} {body}");
            }
        }
    }

    #[test]
    fn a_404_names_an_account_only_where_the_call_does() {
        for (operation, expected) in [
            (Operation::GetUser, "unknown"),
            (Operation::RevokeSessions, "unknown"),
            (Operation::SearchUsers, "misconfigured"),
            (Operation::ListUsers, "misconfigured"),
            (Operation::Token, "misconfigured"),
        ] {
            let error = classify(operation, &answer(404, &body("E0000007"), &[]), None);
            assert_eq!(class(&error), expected, "{operation:?}");
        }
    }

    #[test]
    fn an_empty_403_is_explained_by_its_header() {
        let challenge = concat!(
            r#"Bearer realm="http://acme", error_scope="x", scope="okta.users.manage","#,
            r#" error="insufficient_scope", resource="/api/v1/users""#
        );
        let refused = answer(403, "", &[("www-authenticate", challenge), ("x-okta-request-id", "abc")]);
        let error = classify(Operation::RevokeSessions, &refused, None);
        assert_eq!(class(&error), "unauthorized");
        assert!(error.report().message.contains("okta.users.manage"), "{error}");
        assert_eq!(error.report().request_id.as_deref(), Some("abc"));
        let unnamed = answer(403, "", &[("www-authenticate", r#"Bearer error="insufficient_scope""#)]);
        let error = classify(Operation::ReadSession, &unnamed, None);
        assert!(error.report().message.contains("okta.sessions.read"), "{error}");
    }

    #[test]
    fn the_token_endpoint_speaks_oauth_except_when_it_throttles() {
        let table = [
            (400, "invalid_scope", "misconfigured"),
            (400, "invalid_request", "misconfigured"),
            (400, "unsupported_grant_type", "misconfigured"),
            (400, "invalid_dpop_proof", "misconfigured"),
            (400, "use_dpop_nonce", "misconfigured"),
            (401, "invalid_client", "unauthorized"),
            (403, "access_denied", "unauthorized"),
            (403, "what_is_this", "unauthorized"),
            (400, "what_is_this", "misconfigured"),
            (429, "slow_down", "throttled"),
            (500, "server_error", "unavailable"),
        ];
        for (status, code, expected) in table {
            let body = format!(r#"{{"error":"{code}","error_description":"why"}}"#);
            let error = classify_token(&answer(status, &body, &[]), None, None);
            assert_eq!(class(&error), expected, "{status} {code}");
        }
        let throttled = classify_token(&answer(429, &body("E0000047"), &[]), None, None);
        assert_eq!(class(&throttled), "throttled");
        let dpop = classify_token(&answer(400, r#"{"error":"use_dpop_nonce"}"#, &[]), None, None);
        assert!(dpop.report().message.contains("DPoP") && dpop.report().message.contains("untick"), "{dpop}");
    }

    #[test]
    fn a_message_is_bounded_and_has_neither_our_credential_nor_names() {
        let mut scrub = Scrub::default();
        scrub.hide(&crate::settings::Secret::new("00QCjAl4MlV-WPXM"));
        let summary = format!("token 00QCjAl4MlV-WPXM of ana@example.com \\u0007{}", "x".repeat(2000));
        let body = format!(r#"{{"errorCode":"E0009999 00QCjAl4MlV-WPXM","errorSummary":"{summary}"}}"#);
        let mut hostile = answer(418, &body, &[("x-okta-request-id", "00QCjAl4MlV-WPXM")]);
        hostile.scrub = scrub;
        let error = classify(Operation::GetUser, &hostile, None);
        let shown = format!("{error:?}");
        assert!(!shown.contains("00QC") && !shown.contains("ana@") && !shown.contains('\u{7}'), "{shown}");
        assert!(shown.len() < 1000);
    }
}
