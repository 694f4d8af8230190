//! Batches and mappings through the whole service: what acts, what is kept, what the receipt says, and replays.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sever::audit::Actor;
use sever::store::{Receipt, ReceiptStatus};

use crate::testapp::{Answer, CONFIG, TestApp};

const MAPPING: &str = r#"    alert:
      each: payload.results
      skip_when: item.state == "closed"
      id: item.id
      kind: '"session_stolen"'
      severity: item.severity
      occurred_at: received_at
      subjects: '[{"email": item.user}]'
"#;

/// The `edr` source with these lines, and a rule for whatever they give.
fn config(lines: &str) -> String {
    let any = CONFIG.replace(r#" && alert.kind == "session_stolen""#, "");
    any.replace("providers:\n  okta:", &format!("{lines}providers:\n  okta:"))
}

fn element(id: &str, user: &str) -> Value {
    json!({"id": id, "state": "open", "severity": "critical", "user": user})
}

fn batch(elements: impl IntoIterator<Item = Value>) -> Value {
    json!({"results": elements.into_iter().collect::<Vec<_>>()})
}

fn bad(id: &str) -> Value {
    json!({"id": id, "state": "open", "severity": "P1", "user": "cid@example.com"})
}

/// Plans the only kept delivery again, as `sever quarantine replay` does.
async fn replay(app: &TestApp) -> Receipt {
    let kept = app.app.store.quarantine(None, 10).await.expect("a list").items;
    assert_eq!(kept.len(), 1, "{kept:?}");
    let stored = app.app.store.delivery(kept[0].id).await.expect("read").expect("there");
    let admission = app.app.intake.plan_again(&stored).expect("planned");
    app.app.store.replay(kept[0].id, admission, Actor::operator("oncall")).await.expect("replayed")
}

fn jobs(answer: &Answer) -> usize {
    let alerts = answer.body["alerts"].as_array().expect("alerts");
    alerts.iter().map(|alert| alert["jobs"].as_array().expect("jobs").len()).sum()
}

#[tokio::test]
async fn a_bad_element_is_kept_and_told_while_the_others_act() {
    let app = TestApp::with(&config(MAPPING)).await;
    let (ana, ben) = (app.person("ana@example.com", 2), app.person("ben@example.com", 1));
    let mut closed = element("3", "ben@example.com");
    closed["state"] = json!("closed");
    let body = batch([element("1", "ana@example.com"), bad("2"), closed, element("4", "ben@example.com")]);
    let answer = app.deliver_as("msg_1", body.clone()).await.assert_accepted();
    let ids: Vec<_> = answer.body["alerts"].as_array().expect("alerts").iter().map(|it| &it["external_id"]).collect();
    assert_eq!(ids, ["1", "4"], "each alert has its own id");
    let quarantined = &answer.body["quarantined"];
    assert_eq!((quarantined.as_array().map(Vec::len), &quarantined[0]["element"]), (Some(1), &json!(1)));
    assert!(quarantined[0]["problem"].as_str().is_some_and(|it| it.starts_with("severity: unknown variant")));

    // Sent again, nothing new is done, and the same is told.
    let again = app.deliver_as("msg_1", body).await;
    assert_eq!((again.status, &again.body["quarantined"]), (StatusCode::OK, quarantined));
    app.drain().await;
    assert_eq!((app.okta().sessions_of(&ana.id), app.okta().sessions_of(&ben.id)), (0, 0));

    let kept = app.app.store.quarantine(None, 10).await.expect("a list").items;
    assert!(kept[0].reason.starts_with("element 1: severity: unknown variant"), "{}", kept[0].reason);
    app.assert_nothing_open().await;
}

#[tokio::test]
async fn a_mended_mapping_acts_on_the_bad_element_and_on_nothing_twice() {
    let app = TestApp::with(&config(MAPPING)).await;
    let (ana, cid) = (app.person("ana@example.com", 2), app.person("cid@example.com", 1));
    app.deliver(batch([element("1", "ana@example.com"), bad("2")])).await.assert_accepted();
    app.drain().await;
    app.assert_untouched(&cid, 1);
    assert_eq!(replay(&app).await.quarantined.len(), 1, "unmended, it stays");

    // The id is spelt another way as well: what was done for this delivery is done all the same.
    let mended = MAPPING
        .replace("severity: item.severity", r#"severity: '{"P1": critical, "critical": critical}[item.severity]'"#)
        .replace("id: item.id", r#"id: '"siem-" + item.id'"#);
    let app = app.restart_with(&config(&mended)).await;
    let receipt = replay(&app).await;
    assert_eq!((receipt.status, receipt.quarantined.len(), receipt.alerts.len()), (ReceiptStatus::Accepted, 0, 2));
    app.drain().await;
    assert_eq!(app.okta().sessions_of(&cid.id), 0);
    assert_eq!((app.okta().revocations_of(&ana.id), app.okta().revocations_of(&cid.id)), (1, 1));
    assert!(app.app.store.quarantine(None, 10).await.expect("a list").items.is_empty());

    // From the alert's own page too.
    let stored = app.app.store.delivery_of(receipt.alerts[1].id).await.expect("read").expect("there");
    let admission = app.app.intake.plan_again(&stored).expect("planned");
    let again = app.app.store.replay(stored.seq, admission, Actor::operator("oncall")).await.expect("replayed");
    assert_eq!(again.alerts[1].jobs[0].id, receipt.alerts[1].jobs[0].id);
    app.drain().await;
    assert_eq!((app.okta().revocations_of(&ana.id), app.okta().revocations_of(&cid.id)), (1, 1));
}

#[tokio::test]
async fn a_delivery_without_one_alert_is_kept_as_a_whole() {
    let app = TestApp::with(&config(MAPPING)).await;
    for body in [json!({"nothing": 1}), batch([bad("1"), bad("2")]), batch([bad("1")])] {
        let answer = app.deliver(body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
    }
    let kept = app.app.store.quarantine(None, 10).await.expect("a list").items;
    assert_eq!(kept.len(), 3);
    assert!(kept[2].reason.starts_with("each: No such key: results"), "{}", kept[2].reason);
    assert!(kept[1].reason.starts_with("none of its elements is an alert; element 0: "), "{}", kept[1].reason);
    assert!(app.jobs(None).await.is_empty());
}

#[tokio::test]
async fn what_is_skipped_or_empty_is_ignored() {
    let app = TestApp::with(&config(MAPPING)).await;
    let mut closed = element("3", "ben@example.com");
    closed["state"] = json!("closed");
    for body in [batch([]), batch([closed])] {
        let answer = app.deliver(body).await;
        assert_eq!((answer.status, &answer.body["status"]), (StatusCode::ACCEPTED, &json!("ignored")));
        assert_eq!(answer.body.get("quarantined"), None);
    }
}

#[tokio::test]
async fn an_alert_of_long_ago_in_a_batch_is_kept_and_alone_is_stale() {
    let timed = MAPPING.replace("occurred_at: received_at", "occurred_at: time(item.time)");
    let app = TestApp::with(&config(&format!("    max_age: 1h\n{timed}"))).await;
    let at = |id: &str, time: &str| {
        let mut element = element(id, "ana@example.com");
        element["time"] = json!(time);
        element
    };
    let (old, new) = (at("1", "2026-11-21T12:00:00Z"), at("2", "2026-11-21T21:59:00Z"));
    assert_eq!(app.deliver(batch([old.clone()])).await.status, StatusCode::UNAUTHORIZED);
    let answer = app.deliver(batch([old, new])).await.assert_accepted();
    assert_eq!((jobs(&answer), &answer.body["quarantined"][0]["element"]), (1, &json!(0)));
}

#[tokio::test]
async fn a_preset_and_an_envelope_go_through_the_service() {
    let app = TestApp::with(&config("    format: grafana\n")).await;
    let (dana, lee) = (app.person("dana.ortiz@example.com", 1), app.person("lee.park@example.com", 1));
    let event = json!({
        "specversion": "1.0", "type": "alert", "source": "/grafana", "id": "1",
        "data": super::sample("grafana", "firing_two_alerts"),
    });
    let body = event.to_string().into_bytes();
    let headers = sever::verify::Signer::new(&crate::testapp::signing())
        .expect("a signer")
        .sign("msg_1", sever::clock::Clock::now(app.clock.as_ref()), &body)
        .expect("signed");
    let mut request = axum::http::Request::post("/v1/alerts/edr")
        .header("content-type", "application/cloudevents+json; charset=utf-8")
        .body(axum::body::Body::from(body))
        .expect("a request");
    request.headers_mut().extend(headers);
    assert_eq!(jobs(&app.send(request).await.assert_accepted()), 1);
    app.drain().await;
    assert_eq!(app.okta().sessions_of(&dana.id), 0);
    // Resolved: never acts.
    app.assert_untouched(&lee, 1);
}
