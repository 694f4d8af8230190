//! Large deliveries beside small ones: on one thread, which serves everybody, the small ones do not wait.

use std::pin::pin;

use futures_util::future::{Either, select};
use serde_json::{Value, json};

use crate::testapp::{Answer, CONFIG, TestApp, by_email, stolen};

/// Rules that look at a long list for each of many people: planning takes a long moment.
fn slow_rules() -> String {
    let when = "alert.attributes.seen.exists(x, x == subject.email) || alert.severity >= high";
    CONFIG.replace("alert.severity >= high && alert.kind == \"session_stolen\"", when)
}

fn large(id: &str) -> Value {
    let people: Vec<Value> = (0..600).map(|number| json!({"email": format!("p{number}@example.com")})).collect();
    let mut alert = stolen(id, people.into());
    alert["attributes"] =
        json!({"seen": (0..300).map(|number| format!("somebody else, number {number}")).collect::<Vec<_>>()});
    alert
}

/// The answer that comes first, and the other one.
async fn race(one: impl Future<Output = Answer>, other: impl Future<Output = Answer>) -> (&'static str, [Answer; 2]) {
    match select(pin!(one), pin!(other)).await {
        Either::Left((answer, rest)) => ("the first", [answer, rest.await]),
        Either::Right((answer, rest)) => ("the second", [rest.await, answer]),
    }
}

#[tokio::test]
async fn a_small_delivery_is_answered_while_a_large_one_is_planned() {
    let app = TestApp::with(&slow_rules()).await;
    // Begun first, on the only thread.
    let large = app.deliver(large("edr-large"));
    let small = app.deliver(by_email("edr-small", "ana@example.com"));
    let (first, answers) = race(large, small).await;
    assert_eq!(first, "the second", "the small one waited for the large one");
    let jobs = answers.map(|answer| answer.assert_accepted().body["alerts"][0]["jobs"].as_array().map_or(0, Vec::len));
    assert_eq!(jobs, [600, 1]);
}
