//! Listing and ending, as the documents have it and where they leave it open.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use sever::domain::Outcome;
use sever::provider::{ListQuery, ProviderError};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::huawei::{EmptySessions, ErrorShape, GoneSessions, Operation, SuccessBody};

use super::world::*;

#[tokio::test]
async fn everything_of_one_user_ends_and_nothing_of_another() {
    for (count, batches) in [(1, 1), (20, 1), (21, 2), (55, 3)] {
        let world = World::new().await;
        let (zoe, bob) = (world.person("zoe", count), world.person("bob", 2));
        let account = world.account(&zoe).await;
        let revoked = world.client.revoke(&account, &all(), None).await.expect("revoked").expect("something");
        assert_eq!((revoked.outcome, revoked.sessions_ended), (Outcome::Confirmed, Some(count as u64)));
        assert_eq!((world.huawei.sessions_of(&zoe.id), world.huawei.sessions_of(&bob.id)), (0, 2));
        assert_eq!(world.calls(Operation::BatchDeleteSessions), batches);
        assert_eq!(world.client.revoke(&account, &all(), None).await.expect("safe to repeat"), None);
        assert_eq!(world.huawei.tripwires(), []);
    }
}

#[tokio::test]
async fn temporary_credentials_and_a_project_are_signed_too() {
    let (huawei, clock) = store().await;
    let token = "ggpjbi1ub3J0aC00TEMPORARY/abc+def==";
    let end = sever::clock::Clock::now(clock.as_ref()) + Duration::from_secs(3600);
    huawei.accept_temporary_key("AKIDTEMPORARY00000001", SK, token, end);
    let credentials = json!({"access_key": {"value": "AKIDTEMPORARY00000001"}, "secret_key": {"value": SK},
                             "security_token": {"value": token}});
    let more = json!({"credentials": credentials, "project_id": "0123456789abcdef0123456789abcdef"});
    let client = client(&huawei, &clock, more);
    huawei.add_person(sever::sandbox::huawei::Person::new("zoe"));
    huawei.sign_in("zoe");
    let account = client.resolve(&email("zoe@example.com")).await.expect("resolved").expect("found");
    assert!(client.revoke(&account, &all(), None).await.expect("revoked").is_some());
    assert_eq!(huawei.sessions_of("zoe"), 0);
    clock.advance(Duration::from_secs(3601));
    let error = client.resolve(&email("zoe@example.com")).await.expect_err("run out");
    assert!(matches!(&error, ProviderError::Unauthorized(_)) && !format!("{error:?}").contains("ggpj"), "{error:?}");
}

#[tokio::test]
async fn a_look_has_the_times_and_leaves_out_what_is_over() {
    for milliseconds in [false, true] {
        let world = World::new().await;
        world.quirks(|quirks| {
            quirks.times_in_milliseconds = milliseconds;
            quirks.expired_listed = true;
        });
        let zoe = world.person("zoe", 1);
        world.huawei.sign_in_for(&zoe.id, SignedDuration::from_secs(60));
        let account = world.account(&zoe).await;
        let look = world.client.sessions(&account).await.expect("looked").expect("a look");
        let now = sever::clock::Clock::now(world.clock.as_ref());
        // To the end of the second.
        assert_eq!((look.sessions.len(), look.complete, look.at), (2, true, Some(now + Duration::from_millis(999))));
        assert!(look.sessions.iter().all(|session| session.created_at == Some(now) && session.ip.is_some()));
        world.clock.advance(Duration::from_secs(61));
        let page = world.client.list_sessions(&account, &ListQuery::default()).await.expect("listed").expect("a page");
        assert_eq!((page.sessions.len(), page.total, page.next_cursor), (1, Some(1), None));
        world.client.revoke(&account, &all(), None).await.expect("revoked").expect("something");
        assert_eq!(world.huawei.sessions_of(&zoe.id), 0);
    }
}

#[tokio::test]
async fn none_in_every_spelling_is_nothing_to_end() {
    for empty in [EmptySessions::List, EmptySessions::Null, EmptySessions::Absent] {
        for body in [SuccessBody::None, SuccessBody::EmptyObject] {
            let world = World::new().await;
            world.quirks(|quirks| {
                quirks.empty_sessions = empty;
                quirks.success_body = body;
            });
            let zoe = world.person("zoe", 2);
            let account = world.account(&zoe).await;
            let revoked = world.client.revoke(&account, &all(), None).await.expect("revoked").expect("something");
            assert_eq!(revoked.outcome, Outcome::Confirmed, "{empty:?} {body:?}");
            assert_eq!(world.client.revoke(&account, &all(), None).await.expect("an answer"), None);
        }
    }
}

#[tokio::test]
async fn sessions_that_are_gone_are_no_failure_however_it_is_said() {
    let forms =
        [GoneSessions::Refused, GoneSessions::RefusedAfterTheOthers, GoneSessions::BadRequest, GoneSessions::Ignored];
    for form in forms {
        for shape in [ErrorShape::Plain, ErrorShape::CamelCase, ErrorShape::Short, ErrorShape::Nested] {
            let world = World::new().await;
            world.quirks(|quirks| {
                quirks.gone_sessions = form;
                quirks.error_shape = shape;
            });
            let zoe = world.person("zoe", 3);
            let account = world.account(&zoe).await;
            let seen = world.client.sessions(&account).await.expect("looked").expect("a look");
            // One ends in between.
            let first = given(&world.huawei.session_ids_of(&zoe.id)[..1]);
            world.client.revoke(&account, &first, None).await.expect("revoked").expect("something");
            let revoked = world.client.revoke(&account, &all(), Some(&seen)).await.expect("revoked");
            assert_eq!(revoked.expect("something").outcome, Outcome::Confirmed, "{form:?} {shape:?}");
            assert_eq!(world.huawei.sessions_of(&zoe.id), 0);
            // All are gone.
            let again = world.client.revoke(&account, &all(), Some(&seen)).await.expect("gone already");
            assert_eq!(again.expect("something").outcome, Outcome::Confirmed);
        }
    }
}

