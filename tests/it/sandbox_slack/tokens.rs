//! Credentials: where they stand, what they are for, what they may do.

use std::time::Duration;

use sever::clock::Clock;
use sever::sandbox::slack::{Permission, Person, Role};

use super::org::*;

#[tokio::test]
async fn a_token_stands_in_the_header_or_the_form_once_and_exactly() {
    let org = Org::start().await;
    let table: Vec<(Fields<'_>, String, &str)> = vec![
        (vec![FORM], String::new(), "not_authed"),
        (vec![FORM], "token=".into(), "not_authed"),
        (vec![FORM], format!("token={TOKEN}"), "ok"),
        (vec![FORM], "token=xoxp-wrong".into(), "invalid_auth"),
        (vec![FORM, AUTH], format!("token={TOKEN}"), "invalid_auth"),
        (vec![FORM, AUTH, AUTH], String::new(), "invalid_auth"),
        (vec![FORM, ("authorization", "Bearer xoxp-wrong")], String::new(), "invalid_auth"),
        (vec![FORM, ("authorization", "bearer xoxp-1234567890-example")], String::new(), "invalid_auth"),
        (vec![FORM, ("authorization", "Bearer  xoxp-1234567890-example")], String::new(), "invalid_auth"),
        (vec![FORM, ("authorization", "xoxp-1234567890-example")], String::new(), "invalid_auth"),
        (vec![FORM, ("authorization", "Basic xoxp-1234567890-example")], String::new(), "invalid_auth"),
        (vec![FORM, ("authorization", "")], String::new(), "invalid_auth"),
    ];
    for (headers, body, code) in table {
        let reply = org.send("POST", "/api/auth.test", &headers, &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (200, code), "{headers:?} {body}");
        assert!(!reply.text.contains("xoxp"));
    }
    let query = org.send("GET", &format!("/api/auth.test?token={TOKEN}"), &[], "").await;
    assert_eq!(query.code(), "not_authed", "a token in a query is not looked at");
    assert_eq!(org.send("GET", "/api/auth.test", &[AUTH], "").await.code(), "ok");
    assert_eq!(org.send("POST", "/api/api.test", &[], "").await.code(), "ok", "this one asks for none");
}

#[tokio::test]
async fn auth_test_tells_whose_the_token_is_and_a_header_its_scopes() {
    let org = Org::start().await;
    let reply = org.form("auth.test", &[]).await;
    let told = reply.json();
    assert_eq!((told["user"].as_str(), told["team_id"].as_str()), (Some("admin"), Some(org.teams[0].as_str())));
    assert_eq!(told["enterprise_id"].as_str(), Some(org.slack.enterprise_id().as_str()));
    assert_eq!((told["is_enterprise_install"].as_bool(), told.get("bot_id")), (Some(true), None));
    assert_eq!(reply.header("x-oauth-scopes"), "admin.users:read,admin.users:write,users:read,users:read.email");
    org.slack.deny(TOKEN, Permission::AdminUsersRead);
    org.slack.deny(TOKEN, Permission::UsersRead);
    assert_eq!(org.form("auth.test", &[]).await.header("x-oauth-scopes"), "admin.users:write,users:read.email");
    let refused = org.list().await;
    assert_eq!(refused.header("x-accepted-oauth-scopes"), "admin.users:read");
    assert_eq!(refused.json()["needed"], "admin.users:read");
    assert_eq!(refused.json()["provided"], "admin.users:write,users:read.email");
}

