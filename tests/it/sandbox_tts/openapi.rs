//! The stand-in held against the published description (OpenAPI 2.0).

use serde_json::Value;
use sever::sandbox::the_things_stack::Operation;

use super::stack::*;
use crate::sandbox_okta::openapi::{described, query_parameters};

/// The published description, as far as this product calls it.
fn description() -> Value {
    serde_saphyr::from_str(include_str!("../../fixtures/openapi/the-things-stack.yaml")).expect("YAML")
}

#[test]
fn operations_and_parameters_are_exactly_the_published_ones() {
    let root = description();
    assert_eq!(root["basePath"], "/api/v3");
    let published = described(&root);
    assert_eq!(published.len(), Operation::ALL.len());
    for (path, method, operation) in &published {
        let id = operation["operationId"].clone();
        let ours: Operation = serde_json::from_value(id.clone()).unwrap_or_else(|_| panic!("{id} is missing"));
        assert_eq!((ours.template(), ours.method()), (path.as_str(), method.as_str()));
        let (mut theirs, mut known) = (query_parameters(&root, operation), strings(ours.parameters()));
        theirs.sort();
        known.sort();
        assert_eq!(known, theirs, "{id}");
        let service = ours.grpc_method().replace("/ttn.lorawan.v3.", "").replace('/', "_");
        assert_eq!(id, service, "the operation id is the gRPC method");
    }
}

#[tokio::test]
async fn published_parameters_are_accepted_and_every_other_is_refused() {
    let root = description();
    let every: Vec<String> =
        described(&root).iter().flat_map(|(_, _, one)| query_parameters(&root, one)).chain(["bogus".into()]).collect();
    for (path, method, operation) in described(&root) {
        let known = query_parameters(&root, &operation);
        for name in &every {
            let stack = Stack::start().await;
            let reply = stack.call(&method, &format!("{}?{}", concrete(&stack, &path), sample(name))).await;
            match known.contains(name) {
                true => assert_shape(&root, &operation["responses"]["200"], &reply, 200, &format!("{path} {name}")),
                false => assert_eq!(reply.error(), (400, String::new(), 3), "{method} {path} {name}"),
            }
        }
    }
}

#[tokio::test]
async fn answers_have_the_published_status_and_shape() {
    let root = description();
    for (path, method, operation) in described(&root) {
        let stack = Stack::start().await;
        let target = concrete(&stack, &path);
        let reply = stack.call(&method, &target).await;
        assert_shape(&root, &operation["responses"]["200"], &reply, 200, &path);
        let refused = stack.call(&method, &format!("{target}?bogus=1")).await;
        assert_shape(&root, &operation["responses"]["default"], &refused, 400, &path);
        let bad_key = stack.with("NNSXS.A.B", &method, &target).await;
        let status = if path == "/users" { 403 } else { 401 };
        assert_shape(&root, &operation["responses"]["default"], &bad_key, status, &path);
    }
}

fn concrete(stack: &Stack, path: &str) -> String {
    path.replace("{user_ids.user_id}", "zoe").replace("{session_id}", &stack.first_session())
}

/// The parameter with a value that fits wherever it is known.
fn sample(name: &str) -> String {
    match name {
        "order" => "order=-created_at".into(),
        "limit" | "page" => format!("{name}=1"),
        "field_mask" => "field_mask=name,primary_email_address,state,admin".into(),
        "deleted" => "deleted=false".into(),
        "state" => "state=STATE_APPROVED&state=STATE_FLAGGED".into(),
        "attributes_contain[string]" => "attributes_contain%5Broom%5D=blue".into(),
        other => format!("{other}=zoe"),
    }
}

fn assert_shape(root: &Value, response: &Value, reply: &Reply, status: u16, what: &str) {
    assert_eq!(
        (reply.status, reply.header("content-type").as_str()),
        (status, "application/json"),
        "{what}: {}",
        reply.text
    );
    let mut schema = response["schema"].clone();
    schema["definitions"] = root["definitions"].clone();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(&reply.json()).map(|error| error.to_string()).collect();
    assert_eq!(errors, [] as [&str; 0], "{what}: {}", reply.text);
    let known = resolved_properties(root, &response["schema"]);
    let shown = reply.json().as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert!(shown.iter().all(|field| known.contains(field)), "{what}: {shown:?} beyond {known:?}");
}

/// The schemas allow more fields than they name, and so would pass misspelt ones.
fn resolved_properties(root: &Value, schema: &Value) -> Vec<String> {
    let reference = schema["$ref"].as_str().map(|path| path.trim_start_matches('#'));
    let schema = reference.map_or(schema, |path| root.pointer(path).expect("a target"));
    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}
