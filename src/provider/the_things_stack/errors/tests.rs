//! The table of errors, row by row, as the vendor's documents have it.

use super::*;
use crate::provider::scrub::Scrub;
use crate::settings::Secret;

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status: http::StatusCode::from_u16(status).expect("a status"),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::copy_from_slice(body.as_bytes()),
        scrub: Scrub::default(),
    }
}

fn named(code: i64, namespace: &str, name: &str) -> String {
    serde_json::json!({
        "code": code, "message": format!("error:{namespace}:{name} (words)"),
        "details": [{"@type": "type.googleapis.com/ttn.lorawan.v3.ErrorDetails", "namespace": namespace, "name": name,
                     "message_format": "words of `{user_id}`", "attributes": {"user_id": "zoe"},
                     "correlation_id": "7d4a76e4b2074fdfbb6d0fac81d8647c", "code": code}],
    })
    .to_string()
}

fn plain(code: i64) -> String {
    serde_json::json!({"code": code, "message": "words", "details": []}).to_string()
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
fn every_documented_error_has_its_class() {
    let table: &[(u16, i64, &str, &[&str], &str)] = &[
        (404, 5, STORE, &["user_not_found", "entity_not_found", "account_not_found"], "unknown"),
        (403, 7, RIGHTS, &["no_user_rights"], "forbidden"),
        (403, 7, RIGHTS, &["insufficient_user_rights"], "unauthorized"),
        (403, 7, IDENTITY_SERVER, &["permission_denied", "search_forbidden"], "unauthorized"),
        (403, 7, IDENTITY_SERVER, &["user_suspended", "user_rejected", "user_requested"], "unauthorized"),
        (403, 7, IDENTITY_SERVER, &["oauth_client_suspended", "oauth_client_rejected"], "unauthorized"),
        (401, 16, IDENTITY_SERVER, &["api_key_not_found", "invalid_authorization", "api_key_expired"], "unauthorized"),
        (401, 16, IDENTITY_SERVER, &["token_not_found", "token_expired"], "unauthorized"),
        (401, 16, IDENTITY_SERVER, &["unsupported_authorization", "unauthenticated"], "unauthorized"),
        (400, 3, "pkg/auth", &["token"], "unauthorized"),
        (400, 3, "pkg/errors", &["validation"], "refused"),
        (409, 10, "pkg/any", &["aborted"], "unavailable"),
        (409, 6, "pkg/any", &["already_exists"], "refused"),
        (429, 8, "pkg/ratelimit", &["rate_limit_exceeded"], "throttled"),
        (500, 2, "pkg/util/store", &["driver"], "unavailable"),
        (501, 12, "pkg/any", &["unimplemented"], "misconfigured"),
        (503, 14, "pkg/util/store", &["database_unavailable", "unavailable"], "unavailable"),
        // Names that nobody has heard of, one for each class of status.
        (400, 3, "pkg/new", &["new_thing"], "refused"),
        (401, 16, "pkg/new", &["new_thing"], "unauthorized"),
        (403, 7, "pkg/new", &["new_thing"], "forbidden"),
        (404, 5, "pkg/new", &["new_thing"], "refused"),
        (409, 6, "pkg/new", &["new_thing"], "refused"),
        (409, 10, "pkg/new", &["new_thing"], "unavailable"),
        (418, 9, "pkg/new", &["new_thing"], "refused"),
        (429, 8, "pkg/new", &["new_thing"], "throttled"),
        (499, 1, "pkg/new", &["new_thing"], "unavailable"),
        (500, 13, "pkg/new", &["new_thing"], "unavailable"),
        (500, 15, "pkg/new", &["new_thing"], "unavailable"),
        (501, 12, "pkg/new", &["new_thing"], "misconfigured"),
        (503, 14, "pkg/new", &["new_thing"], "unavailable"),
        (504, 4, "pkg/new", &["new_thing"], "unavailable"),
        // The limit's own code counts whatever status a gateway gives it.
        (400, 8, "pkg/ratelimit", &["rate_limit_exceeded"], "throttled"),
        (503, 8, "pkg/ratelimit", &["rate_limit_exceeded"], "throttled"),
        // A known name of another namespace is not the known error.
        (404, 5, "pkg/other", &["user_not_found"], "refused"),
        (400, 3, "pkg/other", &["token"], "refused"),
        (403, 7, "pkg/other", &["insufficient_user_rights", "permission_denied"], "forbidden"),
    ];
    for (status, grpc, namespace, names, expected) in table {
        for name in *names {
            let error = classify(Operation::DeleteSession, &answer(*status, &named(*grpc, namespace, name)), None);
            assert_eq!(class(&error), *expected, "{status} {namespace}:{name}");
            let report = error.report();
            assert_eq!(report.code, Some(format!("{namespace}:{name}")));
            assert_eq!((report.status, report.operation), (Some(*status), "delete_session"));
            assert_eq!(report.request_id.as_deref(), Some("7d4a76e4b2074fdfbb6d0fac81d8647c"));
        }
    }
}

#[test]
fn a_gateways_plain_error_is_judged_by_status_and_grpc_code() {
    let table = [
        (400, 3, "refused"),
        (401, 16, "unauthorized"),
        (403, 7, "forbidden"),
        (404, 5, "misconfigured"),
        (405, 12, "misconfigured"),
        (408, 4, "unavailable"),
        (409, 6, "refused"),
        (409, 10, "unavailable"),
        (429, 8, "throttled"),
        (499, 1, "unavailable"),
        (500, 2, "unavailable"),
        (500, 13, "unavailable"),
        (500, 15, "unavailable"),
        (501, 12, "misconfigured"),
        (503, 8, "throttled"),
        (503, 14, "unavailable"),
        (504, 4, "unavailable"),
    ];
    for (status, grpc, expected) in table {
        let error = classify(Operation::DeleteSession, &answer(status, &plain(grpc)), None);
        assert_eq!((class(&error), error.report().code.as_deref()), (expected, None), "{status} {grpc}");
    }
}

#[test]
fn an_answer_in_other_words_has_a_safe_class() {
    let table = [
        (301, "misconfigured"),
        (302, "misconfigured"),
        (400, "unavailable"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "misconfigured"),
        (405, "misconfigured"),
        (409, "unavailable"),
        (413, "unavailable"),
        (425, "unavailable"),
        (429, "throttled"),
        (500, "unavailable"),
        (502, "unavailable"),
        (504, "unavailable"),
        (520, "unavailable"),
    ];
    for (status, expected) in table {
        for body in ["", "<html>no</html>", "[]", "{}", r#"{"code":"5","details":[]}"#, r#"{"code":5,"details":7}"#] {
            let error = classify(Operation::ListSessions, &answer(status, body), None);
            assert_eq!(class(&error), expected, "{status} {body}");
        }
    }
}

#[test]
fn a_missing_user_is_an_account_only_where_the_call_names_one() {
    for (operation, expected) in [
        (Operation::GetUser, "unknown"),
        (Operation::ListSessions, "unknown"),
        (Operation::DeleteSession, "unknown"),
        (Operation::ListUsers, "misconfigured"),
        (Operation::AuthInfo, "misconfigured"),
    ] {
        let error = classify(operation, &answer(404, &named(5, STORE, "user_not_found")), None);
        assert_eq!(class(&error), expected, "{operation:?}");
    }
}

#[test]
fn only_the_sessions_own_error_says_that_it_is_gone() {
    assert!(is_gone(&answer(404, &named(5, STORE, "user_session_not_found"))));
    for other in [
        named(5, "pkg/other", "user_session_not_found"),
        named(5, STORE, "user_not_found"),
        plain(5),
        r#"{"code":5,"message":"error:pkg/identityserver/store:user_session_not_found (gone)","details":[]}"#
            .to_owned(),
        "<html>user_session_not_found</html>".to_owned(),
        String::new(),
    ] {
        assert!(!is_gone(&answer(404, &other)), "{other}");
    }
}

#[test]
fn only_the_outer_error_says_what_it_means() {
    // A key that is not known: the database's 404 is the cause of the 401.
    let mut body: serde_json::Value =
        serde_json::from_str(&named(16, IDENTITY_SERVER, "api_key_not_found")).expect("JSON");
    body["details"][0]["cause"] = serde_json::json!({"namespace": STORE, "name": "user_session_not_found", "code": 5});
    let refused = answer(401, &body.to_string());
    assert!(!is_gone(&refused));
    assert_eq!(class(&classify(Operation::DeleteSession, &refused, None)), "unauthorized");
}

#[test]
fn a_message_is_bounded_and_has_neither_our_credential_nor_names() {
    let body = serde_json::json!({
        "code": 9, "message": "NNSXS.ID.SECRETSECRET zoe@example.com",
        "details": [{"namespace": "pkg/NNSXS.ID.SECRETSECRET", "name": "odd\u{7}", "correlation_id": "c SECRETSECRET",
                     "message_format": format!("SECRETSECRET of zoe@example.com \u{202e}{}", "x".repeat(3000)),
                     "attributes": {"user_id": "zoe"}}],
    });
    let mut hostile = answer(418, &body.to_string());
    hostile.scrub.hide(&Secret::new("NNSXS.ID.SECRETSECRET"));
    hostile.scrub.hide(&Secret::new("SECRETSECRET"));
    let shown = format!("{:?}", classify(Operation::GetUser, &hostile, None));
    for secret in ["SECRET", "zoe", "\u{7}", "\u{202e}"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.len() < 1200, "{}", shown.len());
}
