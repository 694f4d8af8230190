//! Ending sessions, one user at a time.

use std::time::Duration;

use serde_json::json;

use super::support::*;
use crate::domain::{Account, Look, Outcome, RevokeRequest, Scope, Session};
use crate::provider::script::Canned;
use crate::provider::{Provider, ProviderError};

fn session(id: &str, team: &str) -> Session {
    Session { id: id.to_owned(), team_id: Some(team.to_owned()), ..Session::default() }
}

fn seen(sessions: &[Session], complete: bool) -> Look {
    Look { sessions: sessions.to_vec(), complete, at: None }
}

#[tokio::test]
async fn everything_ends_with_one_flag_at_most_also_where_nothing_was_seen() {
    for (scope, arguments) in [
        (Scope::All, json!({"user_id": ANA})),
        (Scope::Web, json!({"user_id": ANA, "web_only": "true"})),
        (Scope::Mobile, json!({"user_id": ANA, "mobile_only": "true"})),
    ] {
        let world = World::new().await;
        world.server.then([ok()]);
        let request = RevokeRequest::new(scope.clone());
        let nothing = seen(&[], true);
        let said = world.slack.revoke(&account(ANA), &request, Some(&nothing)).await.expect("a yes");
        let said = said.expect("a revocation");
        assert_eq!((said.outcome, said.sessions_ended), (Outcome::Accepted, None), "it has only begun");
        let told = |part: &str| said.survives.iter().any(|text| text.contains(part));
        assert!(told("OAuth tokens") && told("sign in again"));
        assert_eq!(told("the other kind"), scope != Scope::All);
        assert_eq!(world.forms("admin.users.session.reset"), [arguments]);
        let call = &world.server.seen()[0];
        assert_eq!(call.line, "POST /api/admin.users.session.reset");
        assert_eq!(call.headers["content-type"], "application/x-www-form-urlencoded");
        assert_eq!(call.headers["authorization"], format!("Bearer {TOKEN}"));
    }
}

#[tokio::test]
async fn given_sessions_end_with_session_team_and_user_as_they_were_seen() {
    let world = World::new().await;
    world.server.then([ok(), no("session_not_found"), no("session_expired"), ok()]);
    let large = "18446744073709551615";
    let look = seen(&[session(large, TEAM), session("2", TEAM), session("3", TEAM), session("4", "E0123ORG")], true);
    let request =
        given(&[(large, Some(TEAM)), (large, Some(TEAM)), ("2", Some(TEAM)), ("3", None), ("4", None), ("5", None)]);
    let said = world.slack.revoke(&account(ANA), &request, Some(&look)).await.expect("a yes").expect("a revocation");
    assert_eq!((said.outcome, said.sessions_ended), (Outcome::Confirmed, Some(2)), "two were gone already");
    assert!(said.survives.iter().any(|text| text.contains("other sessions")));
    let forms = world.forms("admin.users.session.invalidate");
    assert_eq!(forms.len(), 4, "each once, and nothing else was called");
    assert_eq!(forms[0], json!({"session_id": large, "team_id": TEAM, "user_id": ANA}));
    assert_eq!(forms[3], json!({"session_id": "4", "team_id": "E0123ORG", "user_id": ANA}));
    assert_eq!(world.server.seen().len(), 4);
}

#[tokio::test]
async fn a_session_is_ended_only_after_it_was_seen_to_be_theirs() {
    let world = World::new().await;
    // Bob's, listed where only Ana's should be.
    world.server.then([page(&[row(1, ANA, TEAM), row(2, BOB, TEAM)], ""), ok()]);
    let request = given(&[("1", Some(TEAM)), ("2", Some(TEAM))]);
    let error = world.slack.revoke(&account(ANA), &request, None).await.expect_err("one is not hers");
    assert!(matches!(&error, ProviderError::Refused(_)) && error.to_string().contains("1 ended"), "{error}");
    let forms = world.forms("admin.users.session.invalidate");
    assert_eq!(forms, [json!({"session_id": "1", "team_id": TEAM, "user_id": ANA})]);
}

