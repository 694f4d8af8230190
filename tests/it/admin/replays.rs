//! Kept deliveries once more, under the config of today.

use serde_json::json;
use sever::store::Operations;

use super::{FAILING, SOUND, World, alert};

#[tokio::test]
async fn what_a_mended_rule_takes_is_done_once() {
    let mut world = World::with_rule(FAILING);
    let receipt = world.deliver("one", alert("ana@example.com")).await.expect("a receipt");
    assert!(receipt.alerts[0].jobs.is_empty());
    world.change_rule(SOUND);

    let first = world.post_nothing("/v1/quarantine/1/replay").await.ok();
    assert_eq!((&first["status"], &first["delivery_id"]), (&json!("accepted"), &json!("one")));
    assert_eq!(first["alerts"][0]["jobs"].as_array().expect("jobs").len(), 1);
    let second = world.post_nothing("/v1/quarantine/1/replay").await.ok();
    assert_eq!(second["alerts"][0]["jobs"][0]["id"], first["alerts"][0]["jobs"][0]["id"]);

    assert_eq!(world.get("/v1/jobs").await.ok()["items"].as_array().expect("items").len(), 1);
    assert_eq!(world.get("/v1/quarantine").await.ok(), json!({"items": [], "next_cursor": null}));
    assert_eq!(world.get("/v1/status").await.ok()["quarantine"], json!({}));
    let replayed = world.audit().await.into_iter().filter(|(event, _)| event == "replayed");
    assert_eq!(replayed.map(|(_, actor)| actor).collect::<Vec<_>>(), ["operator:oncall"; 2]);
}

#[tokio::test]
async fn what_still_cannot_be_planned_stays_with_the_new_reason() {
    let mut world = World::with_rule(FAILING);
    world.deliver("one", alert("ana@example.com")).await.expect("a receipt");
    let before = world.get("/v1/quarantine").await.ok()["items"][0]["reason"].clone();
    world.change_rule(r#"alert.attributes.city == "Oslo""#);
    let receipt = world.post_nothing("/v1/quarantine/1/replay").await.ok();
    assert_eq!(receipt["status"], "quarantined");
    let kept = world.get("/v1/quarantine").await.ok()["items"].clone();
    assert_eq!(kept.as_array().expect("items").len(), 1);
    assert_ne!(kept[0]["reason"], before);
}

#[tokio::test]
async fn what_cannot_be_decoded_stays() {
    let world = World::new();
    world.deliver("broken", "{}").await.expect("a receipt");
    assert_eq!(world.post_nothing("/v1/quarantine/1/replay").await.ok()["status"], "quarantined");
    assert_eq!(world.get("/v1/status").await.ok()["quarantine"], json!({"edr": 1}));
    assert_eq!(world.get("/v1/jobs").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn an_alert_that_no_rule_wanted_is_replayed_from_its_own_page() {
    let mut world = World::with_rule("alert.kind == \"other\"");
    let receipt = world.deliver("one", alert("ana@example.com")).await.expect("a receipt");
    let alert = receipt.alerts[0].id;
    world.change_rule(SOUND);
    let replayed = world.post_nothing(&format!("/v1/alerts/{alert}/replay")).await.ok();
    assert_eq!((&replayed["status"], &replayed["alerts"][0]["id"]), (&json!("accepted"), &json!(alert)));
    let again = world.post_nothing(&format!("/v1/alerts/{alert}/replay")).await.ok();
    assert_eq!(again["alerts"][0]["jobs"], replayed["alerts"][0]["jobs"]);
    assert_eq!(world.store.status().await.expect("a status").jobs.len(), 1);
}
