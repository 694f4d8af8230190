//! Listing and ending sessions.

use std::collections::BTreeSet;

use serde_json::json;
use sever::domain::{Outcome, RevokeRequest, Scope, SessionRef};
use sever::provider::{ListQuery, ProviderError};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::slack::{Device, Person};

use super::org::*;

#[tokio::test]
async fn each_scope_ends_what_it_says_and_nobody_elses() {
    for (scope, web, mobile) in [(Scope::All, 0, 0), (Scope::Web, 0, 1), (Scope::Mobile, 2, 0)] {
        let org = Org::new().await;
        let (ana, bob) = (org.person("ana@example.com"), org.person("bob@example.com"));
        let client = org.client();
        let account = account(&client, &ana).await;
        for _ in 0..2 {
            let said = client.revoke(&account, &RevokeRequest::new(scope.clone()), None).await.expect("safe to repeat");
            assert_eq!(said.expect("a yes").outcome, Outcome::Accepted);
            let left = [Device::Web, Device::Mobile].map(|device| org.slack.session_ids_on(&ana.id, device).len());
            assert_eq!(left, [web, mobile], "{scope:?}");
        }
        assert_eq!(org.slack.sessions_of(&bob.id), 3);
        org.assert_honest();
    }
}

#[tokio::test]
async fn a_look_sees_every_page_of_every_workspace_digit_for_digit() {
    for caprice in 0..4 {
        let org = Org::new().await;
        let ana = org.person("ana@example.com");
        for _ in 0..4 {
            org.slack.sign_in(&ana.id);
        }
        let in_org = org.slack.sign_in_to(&ana.id, &org.slack.enterprise_id(), Device::Web);
        match caprice {
            0 => org.slack.cap_pages(1),
            1 => org.slack.insert_empty_pages(),
            2 => org.slack.omit_last_cursor(),
            _ => org.slack.change_client(&in_org),
        }
        let teams = json!([org.teams[0], org.teams[1], org.slack.enterprise_id()]);
        let client = org.client_with(json!({"team_ids": teams}));
        let look = client.sessions(&account(&client, &ana).await).await.expect("a look").expect("some");
        let seen: BTreeSet<String> = look.sessions.iter().map(|session| session.id.clone()).collect();
        assert_eq!(seen, org.slack.session_ids_of(&ana.id).into_iter().collect(), "caprice {caprice}");
        assert!(look.complete && look.sessions.len() == 8);
        assert_eq!(look.at.map(|at| at.to_string()).as_deref(), Some(crate::testapp::START));
        let in_org = look.sessions.iter().find(|session| session.id == in_org).expect("seen");
        assert_eq!(in_org.team_id, Some(org.slack.enterprise_id()));
    }
}

#[tokio::test]
async fn people_page_through_a_listing() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client();
    let account = account(&client, &ana).await;
    let (mut query, mut seen) = (ListQuery { limit: Some(1), ..ListQuery::default() }, Vec::new());
    for _ in 0..10 {
        let page = client.list_sessions(&account, &query).await.expect("an answer").expect("a page");
        assert!(page.sessions.len() <= 1);
        seen.extend(page.sessions.into_iter().map(|session| session.id));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, org.slack.session_ids_of(&ana.id));
}

