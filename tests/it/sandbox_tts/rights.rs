//! Who may end whose sessions.

use serde_json::json;
use sever::sandbox::the_things_stack::{Entity, Right, State};

use super::stack::*;

const ORGANIZATION_KEY: &str = "NNSXS.ORGANIZATION.SECRET";

/// Both session calls of this user with this token, which answer the same.
async fn session_calls(stack: &Stack, token: &str, user: &str) -> (u16, String, i64) {
    let listed = stack.with(token, "GET", &format!("/users/{user}/sessions")).await;
    let nil = format!("/users/{user}/sessions/00000000-0000-0000-0000-000000000000");
    let deleted = stack.with(token, "DELETE", &nil).await;
    if listed.status == 200 {
        assert_eq!(deleted.name(), "user_session_not_found");
    } else {
        assert_eq!(deleted.error(), listed.error());
    }
    listed.error()
}

#[tokio::test]
async fn other_users_sessions_need_an_admin_with_all_rights_at_a_server_that_gives_them() {
    let stack = Stack::start().await;
    assert_eq!(session_calls(&stack, KEY, "zoe").await.0, 200);
    let insufficient = (403, "insufficient_user_rights".to_owned(), 7);
    stack.tts.give_admins_all_rights(false);
    assert_eq!(session_calls(&stack, KEY, "zoe").await, insufficient, "a plain admin");
    assert_eq!(session_calls(&stack, KEY, "admin").await.0, 200, "one's own account");
    let attributes = stack.get("/users/zoe/sessions").await.json()["details"][0]["attributes"].clone();
    assert_eq!(attributes, json!({"uid": "zoe", "missing": ["RIGHT_USER_ALL"]}));
    assert_eq!(stack.get("/users?limit=1").await.status, 200, "looking people up works all the same");

    stack.tts.give_admins_all_rights(true);
    stack.tts.deny(KEY, Right::UserAll);
    assert_eq!(session_calls(&stack, KEY, "zoe").await, insufficient, "a key without the right");
    stack.tts.allow(KEY, Right::UserAll);
    assert_eq!(session_calls(&stack, KEY, "zoe").await.0, 200);
    stack.tts.set_state("admin", State::Flagged);
    assert_eq!(session_calls(&stack, KEY, "zoe").await, (403, "no_user_rights".into(), 7), "not an approved admin");
    assert_eq!(stack.tts.sessions_of("zoe"), 2);
}

#[tokio::test]
async fn a_user_s_own_key_reaches_their_own_sessions_only() {
    let stack = Stack::start().await;
    let key = stack.tts.issue_key("zoe");
    assert_eq!(session_calls(&stack, &key, "zoe").await.0, 200);
    let none = (403, "no_user_rights".to_owned(), 7);
    assert_eq!(session_calls(&stack, &key, "admin").await, none);
    assert_eq!(session_calls(&stack, &key, "nobody").await, none, "only admins learn who exists");
    stack.tts.set_rights(&key, &[Right::UserInfo]);
    assert_eq!(session_calls(&stack, &key, "zoe").await.1, "insufficient_user_rights");
    assert_eq!(stack.with(&key, "GET", "/users/zoe").await.status, 200);
    assert_eq!(stack.with(&key, "GET", "/users").await.error(), (403, "permission_denied".into(), 7));
    assert_eq!(stack.with(&key, "GET", "/search/users").await.error(), (403, "search_forbidden".into(), 7));
}

#[tokio::test]
async fn nobody_and_the_keys_of_organizations_have_no_rights() {
    let stack = Stack::start().await;
    stack.tts.accept_entity_key(ORGANIZATION_KEY, Entity::Organization("acme".into()));
    let id = stack.first_session();
    for headers in [&[][..], &[("authorization", &*format!("Bearer {ORGANIZATION_KEY}"))]] {
        let anonymous = headers.is_empty();
        let deleted = stack.send("DELETE", &format!("/users/zoe/sessions/{id}"), headers).await;
        assert_eq!(deleted.error(), (403, "no_user_rights".into(), 7));
        let user = stack.send("GET", "/users/zoe", headers).await.error();
        let named = |status, name: &str, code| (status, name.to_owned(), code);
        let expected = if anonymous { named(401, "unauthenticated", 16) } else { named(403, "no_user_rights", 7) };
        assert_eq!(user, expected);
        assert_eq!(stack.send("GET", "/users", headers).await.name(), "permission_denied");
        assert_eq!(stack.send("GET", "/search/users", headers).await.name(), "search_forbidden");
    }
    assert_eq!(stack.tts.sessions_of("zoe"), 2);
}

#[tokio::test]
async fn admins_learn_that_a_user_is_unknown() {
    let stack = Stack::start().await;
    for path in ["/users/nobody", "/users/nobody/sessions"] {
        let reply = stack.get(path).await;
        assert_eq!(reply.error(), (404, "user_not_found".into(), 5), "{path}");
        assert_eq!(reply.json()["details"][0]["namespace"], "pkg/identityserver/store");
    }
    assert_eq!(stack.end("nobody", &stack.first_session()).await.name(), "user_not_found");
}

#[tokio::test]
async fn a_caller_whose_account_is_not_in_order_is_told_so() {
    let stack = Stack::start().await;
    let table = [
        (State::Requested, "user_requested"),
        (State::Rejected, "user_rejected"),
        (State::Suspended, "user_suspended"),
        (State::Flagged, "no_user_rights"),
    ];
    for (state, name) in table {
        stack.tts.set_state("admin", state);
        assert_eq!(stack.get("/users/zoe").await.error(), (403, name.into(), 7));
    }
}
