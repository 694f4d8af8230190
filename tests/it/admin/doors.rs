//! Who gets in: every route asks for a token, a role and a host that is ours.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;
use sever::admin::{Role, routes};

use super::{HOST, OPERATOR, VIEWER, World, request};

/// The route's path with something in place of what varies.
fn filled(path: &str) -> String {
    path.replace("{id}", "1").replace("{name}", "okta")
}

fn plain(method: Method, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).header("host", HOST).body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn every_route_asks_for_a_token() {
    let world = World::new();
    for route in routes() {
        let path = filled(route.path);
        let none = world.send(plain(route.method.clone(), &path)).await;
        none.problem(401, "not-authenticated");
        assert_eq!(none.headers["www-authenticate"], "Bearer", "{path}");
        let wrong = request(route.method.clone(), &path, "wrong-token-0123456789abcdef");
        world.send(wrong.body(Body::empty()).expect("a request")).await.problem(401, "not-authenticated");
        let right = world.send(request(route.method, &path, OPERATOR).body(Body::empty()).expect("a request")).await;
        assert_ne!(right.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let elsewhere = world.send(plain(Method::GET, "/v1/nothing")).await;
    elsewhere.problem(401, "not-authenticated");
    world.send(plain(Method::DELETE, "/v1/jobs")).await.problem(401, "not-authenticated");
}

#[tokio::test]
async fn a_viewer_looks_and_changes_nothing() {
    let world = World::new();
    world.job("ana@example.com").await;
    let before = world.audit().await;
    for route in routes() {
        let path = filled(route.path);
        let answer = world.send(request(route.method.clone(), &path, VIEWER).body(Body::empty()).expect("a request"));
        let answer = answer.await;
        match route.role {
            Role::Viewer => assert_ne!(answer.status, StatusCode::FORBIDDEN, "{path}"),
            Role::Operator => drop(answer.problem(403, "forbidden")),
        }
    }
    assert_eq!(world.audit().await, before, "a viewer left a trace in the store");
}

#[test]
fn whatever_changes_something_takes_an_operator() {
    let viewers: Vec<_> = routes().into_iter().filter(|route| route.role == Role::Viewer).collect();
    assert!(viewers.iter().all(|route| route.method == Method::GET));
    assert!(!viewers.iter().any(|route| route.path == "/v1/quarantine/{id}"), "bodies are for operators");
    assert!(!viewers.is_empty());
}

#[tokio::test]
async fn only_a_whole_bearer_token_counts() {
    let world = World::new();
    let ask = async |value: &str| {
        let request = Request::builder().uri("/v1/status").header("host", HOST).header("authorization", value);
        world.send(request.body(Body::empty()).expect("a request")).await.status
    };
    for right in [format!("Bearer {OPERATOR}"), format!("bearer {OPERATOR}"), format!("BEARER  {OPERATOR} ")] {
        assert_eq!(ask(&right).await, StatusCode::OK, "{right}");
    }
    let (start, end) = OPERATOR.split_at(20);
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        OPERATOR,
        &format!("Basic {OPERATOR}"),
        &format!("Bearer {start}"),
        &format!("Bearer {end}"),
        &format!("Bearer {OPERATOR}x"),
    ] {
        assert_eq!(ask(wrong).await, StatusCode::UNAUTHORIZED, "{wrong}");
    }
    let twice = request(Method::GET, "/v1/status", OPERATOR).header("authorization", format!("Bearer {OPERATOR}"));
    world.send(twice.body(Body::empty()).expect("a request")).await.problem(401, "not-authenticated");
    let in_query = plain(Method::GET, &format!("/v1/status?token={OPERATOR}"));
    world.send(in_query).await.problem(401, "not-authenticated");
}

#[tokio::test]
async fn a_request_for_someone_elses_host_is_refused() {
    let world = World::new();
    let ask = async |hosts: &[&str], origin: Option<&str>| {
        let mut request = Request::builder().uri("/v1/status").header("authorization", format!("Bearer {OPERATOR}"));
        for host in hosts {
            request = request.header("host", *host);
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        world.send(request.body(Body::empty()).expect("a request")).await
    };
    let ours =
        ["127.0.0.1:8081", "localhost:8081", "LOCALHOST:8081", "[::1]:8081", "sever.acme.com", "sever.acme.com:443"];
    for host in ours {
        ask(&[host], None).await.ok();
        ask(&[host], Some(&format!("http://{host}"))).await.ok();
    }
    for host in [
        "evil.example:8081",
        "127.0.0.1",
        "127.0.0.1:8080",
        "localhost",
        "localhost.evil.example:8081",
        "",
        "127.0.0.1:8081@evil",
        "x@127.0.0.1:8081",
        "127.0.0.1:8081/",
        "acme.com",
        "x.sever.acme.com",
        "0.0.0.0:8081",
    ] {
        ask(&[host], None).await.problem(403, "foreign-host");
    }
    ask(&[], None).await.problem(403, "foreign-host");
    ask(&[HOST, HOST], None).await.problem(403, "foreign-host");
    for origin in [
        "http://evil.example",
        "https://evil.example:8081",
        "null",
        "",
        "file://",
        "127.0.0.1:8081",
        "http://127.0.0.1",
        "http://127.0.0.1:8081.evil.example",
        "ftp://127.0.0.1:8081",
        "http://127.0.0.1:8081@evil.example",
    ] {
        ask(&[HOST], Some(origin)).await.problem(403, "foreign-host");
    }
    let target = request(Method::GET, "http://evil.example/v1/status", OPERATOR).body(Body::empty());
    world.send(target.expect("a request")).await.problem(403, "foreign-host");
}

#[tokio::test]
async fn the_host_is_looked_at_before_the_token() {
    let world = World::new();
    let foreign = Request::builder().uri("/v1/status").header("host", "evil.example").body(Body::empty());
    world.send(foreign.expect("a request")).await.problem(403, "foreign-host");
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own_and_is_kept_by_nobody() {
    let world = World::new();
    let one = world
        .send(
            request(Method::GET, "/v1/status", OPERATOR)
                .header("x-request-id", "mine")
                .body(Body::empty())
                .expect("a request"),
        )
        .await;
    let other = world.send(plain(Method::GET, "/nothing")).await;
    for answer in [&one, &other] {
        assert_eq!(answer.headers["cache-control"], "no-store");
        let id = answer.headers["x-request-id"].to_str().expect("text");
        assert_eq!(id.parse::<uuid::Uuid>().expect("an id").get_version_num(), 7);
    }
    assert_ne!(one.headers["x-request-id"], other.headers["x-request-id"]);
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_meant_are_told_apart() {
    let world = World::new();
    world.get("/v1/nothing").await.problem(404, "not-found");
    world.get("/").await.problem(404, "not-found");
    let answer = world.post("/v1/jobs", json!({})).await;
    answer.problem(405, "method-not-allowed");
    assert_eq!(answer.headers["allow"], "GET,HEAD");
    let answer = world.get("/v1/pause").await;
    answer.problem(405, "method-not-allowed");
    assert_eq!(answer.headers["allow"], "POST");
}
