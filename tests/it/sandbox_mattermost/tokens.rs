//! Personal access tokens: what outlives a revocation, and what ends it.

use serde_json::json;
use sever::sandbox::ledger::Effect;
use sever::sandbox::mattermost::{Permission, Person, Role};

use super::chat::*;

const EXPIRED: &str = "api.context.session_expired.app_error";
const PERMISSIONS: &str = "api.context.permissions.app_error";
const UNKNOWN: &str = "app.user_access_token.get_by_user.app_error";

#[tokio::test]
async fn a_token_makes_itself_a_new_session_after_every_revocation() {
    let chat = Chat::start().await;
    let (id, token) = chat.server.issue_token("zoe");
    assert_eq!(chat.server.sessions_of("zoe"), 2, "unused, it has no session");
    chat.get_with(&token, "/users/me").await;
    let rows = chat.list().await.json();
    let row = rows.as_array().expect("a list").iter().find(|row| row["props"]["type"] == "UserAccessToken");
    assert_eq!(row.expect("its session")["props"]["user_access_token_id"], json!(id));
    chat.revoke_all().await.assert_ok();
    assert_eq!(chat.server.sessions_of("zoe"), 0);
    assert_eq!(chat.get_with(&token, "/users/me").await.status, 200);
    assert_eq!(chat.server.sessions_of("zoe"), 1);
}

#[tokio::test]
async fn a_revoked_token_is_gone_and_a_disabled_one_stays_listed() {
    let chat = Chat::start().await;
    let path = format!("/users/{}/tokens", chat.zoe);
    for (operation, listed, again) in [("revoke", 0, 404), ("disable", 1, 200)] {
        let (id, token) = chat.server.issue_token("zoe");
        chat.get_with(&token, "/users/me").await;
        assert_eq!((chat.server.tokens_of("zoe"), chat.server.sessions_of("zoe")), (vec![id.clone()], 3));
        let end = format!("/users/tokens/{operation}");
        chat.post(&end, json!({"token_id": id})).await.assert_ok();
        let effect = Effect::AccessTokenRevoked { user_id: chat.zoe.clone(), token_id: id.clone() };
        assert_eq!(chat.last_effect(), effect);
        assert_eq!((chat.server.tokens_of("zoe").len(), chat.server.sessions_of("zoe")), (0, 2));
        chat.get_with(&token, "/users/me").await.assert_refused(401, EXPIRED);
        let tokens = chat.get(&path).await.json();
        assert_eq!(tokens.as_array().map(Vec::len), Some(listed), "{operation}");
        assert!(listed == 0 || tokens[0]["is_active"] == false);
        assert_eq!(chat.post(&end, json!({"token_id": id})).await.status, again, "{operation}");
    }
    chat.post("/users/tokens/revoke", json!({"token_id": NOBODY})).await.assert_refused(404, UNKNOWN);
}

#[tokio::test]
async fn the_list_of_tokens_has_pages_and_no_values() {
    let chat = Chat::start().await;
    let issued: Vec<(String, String)> = (0..205).map(|_| chat.server.issue_token("zoe")).collect();
    let path = format!("/users/{}/tokens", chat.zoe);
    let table = [
        ("", 0, 60),
        ("?page=0", 0, 60),
        ("?page=3", 180, 25),
        ("?page=9", 0, 0),
        ("?per_page=2&page=1", 2, 2),
        ("?per_page=1000", 0, 200),
        ("?per_page=1000&page=1", 200, 5),
        ("?per_page=-1", 0, 60),
        ("?per_page=many", 0, 60),
        ("?page=-1", 0, 60),
        ("?page=x&per_page=5", 0, 5),
    ];
    for (query, first, length) in table {
        let reply = chat.get(&format!("{path}{query}")).await;
        let expected: Vec<&String> = issued.iter().skip(first).take(length).map(|(id, _)| id).collect();
        assert_eq!(reply.ids().iter().collect::<Vec<_>>(), expected, "{query}");
        assert!(!issued.iter().any(|(_, token)| reply.text.contains(token)));
    }
    let first = &chat.get(&path).await.json()[0];
    assert_eq!((&first["user_id"], &first["is_active"]), (&json!(chat.zoe), &json!(true)));
    assert_eq!(chat.get(&format!("/users/{NOBODY}/tokens")).await.text, "[]");
}

#[tokio::test]
async fn tokens_need_permissions_of_their_own_and_bots_another() {
    let chat = Chat::start_as(Role::UserManager).await;
    chat.server.add_person(Person::new("helper").bot());
    let bot = chat.server.person("helper").expect("the bot").id;
    let admin = chat.server.person("admin").expect("the admin").id;
    let ids = ["zoe", "admin", "helper"].map(|name| chat.server.issue_token(name).0);
    let list = |user: &str| format!("/users/{user}/tokens");
    let end = async |id: &str| chat.post("/users/tokens/disable", json!({"token_id": id})).await;
    chat.get(&list(&chat.zoe)).await.assert_refused(403, PERMISSIONS);
    end(&ids[0]).await.assert_refused(403, PERMISSIONS);
    chat.server.allow(TOKEN, Permission::ReadUserAccessToken);
    chat.server.allow(TOKEN, Permission::RevokeUserAccessToken);
    assert_eq!(chat.get(&list(&chat.zoe)).await.ids(), ids[..1]);
    end(&ids[0]).await.assert_ok();
    for (user, id) in [(&admin, &ids[1]), (&bot, &ids[2])] {
        chat.get(&list(user)).await.assert_refused(403, PERMISSIONS);
        end(id).await.assert_refused(403, PERMISSIONS);
    }
    chat.server.allow(TOKEN, Permission::ManageOthersBots);
    assert_eq!(chat.get(&list(&bot)).await.ids(), ids[2..]);
    end(&ids[2]).await.assert_ok();
    assert_eq!(chat.server.tokens_of("admin").len(), 1);
}

#[tokio::test]
async fn a_token_dies_in_five_ways() {
    let chat = Chat::start().await;
    chat.server.add_person(Person::new("helper").bot());
    let alive = async |token: &str| chat.get_with(token, "/users/me").await.status == 200;
    let (_, expiring) = chat.server.issue_token("zoe");
    assert!(alive(&expiring).await);
    chat.server.expire_token(&expiring);
    assert!(!alive(&expiring).await, "although its session is there");
    let (_, ended) = chat.server.issue_token("zoe");
    chat.server.revoke_token(&ended);
    assert!(!alive(&ended).await);
    let ((_, used), (_, unused), (_, bots)) =
        (chat.server.issue_token("zoe"), chat.server.issue_token("zoe"), chat.server.issue_token("helper"));
    assert!(alive(&used).await && alive(&bots).await);
    chat.server.disable_access_tokens();
    assert!(!alive(&used).await && !alive(&unused).await);
    assert!(alive(&bots).await, "bots are exempt");
    assert_eq!(chat.get("/users/me").await.id(), EXPIRED, "ours too");
    chat.server.deactivate("helper");
    assert!(!alive(&bots).await, "it dies with its owner");
}

#[tokio::test]
async fn the_session_of_a_bot_says_so() {
    let chat = Chat::start().await;
    chat.server.add_person(Person::new("helper").bot());
    let (_, token) = chat.server.issue_token("helper");
    let rows = chat.get_with(&token, "/users/me/sessions").await.json();
    assert_eq!((&rows[0]["props"]["is_bot"], rows.as_array().map(Vec::len)), (&json!("true"), Some(1)));
}
