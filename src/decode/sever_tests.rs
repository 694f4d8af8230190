//! What the decoder takes and refuses, and that the schema agrees.

use serde_json::{Value, json};

use super::*;

fn sample() -> Value {
    json!({
        "id": "edr-2231", "kind": "session_stolen", "severity": "critical", "occurred_at": "2026-11-21T22:14:07Z",
        "subjects": [{
            "email": "ana@example.com",
            "ids": {"okta": "00ub0oNGTSWTBKOLGLNR", "slack": "W012A3CDE"},
            "sessions": {
                "mattermost": ["a1b2c3d4e5f6g7h8i9j0k1l2m3"],
                "slack": [{"id": "4026531840001", "team_id": "T0123ABCD"}],
            },
        }],
        "reason": "infostealer cookie seen for sale", "attributes": {"ip": "203.0.113.9"},
    })
}

/// The sample with `value` at `pointer`, or without what is there.
fn with(pointer: &str, value: impl Into<Option<Value>>) -> String {
    let mut body = sample();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer has a slash");
    let parent = body.pointer_mut(parent).expect("the parent exists");
    match (parent, value.into()) {
        (Value::Object(object), Some(value)) => drop(object.insert(key.to_owned(), value)),
        (Value::Object(object), None) => drop(object.remove(key)),
        (parent, Some(value)) => parent[key.parse::<usize>().expect("an index")] = value,
        (parent, None) => drop(parent.take()),
    }
    body.to_string()
}

