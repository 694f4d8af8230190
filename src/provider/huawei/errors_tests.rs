//! The table of errors, row by row, and what is told about them.

use super::*;
use crate::provider::scrub::Scrub;
use crate::settings::Secret;

fn answer(status: u16, body: &str) -> Answer {
    let status = http::StatusCode::from_u16(status).expect("a status");
    let body = bytes::Bytes::copy_from_slice(body.as_bytes());
    Answer { status, headers: http::HeaderMap::new(), body, scrub: Scrub::default() }
}

fn body(code: &str) -> String {
    format!(r#"{{"error_code":"{code}","error_msg":"why","request_id":"5d2e4f"}}"#)
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

fn judge(operation: Operation, status: u16, body: &str) -> ProviderError {
    classify(operation, &answer(status, body), None, None)
}

#[test]
fn every_documented_answer_has_its_class() {
    // Status, code, class where it is the same for every call.
    let table: &[(u16, &str, &str)] = &[
        (400, "IIC.400", "refused"),
        (404, "IIC.400", "refused"),
        (404, "IIC.1002", "refused"),
        (403, "IIC.1000", "forbidden"),
        (403, "IIC.1001", "forbidden"),
        (403, "IIC.1003", "refused"),
        (403, "IIC.1004", "refused"),
        (409, "IIC.1006", "unavailable"),
        (409, "IIC.1007", "unavailable"),
        (400, "IIC.1219", "forbidden"),
        (403, "IIC.1219", "forbidden"),
        (500, "IIC.1209", "unavailable"),
        (404, "IIC.1308", "misconfigured"),
        (401, "APIGW.0301", "unauthorized"),
        (403, "APIGW.0302", "forbidden"),
        (401, "APIGW.0303", "unauthorized"),
        (404, "APIGW.0101", "misconfigured"),
        (400, "APIGW.0201", "refused"),
        (413, "APIGW.0201", "refused"),
        (414, "APIGW.0201", "refused"),
        (494, "APIGW.0201", "refused"),
        (502, "APIGW.0201", "unavailable"),
        (504, "APIGW.0201", "unavailable"),
        (429, "APIGW.0308", "throttled"),
        (429, "APIG.0308", "throttled"),
        (400, "APIGW.0308", "throttled"),
        (503, "APIG.0308", "throttled"),
        (404, "IdentityCenter.400", "refused"),
    ];
    for (status, code, expected) in table {
        for operation in Operation::ALL {
            let error = judge(*operation, *status, &body(code));
            assert_eq!(class(&error), *expected, "{operation:?} {status} {code}");
            assert_eq!(error.report().code.as_deref(), Some(*code));
            assert_eq!(error.report().status, Some(*status));
            assert_eq!(error.report().request_id.as_deref(), Some("5d2e4f"));
            assert!(!error.report().message.contains("why"), "our words are better: {error}");
        }
    }
}

#[test]
fn a_404_means_what_the_call_asked_for() {
    for (operation, expected) in [
        (Operation::ListUsers, "misconfigured"),
        (Operation::GetUser, "unknown"),
        (Operation::FindUser, "unknown"),
        (Operation::ListSessions, "unknown"),
        (Operation::DeleteSessions, "unavailable"),
    ] {
        for code in ["IIC.404", "IdentityCenter.404"] {
            assert_eq!(class(&judge(operation, 404, &body(code))), expected, "{operation:?}");
        }
    }
}

#[test]
fn a_code_that_we_do_not_know_falls_back_to_its_status() {
    let table = [
        (301, "misconfigured"),
        (400, "refused"),
        (401, "unauthorized"),
        (402, "refused"),
        (403, "forbidden"),
        (404, "refused"),
        (405, "refused"),
        (408, "unavailable"),
        (409, "unavailable"),
        (410, "refused"),
        (422, "refused"),
        (425, "unavailable"),
        (429, "throttled"),
        (500, "unavailable"),
        (501, "unavailable"),
        (503, "unavailable"),
        (599, "unavailable"),
        (600, "unavailable"),
    ];
    for (status, expected) in table {
        // Codes that are documented with another status among them.
        for code in ["IIC.9999", "SYS.0001", "17"] {
            let error = judge(Operation::DeleteSessions, status, &body(code));
            assert_eq!(class(&error), expected, "{status} {code}");
            assert!(error.report().message.contains("why"), "nothing of ours says more: {error}");
        }
    }
    assert_eq!(class(&judge(Operation::ListUsers, 500, &body("IIC.404"))), "unavailable");
    assert_eq!(class(&judge(Operation::ListUsers, 401, &body("IIC.404"))), "unauthorized");
    assert_eq!(class(&judge(Operation::ListUsers, 400, &body("APIGW.0301"))), "refused");
}

#[test]
fn an_answer_without_a_code_has_a_safe_class() {
    let table = [
        (302, "misconfigured"),
        (400, "unavailable"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "unavailable"),
        (407, "unavailable"),
        (429, "throttled"),
        (500, "unavailable"),
    ];
    for (status, expected) in table {
        for body in ["", "<html>no</html>", "[]", "7", "{\"error_code\":null}", "{\"error_code\":\" \"}"] {
            assert_eq!(class(&judge(Operation::GetUser, status, body)), expected, "{status} {body}");
        }
    }
}

#[test]
fn an_error_is_read_in_every_shape() {
    let shapes = [
        r#"{"error_code":"IIC.400","error_msg":"m"}"#,
        r#"{"errorCode":"IIC.400","errorMsg":"m"}"#,
        r#"{"code":"IIC.400","message":"m"}"#,
        r#"{"error":{"error_code":"IIC.400","error_msg":"m"}}"#,
        r#"{"error":{"errorCode":"IIC.400","errorMsg":"m"}}"#,
        r#"{"badRequest":{"code":"IIC.400","message":"m"}}"#,
        r#"{"request_id":"r","error":{"code":"IIC.400","message":"m"},"z":{"code":"other","message":"o"}}"#,
        r#"{"outer":{"error":{"code":"IIC.400","message":"m"}}}"#,
        r#"{"encoded_authorization_message":"x","error_code":" IIC.400 ","error_msg":"m"}"#,
        r#"{"error_code":"IIC.400"}"#,
    ];
    for shape in shapes {
        let said = Said::read(&answer(400, shape));
        assert_eq!(said.code.as_deref(), Some("IIC.400"), "{shape}");
    }
    assert_eq!(Said::read(&answer(400, r#"{"code":400,"message":"m"}"#)).code.as_deref(), Some("400"));
    let deep = format!("{}{}{}", r#"{"a":"#.repeat(60), r#"{"code":"IIC.400"}"#, "}".repeat(60));
    assert_eq!(Said::read(&answer(400, &deep)), Said::default());
    let header = {
        let mut answer = answer(400, &body("IIC.400"));
        answer.headers.insert("x-request-id", "from-header".parse().expect("a value"));
        classify(Operation::GetUser, &answer, None, None)
    };
    assert_eq!(header.report().request_id.as_deref(), Some("from-header"));
}

#[test]
fn a_lacking_permission_is_named() {
    for (operation, action) in [
        (Operation::ListUsers, "IdentityCenter:user:list "),
        (Operation::GetUser, "IdentityCenter:user:describe "),
        (Operation::FindUser, "IdentityCenter:user:getUserId "),
        (Operation::ListSessions, "IdentityCenter:user:listSessions "),
        (Operation::DeleteSessions, "IdentityCenter:user:batchDeleteSession "),
    ] {
        let error = judge(operation, 403, &body("IIC.1000"));
        assert!(error.to_string().contains(action), "{error}");
    }
}

#[test]
fn only_a_401_of_the_gateways_two_codes_may_be_the_clock() {
    let is = |status, code: &str| may_be_the_clock(&answer(status, &body(code)));
    assert!(is(401, "APIGW.0301") && is(401, "APIGW.0303") && is(401, "APIG.0301"));
    assert!(!is(401, "APIGW.0305") && !is(403, "APIGW.0301") && !is(401, "IIC.401"));
    assert!(!may_be_the_clock(&answer(401, "")));
}

#[test]
fn a_message_is_bounded_and_tells_nothing_of_an_echoed_request() {
    let mut scrub = Scrub::default();
    for secret in ["AKIDEXAMPLE0000000001", "ggpjbi1ub3J0aC00TOKEN", "fe814625e774dd2839e5"] {
        scrub.hide(&Secret::new(secret));
    }
    let echoes = [
        "canonical request GET\\n/v1/users/\\n\\nhost:x\\n\\nhost;a\\n",
        "it was Access=A, SignedHeaders=host:x",
        "verify aksk signature fail, canonicalRequest: GET|/v1/identity-stores/d-1/users/||host:x|x-sdk-date:2026",
        "wrong: SDK-HMAC-SHA256 Access=AKIDEXAMPLE0000000001, SignedHeaders=host, Signature=fe814625e774dd2839e5",
        "header X-Security-Token ggpjbi1ub3J0aC00TOKEN",
        "AKIDEXAMPLE0000000001 of zoe@example.com \\u0007 ggpjbi1ub3J0aC00TOKEN fe814625e774dd2839e5",
    ];
    for echo in echoes {
        for code in ["APIGW.0301", "APIGW.9999", "IIC.9999 AKIDEXAMPLE0000000001"] {
            let long = "x".repeat(2000);
            let body =
                format!(r#"{{"error_code":"{code}","error_msg":"{echo} {long}","request_id":"fe814625e774dd2839e5"}}"#);
            let mut hostile = answer(401, &body);
            hostile.scrub = scrub.clone();
            let shown = format!("{:?}", classify(Operation::GetUser, &hostile, None, None));
            let secrets = ["AKID", "ggpj", "fe81", "zoe@", "identity-stores", "host:", "\u{7}"];
            assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{shown}");
            assert!(shown.len() < 1000, "{shown}");
        }
    }
}
