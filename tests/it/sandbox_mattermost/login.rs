//! Passwords for sessions.

use serde_json::{Value, json};
use sever::sandbox::mattermost::Person;

use super::chat::*;

async fn login(chat: &Chat, body: Value) -> Reply {
    chat.send("POST", "/api/v4/users/login", &[ACCEPT, JSON], &body.to_string()).await
}

#[tokio::test]
async fn a_login_is_a_session_whose_token_comes_in_a_header() {
    let chat = Chat::start().await;
    chat.server.add_person(Person::new("ops").password("correct horse"));
    for name in ["ops", "OPS", "ops@example.com"] {
        let reply = login(&chat, json!({"login_id": name, "password": "correct horse"})).await;
        assert_eq!((reply.status, &reply.json()["username"]), (200, &json!("ops")));
        let token = reply.header("token");
        assert!(!reply.text.contains(&token));
        assert_eq!(chat.get_with(&token, "/users/me").await.json()["username"], "ops");
    }
    assert_eq!(chat.server.sessions_of("ops"), 3);
}

#[tokio::test]
async fn logins_are_refused_without_a_word_on_what_was_wrong() {
    let chat = Chat::start().await;
    let people = [
        Person::new("ops").password("P4ss!"),
        Person::new("safe").password("P4ss!").mfa(),
        Person::new("robot").password("P4ss!").bot(),
        Person::new("elsewhere").password("P4ss!").auth_service("saml"),
        Person::new("gone").password("P4ss!"),
    ];
    people.into_iter().for_each(|person| chat.server.add_person(person));
    chat.server.deactivate("gone");
    let wrong = "api.user.login.invalid_credentials_email_username";
    let table = [
        (json!({"login_id": "nobody", "password": "P4ss!"}), 401, wrong),
        (json!({"login_id": "ops", "password": "p4ss!"}), 401, wrong),
        (json!({"login_id": "zoe", "password": "P4ss!"}), 401, wrong),
        (json!({"password": "P4ss!"}), 401, wrong),
        (json!({"login_id": "ops"}), 400, "api.user.login.blank_pwd.app_error"),
        (json!({"login_id": "safe", "password": "P4ss!"}), 401, "mfa.validate_token.authenticate.app_error"),
        (
            json!({"login_id": "safe", "password": "P4ss!", "token": "0"}),
            401,
            "mfa.validate_token.authenticate.app_error",
        ),
        (json!({"login_id": "robot", "password": "P4ss!"}), 401, "api.user.login.bot_login_forbidden.app_error"),
        (json!({"login_id": "elsewhere", "password": "P4ss!"}), 400, "api.user.login.use_auth_service.app_error"),
        (json!({"login_id": "gone", "password": "P4ss!"}), 401, "api.user.login.inactive.app_error"),
        (json!({"login_id": "ops", "password": "P4ss!", "mfa": "1"}), 400, "api.context.invalid_body_param.app_error"),
    ];
    for (body, status, id) in table {
        let reply = login(&chat, body.clone()).await;
        assert_eq!((reply.status, reply.id().as_str()), (status, id), "{body}");
        assert!(!reply.headers.contains_key("token"));
    }
    assert_eq!(login(&chat, json!({"login_id": "safe", "password": "P4ss!", "token": "123456"})).await.status, 200);
    let kept = format!("{:?}{:?}", chat.server.ledger(), serde_json::to_string(&chat.server.people()));
    assert!(!kept.contains("P4ss!"), "{kept}");
}
