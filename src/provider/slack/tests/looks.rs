//! Listing sessions.

use serde_json::json;

use super::support::*;
use crate::domain::{Account, Session};
use crate::provider::script::Canned;
use crate::provider::{ListQuery, Provider, ProviderError};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn ids(sessions: &[Session]) -> Vec<(&str, &str)> {
    sessions.iter().map(|one| (one.id.as_str(), one.team_id.as_deref().unwrap_or_default())).collect()
}

#[tokio::test]
async fn every_workspace_is_listed_page_by_page_by_the_servers_clock() {
    let world = World::with(json!({"team_ids": [TEAM, OTHER_TEAM]})).await;
    world.server.then([
        page(&[row(9_007_199_254_740_993, ANA, TEAM)], "dXNlcjo+/=").header("date", DATE),
        page(&[], "bQ=="),
        page(&[row(18_446_744_073_709_551_615, ANA, TEAM), row(7, ANA, "E0123ORG")], ""),
        page(&[row(7, ANA, "E0123ORG"), row(7, ANA, OTHER_TEAM)], ""),
    ]);
    let account = Account { teams: vec![OTHER_TEAM.to_owned(), TEAM.to_owned()], ..account(ANA) };
    let look = world.slack.sessions(&account).await.expect("an answer").expect("a look");
    let (first, last) = ("9007199254740993", "18446744073709551615");
    assert_eq!(ids(&look.sessions), [(first, TEAM), (last, TEAM), ("7", "E0123ORG"), ("7", OTHER_TEAM)]);
    assert!(look.complete);
    assert_eq!(look.at.map(|at| at.to_string()).as_deref(), Some("1994-11-06T08:49:37Z"));
    let session = &look.sessions[0];
    assert_eq!((session.client.as_deref(), session.ip.as_deref()), (Some("Mac, Mac OS 14.5"), Some("203.0.113.7")));
    assert_eq!((session.created_at, session.device), (None, None), "Slack tells neither");
    let forms = world.forms("admin.users.session.list");
    assert_eq!(forms[0], json!({"team_id": TEAM, "user_id": ANA, "limit": "1000"}));
    assert_eq!(forms[1]["cursor"], "dXNlcjo+/=");
    assert_eq!(forms[2]["cursor"], "bQ==");
    assert_eq!((&forms[3]["team_id"], forms[3].get("cursor")), (&json!(OTHER_TEAM), None));
}

