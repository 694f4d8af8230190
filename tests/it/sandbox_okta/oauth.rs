//! Service apps: the token endpoint and what their tokens may do.

use std::time::Duration;

use sever::sandbox::okta::{App, Permission};

use super::org::*;

#[tokio::test]
async fn a_service_app_works_within_its_scopes_for_one_hour() {
    let org = Org::start().await;
    let app = org.service_app();
    let reply = org.token(&app.sign(&org.claims("0oa1service")), ALL_SCOPES).await;
    let body = reply.json();
    assert_eq!((body["token_type"].as_str(), body["expires_in"].as_i64()), (Some("Bearer"), Some(3600)));
    assert_eq!(body["scope"].as_str(), Some(ALL_SCOPES));
    let token = body["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(org.with_token("DELETE", &org.revoke_path(), &token).await.status, 204);
    assert_eq!(org.with_token("GET", "/api/v1/users/me", &token).await.code(), "E0000007", "an app is nobody");
    assert_eq!(org.with_token("DELETE", "/api/v1/users/me/sessions", &token).await.code(), "E0000007");
    org.clock.advance(Duration::from_secs(3599));
    assert_eq!(org.with_token("GET", "/api/v1/users?limit=1", &token).await.status, 200);
    org.clock.advance(Duration::from_secs(1));
    assert_eq!(org.with_token("GET", "/api/v1/users?limit=1", &token).await.code(), "E0000011");
}

#[tokio::test]
async fn a_service_app_without_scope_or_role_is_told_so_in_different_ways() {
    let org = Org::start().await;
    let app = org.service_app();
    let reader = org.access_token(&app, "okta.users.read").await;
    let reply = org.with_token("DELETE", &org.revoke_path(), &reader).await;
    assert_eq!((reply.status, reply.text.as_str()), (403, ""));
    assert!(reply.header("www-authenticate").contains("error=\"insufficient_scope\""));
    org.okta().deny("0oa1service", Permission::AdminRole);
    assert_eq!(org.with_token("GET", "/api/v1/users", &reader).await.code(), "E0000006");
    org.okta().allow("0oa1service", Permission::AdminRole);
    org.okta().deny("0oa1service", Permission::UsersRead);
    assert_eq!(org.with_token("GET", "/api/v1/users", &reader).await.text, "");
    let refused = org.token(&app.sign(&org.claims("0oa1service")), "okta.users.read").await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_scope"));
    org.okta().expire_access_tokens();
    assert_eq!(org.with_token("GET", "/api/v1/users", &reader).await.code(), "E0000011");
}

#[tokio::test]
async fn the_token_endpoint_takes_one_form_only() {
    let org = Org::start().await;
    let app = org.service_app();
    let fresh = || app.sign(&org.claims("0oa1service"));
    let changed = |name: &str, value: Option<&str>| -> Vec<(String, String)> {
        let assertion = fresh();
        let mut form: Vec<(String, String)> = fields(&assertion, "okta.users.read")
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        form.retain(|(known, _)| known != name);
        form.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        form
    };
    let table = [
        (changed("grant_type", None), 400, "invalid_request"),
        (changed("grant_type", Some("password")), 400, "unsupported_grant_type"),
        (changed("scope", None), 400, "invalid_request"),
        (changed("scope", Some("")), 400, "invalid_scope"),
        (changed("scope", Some("okta.users.read okta.apps.manage")), 400, "invalid_scope"),
        (changed("scope", Some("okta.users.read,okta.users.manage")), 400, "invalid_scope"),
        (changed("client_assertion_type", None), 400, "invalid_request"),
        (changed("client_assertion_type", Some("jwt-bearer")), 400, "invalid_request"),
        (changed("client_assertion", None), 400, "invalid_request"),
        (changed("client_id", Some("0oa1service")), 400, "invalid_request"),
        (changed("client_secret", Some("s3cret")), 401, "invalid_client"),
        (changed("nothing", None), 200, ""),
    ];
    for (form, status, code) in table {
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let reply = org.token_form(&form).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{form:?}: {}", reply.text);
    }
    let assertion = fresh();
    let body =
        fields(&assertion, "okta.users.read").map(|(name, value)| format!("{name}={}", encoded(value))).join("&");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let odd = [
        ("/oauth2/v1/token", vec![JSON], 400, "invalid_request"),
        ("/oauth2/v1/token", vec![form], 406, "E0000122"),
        ("/oauth2/v1/token", vec![JSON, ("content-type", "application/json")], 400, "invalid_request"),
        ("/oauth2/v1/token", vec![JSON, form, ("authorization", "Basic MG9hOnNlY3JldA==")], 401, "invalid_client"),
        ("/oauth2/default/v1/token", vec![JSON, form], 400, "invalid_scope"),
        ("/oauth2/v1/token/", vec![JSON, form], 404, "E0000008"),
    ];
    for (path, headers, status, code) in odd {
        let reply = org.send("POST", path, &headers, &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{path} {headers:?}");
    }
    for (query, body) in [(body.as_str(), ""), (body.as_str(), body.as_str()), ("scope=okta.users.read", body.as_str())]
    {
        let reply = org.send("POST", &format!("/oauth2/v1/token?{query}"), &[JSON, form], body).await;
        assert_eq!(reply.code(), "invalid_request", "{query}");
        assert_eq!(org.okta().ledger().pop().expect("recorded").query, "[withheld]");
    }
    let ledger = serde_json::to_string(&org.okta().ledger()).expect("the ledger is JSON");
    assert!(!ledger.contains(&assertion) && !ledger.contains(SSWS), "the ledger holds no credential");
}

#[tokio::test]
async fn an_app_that_demands_a_proof_gets_no_bearer_token() {
    let org = Org::start().await;
    let app = org.service_app();
    org.okta().register_app(App { requires_dpop: true, ..app.app.clone() });
    let reply = org.token(&app.sign(&org.claims("0oa1service")), "okta.users.read").await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_dpop_proof"));
}