#[tokio::test]
async fn what_is_gone_is_nothing_to_end_and_safe_to_repeat() {
    let world = World::new().await;
    let request = given(&[("1", Some(TEAM)), ("2", None)]);
    assert_eq!(world.slack.revoke(&account(ANA), &request, Some(&seen(&[], true))).await.expect("an answer"), None);
    assert!(world.server.seen().is_empty(), "what was seen tells all");
    world.server.then([no("no_active_sessions")]);
    assert_eq!(world.slack.revoke(&account(ANA), &request, None).await.expect("an answer"), None);
    world.server.then([page(&[row(1, ANA, TEAM)], ""), no("session_not_found")]);
    assert_eq!(world.slack.revoke(&account(ANA), &request, None).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_session_in_a_place_that_was_not_seen_is_left_alone() {
    let elsewhere = Account { teams: vec![TEAM.to_owned(), OTHER_TEAM.to_owned()], ..account(ANA) };
    for request in [given(&[("1", Some(OTHER_TEAM))]), given(&[("1", None)])] {
        let world = World::new().await;
        world.server.then([no("no_active_sessions")]);
        let error = world.slack.revoke(&elsewhere, &request, Some(&seen(&[], false))).await.expect_err("not seen");
        assert!(matches!(&error, ProviderError::Refused(_)) && error.to_string().contains("team_ids"), "{error}");
        assert!(world.calls("admin.users.session.invalidate").is_empty());
    }
    // A complete look tells nothing of workspaces that are none of the account's.
    let world = World::new().await;
    world.server.then([no("no_active_sessions")]);
    let request = given(&[("1", Some(OTHER_TEAM))]);
    let error = world.slack.revoke(&account(ANA), &request, Some(&seen(&[], true))).await.expect_err("not seen");
    assert!(matches!(error, ProviderError::Refused(_)), "{error:?}");
    // The workspace that is meant was seen, though others were not.
    let world = World::new().await;
    world.server.then([no("no_active_sessions")]);
    let request = given(&[("1", Some(TEAM))]);
    assert_eq!(world.slack.revoke(&elsewhere, &request, Some(&seen(&[], false))).await.expect("an answer"), None);

    let world = World::with(json!({"team_ids": []})).await;
    let error = world.slack.revoke(&account(ANA), &request, None).await.expect_err("nobody can look");
    assert!(matches!(&error, ProviderError::Refused(_)) && error.to_string().contains("team_ids"), "{error}");
    assert!(world.server.seen().is_empty());
}

#[tokio::test]
async fn no_hostile_session_ever_leaves() {
    for (id, team) in [
        ("", Some(TEAM)),
        ("1&user_id=U1", Some(TEAM)),
        ("-1", None),
        ("1.0", None),
        ("1e3", Some(TEAM)),
        ("1", Some("")),
        ("1", Some("T1&x")),
        ("1", Some("..")),
        ("٣", None),
    ] {
        let world = World::new().await;
        world.server.then([no("no_active_sessions")]);
        let error = world.slack.revoke(&account(ANA), &given(&[(id, team)]), None).await.expect_err("hostile");
        assert!(matches!(error, ProviderError::Refused(_)), "{id:?} {team:?}: {error:?}");
        assert_eq!(
            world.forms("admin.users.session.list"),
            [json!({"team_id": TEAM, "user_id": ANA, "limit": "1000"})]
        );
        assert_eq!(world.server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_failure_after_a_partial_success_is_told_and_the_repeat_ends_the_rest() {
    let world = World::new().await;
    let look = seen(&[session("1", TEAM), session("2", TEAM)], true);
    let request = given(&[("1", Some(TEAM)), ("2", Some(TEAM))]);
    world.server.then([ok(), Canned::new(500, "")]);
    let error = world.slack.revoke(&account(ANA), &request, Some(&look)).await.expect_err("half");
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error:?}");
    world.server.then([no("session_not_found"), ok()]);
    let said = world.slack.revoke(&account(ANA), &request, Some(&look)).await.expect("a yes").expect("a revocation");
    assert_eq!(said.sessions_ended, Some(1));
}

#[tokio::test]
async fn a_429_waits_as_long_as_slack_says_in_both_its_forms() {
    let limited = |status: u16| Canned::new(status, r#"{"ok":false,"error":"ratelimited"}"#);
    for (status, hint, wait) in [
        (429, Some("30"), Some(30)),
        (200, Some("30"), Some(30)),
        (429, Some("999999"), Some(900)),
        (429, Some("0"), Some(1)),
        (429, Some("soon"), None),
        (429, Some("1e9"), None),
        (429, None, None),
        (200, None, None),
    ] {
        let world = World::new().await;
        let canned = hint.map_or(limited(status), |hint| limited(status).header("Retry-After", hint));
        world.server.then([canned]);
        let error = world.slack.sessions(&account(ANA)).await.expect_err("throttled");
        let ProviderError::Throttled { retry_after, report } = error else { panic!("{error:?}") };
        assert_eq!((retry_after, report.status), (wait.map(Duration::from_secs), Some(status)), "{hint:?}");
        let Some(wait) = wait else { continue };
        let error = world.slack.sessions(&account(ANA)).await.expect_err("closed");
        assert_eq!((error.class().as_str(), error.report().status), ("throttled", None));
        assert_eq!(world.server.seen().len(), 1, "a closed method is not called");
        world.server.then([ok()]);
        assert!(world.slack.revoke(&account(ANA), &all(), None).await.is_ok(), "the others are open");
        world.clock.advance(Duration::from_secs(wait));
        world.server.then([page(&[], "")]);
        assert!(world.slack.sessions(&account(ANA)).await.is_ok());
    }
}
