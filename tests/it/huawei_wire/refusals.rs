//! What goes wrong: nothing but success is one, and nothing secret comes back.

use std::time::Duration;

use serde_json::json;
use sever::provider::ProviderError;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::huawei::{ErrorShape, Operation, Permission};

use super::world::*;

fn class(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::Throttled { .. } => "throttled",
        ProviderError::Unavailable(_) => "unavailable",
        ProviderError::Unauthorized(_) => "unauthorized",
        ProviderError::Misconfigured(_) => "misconfigured",
        ProviderError::Forbidden(_) => "forbidden",
        ProviderError::Refused(_) => "refused",
        ProviderError::UnknownAccount(_) => "unknown",
        ProviderError::Unclear(_) => "unclear",
    }
}

#[tokio::test]
async fn no_answer_but_the_documented_one_is_a_success() {
    let faults = [
        Fault::Html,
        Fault::MalformedJson,
        Fault::HugeBody { size_bytes: 8 << 20 },
        Fault::SlowBody { size_bytes: 100, every_ms: 500 },
        Fault::LateAnswer { duration_ms: 3000 },
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Redirect { to: "http://127.0.0.1:9/".to_owned() },
        Fault::Error { status: 500, code: "IIC.1209".to_owned() },
        Fault::Error { status: 502, code: String::new() },
        Fault::Error { status: 504, code: "APIGW.0201".to_owned() },
    ];
    for fault in faults {
        let world = World::new().await;
        let zoe = world.person("zoe", 3);
        let account = world.account(&zoe).await;
        world.strike(fault.clone());
        let error = world.client.revoke(&account, &all(), None).await.expect_err("no success");
        assert!(matches!(class(&error), "unavailable" | "misconfigured"), "{fault:?} gave {error:?}");
        // Some of them took effect all the same.
        let left = world.huawei.sessions_of(&zoe.id);
        let again = world.client.revoke(&account, &all(), None).await.expect("the next call works");
        assert_eq!((again.is_some(), world.huawei.sessions_of(&zoe.id)), (left > 0, 0), "{fault:?}");
    }
}

#[tokio::test]
async fn a_list_that_is_none_ends_nothing() {
    let faults = [
        Fault::Html,
        Fault::MalformedJson,
        Fault::HugeBody { size_bytes: 8 << 20 },
        Fault::SlowBody { size_bytes: 100, every_ms: 500 },
        Fault::LostBefore,
        Fault::Redirect { to: "http://127.0.0.1:9/".to_owned() },
        Fault::Error { status: 503, code: String::new() },
    ];
    for fault in faults {
        let world = World::new().await;
        let zoe = world.person("zoe", 1);
        let account = world.account(&zoe).await;
        world.huawei.faults().inject(Injection::once(fault.clone()).on(Operation::ListSessions));
        assert!(world.client.revoke(&account, &all(), None).await.is_err(), "{fault:?}");
        assert_eq!((world.huawei.revocations_of(&zoe.id), world.huawei.sessions_of(&zoe.id)), (0, 1));
    }
}

#[tokio::test]
async fn all_forms_of_429_are_a_wait() {
    let forms = [
        Fault::RateLimit { reset_in_s: 20 },
        Fault::RateLimit { reset_in_s: 1_000_000_000 },
        Fault::ConcurrencyLimit { reset_in_s: -5 },
        Fault::ThrottleWithoutHint,
        Fault::RepeatedReset { resets_in_s: vec![300, 10] },
    ];
    for form in forms {
        for shape in [ErrorShape::Plain, ErrorShape::CamelCase, ErrorShape::Short, ErrorShape::Nested] {
            let world = World::new().await;
            world.quirks(|quirks| quirks.error_shape = shape);
            let zoe = world.person("zoe", 1);
            let account = world.account(&zoe).await;
            world.strike(form.clone());
            let error = world.client.revoke(&account, &all(), None).await.expect_err("throttled");
            // The seconds stand in words for people only, which are not read.
            assert!(matches!(error, ProviderError::Throttled { retry_after: None, .. }), "{form:?}: {error:?}");
            assert_eq!(world.client.wait(), Some(Duration::from_secs(1)), "a pace of our own");
        }
    }
}

