//! Listing sessions.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::huawei::{EmptySessions, Operation, Quirks};

use super::store::*;

#[tokio::test]
async fn a_listing_shows_every_session_of_one_person() {
    let store = Store::start().await;
    let body = store.list().await.json();
    let rows = body["session_list"].as_array().expect("a list");
    assert_eq!((body.as_object().expect("an object").len(), rows.len()), (1, 2), "no fields of pages");
    let id = &store.huawei.session_ids_of("ana")[0];
    let row = rows.iter().find(|row| row["session_id"] == json!(id)).expect("Ana's session");
    let mut fields: Vec<&String> = row.as_object().expect("an object").keys().collect();
    fields.sort();
    let named = ["creation_time", "ip_address", "session_id", "session_not_valid_after", "user_agent", "user_id"];
    assert_eq!(fields, named);
    assert_eq!((&row["user_id"], &row["creation_time"]), (&json!(store.ana), &json!(START_S)));
    assert_eq!(row["session_not_valid_after"], json!(START_S + 90 * 86_400));
    store.huawei.set_quirks(Quirks { times_in_milliseconds: true, ..Quirks::default() });
    assert_eq!(store.list().await.json()["session_list"][0]["creation_time"], json!(START_S * 1000));
}

#[tokio::test]
async fn nothing_looks_different_from_place_to_place() {
    let empty = [
        (EmptySessions::List, json!({"session_list": []})),
        (EmptySessions::Null, json!({"session_list": null})),
        (EmptySessions::Absent, json!({})),
    ];
    for (empty_sessions, body) in empty {
        let store = Store::with(Quirks { empty_sessions, ..Quirks::default() }).await;
        assert_eq!(store.listed().await.len(), 2, "{empty_sessions:?}");
        assert_eq!(store.end_all().await.status, 200);
        assert_eq!(store.list().await.json(), body, "{empty_sessions:?}");
    }
}

#[tokio::test]
async fn sessions_run_out_and_may_be_listed_nevertheless() {
    let store = Store::start().await;
    let brief = store.huawei.sign_in_for("ana", SignedDuration::from_mins(5));
    assert!(store.listed().await.contains(&brief));
    store.clock.advance(Duration::from_secs(300));
    assert_eq!((store.huawei.sessions_of("ana"), store.listed().await.contains(&brief)), (2, false));
    assert_eq!(store.end(std::slice::from_ref(&brief)).await.outcome(), outcome(404, "IIC.404"));
    store.huawei.set_quirks(Quirks { expired_listed: true, ..Quirks::default() });
    assert!(store.listed().await.contains(&brief));
    assert_eq!(store.end(std::slice::from_ref(&brief)).await.status, 200, "what is listed can be named");
    assert!(!store.listed().await.contains(&brief));
}

#[tokio::test]
async fn a_replica_may_lag() {
    let store = Store::with(Quirks { list_lag_s: 10, ..Quirks::default() }).await;
    assert_eq!(store.listed().await.len(), 0, "signing in is not seen at once either");
    store.clock.advance(Duration::from_secs(10));
    let before = store.listed().await;
    assert_eq!(before.len(), 2);
    for id in &before {
        assert_eq!(store.end(std::slice::from_ref(id)).await.status, 200);
        assert_eq!(store.listed().await, before, "ending one does not hurry the others along");
    }
    assert_eq!(store.huawei.sessions_of("ana"), 0);
    assert_eq!(store.end(&before).await.outcome(), outcome(404, "IIC.404"), "listed, and gone");
    store.clock.advance(Duration::from_secs(10));
    assert_eq!(store.listed().await.len(), 0);
}

#[tokio::test]
async fn a_stale_listing_shows_how_things_stood_before_the_latest_revocation() {
    let store = Store::start().await;
    let ids = store.huawei.session_ids_of("ana");
    for id in &ids {
        assert_eq!(store.end(std::slice::from_ref(id)).await.status, 200);
    }
    store.huawei.faults().inject(Injection::once(Fault::StaleList).on(Operation::ListSessions));
    assert_eq!(store.listed().await, ids[1..]);
    assert_eq!(store.listed().await, Vec::<String>::new());
}

#[tokio::test]
async fn only_known_people_of_this_store_have_sessions() {
    let store = Store::start().await;
    let id = store.huawei.identity_store_id();
    let elsewhere = |store: &str, user: &str| format!("/v1/identity-stores/{store}/users/{user}/sessions");
    let ana = store.ana.clone();
    for (target, status, code) in [
        (elsewhere(&id, "nobody"), 404, "IIC.404"),
        (elsewhere(&id, "ana"), 404, "IIC.404"),
        (elsewhere(&id, &"x".repeat(47)), 404, "IIC.404"),
        (elsewhere(&id, &"x".repeat(48)), 400, "IIC.400"),
        (elsewhere("d-0000000000", &ana), 404, "IIC.404"),
        (elsewhere("d-000", &ana), 400, "IIC.400"),
        (elsewhere("000000000000", &ana), 400, "IIC.400"),
        (format!("{}?limit=10", elsewhere(&id, &ana)), 400, "IIC.400"),
    ] {
        assert_eq!(store.get(&target).await.outcome(), outcome(status, code), "{target}");
    }
    store.huawei.remove_person("ana");
    assert_eq!(store.list().await.outcome(), outcome(404, "IIC.404"));
    assert_eq!(store.get(&store.sessions_path(&store.ben)).await.status, 200);
}

#[tokio::test]
async fn a_region_without_the_service_has_no_instance_and_no_store() {
    let store = Store::start().await;
    let body = store.get("/v1/instances?limit=1").await.json();
    let instance = &body["instances"][0];
    assert_eq!(instance["identity_store_id"], json!(store.huawei.identity_store_id()));
    assert_eq!(store.huawei.identity_store_id().len(), 12);
    assert_eq!(instance["instance_id"].as_str().map(str::len), Some(20));
    assert_eq!(body["page_info"], json!({"next_marker": null, "current_count": 1}));
    for target in ["/v1/instances?limit=0", "/v1/instances?limit=101", "/v1/instances?marker=x", "/v1/instances?x=1"] {
        assert_eq!(store.get(target).await.outcome(), outcome(400, "IIC.400"), "{target}");
    }
    store.huawei.set_quirks(Quirks { not_enabled: true, ..Quirks::default() });
    assert_eq!(store.get("/v1/instances").await.json()["instances"], Value::Array(Vec::new()));
    assert_eq!(store.list().await.outcome(), outcome(404, "IIC.404"));
}
