//! Listing and ending sessions.

use std::time::Duration;

use sever::clock::Clock;
use sever::domain::Outcome;
use sever::provider::{ListQuery, ProviderError};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::the_things_stack::Operation;

use super::network::*;

#[tokio::test]
async fn every_session_ends_with_what_was_seen_and_without() {
    let network = Network::start().await;
    let client = network.client();
    for (name, looks) in [("zoe", false), ("ana", true)] {
        let person = network.person(name, 3);
        let bystander = network.person("bob", 1);
        let look = client.sessions(&account(&person)).await.expect("a look");
        let seen = look.as_ref().filter(|_| looks);
        assert_eq!(look.as_ref().map(|look| (look.sessions.len(), look.complete)), Some((3, true)));
        let told = client.revoke(&account(&person), &all(), seen).await.expect("revoked").expect("something");
        assert_eq!((told.outcome, told.sessions_ended), (Outcome::Confirmed, Some(3)));
        let left = client.sessions(&account(&person)).await.expect("a look").expect("one");
        assert_eq!((network.tts.sessions_of(&person.id), left.sessions.len(), left.complete), (0, 0, true));
        assert_eq!(client.revoke(&account(&person), &all(), None).await.expect("safe to repeat"), None);
        assert_eq!(network.tts.sessions_of(&bystander.id), 1);
    }
    assert!(network.tts.tripwires().is_empty());
}

#[tokio::test]
async fn more_sessions_than_a_page_holds_end_although_pages_move_meanwhile() {
    let network = Network::start().await;
    network.tts.set_default_limit(3);
    let zoe = network.person("zoe", 1050);
    let told = network.client().revoke(&account(&zoe), &all(), None).await.expect("revoked").expect("something");
    assert_eq!((told.sessions_ended, network.tts.sessions_of("zoe")), (Some(1050), 0));
    let lists = network.calls().iter().filter(|call| call.starts_with("GET")).count();
    assert_eq!(lists, 3, "two pages, and once more to see that none is left");
}

#[tokio::test]
async fn a_look_has_the_servers_time_and_nothing_that_has_expired() {
    let network = Network::start().await;
    let zoe = network.person("zoe", 1);
    let now = network.clock.now();
    network.tts.sign_in_until("zoe", now + Duration::from_secs(5));
    let client = network.client();
    let look = client.sessions(&account(&zoe)).await.expect("a look").expect("one");
    assert_eq!((look.sessions.len(), look.at), (2, Some(now + Duration::from_micros(999_999))));
    network.clock.advance(Duration::from_secs(5));
    let look = client.sessions(&account(&zoe)).await.expect("a look").expect("one");
    assert_eq!((look.sessions.len(), look.complete), (1, true));
    let told = client.revoke(&account(&zoe), &all(), None).await.expect("revoked").expect("something");
    assert_eq!(told.sessions_ended, Some(1), "one that has expired is none to end");
}

#[tokio::test]
async fn a_session_that_never_ends_to_come_back_does_not_keep_us() {
    let network = Network::start().await;
    let zoe = network.person("zoe", 2);
    let again = Injection::once(Fault::SignInAgain).on(Operation::DeleteSession).until_cleared();
    network.tts.faults().inject(again);
    let told = network.client().revoke(&account(&zoe), &all(), None).await.expect("revoked").expect("something");
    assert_eq!((told.outcome, told.sessions_ended), (Outcome::Accepted, Some(10)), "two in each of five rounds");
    assert_eq!(network.tts.sessions_of("zoe"), 2);
}

#[tokio::test]
async fn a_list_that_lags_makes_no_session_end_twice() {
    let network = Network::start().await;
    let zoe = network.person("zoe", 3);
    let client = network.client();
    let look = client.sessions(&account(&zoe)).await.expect("a look");
    network.tts.faults().inject(Injection::once(Fault::StaleList).on(Operation::ListSessions).until_cleared());
    let told = client.revoke(&account(&zoe), &all(), look.as_ref()).await.expect("revoked").expect("something");
    assert_eq!(told.sessions_ended, Some(3));
    assert_eq!((network.tts.sessions_of("zoe"), network.tts.revocations_of("zoe")), (0, 3));
}

#[tokio::test]
async fn given_sessions_end_only_if_they_are_the_accounts_own() {
    let network = Network::start().await;
    let (zoe, bob) = (network.person("zoe", 3), network.person("bob", 1));
    let (hers, his) = (network.tts.session_ids_of("zoe"), network.tts.session_ids_of("bob"));
    let client = network.client();
    let mixed = given(&[hers[0].clone(), his[0].clone(), hers[1].clone()]);
    let told = client.revoke(&account(&zoe), &mixed, None).await.expect("revoked").expect("something");
    assert_eq!((told.outcome, told.sessions_ended), (Outcome::Confirmed, Some(2)));
    assert_eq!((network.tts.sessions_of("zoe"), network.tts.sessions_of("bob")), (1, 1));
    assert!(!network.calls().iter().any(|call| call.contains(&his[0])), "his is not even called");
    assert_eq!(client.revoke(&account(&zoe), &mixed, None).await.expect("safe to repeat"), None);
    assert_eq!(client.revoke(&account(&bob), &given(&hers), None).await.expect("not his"), None);
    let odd = given(&["not-a-uuid".to_owned(), hers[2].to_uppercase()]);
    assert!(matches!(client.revoke(&account(&zoe), &odd, None).await, Err(ProviderError::Refused(_))));
    assert_eq!((network.tts.sessions_of("zoe"), network.tts.sessions_of("bob")), (1, 1));
}

#[tokio::test]
async fn people_page_through_sessions_as_the_server_does() {
    let network = Network::start().await;
    let zoe = network.person("zoe", 0);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(network.tts.sign_in("zoe"));
        network.clock.advance(Duration::from_secs(1));
    }
    let client = network.client();
    let page = async |order: Option<&str>, limit, page| {
        let query = ListQuery { order: order.map(str::to_owned), limit, page, ..ListQuery::default() };
        let page = client.list_sessions(&account(&zoe), &query).await.expect("an answer").expect("a page");
        let ids: Vec<String> = page.sessions.into_iter().map(|session| session.id).collect();
        (ids, page.total, page.next_cursor)
    };
    assert_eq!(page(Some("created_at"), Some(2), Some(2)).await, (ids[2..4].to_vec(), Some(5), None));
    let newest: Vec<String> = ids.iter().rev().take(2).cloned().collect();
    assert_eq!(page(Some("-created_at"), Some(2), None).await, (newest, Some(5), None));
    assert_eq!(page(None, Some(2), Some(4)).await, (Vec::new(), Some(5), None), "beyond the end");
    assert_eq!(page(None, None, None).await.0, network.tts.session_ids_of("zoe"), "by session id");
}
