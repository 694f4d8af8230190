//! Finding a user by each name.

use serde_json::json;
use sever::sandbox::mattermost::{Permission, Person, Role};

use super::chat::*;

const MISSING: &str = "app.user.missing_account.const";

#[tokio::test]
async fn a_user_is_found_by_id_email_and_username() {
    let chat = Chat::start().await;
    let paths = [
        format!("/users/{}", chat.zoe),
        "/users/email/zoe.lang@example.com".into(),
        "/users/email/Zoe.Lang%40EXAMPLE.com".into(),
        "/users/username/zoe".into(),
    ];
    for path in paths {
        let user = chat.get(&path).await.json();
        assert_eq!((&user["id"], &user["username"]), (&json!(chat.zoe), &json!("zoe")), "{path}");
        assert_eq!((&user["email"], &user["delete_at"]), (&json!("zoe.lang@example.com"), &json!(0)));
        assert_eq!((&user["create_at"], &user["auth_service"]), (&json!(START_S * 1000), &json!("")));
        assert!(user.get("is_bot").is_none(), "absent for a person");
    }
    chat.server.add_person(Person::new("helper").bot());
    assert_eq!(chat.get("/users/username/helper").await.json()["is_bot"], true);
}

#[tokio::test]
async fn names_that_are_wrong_or_nobody_s_are_told_apart() {
    let chat = Chat::start().await;
    let (url, body) = ("api.context.invalid_url_param.app_error", "api.context.invalid_body_param.app_error");
    let by_username = "app.user.get_by_username.app_error";
    let table = [
        (format!("/users/{NOBODY}"), 404, MISSING),
        ("/users/email/nobody@example.com".into(), 404, MISSING),
        ("/users/username/nobody".into(), 404, by_username),
        ("/users/username/zoe.lang".into(), 404, by_username),
        ("/users/email/zoe".into(), 400, url),
        ("/users/email/zoe@".into(), 400, url),
        ("/users/email/a@b@c".into(), 400, url),
        ("/users/email/zoe%20lang@example.com".into(), 400, url),
        ("/users/email/zoe%2Flang@example.com".into(), 400, url),
        ("/users/username/Zoe".into(), 400, body),
        ("/users/username/all".into(), 400, body),
        (format!("/users/username/{}", "x".repeat(65)), 400, body),
    ];
    for (path, status, id) in table {
        let reply = chat.get(&path).await;
        assert_eq!((reply.status, reply.id().as_str()), (status, id), "{path}");
    }
}

#[tokio::test]
async fn hidden_addresses_are_for_system_admins_and_their_owners() {
    let chat = Chat::start_as(Role::UserManager).await;
    chat.server.hide_emails();
    let reply = chat.get("/users/email/zoe.lang@example.com").await;
    reply.assert_refused(403, "api.user.get_user_by_email.permissions.app_error");
    assert_eq!(chat.get("/users/username/zoe").await.json()["email"], "");
    assert_eq!(chat.get("/users/me").await.json()["email"], "agent@example.com");
    chat.server.allow(TOKEN, Permission::ManageSystem);
    assert_eq!(chat.get("/users/email/zoe.lang@example.com").await.json()["email"], "zoe.lang@example.com");
}

#[tokio::test]
async fn who_may_not_see_members_is_not_told_whether_there_are_any() {
    let chat = Chat::start_as(Role::UserManager).await;
    chat.server.deny(TOKEN, Permission::ViewMembers);
    let paths = [
        format!("/users/{}", chat.zoe),
        format!("/users/{NOBODY}"),
        "/users/email/zoe.lang@example.com".into(),
        "/users/email/nobody@example.com".into(),
        "/users/username/zoe".into(),
        "/users/username/nobody".into(),
    ];
    for path in paths {
        chat.get(&path).await.assert_refused(403, "api.context.permissions.app_error");
    }
    assert_eq!(chat.get("/users/username/agent").await.status, 200);
}

#[tokio::test]
async fn who_shows_the_etag_gets_304_without_a_body() {
    let chat = Chat::start().await;
    let path = format!("/api/v4/users/{}", chat.zoe);
    let etag = chat.send("GET", &path, &[ACCEPT, AUTH], "").await.header("etag");
    let held = [ACCEPT, AUTH, ("if-none-match", etag.as_str())];
    let reply = chat.send("GET", &path, &held, "").await;
    assert_eq!((reply.status, reply.text.as_str()), (304, ""));
    chat.clock.advance(std::time::Duration::from_secs(1));
    chat.server.deactivate("zoe");
    assert_eq!(chat.send("GET", &path, &held, "").await.status, 200);
}

#[tokio::test]
async fn people_are_replaced_by_id_and_named_in_every_way() {
    let chat = Chat::start().await;
    for name in [chat.zoe.as_str(), "zoe", "ZOE", "zoe.lang@example.com"] {
        assert_eq!(chat.server.sessions_of(name), 2, "{name}");
    }
    chat.server.add_person(Person::new("zora").id(&chat.zoe));
    assert_eq!((chat.server.person("zoe"), chat.server.sessions_of("zora")), (None, 0));
    assert_eq!(chat.server.people().len(), 2);
    chat.get("/users/username/zoe").await.assert_refused(404, "app.user.get_by_username.app_error");
}
