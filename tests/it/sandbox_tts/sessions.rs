//! Listing sessions and ending them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sever::clock::Clock;
use sever::sandbox::ledger::Effect;
use sever::sandbox::the_things_stack::Person;

use super::stack::*;

#[tokio::test]
async fn a_listing_has_the_published_fields_and_the_total() {
    let stack = Stack::start().await;
    let reply = stack.get("/users/zoe/sessions").await;
    assert_eq!((reply.status, reply.header("x-total-count").as_str()), (200, "2"));
    let first = &reply.json()["sessions"][0];
    let at = "2026-01-15T08:30:00.000000Z";
    let expected = json!({"user_ids": {"user_id": "zoe"}, "session_id": stack.first_session(), "created_at": at, "updated_at": at});
    assert_eq!(first, &expected, "no secret, no expires_at of a login");
    assert_eq!(stack.get("/users/admin/sessions").await.text, "{}", "an empty list is left out");
}

#[tokio::test]
async fn pages_orders_and_the_silent_cut_at_a_hundred() {
    let stack = Stack::start().await;
    stack.tts.add_person(Person::new("many"));
    let mut by_time = Vec::new();
    for _ in 0..105 {
        by_time.push(stack.tts.sign_in("many"));
        stack.clock.advance(Duration::from_secs(1));
    }
    let by_id = stack.tts.session_ids_of("many");
    let page = async |query: &str| {
        let reply = stack.get(&format!("/users/many/sessions{query}")).await;
        assert_eq!((reply.status, reply.header("x-total-count").as_str()), (200, "105"), "{query}");
        reply.session_ids()
    };
    for silent in ["", "?limit=0", "?page=0", "?page=1", "?order=", "?limit=100&page=1&order="] {
        assert_eq!(page(silent).await, by_id[..100], "{silent}");
    }
    assert_eq!(page("?page=2").await, by_id[100..]);
    assert_eq!(page("?limit=1000").await, by_id);
    assert_eq!(page("?limit=10&page=11").await, by_id[100..]);
    assert_eq!(page("?limit=10&page=12").await, [""; 0]);
    assert_eq!(page("?limit=1000&page=4294967295").await, [""; 0]);
    assert_eq!(page("?limit=3&order=created_at").await, by_time[..3]);
    by_time.reverse();
    assert_eq!(page("?limit=3&order=-created_at&page=2").await, by_time[3..6]);
    stack.tts.set_default_limit(7);
    assert_eq!(page("").await, by_id[..7]);
}

#[tokio::test]
async fn pages_move_while_their_rows_are_deleted() {
    let stack = Stack::start().await;
    stack.tts.sign_in("zoe");
    stack.tts.sign_in("zoe");
    let ids = stack.tts.session_ids_of("zoe");
    for id in &ids[..2] {
        assert_eq!(stack.end("zoe", id).await.status, 200);
    }
    let second = stack.get("/users/zoe/sessions?limit=2&page=2").await;
    assert_eq!((second.text.as_str(), second.header("x-total-count").as_str()), ("{}", "2"), "two are left, unseen");
    assert_eq!(stack.get("/users/zoe/sessions?limit=2&page=1").await.session_ids(), ids[2..]);
}

#[tokio::test]
async fn a_session_ends_once_and_is_gone_after() {
    let stack = Stack::start().await;
    let (id, token) = (stack.first_session(), stack.tts.session_token("zoe", &stack.first_session()));
    assert!(stack.with(&token, "GET", "/auth_info").await.json()["user_session"].is_object());
    let reply = stack.end("zoe", &id).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "{}"));
    let ended = stack.tts.ledger().pop().expect("recorded").effect;
    assert_eq!(ended, Effect::SessionRevoked { user_id: "zoe".into(), session_id: id.clone() });
    assert_eq!((stack.tts.sessions_of("zoe"), stack.tts.revocations_of("Zoe@example.com")), (1, 1));
    let again = stack.end("zoe", &id).await;
    assert_eq!(again.error(), (404, "user_session_not_found".into(), 5));
    let body = again.json();
    assert_eq!(body["details"][0]["namespace"], "pkg/identityserver/store");
    assert_eq!(body["details"][0]["attributes"], json!({"user_id": "zoe", "session_id": id}));
    let message =
        format!("error:pkg/identityserver/store:user_session_not_found (user session with id `{id}` not found)");
    assert_eq!(body["message"], message);
    assert_eq!(stack.tts.revocations_of("zoe"), 1);
    assert_eq!(stack.with(&token, "GET", "/auth_info").await.error(), (401, "token_not_found".into(), 16));
}

