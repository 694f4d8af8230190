//! What the client sent, held against the published description.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sever::provider::ListQuery;
use sever::sandbox::ledger::Call;

use super::network::*;
use crate::sandbox_okta::openapi::described;

fn description() -> Value {
    serde_saphyr::from_str(include_str!("../../fixtures/openapi/the-things-stack.yaml")).expect("YAML")
}

/// Every call that the client has: each door, looks, a page for people, both ways to end, the check.
async fn record() -> Vec<Call> {
    let network = Network::start().await;
    let zoe = network.person("zoe", 3);
    let client = network.client_with(&json!({"send_email": true}));
    client.check().await.expect("a report");
    for subject in [by_id("zoe"), by_username("zoe"), by_email("zoe@example.com")] {
        client.resolve(&subject).await.expect("resolved").expect("found");
    }
    let query =
        ListQuery { order: Some("-created_at".to_owned()), limit: Some(2), page: Some(1), ..ListQuery::default() };
    client.list_sessions(&account(&zoe), &query).await.expect("listed").expect("a page");
    let first = network.tts.session_ids_of("zoe")[..1].to_vec();
    client.revoke(&account(&zoe), &given(&first), None).await.expect("revoked").expect("something");
    client.revoke(&account(&zoe), &all(), None).await.expect("revoked").expect("something");
    network.tts.ledger()
}

/// The operation of a call, with its parameters in the path as sent.
fn operation<'d>(operations: &'d [(String, String, Value)], call: &Call) -> (&'d Value, Vec<(String, String)>) {
    let path = call.path.strip_prefix("/api/v3").expect("the prefix of the description");
    let sent: Vec<&str> = path.split('/').collect();
    for (template, method, operation) in operations {
        let parts: Vec<&str> = template.split('/').collect();
        let is_parameter = |part: &str| part.starts_with('{');
        let fits = parts.len() == sent.len()
            && parts.iter().zip(&sent).all(|(part, sent)| is_parameter(part) || part == sent)
            && *method == call.method;
        if fits {
            let named = parts.iter().zip(&sent).filter(|(part, _)| is_parameter(part));
            let named = named.map(|(part, sent)| (part.trim_matches(['{', '}']).to_owned(), (*sent).to_owned()));
            return (operation, named.collect());
        }
    }
    panic!("{} {} is not described", call.method, call.path);
}

fn assert_value(parameter: &Value, value: &str, what: &str) {
    match parameter["type"].as_str() {
        Some("string") => assert!(!value.is_empty(), "{what} is empty"),
        // int64 in the description, and uint32 in the protocol.
        Some("integer") => assert!(value.parse::<u32>().is_ok(), "{what} is no number: {value}"),
        other => panic!("{what}: the client sends nothing of type {other:?}"),
    }
}

#[tokio::test]
async fn every_request_is_one_of_the_published_ones() {
    let root = description();
    let operations = described(&root);
    let mut used = BTreeSet::new();
    for call in record().await {
        let (operation, in_path) = operation(&operations, &call);
        let what = format!("{} {}?{}", call.method, call.path, call.query);
        let published = operation["parameters"].as_array().cloned().unwrap_or_default();
        let find = |name: &str, place: &str| {
            let found = published.iter().find(|it| it["name"] == name && it["in"] == place);
            found.unwrap_or_else(|| panic!("{what}: no parameter {name} in its {place}"))
        };
        let mut given = BTreeSet::new();
        for (name, value) in in_path {
            assert_value(find(&name, "path"), &value, &what);
            given.insert(name);
        }
        let url = reqwest::Url::parse(&format!("http://x/?{}", call.query)).expect("a query");
        for (name, value) in url.query_pairs() {
            assert_value(find(&name, "query"), &value, &what);
            assert!(given.insert(name.clone().into_owned()), "{what}: {name} is given twice");
        }
        let lacking =
            published.iter().find(|it| it["required"] == true && !given.contains(it["name"].as_str().expect("a name")));
        assert!(lacking.is_none() && call.body_len == 0, "{what}: {lacking:?}");
        assert_eq!(call.status, Some(200), "{what}");
        let id = operation["operationId"].as_str().expect("an id").to_owned();
        used.extend(given.into_iter().map(|name| format!("{id} {name}")));
        used.insert(id);
    }
    let expected = [
        "EntityAccess_AuthInfo",
        "UserRegistry_Get",
        "UserRegistry_Get field_mask",
        "UserRegistry_Get user_ids.user_id",
        "UserRegistry_List",
        "UserRegistry_List field_mask",
        "UserRegistry_List limit",
        "UserRegistry_List page",
        "UserSessionRegistry_Delete",
        "UserSessionRegistry_Delete session_id",
        "UserSessionRegistry_Delete user_ids.email",
        "UserSessionRegistry_Delete user_ids.user_id",
        "UserSessionRegistry_List",
        "UserSessionRegistry_List limit",
        "UserSessionRegistry_List order",
        "UserSessionRegistry_List page",
        "UserSessionRegistry_List user_ids.email",
        "UserSessionRegistry_List user_ids.user_id",
    ];
    assert_eq!(used.into_iter().collect::<Vec<_>>(), expected);
}
