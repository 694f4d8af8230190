//! Slack on a bad day.

use std::time::Duration;

use serde_json::json;
use sever::domain::Outcome;
use sever::provider::ProviderError;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::slack::{Operation, Permission, ThrottleForm};

use super::org::*;

#[tokio::test]
async fn all_forms_of_throttling_wait_and_none_for_ever() {
    for form in [ThrottleForm::Json, ThrottleForm::Text, ThrottleForm::Success] {
        for (fault, expected) in [
            (Fault::RateLimit { reset_in_s: 20 }, Some(20)),
            (Fault::RateLimit { reset_in_s: -5 }, Some(1)),
            (Fault::RateLimit { reset_in_s: 1_000_000_000 }, Some(900)),
            (Fault::RepeatedReset { resets_in_s: vec![30, 10] }, Some(30)),
            (Fault::ThrottleWithoutHint, None),
        ] {
            let org = Org::new().await;
            let ana = org.person("ana@example.com");
            let client = org.client();
            let account = account(&client, &ana).await;
            org.slack.throttle_as(form);
            // The two clocks disagree by an hour: the wait is a length of time and no moment.
            org.slack.shift_clock(jiff::SignedDuration::from_hours(1));
            org.slack.faults().inject(Injection::once(fault.clone()).on(Operation::SessionList));
            let error = client.sessions(&account).await.expect_err("throttled");
            let ProviderError::Throttled { retry_after, .. } = error else { panic!("{form:?} {fault:?}: {error:?}") };
            assert_eq!(retry_after.map(|wait| wait.as_secs()), expected, "{form:?} {fault:?}");
            assert!(client.revoke(&account, &all(), None).await.is_ok(), "looks do not slow revocations");
        }
    }
}