#[tokio::test]
async fn the_e_mail_parameter_is_ignored_by_every_call() {
    let stack = Stack::start().await;
    stack.tts.sign_in("admin");
    let other = "user_ids.email=admin%40example.com";
    let listed = stack.get(&format!("/users/zoe/sessions?{other}")).await;
    assert_eq!(listed.session_ids(), stack.tts.session_ids_of("zoe"));
    assert_eq!(stack.get(&format!("/users/zoe?{other}")).await.json()["ids"], json!({"user_id": "zoe"}));
    let id = stack.first_session();
    assert_eq!(stack.end("zoe", &format!("{id}?{other}")).await.status, 200);
    assert_eq!((stack.tts.sessions_of("zoe"), stack.tts.sessions_of("admin")), (1, 1));
}

#[tokio::test]
async fn session_ids_are_read_as_postgresql_reads_uuids() {
    let stack = Stack::start().await;
    stack.tts.sign_in("zoe");
    let ids = stack.tts.session_ids_of("zoe");
    let table = [
        ("no-uuid".to_owned(), 500, "driver"),
        ("%20".to_owned(), 500, "driver"),
        (format!("{}0", ids[0]), 500, "driver"),
        (format!("urn:uuid:{}", ids[0]), 500, "driver"),
        ("f".repeat(64), 500, "driver"),
        ("f".repeat(65), 400, "validation"),
        ("00000000-0000-0000-0000-000000000000".to_owned(), 404, "user_session_not_found"),
    ];
    for (id, status, name) in table {
        let reply = stack.end("zoe", &id).await;
        assert_eq!((reply.status, reply.name().as_str()), (status, name), "{id}");
    }
    assert_eq!(stack.end("zoe", "no-uuid").await.json()["details"][0]["namespace"], "pkg/util/store");
    assert_eq!(stack.end("zoe", &ids[0].to_uppercase()).await.status, 200);
    assert_eq!(stack.end("zoe", &ids[1].replace('-', "")).await.status, 200);
    assert_eq!(stack.end("zoe", &format!("%7B{}%7D", ids[2])).await.status, 200);
    assert_eq!(stack.tts.sessions_of("zoe"), 0);
}

#[tokio::test]
async fn a_session_is_looked_up_together_with_its_user() {
    let stack = Stack::start().await;
    let id = stack.first_session();
    assert_eq!(stack.end("admin", &id).await.error(), (404, "user_session_not_found".into(), 5));
    assert_eq!((stack.tts.sessions_of("zoe"), stack.tts.revocations_of("admin")), (2, 0));
}

#[tokio::test]
async fn expired_sessions_are_listed_until_somebody_deletes_them() {
    let stack = Stack::start().await;
    stack.tts.add_person(Person::new("ben"));
    let id = stack.tts.sign_in_until("ben", stack.clock.now() + jiff::SignedDuration::from_secs(60));
    let token = stack.tts.session_token("ben", &id);
    assert_eq!(stack.tts.sessions_of("ben"), 1);
    stack.clock.advance(Duration::from_secs(61));
    assert_eq!(stack.tts.sessions_of("ben"), 0);
    assert_eq!(stack.with(&token, "GET", "/auth_info").await.error(), (401, "token_expired".into(), 16));
    let listed = stack.get("/users/ben/sessions").await;
    assert_eq!(listed.json()["sessions"][0]["expires_at"], "2026-01-15T08:31:00.000000Z");
    assert_eq!(stack.end("ben", &id).await.status, 200);
    assert_eq!(stack.get("/users/ben/sessions").await.text, "{}");
}

#[tokio::test]
async fn access_tokens_outlive_the_session_and_keys_too() {
    let stack = Stack::start().await;
    let (token, key) = (stack.tts.issue_access_token("zoe", "console"), stack.tts.issue_key("zoe"));
    for id in stack.tts.session_ids_of("zoe") {
        assert_eq!(stack.end("zoe", &id).await.status, 200);
    }
    for credential in [&token, &key] {
        assert_eq!(stack.with(credential, "GET", "/users/zoe").await.status, 200);
    }
    stack.clock.advance(Duration::from_secs(3601));
    assert_eq!(stack.with(&token, "GET", "/users/zoe").await.error(), (401, "token_expired".into(), 16));
}

#[tokio::test]
async fn many_clients_at_once_end_each_session_once() {
    let stack = Arc::new(Stack::start().await);
    let id = stack.first_session();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (stack, id) = (Arc::clone(&stack), id.clone());
        calls.spawn(async move { stack.end("zoe", &id).await.status });
    }
    let mut statuses = calls.join_all().await;
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1..].to_vec()), (200, vec![404; 19]));
    assert_eq!((stack.tts.sessions_of("zoe"), stack.tts.revocations_of("zoe")), (1, 1));
}