#[tokio::test]
async fn an_empty_list_is_an_error_code_and_the_end_may_be_left_out() {
    let world = World::new().await;
    world.server.then([no("no_active_sessions").header("date", DATE)]);
    let look = world.slack.sessions(&account(ANA)).await.expect("an answer").expect("a look");
    assert!(look.sessions.is_empty() && look.complete && look.at.is_some(), "{look:?}");
    world.server.then([Canned::new(200, r#"{"ok":true,"active_sessions":[]}"#)]);
    assert!(world.slack.sessions(&account(ANA)).await.expect("an answer").expect("a look").complete);
    world.server.then([Canned::new(400, r#"{"ok":false,"error":"no_active_sessions"}"#)]);
    assert!(world.slack.sessions(&account(ANA)).await.is_err(), "only under 200");
}

#[tokio::test]
async fn a_look_is_complete_only_if_every_workspace_of_the_account_was_seen() {
    let empty = || page(&[], "");
    for (teams, answers, complete) in [
        (vec![TEAM], vec![empty(), empty()], true),
        (vec![TEAM, OTHER_TEAM], vec![empty(), empty()], true),
        (vec![], vec![empty(), empty()], false),
        (vec![TEAM, "T0789NONE"], vec![empty(), empty()], false),
        (vec![TEAM], vec![empty(), no("team_not_found")], true),
        (vec![TEAM, OTHER_TEAM], vec![empty(), no("team_access_not_granted")], false),
        (vec![TEAM, OTHER_TEAM], vec![empty(), no("missing_scope")], false),
        // Everybody is in the organization, so where it is to be seen it has to be.
        (vec![TEAM], vec![empty(), empty(), empty()], true),
        (vec![TEAM], vec![empty(), empty(), no("team_not_found")], false),
        // Somebody else's session is no answer to what was asked.
        (vec![TEAM], vec![page(&[row(1, BOB, TEAM)], ""), empty()], false),
    ] {
        let team_ids = &[TEAM, OTHER_TEAM, "E0123ORG"][..answers.len()];
        let world = World::with(json!({"team_ids": team_ids})).await;
        world.server.then(answers);
        let teams: Vec<String> = teams.into_iter().map(str::to_owned).collect();
        let account = Account { teams: teams.clone(), ..account(ANA) };
        let look = world.slack.sessions(&account).await.expect("an answer").expect("a look");
        assert_eq!((look.complete, look.sessions.len()), (complete, 0), "{teams:?}");
    }
}

#[tokio::test]
async fn without_a_workspace_there_is_no_look() {
    let world = World::with(json!({"team_ids": []})).await;
    assert_eq!(world.slack.sessions(&account(ANA)).await.expect("an answer"), None);
    assert_eq!(world.slack.list_sessions(&account(ANA), &ListQuery::default()).await.expect("an answer"), None);
    assert!(world.server.seen().is_empty());
}

#[tokio::test]
async fn a_look_that_fails_is_no_empty_one() {
    for (answer, class) in [
        (Canned::new(200, "<html>"), "unavailable"),
        (ok(), "unavailable"),
        (Canned::new(200, r#"{"ok":true,"active_sessions":{}}"#), "unavailable"),
        (Canned::new(200, r#"{"ok":true,"active_sessions":[{"user_id":"W0123ANA","session_id":1}]}"#), "unavailable"),
        (Canned::new(200, page_with_id("1.5")), "unavailable"),
        (Canned::new(200, page_with_id("4e12")), "unavailable"),
        (no("invalid_auth"), "unauthorized"),
        (no("ratelimited"), "throttled"),
        (no("internal_error"), "unavailable"),
        (no("team_not_found"), "refused"),
        // Ending sessions needs no such scope, so this must not look like the end of our credential.
        (no("missing_scope"), "refused"),
    ] {
        let world = World::new().await;
        world.server.then([answer]);
        let error = world.slack.sessions(&account(ANA)).await.expect_err("no look");
        assert_eq!(error.class().as_str(), class, "{error:?}");
    }
}

fn page_with_id(id: &str) -> String {
    format!(r#"{{"ok":true,"active_sessions":[{{"user_id":"{ANA}","session_id":{id},"team_id":"{TEAM}"}}]}}"#)
}

#[tokio::test]
async fn pages_without_end_end_and_are_not_complete() {
    let world = World::new().await;
    world.server.then(vec![page(&[row(1, ANA, TEAM)], "again"); 50]);
    let look = world.slack.sessions(&account(ANA)).await.expect("an answer").expect("a look");
    assert_eq!((look.sessions.len(), look.complete), (1, false));
    assert_eq!(world.server.seen().len(), 10);
}

#[tokio::test]
async fn a_listing_that_changed_is_begun_again_once() {
    let world = World::new().await;
    world.server.then([page(&[row(1, ANA, TEAM)], "a"), no("invalid_cursor"), page(&[row(1, ANA, TEAM)], "")]);
    let look = world.slack.sessions(&account(ANA)).await.expect("an answer").expect("a look");
    assert_eq!((look.sessions.len(), look.complete), (1, true));
    assert_eq!(world.forms("admin.users.session.list")[2].get("cursor"), None);
    let moves = || [page(&[row(1, ANA, TEAM)], "a"), no("invalid_cursor")];
    world.server.then(moves().into_iter().chain(moves()));
    let look = world.slack.sessions(&account(ANA)).await.expect("an answer").expect("a look");
    assert_eq!((look.sessions.len(), look.complete), (1, false));
    assert_eq!(world.server.seen().len(), 7);
}

#[tokio::test]
async fn people_page_through_all_workspaces_with_a_cursor_of_ours() {
    let world = World::with(json!({"team_ids": [TEAM, OTHER_TEAM]})).await;
    world.server.then([page(&[row(1, ANA, TEAM)], "a:b="), page(&[row(2, ANA, TEAM)], ""), no("no_active_sessions")]);
    let mut query = ListQuery { limit: Some(5000), ..ListQuery::default() };
    let mut cursors = Vec::new();
    for expected in [vec![("1", TEAM)], vec![("2", TEAM)], vec![]] {
        let found = world.slack.list_sessions(&account(ANA), &query).await.expect("an answer").expect("a page");
        assert_eq!(ids(&found.sessions), expected);
        query.cursor = found.next_cursor.clone();
        cursors.push(found.next_cursor.unwrap_or_default());
    }
    assert_eq!(cursors, [format!("{TEAM}:a:b="), format!("{OTHER_TEAM}:"), String::new()]);
    let forms = world.forms("admin.users.session.list");
    assert_eq!((&forms[0]["limit"], &forms[1]["cursor"]), (&json!("1000"), &json!("a:b=")));
    assert_eq!((&forms[2]["team_id"], forms[2].get("cursor")), (&json!(OTHER_TEAM), None));
    for foreign in ["T0789NONE:a", "a", ":", ""] {
        let query = ListQuery { cursor: Some(foreign.to_owned()), ..ListQuery::default() };
        let error = world.slack.list_sessions(&account(ANA), &query).await.expect_err("not ours");
        assert!(matches!(error, ProviderError::Refused(_)), "{foreign}: {error:?}");
    }
    assert_eq!(forms.len(), world.server.seen().len(), "a foreign cursor is not sent");
}
