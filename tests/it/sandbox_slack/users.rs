//! Finding users.

use serde_json::{Value, json};
use sever::sandbox::slack::{Permission, Person};

use super::org::*;

const FIND: &str = "users.lookupByEmail";

#[tokio::test]
async fn an_address_is_found_in_any_case_and_must_be_encoded() {
    let org = Org::start().await;
    org.slack.add_person(Person::new("ben+slack@example.com").id("U0BEN"));
    org.slack.add_person(Person::new("ben slack@example.com").id("U0OTHER"));
    for (email, id) in [
        ("ana.silva@example.com", org.ana.as_str()),
        ("ANA.SILVA@EXAMPLE.COM", &org.ana),
        ("ben+slack@example.com", "U0BEN"),
    ] {
        assert_eq!(org.form(FIND, &[("email", email)]).await.json()["user"]["id"], id, "{email}");
        let path = format!("/api/{FIND}?{}", encoded(&[("email", email)]));
        assert_eq!(org.send("GET", &path, &[AUTH], "").await.json()["user"]["id"], id, "{email}");
    }
    let bare = org.send("GET", &format!("/api/{FIND}?email=ben+slack@example.com"), &[AUTH], "").await;
    assert_eq!(bare.json()["user"]["id"], "U0OTHER", "a bare plus is a blank");
    let posted = org.send("POST", &format!("/api/{FIND}?email=ana.silva@example.com"), &[AUTH], "").await;
    assert_eq!(posted.code(), "invalid_arguments", "a POST has its arguments in the body");
}

#[tokio::test]
async fn a_user_is_read_by_id_with_address_and_workspaces() {
    let org = Org::start().await;
    let read = async |id: &str| {
        org.send("GET", &format!("/api/users.info?user={id}"), &[AUTH], "").await.json()["user"].clone()
    };
    let ana = read(&org.ana).await;
    assert_eq!(
        (&ana["id"], &ana["name"], &ana["team_id"], &ana["deleted"], &ana["is_bot"], &ana["profile"]["email"]),
        (
            &json!(org.ana),
            &json!("ana"),
            &json!(org.teams[0]),
            &json!(false),
            &json!(false),
            &json!("Ana.Silva@example.com")
        )
    );
    assert_eq!(ana["enterprise_user"]["teams"], json!(org.teams));
    assert_eq!(read(&org.bot).await["is_bot"], true);
    assert_eq!(read(&format!("{}&include_locale=true", org.ana)).await["locale"], "en-US");
    assert_eq!(read(&format!("{}&include_locale=maybe", org.ana)).await, Value::Null);
    org.slack.deny(TOKEN, Permission::UsersReadEmail);
    assert_eq!(read(&org.ana).await["profile"].get("email"), None, "the address is a scope of its own");
    org.slack.withhold_workspaces();
    assert_eq!(read(&org.ana).await.get("enterprise_user"), None);
}

#[tokio::test]
async fn who_is_deactivated_is_read_and_not_found() {
    let org = Org::start().await;
    org.slack.deactivate("ana");
    assert_eq!(org.form(FIND, &[("email", "ana.silva@example.com")]).await.code(), "users_not_found");
    assert_eq!(org.form("users.info", &[("user", &org.ana)]).await.json()["user"]["deleted"], true);
}

#[tokio::test]
async fn people_without_a_workspace_land_in_the_first_and_replacing_one_ends_what_they_held() {
    let org = Org::start().await;
    assert_eq!(org.slack.person("owner").expect("the owner").teams, [org.teams[0].clone()]);
    let third = org.slack.add_team("Support");
    org.slack.add_person(Person::new("ana.new@example.com").id(&org.ana).team(&third));
    assert_eq!((org.slack.sessions_of(&org.ana), org.slack.people().len()), (0, 4));
    assert_eq!(org.form("admin.users.session.list", &[]).await.code(), "no_active_sessions");
    assert_eq!(org.form(FIND, &[("email", "ana.silva@example.com")]).await.code(), "users_not_found");
    org.slack.sign_in("ana.new");
    assert_eq!(org.slack.session_ids_in(&org.ana, &third).len(), 1);
}

#[tokio::test]
async fn api_test_says_back_what_it_was_told() {
    let org = Org::start().await;
    let told = org.send("GET", "/api/api.test?foo=bar", &[], "").await.json();
    assert_eq!(told, json!({"ok": true, "args": {"foo": "bar"}}));
    let failed = org.send("POST", "/api/api.test", &[FORM], "error=my_error").await;
    assert_eq!(
        (failed.status, failed.json()),
        (200, json!({"ok": false, "error": "my_error", "args": {"error": "my_error"}}))
    );
}
