//! Mappings of one's own: what is refused at load, what is kept when it comes, and what the helpers do.

use serde_json::{Value, json};
use sever::decode::{Decoder, Fate};
use sever::domain::Severity;

use super::{alerts, batch_mapping, explain, mapped, mapping, problem};

fn body(changes: &[(&str, Value)]) -> String {
    let mut body = json!({"id": "x-1", "severity": "high", "time": "2026-09-21T14:13:20Z", "user": "ana@example.com"});
    for (key, value) in changes {
        body[*key] = value.clone();
    }
    body.to_string()
}

#[test]
fn slips_are_refused_at_load_with_field_and_column() {
    let table = [
        ("id", "payload.id +", "alert.id", "column 13: Syntax error"),
        ("severity", "hihg", "alert.severity", "column 1: unknown variable \"hihg\"; did you mean \"high\"?"),
        ("severity", "paylod.severity", "alert.severity", "did you mean \"payload\"?"),
        ("kind", "suspicious", "alert.kind", "column 1: unknown variable \"suspicious\""),
        ("id", "item.id", "alert.id", "unknown variable \"item\": it is an element of `each`"),
        ("occurred_at", "tiem(payload.time)", "alert.occurred_at", "unknown function \"tiem\"; did you mean \"time\"?"),
        ("occurred_at", "time(payload.time, 1)", "alert.occurred_at", "time takes 1 argument(s)"),
        ("reason", "key(payload)", "alert.reason", "key takes 2 or 3 argument(s)"),
        ("occurred_at", "payload.time.parse()", "alert.occurred_at", "unknown method \"parse\""),
        ("id", "7", "alert.id", "gives a number, but id needs a string"),
        ("subjects", "{'email': payload.user}", "alert.subjects", "gives a map, but subjects needs a list"),
        ("skip_when", "'yes'", "alert.skip_when", "gives a string, but skip_when needs true or false"),
        ("each", "'x'", "alert.each", "gives a string, but each needs a list"),
        ("dry_run", "1", "alert.dry_run", "gives a number, but dry_run needs true or false or null"),
        ("severity", "time(payload.time)", "alert.severity", "gives a timestamp, but severity needs a string"),
        ("kind", "payload.matches('(')", "alert.kind", "not a valid regex"),
        ("subjects", "payload.a.map(a, payload.b.map(b, a))", "alert.subjects", "may not be nested; map(x, condition"),
        ("subjects", "payload.a.map(payload, 1)", "alert.subjects", "would hide another"),
    ];
    for (field, expression, path, expected) in table {
        let mapping = mapping(&[(field, expression)]);
        let problems = Decoder::new(None, Some(&mapping)).expect_err(expression);
        let found = problems.iter().any(|(at, message)| at == path && message.contains(expected));
        assert!(found, "{field}: {expression}: {expected:?} is not in {problems:?}");
    }
    let both = mapping(&[("id", "a"), ("kind", "b"), ("subjects", "c")]);
    assert_eq!(Decoder::new(None, Some(&both)).expect_err("three slips").len(), 3, "all at once");
}

#[test]
fn what_fails_is_kept_under_the_fields_name_and_is_never_no_match() {
    let table = [
        ("skip_when", "payload.absent == 'x'", "skip_when: No such key: absent"),
        ("id", "payload.absent", "id: No such key: absent"),
        ("id", "payload.number", "id gives a number, and needs a string; write string(...) around it"),
        ("id", "payload.empty", "id is not an id"),
        ("kind", "payload.user", "kind is not a word"),
        ("severity", "payload.number", "severity gives a number, and needs a string"),
        ("severity", "payload.user", "severity: unknown variant `ana@example.com`"),
        ("occurred_at", "payload.number_of_text", "occurred_at: No such key"),
        ("occurred_at", "payload.user", "occurred_at is not a time"),
        ("occurred_at", "time(payload.user)", "is no time with an offset"),
        ("subjects", "[]", "subjects has 0 entries"),
        ("subjects", "payload.user", "subjects gives a string, and needs a list"),
        ("subjects", "[{'email': ''}]", "subjects[0].email is empty"),
        ("subjects", "[{'email': 'ana'}]", "subjects[0].email is not an e-mail address"),
        ("subjects", "[{'username': payload.number}]", "subjects[0].username is a number; write it as a string"),
        ("subjects", "[{'username': 'me'}]", "subjects[0].username would be read as something other"),
        ("subjects", "[{'mail': payload.user}]", "subjects[0].mail: unknown field `mail`"),
        ("subjects", "[payload.user]", "subjects[0]"),
        ("subjects", "[{}]", "subjects[0] names nobody"),
        ("attributes", "payload.user", "attributes gives a string, and needs a map"),
        ("attributes", "{1: 2}", "attributes gives a map with a key that is not a string"),
        ("dry_run", "payload.user", "dry_run gives a string, and needs true or false or null"),
        ("reason", "payload.number", "reason gives a number, and needs a string or null"),
        ("id", "parse_json(payload.user)", "is given no JSON"),
        ("id", "key(payload, 'a.b')", "finds no \"a.b\""),
        ("id", "key(payload.user, 'a.b')", "takes a map first"),
        ("id", "split(payload.user, '')[0]", "takes two strings, and the second is not empty"),
        ("id", "split(payload.user, '@')[9]", "out of bounds"),
        ("id", "string(1 / (payload.number - 7))", "Division by zero"),
    ];
    let body = body(&[("number", json!(7)), ("empty", json!(""))]);
    for (field, expression, expected) in table {
        let problem = problem(&mapped(&mapping(&[(field, expression)])), &body);
        assert!(problem.contains(expected), "{field}: {expression}: {expected:?} is not in {problem:?}");
    }
    let problem = problem(&mapped(&mapping(&[("id", "payload.a"), ("kind", "payload.b")])), &body);
    assert_eq!(problem, "id: No such key: a; kind: No such key: b", "all at once");
}

