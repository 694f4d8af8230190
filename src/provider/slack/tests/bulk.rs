//! Ending the sessions of many users together.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::support::*;
use crate::domain::{Outcome, Revocation, RevokeRequest, Scope};
use crate::provider::script::Canned;
use crate::provider::{Provider, ProviderError};

const RESET: &str = "admin.users.session.reset";
const BULK: &str = "admin.users.session.resetBulk";

/// A world in which no single reset may be made for a minute.
async fn used_up() -> World {
    let world = World::new().await;
    world.slack.api.pace.close(RESET, Duration::from_secs(60));
    world
}

fn users(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("W{number:04}")).collect()
}

async fn end(world: &World, users: &[String], scope: Scope) -> Vec<Result<Option<Revocation>, ProviderError>> {
    let request = RevokeRequest::new(scope);
    let accounts: Vec<_> = users.iter().map(|user| account(user)).collect();
    join_all(accounts.iter().map(|account| world.slack.revoke(account, &request, None))).await
}

fn outcome(result: &Result<Option<Revocation>, ProviderError>) -> &'static str {
    match result {
        Ok(Some(said)) if said.outcome == Outcome::Accepted => "accepted",
        Ok(other) => panic!("{other:?}"),
        Err(error) => error.class().as_str(),
    }
}

fn sorted_ids(form: &Value) -> Vec<String> {
    let mut ids: Vec<_> = form["user_ids"].as_str().expect("ids").split(',').map(str::to_owned).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn who_cannot_be_reset_singly_goes_with_the_others_in_one_call() {
    let world = World::new().await;
    world.server.then(vec![ok(); 21]);
    let users = users(150);
    let ends = end(&world, &users, Scope::All).await;
    assert!(ends.iter().all(|end| outcome(end) == "accepted"));
    let singles: Vec<_> = world.forms(RESET).iter().map(|form| form["user_id"].clone()).collect();
    assert_eq!(singles.len(), 20, "as many as Slack takes in a minute");
    let forms = world.forms(BULK);
    assert_eq!(forms.len(), 1);
    assert_eq!(forms[0].as_object().expect("a form").len(), 1, "no flag: {forms:?}");
    let together = sorted_ids(&forms[0]);
    let rest: Vec<String> = users.into_iter().filter(|user| !singles.contains(&json!(user))).collect();
    assert_eq!(together, rest, "each once, and nobody else");
}

#[tokio::test]
async fn those_with_other_flags_go_apart() {
    let world = used_up().await;
    world.server.then(vec![ok(); 3]);
    let users = users(6);
    let (all, web, mobile) = tokio::join!(
        end(&world, &users[..2], Scope::All),
        end(&world, &users[2..4], Scope::Web),
        end(&world, &users[4..], Scope::Mobile)
    );
    assert!(all.iter().chain(&web).chain(&mobile).all(|end| outcome(end) == "accepted"));
    let mut forms = world.forms(BULK);
    forms.sort_by_key(ToString::to_string);
    let expected = [
        json!({"mobile_only": "true", "user_ids": "W0004,W0005"}),
        json!({"user_ids": "W0000,W0001"}),
        json!({"user_ids": "W0002,W0003", "web_only": "true"}),
    ];
    assert_eq!(forms, expected);
}

#[tokio::test]
async fn no_call_has_more_than_a_thousand_and_a_full_one_does_not_wait() {
    let world = used_up().await;
    world.server.then(vec![ok(); 2]);
    let ends = end(&world, &users(1003), Scope::All).await;
    assert!(ends.iter().all(|end| outcome(end) == "accepted"));
    let mut sizes: Vec<_> = world.forms(BULK).iter().map(|form| sorted_ids(form).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [3, 1000]);
}

#[tokio::test]
async fn a_429_on_the_single_call_leads_to_the_common_one() {
    for limited in [Canned::new(429, ""), no("ratelimited").header("retry-after", "30")] {
        let world = World::new().await;
        world.server.then([limited, ok()]);
        assert_eq!(outcome(&end(&world, &users(1), Scope::All).await[0]), "accepted");
        assert_eq!(world.forms(BULK), [json!({"user_ids": "W0000"})]);
    }
}

#[tokio::test]
async fn the_provider_waits_only_while_neither_may_be_called() {
    let world = World::new().await;
    assert_eq!(world.slack.wait(), None);
    world.slack.api.pace.close("admin.users.session.list", Duration::from_secs(60));
    world.slack.api.pace.close("users.info", Duration::from_secs(60));
    assert_eq!(world.slack.wait(), None, "looks do not slow revocations");
    world.slack.api.pace.close(RESET, Duration::from_secs(60));
    assert_eq!(world.slack.wait(), None);
    world.slack.api.pace.close(BULK, Duration::from_secs(30));
    assert_eq!(world.slack.wait(), Some(Duration::from_secs(30)));
    let error = world.slack.revoke(&account(ANA), &all(), None).await.expect_err("closed");
    assert!(matches!(error, ProviderError::Throttled { retry_after: Some(_), .. }), "{error:?}");
    assert!(world.server.seen().is_empty());
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.slack.wait(), None);

    let world = World::with(json!({"limits": {"rate": "1/1m"}})).await;
    world.server.then([ok(), ok()]);
    assert_eq!(outcome(&end(&world, &users(1), Scope::All).await[0]), "accepted");
    assert_eq!(world.slack.wait(), None, "the common call is left");
    assert_eq!(outcome(&end(&world, &users(1), Scope::All).await[0]), "accepted");
    assert_eq!(world.slack.wait(), Some(Duration::from_secs(60)), "both are used up");
}

