//! The fault switches, one by one.

use std::time::Duration;

use serde_json::Value;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::huawei::Operation;

use super::store::*;

#[tokio::test]
async fn every_documented_error_can_be_met() {
    let store = Store::start().await;
    let table = [
        (400, "IIC.400"),
        (404, "IIC.400"),
        (404, "IIC.404"),
        (404, "IIC.1002"),
        (403, "IIC.1000"),
        (403, "IIC.1001"),
        (403, "IIC.1003"),
        (403, "IIC.1004"),
        (409, "IIC.1006"),
        (409, "IIC.1007"),
        (400, "IIC.1219"),
        (403, "IIC.1219"),
        (500, "IIC.1209"),
        (401, "APIGW.0301"),
        (403, "APIGW.0302"),
        (401, "APIGW.0303"),
        (404, "APIGW.0101"),
        (400, "APIGW.0201"),
        (413, "APIGW.0201"),
        (414, "APIGW.0201"),
        (494, "APIGW.0201"),
        (502, "APIGW.0201"),
        (504, "APIGW.0201"),
        (429, "APIGW.0308"),
        (429, "APIG.0308"),
    ];
    for (status, code) in table {
        store.huawei.faults().inject(Fault::Error { status, code: code.to_owned() });
        let reply = store.end_all().await;
        assert_eq!(reply.outcome(), outcome(status, code));
        assert_ne!(reply.message(), "Error", "{code} has its own words");
        assert_eq!(reply.json()["request_id"].as_str(), reply.header("x-request-id"));
    }
    store.huawei.faults().inject(Fault::Error { status: 502, code: String::new() });
    let proxy = store.end_all().await;
    assert!(proxy.status == 502 && proxy.header("content-type").is_some_and(|media| media.starts_with("text/html")));
    assert_eq!((store.huawei.sessions_of("ana"), store.huawei.revocations_of("ana")), (2, 0));
}

#[tokio::test]
async fn throttling_comes_in_every_form() {
    let store = Store::start().await;
    let named = "The throttling threshold has been reached: policy user over ratelimit,limit:10,time:";
    let table = [
        (Fault::RateLimit { reset_in_s: 1 }, "APIGW.0308", format!("{named}1 second")),
        (Fault::RateLimit { reset_in_s: 60 }, "APIGW.0308", format!("{named}60 second")),
        (Fault::ConcurrencyLimit { reset_in_s: 1 }, "APIG.0308", format!("{named}1 second")),
        (
            Fault::RepeatedReset { resets_in_s: vec![1] },
            "APIGW.0308",
            "The throttling threshold has been reached".into(),
        ),
        (Fault::ThrottleWithoutHint, "APIGW.0308", "The throttling threshold has been reached".into()),
    ];
    for (fault, code, message) in table {
        let dated = fault != Fault::ThrottleWithoutHint;
        store.huawei.faults().inject(fault);
        let reply = store.end_all().await;
        assert_eq!((reply.outcome(), reply.message()), (outcome(429, code), message));
        assert_eq!((reply.header("date").is_some(), reply.header("retry-after")), (dated, None));
    }
    assert_eq!(store.end_all().await.status, 200, "each struck once");
}

#[tokio::test]
async fn answers_get_lost_before_and_after_the_effect() {
    let store = Store::start().await;
    for (fault, left, reached) in [(Fault::LostBefore, 2, 0), (Fault::LostAfter, 0, 1)] {
        store.huawei.clear_ledger();
        store.huawei.faults().inject(fault.clone());
        let ids = serde_json::json!({"session_ids": store.huawei.session_ids_of("ana")}).to_string();
        let draft = store.draft("POST", &store.batch_path()).body(&ids);
        assert!(store.try_send(&draft).await.is_none(), "{fault:?}");
        let left_and_reached = (store.huawei.sessions_of("ana"), store.huawei.revocations_of("ana"));
        assert_eq!(left_and_reached, (left, reached), "{fault:?}");
        let calls: Vec<Option<u16>> = store.huawei.ledger().iter().map(|call| call.status).collect();
        assert_eq!(calls, [None], "{fault:?}");
    }
}

#[tokio::test]
async fn bodies_go_wrong_in_every_way() {
    let store = Store::start().await;
    let strike = |fault| store.huawei.faults().inject(Injection::once(fault).on(Operation::ListSessions));
    strike(Fault::Html);
    assert!(store.list().await.header("content-type").is_some_and(|media| media.starts_with("text/html")));
    strike(Fault::MalformedJson);
    let broken = store.list().await;
    assert!(broken.status == 200 && serde_json::from_str::<Value>(&broken.text).is_err());
    strike(Fault::HugeBody { size_bytes: 100_000 });
    assert!(store.list().await.text.len() >= 100_000);
    strike(Fault::SlowBody { size_bytes: 3, every_ms: 1 });
    assert_eq!(store.list().await.text.matches(' ').count(), 3);
    strike(Fault::Redirect { to: "https://elsewhere.example/".into() });
    let moved = store.list().await;
    assert_eq!((moved.status, moved.header("location")), (302, Some("https://elsewhere.example/")));
    strike(Fault::MalformedJson);
    assert_eq!(store.get("/v1/instances").await.json()["page_info"]["current_count"], 1, "another operation");
}

#[tokio::test]
async fn a_late_answer_comes_after_its_effect_and_a_late_call_before_it() {
    let store = Store::start().await;
    for (fault, left) in [(Fault::Latency { duration_ms: 60_000 }, 2), (Fault::LateAnswer { duration_ms: 60_000 }, 0)] {
        store.huawei.faults().inject(fault);
        assert!(tokio::time::timeout(Duration::from_millis(300), store.end_all()).await.is_err());
        assert_eq!(store.huawei.sessions_of("ana"), left);
    }
    store.huawei.shutdown().await;
}

#[tokio::test]
async fn a_fault_strikes_its_operation_as_often_as_told() {
    let store = Store::start().await;
    let error = || Fault::Error { status: 500, code: "IIC.1209".into() };
    store.huawei.faults().inject(Injection::once(error()).on(Operation::BatchDeleteSessions).times(2));
    assert_eq!(store.list().await.status, 200);
    let statuses = [store.end_all().await.status, store.end_all().await.status, store.end_all().await.status];
    assert_eq!(statuses, [500, 500, 200]);
    store.huawei.faults().inject(Injection::once(error()).until_cleared());
    for _ in 0..3 {
        assert_eq!(store.get("/nowhere").await.status, 500);
    }
    store.huawei.faults().clear();
    assert_eq!(store.list().await.status, 200);
}