#[test]
fn helpers_read_what_products_write() {
    let body = body(&[
        ("inner", json!(r#"{"user": {"name": "ana"}, "n": 9007199254740993}"#)),
        ("dotted", json!({"a.b": 1, "a": {"b": 2, "c.d": 3}, "x": {"y": {"z": 4}}})),
        ("ms", json!(1_790_000_000_123_i64)),
        ("seconds", json!(1_790_000_000.25)),
    ]);
    let table = [
        ("string(parse_json(payload.inner).n)", "9007199254740993"),
        ("parse_json(payload.inner).user.name", "ana"),
        ("string(key(payload.dotted, 'a.b'))", "1"),
        ("string(key(payload.dotted, 'a.c.d'))", "3"),
        ("string(key(payload.dotted, 'x.y.z'))", "4"),
        ("key(payload.dotted, 'x.y.q', 'none')", "none"),
        ("split(payload.user, '@')[1]", "example.com"),
        ("time(payload.ms) == timestamp('2026-09-21T14:13:20.123Z') ? 'yes' : 'no'", "yes"),
        ("time(payload.seconds) == timestamp('2026-09-21T14:13:20.25Z') ? 'yes' : 'no'", "yes"),
        ("headers['x-tenant']", "acme"),
        ("received_at == timestamp('2026-09-21T14:20:00Z') ? 'yes' : 'no'", "yes"),
        ("size(event) == 0 ? 'none' : event.id", "none"),
        ("payload.severity == high ? high : low", "high"),
    ];
    for (expression, expected) in table {
        let elements = explain(&mapped(&mapping(&[("id", expression)])), &body, &[("X-Tenant", "acme")]);
        match &elements.expect("it is read")[0].fate {
            Fate::Alert(alert) => assert_eq!(alert.id, expected, "{expression}"),
            other => panic!("{expression}: {other:?}"),
        }
    }
}

#[test]
fn optional_fields_are_there_or_not() {
    let full = mapping(&[
        ("reason", "payload.?why.orValue(null)"),
        ("attributes", "{'ip': '203.0.113.9', ?'tag': payload.?tag, 'all': payload}"),
        ("dry_run", "payload.?test.orValue(false)"),
        (
            "subjects",
            "[{'email': payload.user, 'ids': {'okta': '00u1'}, 'sessions': {'okta': ['s1']}, 'username': null}]",
        ),
    ]);
    let found = &alerts(&mapped(&full), &body(&[]))[0];
    assert_eq!((found.reason.as_deref(), found.dry_run, found.severity), (None, false, Severity::High));
    assert_eq!(found.attributes["ip"], "203.0.113.9");
    assert_eq!(found.attributes["all"]["user"], "ana@example.com");
    assert!(!found.attributes.contains_key("tag"));
    assert_eq!(found.subjects[0].sessions.len(), 1);
    let found =
        &alerts(&mapped(&full), &body(&[("why", json!("because")), ("test", json!(true)), ("tag", json!(1))]))[0];
    assert_eq!((found.reason.as_deref(), found.dry_run), (Some("because"), true));
    assert_eq!(found.attributes["tag"], 1);
}

#[test]
fn each_element_stands_for_itself() {
    let decoder = mapped(&batch_mapping(&[("skip_when", "item.?state.orValue('') == 'closed'")]));
    let good = |id: &str| json!({"id": id, "severity": "high", "time": 1_790_000_000, "user": "ana@example.com"});
    let mut closed = good("b");
    closed["state"] = json!("closed");
    let mut bad = good("c");
    bad["severity"] = json!("P1");
    let body = json!({"results": [good("a"), closed, bad, "text", good("e")]}).to_string();
    let elements = explain(&decoder, &body, &[]).expect("a batch");
    let words: Vec<String> = elements
        .iter()
        .map(|element| match &element.fate {
            Fate::Alert(alert) => format!("{:?} {}", element.position, alert.id),
            Fate::Skipped => format!("{:?} skipped", element.position),
            Fate::Bad(error) => format!("{:?} {}", element.position, error.problems[0].path),
        })
        .collect();
    assert_eq!(words, ["Some(0) a", "Some(1) skipped", "Some(2) severity", "Some(3) id", "Some(4) e"]);
    assert_eq!(alerts(&decoder, r#"{"results": []}"#), []);
    for (body, expected) in [
        (r#"{"results": null}"#, "each gives null, and needs a list"),
        (r#"{"results": {"a": 1}}"#, "each gives a map, and needs a list"),
        ("{}", "each: No such key: results"),
        ("[]", "each"),
        ("not json", ".: expected"),
        (r#"{"results": [], "results": []}"#, "has the key \"results\" twice"),
        ("{} {}", "trailing characters"),
        ("", ".: EOF"),
    ] {
        let problem = problem(&decoder, body);
        assert!(problem.contains(expected), "{body}: {problem}");
    }
}

#[test]
fn what_each_field_gave_is_told_with_its_expression() {
    let decoder = mapped(&mapping(&[("id", "payload.absent"), ("reason", "payload.severity + '!'")]));
    let elements = explain(&decoder, &body(&[]), &[]).expect("it is read");
    let fields = &elements[0].fields;
    let find = |name: &str| fields.iter().find(|field| field.field == name).expect("the field");
    assert_eq!(find("reason").came, Ok("\"high!\"".to_owned()));
    assert_eq!(find("reason").expression, "payload.severity + '!'");
    assert_eq!(find("id").came, Err("No such key: absent".to_owned()));
    assert_eq!(fields.len(), 6);
}