fn problems(body: &str) -> Vec<String> {
    match decode(body.as_bytes()) {
        Ok(alert) => panic!("{body} was taken as {alert:?}"),
        Err(error) => error.problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_sample_is_read_in_full() {
    let alert = decode(sample().to_string().as_bytes()).expect("the sample decodes");
    assert_eq!(
        (alert.id.as_str(), alert.kind.as_str(), alert.severity),
        ("edr-2231", "session_stolen", Severity::Critical)
    );
    assert_eq!(alert.occurred_at.to_string(), "2026-11-21T22:14:07Z");
    let subject = &alert.subjects[0];
    let okta: ProviderName = "okta".parse().expect("a name");
    let slack: ProviderName = "slack".parse().expect("a name");
    assert_eq!(subject.at(&okta).id.as_deref(), Some("00ub0oNGTSWTBKOLGLNR"));
    assert!(matches!(&subject.sessions[&slack][..], [SessionRef::InTeam(session)] if session.team_id == "T0123ABCD"));
    assert!(!alert.dry_run);
}

#[test]
fn what_is_wrong_is_named_with_its_path() {
    let id = "/subjects/0/ids/okta";
    let table = [
        (with("/id", json!("")), "id is not an id"),
        (with("/id", json!("a\nb")), "id is not an id"),
        (with("/id", json!("x".repeat(257))), "id is not an id"),
        (with("/id", json!(2231)), "id is a number; write it as a string"),
        (with("/id", None), ".: missing field `id`"),
        (with("/kind", json!("Session stolen")), "kind is not a word"),
        (with("/kind", json!("")), "kind is not a word"),
        (with("/severity", json!("urgent")), "severity: unknown variant `urgent`"),
        (with("/occurred_at", json!("yesterday")), "occurred_at is not a time"),
        (with("/occurred_at", json!("2026-11-21T22:14:07")), "occurred_at is not a time"),
        (with("/occurred_at", json!("2026-11-21T22:14:07Z[UTC]")), "occurred_at is not a time"),
        (with("/occurred_at", json!("2026-13-21T22:14:07Z")), "occurred_at is not a time"),
        (with("/occurred_at", json!(1_763_763_247)), "occurred_at is a number"),
        (with("/subjects", json!([])), "subjects has 0 entries"),
        (with("/subjects", json!(vec![json!({"username": "x"}); 1001])), "subjects has 1001 entries"),
        (with("/subjects/0", json!({})), "subjects[0] names nobody"),
        (with("/subjects/0", json!({"ids": {}})), "subjects[0] names nobody"),
        (with("/subjects/0", json!({"sessions": {"okta": ["s"]}})), "subjects[0] names nobody"),
        (with("/subjects/0/email", json!("")), "subjects[0].email is empty"),
        (with("/subjects/0/email", json!("ana")), "subjects[0].email is not an e-mail address"),
        (with("/subjects/0/email", json!("ana@b@c")), "subjects[0].email is not an e-mail address"),
        (with("/subjects/0/email", json!("a na@b")), "subjects[0].email is not an e-mail address"),
        (with("/subjects/0/username", json!("me")), "subjects[0].username would be read as something other"),
        (with(id, json!("")), "subjects[0].ids.okta is empty"),
        (with(id, json!("..")), "subjects[0].ids.okta would be read as something other"),
        (with(id, json!("%2e%2e")), "subjects[0].ids.okta would be read as something other"),
        (with(id, json!(4711)), "subjects[0].ids.okta is a number; write it as a string"),
        (with("/subjects/0/ids/OKTA", json!("x")), "\"OKTA\" is not a name"),
        (
            with("/subjects/0/sessions/slack/0", json!({"id": "1"})),
            "subjects[0].sessions.slack[0]: missing field `team_id`",
        ),
        (
            with("/subjects/0/sessions/slack/0/id", json!(4_026_531_840_001_u64)),
            "subjects[0].sessions.slack[0].id is a number",
        ),
        (with("/subjects/0/sessions/slack/0/id", json!("a\u{202e}b")), "subjects[0].sessions.slack[0] has a control"),
        (with("/subjects/0/sessions/mattermost/0", json!(7)), "subjects[0].sessions.mattermost[0] is a number"),
        (with("/subjects/0/mail", json!("x@y")), "subjects[0].mail: unknown field `mail`"),
        (with("/reason", json!("x".repeat(4097))), "reason is longer than 4096 bytes"),
        (with("/attributes", json!([1])), "attributes: invalid type: sequence, expected an object"),
        (with("/dry_run", json!("yes")), "dry_run: invalid type"),
        ("{".to_owned(), ".: EOF while parsing"),
        (format!("{} {{}}", sample()), ". has something after the alert"),
        (sample().to_string().replace(r#""okta":"#, r#""okta":"x","okta":"#), "has the key \"okta\" twice"),
        (sample().to_string().replace(r#""ip":"#, r#""ip":{"a":1,"a":2},"ip":"#), "has the key \"a\" twice"),
        (sample().to_string().replace(r#""id":"edr"#, r#""id":"x","id":"edr"#), "duplicate field `id`"),
    ];
    for (body, expected) in table {
        let problems = problems(&body);
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected:?} is not in {problems:?}");
    }
}

#[test]
fn all_problems_are_told_at_once_and_in_bounds() {
    let mut body = sample();
    body["kind"] = json!("?");
    body["subjects"] = json!(vec![json!({"ids": {"okta": ""}, "username": " "}); 30]);
    let error = decode(body.to_string().as_bytes()).expect_err("all of it is wrong");
    assert_eq!((error.problems.len(), error.omitted), (20, 41));
    assert_eq!(error.problems[0].path, "kind");

    let long = with("/severity", json!("x".repeat(100_000)));
    assert!(problems(&long)[0].chars().count() < 300);
}

#[test]
fn depth_is_bounded() {
    let deep = sample().to_string().replace("\"203.0.113.9\"", &format!("{}{}", "[".repeat(500), "]".repeat(500)));
    assert!(problems(&deep)[0].contains("recursion limit exceeded"));
}

#[test]
fn an_alert_may_weaken_itself_and_nothing_else() {
    let dry_run = |value: Value| decode(with("/dry_run", value).as_bytes()).map(|alert| alert.dry_run);
    assert_eq!(dry_run(json!(true)), Ok(true));
    assert_eq!(dry_run(json!(false)), Ok(false));
    assert_eq!(dry_run(Value::Null), Ok(false));
}

#[test]
fn the_recorded_samples_decode_or_not_as_their_names_say_and_the_schema_agrees() {
    let schema = jsonschema::validator_for(schema().as_value()).expect("the schema is one");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sever");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the samples are there") {
        let path = entry.expect("readable").path();
        let body = std::fs::read(&path).expect("readable");
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let instance: Value = serde_json::from_slice(&body).expect("the samples are JSON");
        assert_eq!(decode(&body).is_ok(), name.starts_with("good_"), "{name}: {:?}", decode(&body));
        // `bad_meaning_*` have the right shape: only the decoder knows that `..` is a path.
        let fits = !name.starts_with("bad_shape_");
        assert_eq!(schema.is_valid(&instance), fits, "{name}: {:?}", schema.validate(&instance).err());
        seen += 1;
    }
    assert!(seen >= 15, "only {seen} samples");
}
