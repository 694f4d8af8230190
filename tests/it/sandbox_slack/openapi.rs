//! The stand-in held against Slack's published description, archived in 2021. Where method pages of today differ, they
//! win, and the difference stands here.

use serde_json::Value;
use sever::sandbox::slack::{Operation, Permission};

use super::org::*;

/// Slack's published description, as far as this product calls it.
fn description() -> Value {
    serde_saphyr::from_str(include_str!("../../fixtures/openapi/slack.yaml")).expect("YAML")
}

/// Each method with its HTTP method and description.
fn described(root: &Value) -> Vec<(Operation, &str, &Value)> {
    let paths = root["paths"].as_object().expect("paths").iter();
    let items = paths.map(|(path, item)| {
        let name = path.trim_start_matches('/');
        let ours = serde_json::from_value(name.into()).unwrap_or_else(|_| panic!("{name} is missing"));
        let (method, operation) = item.as_object().expect("an item").iter().next().expect("one method");
        (ours, method.as_str(), operation)
    });
    items.collect()
}

/// The arguments besides the token, and whether they are required.
fn arguments(operation: &Value) -> Vec<(&str, bool)> {
    let listed = operation["parameters"].as_array().expect("parameters").iter();
    let others = listed.filter(|one| one["name"] != "token");
    others.map(|one| (one["name"].as_str().expect("a name"), one["required"] == true)).collect()
}

#[test]
fn arguments_and_scopes_are_the_published_ones() {
    let root = description();
    assert_eq!(described(&root).len(), 6);
    for (ours, _, operation) in described(&root) {
        let (mut theirs, mut known): (Vec<&str>, Vec<&str>) =
            (arguments(operation).into_iter().map(|(name, _)| name).collect(), ours.arguments().to_vec());
        if ours == Operation::SessionInvalidate {
            theirs.push("user_id"); // required by the method page of today
        }
        theirs.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, theirs, "{}", ours.name());
        let scope = operation["security"][0]["slackAuth"][0].as_str().filter(|scope| *scope != "none");
        assert_eq!(ours.permission().and_then(Permission::scope), scope, "{}", ours.name());
    }
}

#[test]
fn names_are_told_and_read_alike() {
    for operation in Operation::ALL {
        assert_eq!(serde_json::to_value(operation).expect("a name"), operation.name());
    }
}

#[tokio::test]
async fn published_calls_succeed_in_each_published_body_and_shape() {
    let root = description();
    for (ours, method, operation) in described(&root) {
        for media in operation["consumes"].as_array().expect("media types") {
            let org = Org::start().await;
            let calls = org.right_calls();
            let (_, body) = calls.iter().find(|(name, _)| *name == ours.name()).expect("a right call");
            let (form, path) = (encoded(&as_form(body)), format!("/api/{}", ours.name()));
            let reply = match (method, media.as_str().expect("a media type")) {
                ("get", _) => org.send("GET", &format!("{path}?{form}"), &[AUTH], "").await,
                (_, "application/json") => org.send("POST", &path, &[JSON, AUTH], &body.to_string()).await,
                _ => org.send("POST", &path, &[FORM, AUTH], &form).await,
            };
            assert_eq!(reply.status, 200, "{path}");
            assert_shape(&root, &operation["responses"]["200"]["schema"], &reply.json(), &path);
        }
    }
}

#[tokio::test]
async fn a_required_argument_is_missed_and_a_failure_has_its_shape() {
    let root = description();
    for (ours, _, operation) in described(&root) {
        for (missing, required) in arguments(operation) {
            let org = Org::start().await;
            let calls = org.right_calls();
            let (_, body) = calls.iter().find(|(name, _)| *name == ours.name()).expect("a right call");
            let fields: Vec<_> = as_form(body).into_iter().filter(|(name, _)| name != missing).collect();
            let reply = org.send("POST", &format!("/api/{}", ours.name()), &[FORM, AUTH], &encoded(&fields)).await;
            // `user` of users.info is not marked as required; without it there is nobody to read.
            let expected = if required || missing == "user" { "invalid_arguments" } else { "ok" };
            assert_eq!(reply.code(), expected, "{} without {missing}", ours.name());
        }
        let org = Org::start().await;
        let reply = org.send("POST", &format!("/api/{}", ours.name()), &[FORM], "error=my_error").await;
        assert_shape(&root, &operation["responses"]["default"]["schema"], &reply.json(), ours.name());
    }
}

fn assert_shape(root: &Value, schema: &Value, body: &Value, what: &str) {
    let mut schema = schema.clone();
    schema["definitions"] = root["definitions"].clone();
    // Newer answers have more fields (`enterprise_id`), and the excerpt has put an object for the name of `auth.test`.
    schema["additionalProperties"] = Value::Bool(true);
    if what.ends_with("auth.test") {
        schema["properties"]["user"] = Value::Bool(true);
    }
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(body).map(|error| error.to_string()).collect();
    assert_eq!(errors, [] as [&str; 0], "{what}: {body}");
}