#[tokio::test]
async fn given_sessions_end_and_the_others_stay() {
    let org = Org::new().await;
    let (ana, bob) = (org.person("ana@example.com"), org.person("bob@example.com"));
    let client = org.client();
    let account = account(&client, &ana).await;
    let hers = org.slack.session_ids_in(&ana.id, &org.teams[0]);
    let request = given([(&hers[0], &org.teams[0])]);
    let look = client.sessions(&account).await.expect("a look");
    let said = client.revoke(&account, &request, look.as_ref()).await.expect("a yes").expect("something");
    assert_eq!((said.outcome, said.sessions_ended), (Outcome::Confirmed, Some(1)));
    assert!(client.revoke(&account, &request, None).await.expect("safe to repeat").is_none());
    // The look is old: the session is gone by now, and its end is no failure.
    assert!(client.revoke(&account, &request, look.as_ref()).await.expect("gone already").is_none());
    let bare = RevokeRequest::new(Scope::Sessions(vec![SessionRef::Id(hers[1].clone())]));
    assert!(client.revoke(&account, &bare, None).await.expect("a yes").is_some(), "without its workspace");
    assert_eq!((org.slack.sessions_of(&ana.id), org.slack.sessions_of(&bob.id)), (1, 3));

    // Bob's is no session of hers, and hers is in no other workspace than its own.
    let his = org.slack.session_ids_in(&bob.id, &org.teams[0]);
    let last = org.slack.session_ids_of(&ana.id);
    let calls = org.calls("admin.users.session.invalidate");
    for request in [given([(&his[0], &org.teams[0])]), given([(&last[0], &org.teams[0])])] {
        assert!(client.revoke(&account, &request, None).await.expect("nothing of hers").is_none());
    }
    assert_eq!(org.calls("admin.users.session.invalidate"), calls, "what was not seen is not ended");
    assert_eq!((org.slack.sessions_of(&ana.id), org.slack.sessions_of(&bob.id)), (1, 3));
    org.assert_honest();
}

#[tokio::test]
async fn a_session_that_expired_is_gone() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client();
    let account = account(&client, &ana).await;
    org.slack.list_expired_sessions();
    let hers = org.slack.session_ids_in(&ana.id, &org.teams[0]);
    org.slack.expire_session(&hers[0]);
    let request = given([(&hers[0], &org.teams[0])]);
    assert!(client.revoke(&account, &request, None).await.expect("gone").is_none());
    assert_eq!(org.calls("admin.users.session.invalidate"), 1, "it was still listed");
}

#[tokio::test]
async fn sessions_beyond_the_workspaces_looked_at_are_left_alone() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client_with(json!({"team_ids": [org.teams[0]]}));
    let account = account(&client, &ana).await;
    let (one, other) =
        (org.slack.session_ids_in(&ana.id, &org.teams[0]), org.slack.session_ids_in(&ana.id, &org.teams[1]));
    let request = given([(&one[0], &org.teams[0]), (&other[0], &org.teams[1])]);
    let error = client.revoke(&account, &request, None).await.expect_err("one was not seen");
    assert!(matches!(&error, ProviderError::Refused(_)) && error.to_string().contains("1 ended"), "{error}");
    assert_eq!(org.slack.session_ids_in(&ana.id, &org.teams[1]).len(), 1);
    assert_eq!(org.slack.session_ids_in(&ana.id, &org.teams[0]).len(), 1);
    assert!(!client.sessions(&account).await.expect("a look").expect("some").complete);
}

#[tokio::test]
async fn what_reappears_for_ever_is_ended_once_and_not_for_ever() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client();
    let account = account(&client, &ana).await;
    org.slack.faults().inject(Injection::once(Fault::SignInAgain).until_cleared());
    client.revoke(&account, &all(), None).await.expect("a yes");
    let hers = org.slack.session_ids_of(&ana.id);
    let team =
        client.sessions(&account).await.expect("a look").expect("some").sessions.remove(0).team_id.expect("a team");
    client.revoke(&account, &given([(&hers[0], &team)]), None).await.expect("a yes");
    assert_eq!((org.calls("admin.users.session.reset"), org.calls("admin.users.session.invalidate")), (1, 1));
}

#[tokio::test]
async fn the_primary_owner_and_bots_are_refused() {
    let org = Org::new().await;
    let client = org.client();
    for name in ["owner", "bot"] {
        let person: Person = org.slack.person(name).expect("there");
        let account = account(&client, &person).await;
        let error = client.revoke(&account, &all(), None).await.expect_err("not allowed");
        assert!(matches!(error, ProviderError::Refused(_)), "{name}: {error:?}");
    }
    // A bot's sessions are not listed anywhere, so there is no look.
    let bot = account(&client, &org.slack.person("bot").expect("there")).await;
    assert!(matches!(client.sessions(&bot).await, Err(ProviderError::Refused(_))));
    assert_eq!(org.calls("admin.users.session.reset"), 2);
}