#[tokio::test]
async fn a_throttled_common_call_throttles_each_until_the_first_of_both_may_be_called() {
    let world = used_up().await;
    world.server.then([Canned::new(429, "").header("retry-after", "20")]);
    for end in end(&world, &users(3), Scope::All).await {
        let Err(ProviderError::Throttled { retry_after, report }) = end else { panic!("{end:?}") };
        assert_eq!((retry_after, report.status), (Some(Duration::from_secs(20)), Some(429)));
    }
    assert_eq!(world.calls(BULK).len(), 1);
}

#[tokio::test]
async fn of_a_partial_failure_each_gets_what_is_said_of_them() {
    for failed in [json!({"W0001": "user_session_reset_failed", "W9999": "x"}), json!(["W0001"])] {
        let world = used_up().await;
        world
            .server
            .then([json_answer(&json!({"ok": false, "error": "failed_for_some_users", "failed_user_ids": failed}))]);
        let ends = end(&world, &users(3), Scope::All).await;
        assert_eq!(ends.iter().map(outcome).collect::<Vec<_>>(), ["accepted", "throttled", "accepted"]);
        assert_eq!(world.calls(BULK).len(), 1, "the one who failed waits for a single call");

        // From now on singly, even while the others go together.
        world.server.then([ok()]);
        let ends = end(&world, &users(3), Scope::All).await;
        assert_eq!(ends.iter().map(outcome).collect::<Vec<_>>(), ["accepted", "throttled", "accepted"]);
        assert_eq!(sorted_ids(&world.forms(BULK)[1]), ["W0000", "W0002"]);
        world.clock.advance(Duration::from_secs(60));
        world.server.then([no("cannot_reset_primary_owner")]);
        assert_eq!(outcome(&end(&world, &users(2)[1..], Scope::All).await[0]), "refused", "a definite answer");
    }
}

