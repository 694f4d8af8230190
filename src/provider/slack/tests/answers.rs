//! What each answer means, row by row; what is never believed; what never shows.

use std::time::Duration;

use super::super::Operation;
use super::super::errors::classify;
use super::support::*;
use crate::provider::http::Answer;
use crate::provider::script::Canned;
use crate::provider::scrub::Scrub;
use crate::provider::{Provider, ProviderError};

const RESETS: [Operation; 2] = [Operation::Reset, Operation::ResetBulk];
const ENDS: [Operation; 3] = [Operation::Reset, Operation::ResetBulk, Operation::Invalidate];
const ADMIN: [Operation; 4] = [Operation::List, Operation::Reset, Operation::ResetBulk, Operation::Invalidate];
const ALL: [Operation; 7] = Operation::ALL;

fn answer(status: u16, body: &str) -> Answer {
    let status = http::StatusCode::from_u16(status).expect("a status");
    let (headers, body) = (http::HeaderMap::new(), bytes::Bytes::copy_from_slice(body.as_bytes()));
    Answer { status, headers, body, scrub: Scrub::default() }
}

fn body(code: &str) -> String {
    format!(r#"{{"ok":false,"error":"{code}"}}"#)
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

/// Slack's documented codes, where they are documented.
const DOCUMENTED: &[(&[Operation], &[&str], &str)] = &[
    (&ADMIN, &["user_not_found"], "unknown"),
    (&[Operation::UserInfo], &["user_not_found"], "unknown"),
    (&[Operation::UserInfo], &["user_not_visible"], "forbidden"),
    (&[Operation::LookupByEmail], &["users_not_found"], "unknown"),
    (&RESETS, &["user_session_reset_failed"], "unavailable"),
    (&[Operation::Invalidate], &["session_invalidation_failed"], "unavailable"),
    (&[Operation::ResetBulk], &["failed_for_some_users"], "unavailable"),
    (&RESETS, &["cannot_reset_bot"], "refused"),
    (&ADMIN, &["bots_not_allowed"], "refused"),
    (&ENDS, &["cannot_reset_primary_owner", "session_reset_not_allowed", "cannot_invalidate_primary_owner"], "refused"),
    (&ADMIN, &["not_an_admin", "admin_unauthorized"], "unauthorized"),
    (&ADMIN, &["restricted_action"], "forbidden"),
    (&ADMIN, &["feature_not_enabled"], "misconfigured"),
    (&ALL, &["unknown_method", "deprecated_endpoint", "method_deprecated"], "misconfigured"),
    (&[Operation::List], &["missing_team", "missing_user", "team_not_found", "invalid_cursor"], "refused"),
    (&ALL, &["not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired"], "unauthorized"),
    (&ALL, &["missing_scope", "not_allowed_token_type", "two_factor_setup_required"], "unauthorized"),
    (&ALL, &["no_permission", "access_denied", "team_access_not_granted", "enterprise_is_restricted"], "forbidden"),
    (&ALL, &["ekm_access_denied", "accesslimited", "org_login_required"], "forbidden"),
    (&ALL, &["team_added_to_org"], "unavailable"),
    (&ALL, &["ratelimited"], "throttled"),
    (&ALL, &["internal_error", "fatal_error", "service_unavailable", "request_timeout"], "unavailable"),
    (&ALL, &["invalid_arguments", "invalid_arg_name", "invalid_array_arg", "invalid_charset"], "refused"),
    (&ALL, &["invalid_form_data", "invalid_post_type", "missing_post_type"], "refused"),
    (&ALL, &["invalid_json", "json_not_object"], "refused"),
];

#[test]
fn every_documented_answer_has_its_class() {
    let mut rows = 0;
    for (operations, codes, expected) in DOCUMENTED {
        for code in *codes {
            rows += 1;
            for operation in *operations {
                // Slack says no under 200; a code counts the same where a gateway made a 4xx of it.
                for status in [200, 400, 403] {
                    let error = classify(*operation, &answer(status, &body(code)), None);
                    assert_eq!(class(&error), *expected, "{operation:?} {status} {code}");
                    assert_eq!(error.report().code.as_deref(), Some(*code));
                    assert_eq!((error.report().operation, error.report().status), (operation.as_str(), Some(status)));
                }
                assert_eq!(class(&classify(*operation, &answer(500, &body(code)), None)), "unavailable");
                assert_eq!(class(&classify(*operation, &answer(429, &body(code)), None)), "throttled");
                assert_eq!(class(&classify(*operation, &answer(302, &body(code)), None)), "misconfigured");
            }
        }
    }
    assert_eq!(rows, 53);
}

#[test]
fn a_code_of_another_method_or_of_none_is_refused_and_shown() {
    for (operation, code) in [
        (Operation::LookupByEmail, "user_not_found"),
        (Operation::Reset, "users_not_found"),
        (Operation::Invalidate, "failed_for_some_users"),
        (Operation::Reset, "no_such_code"),
        (Operation::AuthTest, "not_an_admin"),
    ] {
        let error = classify(operation, &answer(200, &body(code)), None);
        assert_eq!(class(&error), "refused", "{operation:?} {code}");
        assert!(error.to_string().contains(code), "{error}");
    }
}

#[test]
fn an_answer_without_a_code_has_a_safe_class() {
    for (status, expected) in [
        (200, "unavailable"),
        (201, "unavailable"),
        (204, "unavailable"),
        (301, "misconfigured"),
        (307, "misconfigured"),
        (400, "unavailable"),
        (401, "unavailable"),
        (403, "unavailable"),
        (404, "unavailable"),
        (429, "throttled"),
        (500, "unavailable"),
        (503, "unavailable"),
        (599, "unavailable"),
    ] {
        for body in
            ["", "<html>Sign in</html>", "[]", r#"{"ok":false}"#, r#"{"ok":false,"error":7}"#, r#"{"ok":"true"}"#]
        {
            let error = classify(Operation::Reset, &answer(status, body), None);
            assert_eq!(class(&error), expected, "{status} {body}");
        }
    }
}

#[test]
fn the_lacking_scope_is_named_in_slacks_words_only_if_it_is_one() {
    let lacking = |needed: &str| {
        let body = format!(r#"{{"ok":false,"error":"missing_scope","needed":"{needed}","provided":"users:read"}}"#);
        classify(Operation::Reset, &answer(200, &body), None).to_string()
    };
    assert!(lacking("admin.users:write").contains("lacks admin.users:write"));
    assert!(!lacking("Ask Ana at +1-555 <b>").contains("Ana"));
}

#[tokio::test]
async fn only_slacks_own_yes_is_one() {
    for (answer, class) in [
        (Canned::new(200, "<html>Sign in</html>").header("content-type", "text/html"), "unavailable"),
        (Canned::new(200, ""), "unavailable"),
        (Canned::new(200, "{}"), "unavailable"),
        (Canned::new(200, r#"{"ok":"true"}"#), "unavailable"),
        (Canned::new(200, r#"{"ok":true,"ok":false}"#), "unavailable"),
        (Canned::new(200, r#"{"ok":true} trailing"#), "unavailable"),
        (Canned::new(202, r#"{"ok":true}"#), "unavailable"),
        (Canned::new(500, r#"{"ok":true}"#), "unavailable"),
        (Canned::new(302, r#"{"ok":true}"#).header("location", "/api/elsewhere"), "misconfigured"),
        (Canned::new(200, r#"{"ok":true}"#).delay(Duration::from_secs(5)), "unavailable"),
        (Canned::new(200, format!(r#"{{"ok":true,"x":"{}"}}"#, "x".repeat(1 << 20))), "unavailable"),
        (no("no_such_code"), "refused"),
    ] {
        let world = World::new().await;
        world.server.then([answer]);
        let error = world.slack.revoke(&account(ANA), &all(), None).await.expect_err("no yes");
        assert_eq!(error.class().as_str(), class, "{error:?}");
        assert_eq!(world.server.seen().len(), 1, "{error:?}");
    }
    let world = World::new().await;
    world
        .server
        .then([Canned::new(200, r#"{"ok":true,"warning":"missing_charset","response_metadata":{"warnings":["x"]}}"#)]);
    assert!(world.slack.revoke(&account(ANA), &all(), None).await.is_ok(), "a warning is no failure");
}

#[tokio::test]
async fn a_dead_host_is_unavailable_without_a_name_in_it() {
    let World { server, slack, .. } = World::new().await;
    drop(server);
    tokio::task::yield_now().await;
    let error = slack.resolve(&by_email("ana@example.com")).await.expect_err("nobody is there");
    assert_eq!(error.class().as_str(), "unavailable");
    assert!(!format!("{error:?}").contains("ana"), "{error:?}");
}

#[tokio::test]
async fn the_token_never_shows_whatever_slack_echoes() {
    let world = World::new().await;
    let echo = format!(r#"{{"ok":false,"error":"bad {TOKEN}","needed":"{TOKEN}","detail":"{TOKEN}"}}"#);
    let escaped = echo.replace("xoxp", "\\u0078oxp");
    for body in [echo, escaped] {
        world.server.then([Canned::new(200, body).header("x-slack-req-id", format!("r {TOKEN}"))]);
        let error = world.slack.revoke(&account(ANA), &all(), None).await.expect_err("an echo");
        let shown = format!("{error:?} {error}");
        assert!(!shown.contains("canary") && shown.contains("[not shown]"), "{shown}");
    }
    assert!(!format!("{:?}", world.slack).contains("canary"));
}

#[tokio::test]
async fn a_token_that_was_rotated_is_used_at_once_and_hidden_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "xoxe.xoxp-old-canary").expect("written");
    let world = World::with(serde_json::json!({"credentials": {"token": {"file": file}}})).await;
    world.server.then([no("token_expired")]);
    let error = world.slack.revoke(&account(ANA), &all(), None).await.expect_err("no newer one");
    assert_eq!(class(&error), "unauthorized");
    assert_eq!(world.server.seen().len(), 1, "the same token is not tried twice");
    std::fs::write(&file, "xoxe.xoxp-new-canary\n").expect("written");
    world.server.then([no("token_expired"), ok(), no("bad xoxe.xoxp-new-canary")]);
    assert!(world.slack.revoke(&account(ANA), &all(), None).await.is_ok());
    let error = world.slack.revoke(&account(ANA), &all(), None).await.expect_err("an echo");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    let bearers: Vec<_> = world.server.seen().iter().map(|seen| seen.headers["authorization"].clone()).collect();
    assert_eq!(bearers[2], "Bearer xoxe.xoxp-new-canary");
}

#[tokio::test]
async fn a_check_tells_who_we_are_and_what_is_missing() {
    let who = |more: &str| {
        let body = format!(
            r#"{{"ok":true,"url":"https://acme.slack.com/","team":"Acme","user":"grace","team_id":"T1","user_id":"W1GRACE"{more}}}"#
        );
        Canned::new(200, body)
    };
    let org = r#","enterprise_id":"E1","is_enterprise_install":true"#;
    let scopes = "admin.users:write,admin.users:read, users:read,users:read.email";

    let world = World::new().await;
    world.server.then([who(org).header("X-OAuth-Scopes", format!("identify,{scopes},chat:write")), page(&[], "")]);
    let report = world.slack.check().await.expect("a report");
    assert_eq!(report.identity, "grace (W1GRACE) at Acme");
    assert_eq!((report.missing.len(), report.unchecked.len()), (0, 0), "{report:?}");
    assert_eq!(report.excess, ["chat:write"]);
    assert_eq!(world.server.lines(), ["POST /api/auth.test", "POST /api/admin.users.session.list"]);

    world.server.then([who(org).header("x-oauth-scopes", "admin.users:write,users:read")]);
    let missing = world.slack.check().await.expect("a report").missing.join("; ");
    assert!(missing.contains("users:read.email: ") && missing.contains("admin.users:read: "), "{missing}");
    assert_eq!(world.server.seen().len(), 3, "without the scope nobody is listed");

    world
        .server
        .then([who(r#","is_enterprise_install":false"#).header("x-oauth-scopes", scopes), no("no_active_sessions")]);
    assert!(world.slack.check().await.expect("a report").missing.join("").contains("whole organization"));

    world.server.then([who(""), Canned::new(429, "").header("retry-after", "30")]);
    let report = world.slack.check().await.expect("a report");
    assert_eq!(report.unchecked.len(), 3, "scopes, installation and role: {report:?}");
}

#[tokio::test]
async fn a_token_that_no_job_could_use_fails_its_check() {
    let who = |more: &str| {
        Canned::new(200, format!(r#"{{"ok":true,"user":"x","user_id":"W1","is_enterprise_install":true{more}}}"#))
    };
    let scopes = "admin.users:write,admin.users:read,users:read,users:read.email";
    let full = || who("").header("x-oauth-scopes", scopes);
    for (answers, expected) in [
        (vec![no("invalid_auth")], "unauthorized"),
        (vec![who(r#","bot_id":"B1""#).header("x-oauth-scopes", scopes)], "unauthorized"),
        (vec![who("").header("x-oauth-scopes", "users:read,admin.users:read")], "unauthorized"),
        (vec![who("").header("x-oauth-scopes", "admin.users:write")], "unauthorized"),
        (vec![full(), no("not_an_admin")], "unauthorized"),
        (vec![full(), no("feature_not_enabled")], "misconfigured"),
        (vec![full(), Canned::new(200, "<html>")], "unavailable"),
        (vec![Canned::new(200, "<html>")], "unavailable"),
        (vec![ok()], "unavailable"),
    ] {
        let world = World::new().await;
        world.server.then(answers);
        let error = world.slack.check().await.expect_err("not usable");
        assert_eq!(class(&error), expected, "{error:?}");
    }
}
