//! What is refused besides signatures, and how; what stands on every answer.

use std::time::Duration;

use serde_json::json;
use sever::sandbox::huawei::{ErrorShape, Operation, Permission, Quirks};
use sever::sandbox::ledger::Effect;

use super::store::*;
use super::wire::Draft;

#[tokio::test]
async fn the_gateway_knows_no_other_paths_and_methods() {
    let store = Store::start().await;
    let (users, sessions, batch) = (store.users_path(), store.sessions_path(&store.ana), store.batch_path());
    let table = [
        ("GET", "/".to_owned()),
        ("GET", "/v1".into()),
        ("GET", format!("{users}/")),
        ("GET", format!("{users}//sessions")),
        ("GET", format!("{sessions}/")),
        ("GET", batch.clone()),
        ("DELETE", batch.clone()),
        ("PUT", batch.clone()),
        ("POST", format!("{batch}/")),
        ("POST", format!("/prefix{batch}")),
        ("POST", batch.replace("/v1/", "/v2/")),
        ("POST", batch.replace("batch-delete", "Batch-Delete")),
        ("POST", sessions.clone()),
        ("DELETE", sessions.clone()),
        ("DELETE", format!("{sessions}/{}", store.huawei.session_ids_of("ana")[0])),
        ("POST", users.clone()),
        ("DELETE", format!("{users}/{}", store.ana)),
        ("HEAD", sessions.clone()),
        ("POST", "/v1/instances".into()),
    ];
    for (method, target) in table {
        // The slash of the canonical URI is there already where the path ends with one.
        let uri = format!("{}/", target.trim_end_matches('/'));
        let draft = Draft { signed_uri: Some(uri), ..store.draft(method, &target) };
        let reply = store.send(&draft).await;
        let code = if method == "HEAD" { "" } else { "APIGW.0101" };
        assert_eq!(reply.outcome(), outcome(404, code), "{method} {target}");
        let recorded = store.huawei.ledger().pop().expect("refused calls are recorded too");
        assert_eq!((recorded.status, recorded.error_code.as_deref()), (Some(404), Some("APIGW.0101")));
        assert_eq!((recorded.path, recorded.effect), (target, Effect::None));
    }
    assert_eq!(store.huawei.sessions_of("ana"), 2);
}

#[tokio::test]
async fn broken_and_oversized_requests_are_refused_by_the_gateway() {
    let store = Store::start().await;
    let users = store.users_path();
    let bad = |tail: &str| store.draft("GET", &format!("{users}/{tail}"));
    let long = "x".repeat(8 * 1024);
    let table = [
        (bad("a%zz"), 400),
        (bad("a%"), 400),
        (bad("a%ff"), 400),
        (bad("a%00b"), 400),
        (bad("a\"b"), 400),
        (store.draft("GET", &format!("{users}?user_name={long}")), 414),
        (store.draft("GET", &users).unsigned("X-Long", &"y".repeat(33 * 1024)), 494),
        (store.draft("POST", &store.batch_path()).body(&" ".repeat(257 * 1024)), 413),
    ];
    for (draft, status) in table {
        let reply = store.send(&draft).await;
        assert_eq!(reply.outcome(), outcome(status, "APIGW.0201"), "{} {}", draft.method, draft.path);
    }
}

#[tokio::test]
async fn media_types_and_bodies_must_be_right() {
    let store = Store::start().await;
    let ids = json!({"session_ids": store.huawei.session_ids_of("ana")}).to_string();
    let batch = store.draft("POST", &store.batch_path()).body(&ids);
    let listing = store.draft("GET", &store.sessions_path(&store.ana));
    let instances = store.draft("GET", "/v1/instances");
    for draft in [
        batch.clone().without("Content-Type"),
        batch.clone().header("Content-Type", "text/plain"),
        batch.clone().header("Content-Type", "application/x-www-form-urlencoded"),
        Draft { query: "force=true".into(), ..batch },
        listing.clone().without("Content-Type"),
        listing.clone().body("{}"),
        instances.body("{}"),
    ] {
        assert_eq!(store.send(&draft).await.outcome(), outcome(400, "IIC.400"), "{draft:?}");
    }
    assert_eq!(store.huawei.sessions_of("ana"), 2);
}

