//! Whoever changes anything through the operator API is on record with it, on every route there is.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};
use sever::admin::openapi;
use sever::domain::HoldReason;

use super::{World, alert};

/// A world in which this route has something to change, and the request that does.
async fn prepared(route: &str) -> Option<(World, String, Value)> {
    let world = World::new();
    let (path, body) = match route {
        "/v1/alerts/{id}/replay" => {
            let receipt = world.deliver("one", alert("ana@example.com")).await.expect("a receipt");
            (route.replace("{id}", &receipt.alerts[0].id.to_string()), json!({}))
        }
        "/v1/quarantine/{id}/replay" => {
            world.deliver("broken", "{}").await.expect("a receipt");
            (route.replace("{id}", "1"), json!({}))
        }
        "/v1/jobs/{id}/cancel" => {
            let job = world.job("ana@example.com").await;
            (route.replace("{id}", &job), json!({"reason": "drill"}))
        }
        "/v1/jobs/{id}/requeue" => {
            let job = world.job("ana@example.com").await;
            world.post(&format!("/v1/jobs/{job}/cancel"), json!({})).await.ok();
            (route.replace("{id}", &job), json!({"reason": "drill"}))
        }
        "/v1/jobs/{id}/approve" => {
            let job = world.job("ana@example.com").await;
            world.hold(HoldReason::Approval).await;
            (route.replace("{id}", &job), json!({"reason": "drill"}))
        }
        "/v1/jobs/cancel" | "/v1/jobs/requeue" | "/v1/jobs/approve" => {
            let job = world.job("ana@example.com").await;
            match route {
                "/v1/jobs/requeue" => drop(world.post(&format!("/v1/jobs/{job}/cancel"), json!({})).await.ok()),
                "/v1/jobs/approve" => world.hold(HoldReason::Approval).await,
                _ => {}
            }
            let state = if route == "/v1/jobs/requeue" { "cancelled" } else { "held" };
            let state = if route == "/v1/jobs/cancel" { "queued" } else { state };
            let filter = json!({"provider": "okta", "state": state});
            (route.to_owned(), json!({"filter": filter, "expect_count": 1, "reason": "drill"}))
        }
        "/v1/pause" | "/v1/providers/{name}/pause" => (route.replace("{name}", "okta"), json!({"reason": "drill"})),
        "/v1/resume" | "/v1/providers/{name}/resume" => {
            let path = route.replace("{name}", "okta");
            world.post(&path.replace("resume", "pause"), json!({})).await.ok();
            (path, json!({}))
        }
        "/v1/revocations" => (route.to_owned(), json!({"subject": {"email": "ana@example.com"}})),
        _ => return None,
    };
    Some((world, path, body))
}

/// Everything that an operator did, oldest first.
async fn by_operators(world: &World) -> usize {
    world.audit().await.into_iter().filter(|(_, actor)| actor == "operator:oncall").count()
}

#[tokio::test]
async fn every_change_is_on_record_with_its_operator() {
    let document = openapi();
    let paths = document["paths"].as_object().expect("paths");
    let changing: BTreeSet<_> = paths
        .iter()
        .flat_map(|(path, methods)| methods.as_object().expect("methods").keys().map(move |method| (method, path)))
        .filter(|(method, _)| !["get", "head", "options"].contains(&method.as_str()))
        .collect();
    assert!(changing.len() >= 10, "{changing:?}");
    for (method, route) in changing {
        assert_eq!(method, "post", "{route}: teach this test the method");
        let Some((world, path, body)) = prepared(route).await else {
            panic!("{route} changes something; teach this test what, so that it sees the row in the record");
        };
        let before = by_operators(&world).await;
        let answer = if body == json!({}) && path.ends_with("/replay") {
            world.post_nothing(&path).await
        } else {
            world.post(&path, body).await
        };
        assert!(answer.status.is_success(), "{route}: {} {}", answer.status, answer.text);
        assert!(by_operators(&world).await > before, "{route}");
    }
}

#[tokio::test]
async fn reading_a_body_is_on_record_and_other_looks_are_not() {
    let world = World::new();
    world.deliver("broken", "{}").await.expect("a receipt");
    for route in sever::admin::routes().into_iter().filter(|route| route.method == Method::GET) {
        let before = by_operators(&world).await;
        let path = route.path.replace("{id}", "1").replace("{name}", "edr");
        let answer = world.get(&path).await;
        let reads_body = answer.status.is_success() && route.path == "/v1/quarantine/{id}";
        assert_eq!(by_operators(&world).await, before + usize::from(reads_body), "{path}: {}", answer.status);
    }
}
