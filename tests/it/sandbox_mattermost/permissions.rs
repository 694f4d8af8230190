//! Who may do what to whom.

use serde_json::json;
use sever::sandbox::mattermost::{Permission, Person, Role};

use super::chat::*;

const PERMISSIONS: &str = "api.context.permissions.app_error";

#[tokio::test]
async fn a_user_manager_reaches_users_but_no_system_admin_and_nobody_unknown() {
    let chat = Chat::start_as(Role::UserManager).await;
    let admin = chat.server.person("admin").expect("the admin").id;
    chat.server.sign_in("admin");
    let theirs = chat.server.session_ids_of("admin").remove(0);
    for user in [admin.as_str(), NOBODY] {
        chat.get(&format!("/users/{user}/sessions")).await.assert_refused(403, PERMISSIONS);
        let path = format!("/users/{user}/sessions/revoke");
        chat.post(&path, json!({"session_id": theirs})).await.assert_refused(403, PERMISSIONS);
        chat.post(&path, json!(null)).await.assert_refused(403, PERMISSIONS);
        chat.post(&format!("{path}/all"), json!(null)).await.assert_refused(403, PERMISSIONS);
    }
    assert_eq!(chat.server.sessions_of("admin"), 1);
    assert_eq!(chat.list().await.ids().len(), 2);
    let first = chat.server.session_ids_of("zoe").remove(0);
    chat.revoke(&first).await.assert_ok();
    chat.revoke_all().await.assert_ok();
    assert_eq!(chat.server.sessions_of("zoe"), 0);
}

#[tokio::test]
async fn an_ordinary_user_reaches_themselves_alone() {
    let chat = Chat::start_as(Role::User).await;
    chat.revoke_all().await.assert_refused(403, PERMISSIONS);
    chat.list().await.assert_refused(403, PERMISSIONS);
    let agent = chat.server.person("agent").expect("the caller").id;
    assert_eq!(chat.get(&format!("/users/{agent}/sessions")).await.ids().len(), 1);
    chat.post("/users/me/sessions/revoke/all", json!(null)).await.assert_ok();
    assert_eq!(chat.server.sessions_of("agent"), 0);
    assert_eq!(chat.get("/users/me").await.status, 200, "the token makes itself a new session");
}

#[tokio::test]
async fn permissions_are_taken_and_given_back_at_once() {
    let chat = Chat::start_as(Role::UserManager).await;
    chat.server.deny(TOKEN, Permission::EditOtherUsers);
    chat.revoke_all().await.assert_refused(403, PERMISSIONS);
    chat.server.allow("agent", Permission::EditOtherUsers);
    chat.revoke_all().await.assert_ok();
    chat.server.allow(TOKEN, Permission::ManageSystem);
    let admin = chat.server.person("admin").expect("the admin").id;
    chat.post(&format!("/users/{admin}/sessions/revoke/all"), json!(null)).await.assert_ok();
}

#[tokio::test]
async fn roles_are_told_by_the_credentials_check() {
    let roles = [
        (Role::SystemAdmin, "system_admin system_user"),
        (Role::UserManager, "system_user_manager system_user"),
        (Role::User, "system_user"),
    ];
    for (role, told) in roles {
        let chat = Chat::start_as(role).await;
        assert_eq!(chat.get("/users/me").await.json()["roles"], told);
    }
}

#[tokio::test]
async fn without_the_second_factor_only_the_own_account_is_shown() {
    let chat = Chat::start().await;
    chat.server.enforce_mfa();
    let me = chat.server.person("admin").expect("the admin").id;
    let required = "api.context.mfa_required.app_error";
    for path in [chat.sessions_path(), format!("/users/{me}"), "/users/username/zoe".into()] {
        chat.get(&path).await.assert_refused(403, required);
    }
    chat.revoke_all().await.assert_refused(403, required);
    assert_eq!(chat.get("/users/me").await.status, 200);
    let exempt =
        [Person::new("with-mfa").mfa(), Person::new("bot").bot(), Person::new("elsewhere").auth_service("saml")];
    for person in exempt {
        let name = person.username.clone();
        chat.server.add_person(person.role(Role::SystemAdmin));
        let (_, token) = chat.server.issue_token(&name);
        assert_eq!(chat.get_with(&token, &chat.sessions_path()).await.status, 200, "{name}");
    }
    chat.server.add_person(Person::new("directory").auth_service("ldap").role(Role::SystemAdmin));
    let (_, token) = chat.server.issue_token("directory");
    chat.get_with(&token, &chat.sessions_path()).await.assert_refused(403, required);
}