#[tokio::test]
async fn each_method_needs_its_scope_and_the_admin_methods_a_role() {
    let org = Org::start().await;
    for (method, body) in org.right_calls() {
        let fields = as_form(&body);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let needed = match method {
            "api.test" | "auth.test" => continue,
            "users.lookupByEmail" => Permission::UsersReadEmail,
            "users.info" => Permission::UsersRead,
            LIST | "admin.users.session.getSettings" => Permission::AdminUsersRead,
            _ => Permission::AdminUsersWrite,
        };
        org.slack.deny(TOKEN, needed);
        assert_eq!(org.form(method, &fields).await.code(), "missing_scope", "{method}");
        org.slack.allow(TOKEN, needed);
        org.slack.deny(TOKEN, Permission::AdminRole);
        let expected = if method.starts_with("admin.") { "not_an_admin" } else { "ok" };
        assert_eq!(org.form(method, &fields).await.code(), expected, "{method}");
        org.slack.allow(TOKEN, Permission::AdminRole);
    }
    assert_eq!(org.slack.revocations_of("ana"), 0);
    assert_eq!(org.reset().await.code(), "ok");
    org.slack.accept_token("xoxp-ana", "ana");
    assert_eq!(org.form_with("xoxp-ana", RESET, &[("user_id", &org.ana)]).await.code(), "not_an_admin");
    org.slack.add_person(Person::new("second@example.com").role(Role::OrgOwner));
    org.slack.accept_token("xoxp-second", "second");
    assert_eq!(org.form_with("xoxp-second", RESET, &[("user_id", &org.ana)]).await.code(), "ok");
}

#[tokio::test]
async fn tokens_are_revoked_run_out_and_die_with_their_owner() {
    let org = Org::start().await;
    org.slack.expire_token_at(TOKEN, org.clock.now() + Duration::from_secs(43_200));
    assert_eq!(org.reset().await.code(), "ok");
    org.clock.advance(Duration::from_secs(43_200));
    assert_eq!(org.reset().await.code(), "token_expired");
    org.slack.accept_token("xoxe.xoxp-new", "admin");
    assert_eq!(org.form_with("xoxe.xoxp-new", "auth.test", &[]).await.code(), "ok");
    org.slack.revoke_token("xoxe.xoxp-new");
    assert_eq!(org.form_with("xoxe.xoxp-new", "auth.test", &[]).await.code(), "token_revoked");
    org.slack.accept_token(TOKEN, "admin");
    org.slack.deactivate("admin");
    assert_eq!(org.reset().await.code(), "account_inactive");
}

#[tokio::test]
async fn tokens_of_bots_and_of_one_workspace_do_not_reach_the_admin_methods() {
    let org = Org::start().await;
    org.slack.accept_bot_token("xoxb-1", "bot");
    let bot = org.form_with("xoxb-1", "auth.test", &[]).await.json();
    assert!(bot["bot_id"].as_str().is_some_and(|id| id.starts_with('B')));
    assert_eq!(org.form_with("xoxb-1", RESET, &[("user_id", &org.ana)]).await.code(), "not_allowed_token_type");
    assert_eq!(org.form_with("xoxb-1", "users.info", &[("user", &org.ana)]).await.code(), "ok");

    org.slack.accept_workspace_token("xoxp-team", "admin", &org.teams[1]);
    let team = org.form_with("xoxp-team", "auth.test", &[]).await.json();
    assert_eq!(
        (team["is_enterprise_install"].as_bool(), &team["team_id"]),
        (Some(false), &org.teams[1].clone().into())
    );
    assert_eq!(org.form_with("xoxp-team", RESET, &[("user_id", &org.ana)]).await.code(), "team_access_not_granted");
    let email = |email: &'static str| [("email", email)];
    let find = "users.lookupByEmail";
    assert_eq!(org.form_with("xoxp-team", find, &email("ana.silva@example.com")).await.code(), "ok");
    assert_eq!(org.form_with("xoxp-team", find, &email("owner@example.com")).await.code(), "users_not_found");
    assert_eq!(org.form_with("xoxp-team", "users.info", &[("user", &org.owner)]).await.code(), "user_not_found");
    org.slack.refuse_org_lookups();
    assert_eq!(org.form(find, &email("ana.silva@example.com")).await.code(), "enterprise_is_restricted");
    assert_eq!(org.form_with("xoxp-team", find, &email("ana.silva@example.com")).await.code(), "ok");

    org.slack.use_business_plan();
    assert_eq!(org.reset().await.code(), "feature_not_enabled");
    assert_eq!(org.form("auth.test", &[]).await.code(), "ok");
    assert_eq!(org.slack.sessions_of("ana"), 3);
}
