//! The description of the operator API is whole, and true of what the routes answer.

use serde_json::{Value, json};
use sever::admin::{openapi, routes};

use super::World;

fn references(node: &Value, found: &mut Vec<String>) {
    match node {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_route_is_described_and_every_reference_leads_somewhere() {
    let document = openapi();
    for route in routes() {
        let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{route:?}");
        assert!(operation["responses"]["401"].is_object(), "{route:?}");
    }
    let (mut found, root) = (Vec::new(), &document);
    references(root, &mut found);
    assert!(found.len() > 50, "{}", found.len());
    for reference in found {
        let target = root.pointer(reference.trim_start_matches('#'));
        assert!(target.is_some(), "{reference} leads nowhere");
    }
}

/// A schema of the document, by itself.
fn validator(document: &Value, path: &str, status: &str) -> jsonschema::Validator {
    let method = &document["paths"][path]["get"];
    let schema = &method["responses"][status]["content"]["application/json"]["schema"];
    let whole = json!({"allOf": [schema], "components": document["components"]});
    jsonschema::validator_for(&whole).expect("a schema")
}

#[tokio::test]
async fn answers_fit_their_schemas() {
    let world = World::new();
    let document = world.get("/openapi.json").await.ok();
    assert_eq!(document, openapi());
    let job = world.job("ana@example.com").await;
    let table = [
        ("/v1/status", "/v1/status".to_owned()),
        ("/v1/jobs", "/v1/jobs".to_owned()),
        ("/v1/jobs/{id}", format!("/v1/jobs/{job}")),
        ("/v1/alerts", "/v1/alerts".to_owned()),
        ("/v1/providers", "/v1/providers".to_owned()),
        ("/v1/audit", "/v1/audit".to_owned()),
        ("/v1/sources/{name}/refusals", "/v1/sources/edr/refusals".to_owned()),
    ];
    for (path, asked) in table {
        let answer = world.get(&asked).await.ok();
        let validator = validator(&document, path, "200");
        let faults: Vec<_> = validator.iter_errors(&answer).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{path}: {faults:?}");
        assert!(!validator.is_valid(&json!({"surely": "not"})), "{path}: anything would fit");
    }
}
