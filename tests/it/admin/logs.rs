//! What the log tells about operators' requests, and what it keeps to itself.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Method;
use serde_json::json;

use super::{OPERATOR, VIEWER, World, request};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_line_names_request_route_and_actor_and_neither_token_nor_person_nor_body() {
    let world = World::new();
    let job = world.job("ana@example.com").await;
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let cancelled = world.post(&format!("/v1/jobs/{job}/cancel"), json!({"reason": "said-in-confidence"})).await;
    world.get("/v1/jobs?subject=ana%40example.com").await.ok();
    let refused = request(Method::POST, "/v1/pause", VIEWER).body(Body::empty()).expect("a request");
    world.send(refused).await.problem(403, "forbidden");
    let unknown = request(Method::GET, "/v1/status", "guessed-token-0123456789").body(Body::empty());
    world.send(unknown.expect("a request")).await.problem(401, "not-authenticated");
    drop(guard);

    let log = String::from_utf8(lines.0.lock().expect("not poisoned").clone()).expect("text");
    let id = cancelled.headers["x-request-id"].to_str().expect("text");
    for wanted in [id, "/v1/jobs/{id}/cancel", "operator:oncall", "operator:screen", "status=401", "status=403"] {
        assert!(log.contains(wanted), "{wanted} is not in\n{log}");
    }
    for secret in [OPERATOR, VIEWER, "guessed-token", "ana@", "ana%40", "said-in-confidence"] {
        assert!(!log.contains(secret), "{secret} is in\n{log}");
    }
}
