//! The stand-in held against Okta's published description.

use serde_json::{Value, json};
use sever::sandbox::faults::Fault;
use sever::sandbox::okta::{Operation, Permission};

use super::org::*;

/// Okta's published description, as far as this product calls it.
fn description() -> Value {
    serde_saphyr::from_str(include_str!("../../fixtures/openapi/okta.yaml")).expect("YAML")
}

/// A copy in which `nullable` of OpenAPI 3.0 is said in the words of JSON Schema.
fn json_schema(node: &Value) -> Value {
    match node {
        Value::Object(fields) => {
            let mut copy: serde_json::Map<String, Value> =
                fields.iter().map(|(name, value)| (name.clone(), json_schema(value))).collect();
            if fields.get("nullable") == Some(&json!(true)) {
                copy.insert("type".into(), json!([fields["type"], "null"]));
            }
            Value::Object(copy)
        }
        Value::Array(items) => items.iter().map(json_schema).collect(),
        other => other.clone(),
    }
}

pub(crate) fn resolved<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    match node["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).expect("a target"),
        None => node,
    }
}

/// Path, method and description of every operation.
pub(crate) fn described(root: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in root["paths"].as_object().expect("paths") {
        for method in ["get", "post", "put", "delete", "patch"] {
            if let Some(operation) = item.get(method) {
                operations.push((path.clone(), method.to_uppercase(), operation.clone()));
            }
        }
    }
    operations
}

pub(crate) fn query_parameters(root: &Value, operation: &Value) -> Vec<String> {
    let listed = operation["parameters"].as_array().cloned().unwrap_or_default();
    let resolved = listed.iter().map(|parameter| resolved(root, parameter));
    resolved.filter(|one| one["in"] == "query").map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn operations_and_parameters_are_exactly_the_published_ones() {
    let root = description();
    let published = described(&root);
    for (path, method, operation) in &published {
        let id = operation["operationId"].clone();
        let ours: Operation = serde_json::from_value(id.clone()).unwrap_or_else(|_| panic!("{id} is missing"));
        assert_eq!((ours.template(), ours.method()), (path.as_str(), method.as_str()));
        let (mut theirs, mut known) = (query_parameters(&root, operation), strings(ours.parameters()));
        theirs.sort();
        known.sort();
        assert_eq!(known, theirs, "{id}");
        let scopes =
            operation["security"].as_array().and_then(|ways| ways.iter().find_map(|way| way["oauth2"].as_array()));
        let scope = scopes.and_then(|scopes| scopes[0].as_str());
        assert_eq!(ours.permission().and_then(Permission::scope), scope, "{id}");
    }
    let absent: Vec<Operation> = Operation::ALL
        .into_iter()
        .filter(|ours| !published.iter().any(|(path, method, _)| (ours.template(), ours.method()) == (path, method)))
        .collect();
    assert_eq!(absent, [Operation::ListUserClients], "the excerpt leaves this one out");
}

#[tokio::test]
async fn published_parameters_are_accepted_and_every_other_is_refused() {
    let root = description();
    let every: Vec<String> =
        described(&root).iter().flat_map(|(_, _, one)| query_parameters(&root, one)).chain(["bogus".into()]).collect();
    for (path, method, operation) in described(&root) {
        if path.starts_with("/oauth2") {
            continue;
        }
        let known = query_parameters(&root, &operation);
        for name in &every {
            let org = Org::start().await;
            org.okta().issue_tokens(&org.ana, "0oaPortal");
            let query = sample_query(&org, name, known.contains(name)).await;
            let reply = org.call(&method, &format!("{}?{query}", concrete(&org, &path))).await;
            match known.contains(name) {
                true => assert_success(&root, &operation, &reply, &format!("{method} {path} {name}")),
                false => assert_eq!(reply.code(), "E0000001", "{method} {path} {name}"),
            }
        }
    }
}

#[tokio::test]
async fn answers_have_the_published_status_and_shape() {
    let root = description();
    for (path, method, operation) in described(&root) {
        let org = Org::start().await;
        org.okta().issue_tokens(&org.ana, "0oaPortal");
        let target = concrete(&org, &path);
        let reply = match path.as_str() {
            "/oauth2/v1/token" => {
                let signer = org.service_app();
                org.token(&signer.sign(&org.claims("0oa1service")), ALL_SCOPES).await
            }
            _ => org.call(&method, &target).await,
        };
        assert_success(&root, &operation, &reply, &format!("{method} {path}"));
        org.okta().faults().inject(Fault::RateLimit { reset_in_s: 1 });
        let throttled = org.call(&method, &target).await;
        assert_shape(&root, &operation["responses"]["429"], &throttled, &path);
        let missing = path.replace(['{', '}'], "");
        let unknown = org.call(&method, &missing).await;
        if missing != path {
            assert_eq!(unknown.status, 404, "{missing}");
            assert_shape(&root, &operation["responses"]["404"], &unknown, &missing);
        }
    }
}

fn concrete(org: &Org, path: &str) -> String {
    let session = org.okta().session_ids_of(&org.ana).remove(0);
    let path = path.replace("{userId}", &org.ana).replace("{id}", &org.ana);
    path.replace("{sessionId}", &session).replace("{clientId}", "0oaPortal")
}

/// The parameter with a value that fits, and what it needs beside it.
async fn sample_query(org: &Org, name: &str, is_known: bool) -> String {
    let search = format!("search={}", encoded("profile.login eq \"ana@example.com\""));
    match name {
        "oauthTokens" | "forgetDevices" => format!("{name}=true"),
        "search" => search,
        "filter" => format!("filter={}", encoded("profile.login eq \"ana@example.com\"")),
        "q" => "q=ana".into(),
        "limit" => "limit=1".into(),
        "sortBy" if is_known => format!("{search}&sortBy=profile.lastName"),
        "sortOrder" if is_known => format!("{search}&sortBy=id&sortOrder=desc"),
        "after" if is_known => {
            let next = next_link(&org.call("GET", "/api/v1/users?limit=1").await).expect("two people are two pages");
            next.split_once('?').expect("a query").1.to_owned()
        }
        "fields" => "fields=id".into(),
        "expand" => "expand=classification".into(),
        other => format!("{other}=true"),
    }
}

fn assert_success(root: &Value, operation: &Value, reply: &Reply, what: &str) {
    let responses = operation["responses"].as_object().expect("responses");
    let success = responses.keys().find(|status| status.starts_with('2')).expect("a success");
    assert_eq!(&reply.status.to_string(), success, "{what}: {}", reply.text);
    assert_shape(root, &responses[success], reply, what);
}

fn assert_shape(root: &Value, response: &Value, reply: &Reply, what: &str) {
    let response = resolved(root, response);
    let Some(schema) = response.pointer("/content/application~1json/schema") else {
        return assert!(reply.text.is_empty() || reply.status >= 400, "{what} has a body");
    };
    assert_eq!(reply.header("content-type"), "application/json", "{what}");
    let mut schema = json_schema(schema);
    schema["components"] = json!({"schemas": json_schema(&root["components"]["schemas"])});
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(&reply.json()).map(|error| error.to_string()).collect();
    assert_eq!(errors, [] as [&str; 0], "{what}: {}", reply.text);
}