#[tokio::test]
async fn a_key_needs_its_permissions() {
    let store = Store::start().await;
    let ids = json!({"session_ids": store.huawei.session_ids_of("ana")}).to_string();
    let name = json!({"alternate_identifier": {"unique_attribute": {"attribute_path": "user_name", "attribute_value": "ana"}}});
    let draft = |operation: Operation| {
        let target = operation.template().replace("{identity_store_id}", &store.huawei.identity_store_id());
        let draft = store.draft(operation.method(), &target.replace("{user_id}", &store.ana));
        match operation {
            Operation::BatchDeleteSessions => draft.body(&ids),
            Operation::GetUserId => draft.body(&name.to_string()),
            _ => draft,
        }
    };
    let general = [
        (Permission::Gateway, "APIGW.0302"),
        (Permission::AdministratorAccount, "IIC.1003"),
        (Permission::DelegatedAdministrators, "IIC.1001"),
    ];
    // The batch comes last, for it succeeds once only.
    let order = Operation::ALL.into_iter().filter(|operation| *operation != Operation::BatchDeleteSessions);
    for operation in order.chain([Operation::BatchDeleteSessions]) {
        for (permission, code) in general.into_iter().chain([(operation.permission(), "IIC.1000")]) {
            store.huawei.deny(ACCESS_KEY, permission);
            let reply = store.send(&draft(operation)).await;
            assert_eq!(reply.outcome(), outcome(403, code), "{operation:?} without {permission:?}");
            let encoded = reply.json()["encoded_authorization_message"].is_string();
            assert_eq!(encoded, code == "IIC.1000", "{}", reply.text);
            store.huawei.allow(ACCESS_KEY, permission);
        }
        assert_eq!(store.send(&draft(operation)).await.status, 200, "{operation:?}");
    }
    assert_eq!(store.huawei.sessions_of("ana"), 0);
}

#[tokio::test]
async fn the_gateway_throttles_each_key_and_operation_by_the_second() {
    let store = Store::start().await;
    store.huawei.limit_rate(2);
    let statuses = [store.list().await.status, store.list().await.status];
    assert_eq!(statuses, [200, 200]);
    let reply = store.list().await;
    assert_eq!(reply.outcome(), outcome(429, "APIGW.0308"));
    let words = "The throttling threshold has been reached: policy user over ratelimit,limit:2,time:1 second";
    assert_eq!((reply.message().as_str(), reply.header("retry-after")), (words, None));
    assert_eq!(store.end_all().await.status, 200, "another operation");
    store.huawei.accept_key("HPUAOTHER", SECRET_KEY);
    let draft = store.draft("GET", &store.sessions_path(&store.ana));
    let other = draft.send(&store.huawei.url(), Some(&draft.authorization("HPUAOTHER", SECRET_KEY))).await;
    assert_eq!(other.expect("an answer").status, 200, "another key");
    store.clock.advance(Duration::from_secs(1));
    assert_eq!(store.list().await.status, 200);
}

#[tokio::test]
async fn a_refusal_takes_the_shapes_that_huawei_s_sdks_read() {
    let shapes = [
        (ErrorShape::Plain, "/error_code", "/error_msg"),
        (ErrorShape::CamelCase, "/errorCode", "/errorMsg"),
        (ErrorShape::Short, "/code", "/message"),
        (ErrorShape::Nested, "/error/error_code", "/error/error_msg"),
    ];
    for (error_shape, code, message) in shapes {
        let store = Store::with(Quirks { error_shape, ..Quirks::default() }).await;
        let reply = store.get(&store.sessions_path("nobody")).await;
        let body = reply.json();
        assert_eq!(body.pointer(code), Some(&json!("IIC.404")), "{body}");
        assert_eq!(body.pointer(message), Some(&json!("Not Found: user nobody")), "{body}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_date_and_a_request_id_which_errors_repeat() {
    let store = Store::start().await;
    let (fine, error) = (store.list().await, store.get("/nowhere").await);
    for reply in [&fine, &error] {
        assert_eq!(reply.header("date"), Some("Sat, 21 Nov 2026 22:14:07 GMT"));
        assert_eq!(reply.header("x-request-id").map(str::len), Some(32));
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    assert_ne!(fine.header("x-request-id"), error.header("x-request-id"));
    let id = error.header("x-request-id").expect("an id");
    let words = "The API does not exist or has not been published in the environment";
    assert_eq!(error.json(), json!({"error_code": "APIGW.0101", "error_msg": words, "request_id": id}));
}

#[tokio::test]
async fn a_stand_in_that_is_shut_down_no_longer_answers() {
    let store = Store::start().await;
    store.huawei.shutdown().await;
    let address = store.huawei.url().replace("http://", "");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