#[tokio::test]
async fn what_half_a_batch_left_is_ended_in_the_same_call() {
    for status in [409, 500] {
        let world = World::new().await;
        let zoe = world.person("zoe", 25);
        let account = world.account(&zoe).await;
        world.strike(Fault::Partial { status });
        let revoked = world.client.revoke(&account, &all(), None).await.expect("revoked").expect("something");
        assert_eq!((revoked.outcome, revoked.sessions_ended), (Outcome::Confirmed, Some(25)), "{status}");
        assert_eq!(world.huawei.sessions_of(&zoe.id), 0);
    }
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_halved() {
    let world = World::new().await;
    world.quirks(|quirks| quirks.largest_batch = 6);
    let zoe = world.person("zoe", 23);
    let account = world.account(&zoe).await;
    let revoked = world.client.revoke(&account, &all(), None).await.expect("revoked").expect("something");
    assert_eq!((revoked.sessions_ended, world.huawei.sessions_of(&zoe.id)), (Some(23), 0));
}

#[tokio::test]
async fn given_sessions_end_only_if_they_are_the_users_own() {
    let world = World::new().await;
    let (zoe, bob) = (world.person("zoe", 3), world.person("bob", 1));
    let account = world.account(&zoe).await;
    let hers = world.huawei.session_ids_of(&zoe.id);
    let named = [hers[0].clone(), world.huawei.session_ids_of(&bob.id)[0].clone()];
    let revoked = world.client.revoke(&account, &given(&named), None).await.expect("revoked").expect("something");
    assert_eq!(revoked.sessions_ended, Some(1));
    assert!(revoked.survives.iter().any(|text| text.contains("somebody else's")), "{revoked:?}");
    assert_eq!((world.huawei.sessions_of(&zoe.id), world.huawei.sessions_of(&bob.id)), (2, 1));
    assert_eq!(world.client.revoke(&account, &given(&named), None).await.expect("safe to repeat"), None);
    let hostile = ["../../disable", "*", "", "null", "a\u{0}b"].map(str::to_owned);
    assert_eq!(world.client.revoke(&account, &given(&hostile), None).await.expect("nothing of hers"), None);
    assert_eq!(world.huawei.tripwires(), []);
}

#[tokio::test]
async fn someone_who_signs_in_again_and_again_does_not_keep_us() {
    let world = World::new().await;
    let zoe = world.person("zoe", 2);
    let account = world.account(&zoe).await;
    world.huawei.faults().inject(Injection::once(Fault::SignInAgain).on(Operation::BatchDeleteSessions));
    let revoked = world.client.revoke(&account, &all(), None).await.expect("revoked").expect("something");
    assert_eq!((revoked.outcome, world.huawei.sessions_of(&zoe.id)), (Outcome::Confirmed, 0));
    world.huawei.sign_in(&zoe.id);
    let for_ever = Injection::once(Fault::SignInAgain).on(Operation::BatchDeleteSessions).until_cleared();
    world.huawei.faults().inject(for_ever);
    world.huawei.clear_ledger();
    let revoked = world.client.revoke(&account, &all(), None).await.expect("revoked").expect("something");
    assert_eq!((revoked.outcome, world.calls(Operation::BatchDeleteSessions)), (Outcome::Accepted, 5));
}

#[tokio::test]
async fn a_list_that_lags_and_a_yes_that_lies_are_not_confirmed() {
    for fault in [Fault::LyingSuccess, Fault::StaleList] {
        let world = World::new().await;
        let zoe = world.person("zoe", 2);
        let account = world.account(&zoe).await;
        let seen = world.client.sessions(&account).await.expect("looked").expect("a look");
        let on = if fault == Fault::StaleList { Operation::ListSessions } else { Operation::BatchDeleteSessions };
        world.huawei.faults().inject(Injection::once(fault.clone()).on(on).until_cleared());
        let revoked = world.client.revoke(&account, &all(), Some(&seen)).await.expect("a yes").expect("something");
        assert_eq!((revoked.outcome, revoked.sessions_ended), (Outcome::Accepted, None), "{fault:?}");
        assert_eq!(world.calls(Operation::BatchDeleteSessions), 1, "what was asked for once is not asked again");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_costs_one_call_and_no_job() {
    for as_app_error in [false, true] {
        for hours in [-5, 5] {
            let world = World::new().await;
            world.quirks(|quirks| quirks.skew_as_app_error = as_app_error);
            world.huawei.shift_clock(SignedDuration::from_hours(hours));
            let zoe = world.person("zoe", 1);
            let account = world.account(&zoe).await;
            world.client.revoke(&account, &all(), None).await.expect("revoked").expect("something");
            assert_eq!(world.huawei.sessions_of(&zoe.id), 0);
            let refused = world.huawei.ledger().iter().filter(|call| call.status == Some(401)).count();
            assert_eq!(refused, 1, "the difference is kept in mind");
            world.huawei.shift_clock(SignedDuration::ZERO);
            world.account(&zoe).await;
        }
    }
}
