//! The `admin` key: what is refused, with its path, and that no token is in the words.

use serde_json::{Value, json};
use sever::admin::{AdminSettings, Tokens};

use super::{OPERATOR, VIEWER};

fn problems(tokens: Value) -> Vec<(String, String)> {
    let settings: AdminSettings = serde_json::from_value(json!({"tokens": tokens})).expect("settings");
    let problems = Tokens::new(&settings).expect_err("these tokens cannot work");
    for (path, message) in &problems {
        assert!(!message.contains(OPERATOR) && !message.contains("short-one"), "{path}: {message}");
    }
    problems
}

fn paths(tokens: Value) -> Vec<String> {
    problems(tokens).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn every_problem_is_told_at_once() {
    let token = |name: &str, secret: &str| json!({"name": name, "role": "viewer", "secret": {"value": secret}});
    assert_eq!(paths(json!([])), ["admin.tokens"]);
    assert_eq!(paths(json!([token("a", OPERATOR), token("a", VIEWER)])), ["admin.tokens[1].name"]);
    assert_eq!(paths(json!([token("a", OPERATOR), token("b", OPERATOR)])), ["admin.tokens"]);
    assert_eq!(
        paths(json!([token("", "short-one"), token("a b", "with a blank in the midst"), token("c", "")])),
        [
            "admin.tokens[0].name",
            "admin.tokens[0].secret",
            "admin.tokens[1].name",
            "admin.tokens[1].secret",
            "admin.tokens[2].secret"
        ]
    );
    let unset = json!({"name": "a", "role": "viewer", "secret": {"env": "SEVER_TEST_NEVER_SET"}});
    assert!(problems(json!([unset]))[0].1.contains("SEVER_TEST_NEVER_SET"));
}

#[test]
fn tokens_do_not_print() {
    let settings: AdminSettings =
        serde_json::from_value(json!({"tokens": [{"name": "a", "role": "viewer", "secret": {"value": OPERATOR}}]}))
            .expect("settings");
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8081");
    assert!(!format!("{settings:?}").contains(OPERATOR));
    assert_eq!(format!("{:?}", Tokens::new(&settings).expect("tokens")), r#"{"a": Viewer}"#);
}

#[test]
fn unknown_keys_and_hosts_that_are_no_names_are_refused() {
    let read = |value: Value| serde_json::from_value::<AdminSettings>(value);
    assert!(read(json!({"tokens": [], "token": 1})).is_err());
    assert!(read(json!({"tokens": [{"name": "a", "role": "root", "secret": {"value": OPERATOR}}]})).is_err());
    for host in ["sever.acme.com", "sever.acme.com:8443", "[2001:db8::1]:8081", "10.0.0.7"] {
        assert!(read(json!({"tokens": [], "hosts": [host]})).is_ok(), "{host} was refused");
    }
    for host in [
        "",
        "*",
        "*.acme.com",
        "https://sever.acme.com",
        "sever.acme.com/x",
        "a@b",
        "acme.com:99999",
        "a b",
        "acme.com:",
    ] {
        assert!(read(json!({"tokens": [], "hosts": [host]})).is_err(), "{host} was taken");
    }
}