#[tokio::test]
async fn a_partial_failure_that_names_nobody_is_a_success_for_nobody() {
    for more in [
        json!({}),
        json!({"failed_user_ids": {}}),
        json!({"failed_user_ids": {"W9999": "x"}}),
        json!({"failed_user_ids": 7}),
    ] {
        let world = used_up().await;
        let mut body = json!({"ok": false, "error": "failed_for_some_users"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        world.server.then([json_answer(&body)]);
        let ends = end(&world, &users(3), Scope::All).await;
        assert_eq!(ends.iter().map(outcome).collect::<Vec<_>>(), ["throttled"; 3], "{body}");
        world.clock.advance(Duration::from_secs(60));
        world.server.then(vec![ok(); 3]);
        let ends = end(&world, &users(3), Scope::All).await;
        assert_eq!(ends.iter().map(outcome).collect::<Vec<_>>(), ["accepted"; 3]);
        assert_eq!((world.calls(BULK).len(), world.calls(RESET).len()), (1, 3));
    }
}

#[tokio::test]
async fn one_who_makes_slack_refuse_the_call_is_found_and_the_others_end() {
    let world = used_up().await;
    // 8 together; then the halves, down to W0005, whoever else is in the call.
    world.server.then([
        no("cannot_reset_primary_owner"),
        ok(),
        no("cannot_reset_primary_owner"),
        no("cannot_reset_primary_owner"),
        ok(),
        no("cannot_reset_primary_owner"),
        ok(),
    ]);
    let ends = end(&world, &users(8), Scope::All).await;
    let mut expected = ["accepted"; 8];
    expected[5] = "refused";
    assert_eq!(ends.iter().map(outcome).collect::<Vec<_>>(), expected);
    let calls: Vec<_> = world.forms(BULK).iter().map(|form| sorted_ids(form).len()).collect();
    assert_eq!(calls, [8, 4, 4, 2, 1, 1, 2]);
}

#[tokio::test]
async fn an_error_of_the_common_call_is_everybodys() {
    for (answer, class) in [
        (Canned::new(500, ""), "unavailable"),
        (no("user_session_reset_failed"), "unavailable"),
        (Canned::new(200, "<html>"), "unavailable"),
        (no("invalid_auth"), "unauthorized"),
        (no("missing_scope"), "unauthorized"),
    ] {
        let world = used_up().await;
        world.server.then([answer]);
        let ends = end(&world, &users(3), Scope::All).await;
        assert_eq!(ends.iter().map(outcome).collect::<Vec<_>>(), [class; 3]);
        assert_eq!(world.calls(BULK).len(), 1);
    }
}

#[tokio::test]
async fn where_the_common_call_is_not_to_be_had_it_is_done_singly() {
    let world = used_up().await;
    world.server.then([no("unknown_method")]);
    let ends = end(&world, &users(2), Scope::All).await;
    assert_eq!(ends.iter().map(outcome).collect::<Vec<_>>(), ["throttled"; 2]);
    assert!(world.slack.wait().is_some(), "only the single call is left, and it has to wait");
    world.clock.advance(Duration::from_secs(60));
    world.server.then(vec![ok(); 2]);
    let ends = end(&world, &users(2), Scope::All).await;
    assert_eq!(ends.iter().map(outcome).collect::<Vec<_>>(), ["accepted"; 2]);
    assert_eq!(world.calls(BULK).len(), 1);
}

#[tokio::test]
async fn one_who_stops_waiting_is_left_out_and_the_others_are_not_kept() {
    let world = used_up().await;
    world.server.then([ok()]);
    let (first, second, third) = (account("W0000"), account("W0001"), account("W0002"));
    let request = all();
    // The first to come would have driven the call.
    let mut first = Box::pin(world.slack.revoke(&first, &request, None));
    let mut second = Box::pin(world.slack.revoke(&second, &request, None));
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    drop(first);
    let (second, third) = tokio::join!(second, world.slack.revoke(&third, &request, None));
    assert!(second.is_ok() && third.is_ok());
    assert_eq!(world.forms(BULK), [json!({"user_ids": "W0001,W0002"})]);

    assert!(world.slack.revoke(&account("W0000"), &request, None).now_or_never().is_none());
    world.server.then([ok()]);
    assert_eq!(outcome(&end(&world, &users(4)[3..], Scope::All).await[0]), "accepted");
    assert_eq!(world.forms(BULK)[1], json!({"user_ids": "W0003"}), "nobody is left of a batch that everybody left");
}