#[tokio::test]
async fn a_throttled_reset_goes_out_by_the_other_call_and_if_that_is_throttled_waits() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client();
    let account = account(&client, &ana).await;
    let throttle = Fault::RateLimit { reset_in_s: 30 };
    for operation in [Operation::SessionReset, Operation::SessionResetBulk] {
        org.slack.faults().inject(Injection::once(throttle.clone()).on(operation));
    }
    let error = client.revoke(&account, &all(), None).await.expect_err("both throttled");
    let ProviderError::Throttled { retry_after, .. } = error else { panic!("{error:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(30)));
    assert_eq!(client.wait(), Some(Duration::from_secs(30)));
    assert_eq!(org.slack.sessions_of(&ana.id), 3);
    org.clock.advance(Duration::from_secs(30));
    assert_eq!(client.wait(), None);
    org.slack.faults().inject(Injection::once(throttle).on(Operation::SessionReset));
    let said = client.revoke(&account, &all(), None).await.expect("the other call").expect("a yes");
    assert_eq!((said.outcome, org.slack.sessions_of(&ana.id)), (Outcome::Accepted, 0));
}

#[tokio::test]
async fn no_answer_but_slacks_yes_is_a_success() {
    for fault in [
        Fault::Html,
        Fault::MalformedJson,
        Fault::HugeBody { size_bytes: 8 << 20 },
        Fault::SlowBody { size_bytes: 100, every_ms: 500 },
        Fault::LateAnswer { duration_ms: 3000 },
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Redirect { to: "http://127.0.0.1:9/".to_owned() },
        Fault::Partial { status: 500 },
        Fault::Error { status: 500, code: "fatal_error".to_owned() },
        Fault::Error { status: 200, code: "internal_error".to_owned() },
        Fault::Error { status: 200, code: "user_session_reset_failed".to_owned() },
        Fault::Error { status: 200, code: "team_added_to_org".to_owned() },
        Fault::Error { status: 502, code: String::new() },
        Fault::Error { status: 503, code: "service_unavailable".to_owned() },
        Fault::Error { status: 404, code: String::new() },
    ] {
        let org = Org::new().await;
        let ana = org.person("ana@example.com");
        let client = org.client();
        let account = account(&client, &ana).await;
        org.slack.faults().inject(Injection::once(fault.clone()).on(Operation::SessionReset));
        let error = client.revoke(&account, &all(), None).await.expect_err("no success");
        let retryable = matches!(error, ProviderError::Unavailable(_) | ProviderError::Misconfigured(_));
        assert!(retryable, "{fault:?} gave {error:?}");
        client.revoke(&account, &all(), None).await.expect("the next call works");
        assert_eq!(org.slack.sessions_of(&ana.id), 0, "{fault:?}");
    }
}

#[tokio::test]
async fn no_answer_but_a_list_is_a_look() {
    for fault in [
        Fault::Html,
        Fault::MalformedJson,
        Fault::HugeBody { size_bytes: 8 << 20 },
        Fault::LostAfter,
        Fault::Redirect { to: "http://127.0.0.1:9/".to_owned() },
        Fault::Error { status: 500, code: "no_active_sessions".to_owned() },
    ] {
        let org = Org::new().await;
        let ana = org.person("ana@example.com");
        let client = org.client();
        let account = account(&client, &ana).await;
        org.slack.faults().inject(Injection::once(fault.clone()).on(Operation::SessionList));
        assert!(client.sessions(&account).await.is_err(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_list_that_lags_and_a_lying_success_are_as_they_are() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client();
    let account = account(&client, &ana).await;
    org.slack.faults().inject(Injection::once(Fault::LyingSuccess).on(Operation::SessionReset));
    assert!(client.revoke(&account, &all(), None).await.expect("a yes").is_some());
    assert_eq!(client.sessions(&account).await.expect("a look").expect("some").sessions.len(), 3);
    client.revoke(&account, &all(), None).await.expect("a yes");
    org.slack.faults().inject(Injection::once(Fault::StaleList).on(Operation::SessionList).times(2));
    assert_eq!(client.sessions(&account).await.expect("a look").expect("some").sessions.len(), 3);
    assert!(client.sessions(&account).await.expect("a look").expect("some").sessions.is_empty());
}

#[tokio::test]
async fn a_credential_that_ends_in_mid_batch_ends_the_batch_and_the_repeat_does_the_rest() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client();
    let account = account(&client, &ana).await;
    let hers = org.slack.session_ids_in(&ana.id, &org.teams[0]);
    let request = given(hers.iter().map(|id| (id, &org.teams[0])));
    let look = client.sessions(&account).await.expect("a look");
    for code in ["token_revoked", "invalid_auth", "missing_scope", "not_an_admin"] {
        org.slack.faults().inject(
            Injection::once(Fault::Error { status: 200, code: code.to_owned() }).on(Operation::SessionInvalidate),
        );
        let error = client.revoke(&account, &request, look.as_ref()).await.expect_err("refused");
        assert!(matches!(error, ProviderError::Unauthorized(_)), "{code}: {error:?}");
        assert!(!format!("{error:?}").contains("canary"));
    }
    assert_eq!(org.slack.sessions_of(&ana.id), 3);
    org.slack.faults().inject(Injection::once(Fault::Partial { status: 500 }).on(Operation::SessionInvalidate));
    assert!(client.revoke(&account, &request, look.as_ref()).await.is_err(), "ended, and then it failed");
    let said = client.revoke(&account, &request, look.as_ref()).await.expect("a yes").expect("something");
    assert_eq!((said.sessions_ended, org.slack.sessions_of(&ana.id)), (Some(1), 1));
}

#[tokio::test]
async fn a_token_without_the_scope_for_looks_still_ends_everything() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client();
    let account = account(&client, &ana).await;
    org.slack.deny(TOKEN, Permission::AdminUsersRead);
    let error = client.sessions(&account).await.expect_err("no look");
    assert!(matches!(&error, ProviderError::Refused(_)) && error.to_string().contains("admin.users:read"), "{error}");
    client.revoke(&account, &all(), None).await.expect("a yes");
    assert_eq!(org.slack.sessions_of(&ana.id), 0);
    org.slack.deny(TOKEN, Permission::AdminUsersWrite);
    let error = client.revoke(&account, &all(), None).await.expect_err("refused");
    assert!(
        matches!(&error, ProviderError::Unauthorized(_)) && error.to_string().contains("admin.users:write"),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_that_expired_is_replaced_from_its_file() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).expect("written");
    let client = org.client_with(json!({"credentials": {"token": {"file": file}}}));
    let account = account(&client, &ana).await;
    org.slack.expire_token_at(TOKEN, crate::testapp::START.parse().expect("a time"));
    let error = client.revoke(&account, &all(), None).await.expect_err("expired");
    assert!(matches!(error, ProviderError::Unauthorized(_)), "{error:?}");
    assert!(client.check().await.is_err());
    org.slack.accept_token("xoxe.xoxp-next", "admin@example.com");
    std::fs::write(&file, "xoxe.xoxp-next\n").expect("written");
    client.revoke(&account, &all(), None).await.expect("with the new one");
    assert_eq!(org.slack.sessions_of(&ana.id), 0);
}