#[tokio::test]
async fn every_documented_error_has_its_class_on_the_wire_in_every_shape() {
    let table = [
        (400, "IIC.400", "refused"),
        (404, "IIC.400", "refused"),
        (404, "IIC.404", "unavailable"),
        (404, "IIC.1002", "refused"),
        (403, "IIC.1000", "forbidden"),
        (403, "IIC.1001", "forbidden"),
        (403, "IIC.1003", "refused"),
        (403, "IIC.1004", "refused"),
        (409, "IIC.1006", "unavailable"),
        (409, "IIC.1007", "unavailable"),
        (400, "IIC.1219", "forbidden"),
        (403, "IIC.1219", "forbidden"),
        (500, "IIC.1209", "unavailable"),
        (401, "APIGW.0301", "unauthorized"),
        (403, "APIGW.0302", "forbidden"),
        (401, "APIGW.0303", "unauthorized"),
        (404, "APIGW.0101", "misconfigured"),
        (400, "APIGW.0201", "refused"),
        (413, "APIGW.0201", "refused"),
        (414, "APIGW.0201", "refused"),
        (494, "APIGW.0201", "refused"),
        (502, "APIGW.0201", "unavailable"),
        (504, "APIGW.0201", "unavailable"),
        (429, "APIGW.0308", "throttled"),
        (429, "APIG.0308", "throttled"),
    ];
    for shape in [ErrorShape::Plain, ErrorShape::CamelCase, ErrorShape::Short, ErrorShape::Nested] {
        let world = World::new().await;
        world.quirks(|quirks| quirks.error_shape = shape);
        let zoe = world.person("zoe", 1);
        let account = world.account(&zoe).await;
        for (status, code, expected) in table {
            let fault = Fault::Error { status, code: code.to_owned() };
            let always = Injection::once(fault).on(Operation::BatchDeleteSessions).until_cleared();
            world.huawei.faults().inject(always);
            let error = world.client.revoke(&account, &all(), None).await.expect_err("refused");
            assert_eq!(class(&error), expected, "{shape:?} {status} {code}");
            assert_eq!(error.report().code.as_deref(), Some(code));
            assert!(error.report().request_id.as_deref().is_some_and(|id| id.len() == 32), "{error:?}");
            world.huawei.faults().clear();
            // A 429 closes the operation for a second.
            world.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(world.huawei.sessions_of(&zoe.id), 1);
    }
}

#[tokio::test]
async fn nothing_secret_comes_back_from_an_echoed_request() {
    let (huawei, clock) = store().await;
    let token = "ggpjbi1ub3J0aC00TEMPORARY/abc+def==";
    let end = sever::clock::Clock::now(clock.as_ref()) + jiff::SignedDuration::from_hours(1);
    huawei.accept_temporary_key(AK, "another/secret+key=000000000000000001", token, end);
    huawei.add_person(sever::sandbox::huawei::Person::new("zoe"));
    let temporary =
        json!({"access_key": {"value": AK}, "secret_key": {"value": SK}, "security_token": {"value": token}});
    let unknown = json!({"access_key": {"value": "AKIDOFNOBODY000000001"}, "secret_key": {"value": SK}});
    for credentials in [temporary, unknown] {
        let client = client(&huawei, &clock, json!({"credentials": credentials}));
        for error in [
            client.resolve(&email("zoe@example.com")).await.expect_err("refused"),
            client.resolve(&username("zoe")).await.expect_err("refused"),
            client.check().await.expect_err("refused"),
        ] {
            assert_eq!((class(&error), error.report().status), ("unauthorized", Some(401)), "{error:?}");
            let shown = format!("{error:?} {error}");
            let hidden = ["AKID", "sk/Of", "ggpj", "canonical", "x-sdk-date", "SDK-HMAC", "zoe", "/v1/"];
            assert!(!hidden.iter().any(|secret| shown.contains(secret)), "{shown}");
        }
    }
}

#[tokio::test]
async fn what_a_key_may_not_do_is_told() {
    for (permission, action) in [
        (Permission::ListUsers, "IdentityCenter:user:list "),
        (Permission::DescribeUser, "IdentityCenter:user:describe "),
        (Permission::ListSessions, "IdentityCenter:user:listSessions "),
        (Permission::DelegatedAdministrators, "organizations:delegatedAdministrators:list"),
        (Permission::Gateway, "IdentityCenter:user:list "),
    ] {
        let world = World::new().await;
        world.person("zoe", 1);
        let report = world.client.check().await.expect("all is allowed");
        assert!(report.missing.is_empty() && report.unchecked.len() == 1, "{report:?}");
        world.huawei.deny(AK, permission);
        let error = world.client.check().await.expect_err("no job would go on");
        assert!(class(&error) == "forbidden" && error.to_string().contains(action), "{permission:?}: {error}");
    }
    let world = World::new().await;
    let zoe = world.person("zoe", 1);
    let account = world.account(&zoe).await;
    world.huawei.deny(AK, Permission::GetUserId);
    assert_eq!(world.client.check().await.expect("checked").missing.len(), 1);
    world.huawei.deny(AK, Permission::BatchDeleteSessions);
    let error = world.client.revoke(&account, &all(), None).await.expect_err("refused");
    assert!(error.to_string().contains("IdentityCenter:user:batchDeleteSession"), "{error}");
    assert_eq!(world.huawei.revocations_of(&zoe.id), 0, "and check ended nothing");
}

#[tokio::test]
async fn a_region_without_identity_center_and_a_wrong_host_are_settings() {
    let world = World::new().await;
    world.quirks(|quirks| quirks.not_enabled = true);
    assert_eq!(class(&world.client.check().await.expect_err("not enabled")), "misconfigured");
    let local = world.huawei.url().replace("127.0.0.1", "localhost");
    let other = client(&world.huawei, &world.clock, json!({"url": local}));
    assert_eq!(class(&other.check().await.expect_err("another host")), "misconfigured");
    world.quirks(|_| ());
    world.huawei.answer_to(local.trim_start_matches("http://"));
    other.check().await.expect("the host with its port is what is signed");
}
