//! Bodies made to hurt: deep, huge, long and many. What is asserted is that they end, in bounds, as alerts or problems.

use proptest::prelude::*;
use serde_json::{Value, json};
use sever::decode::{AlertFormat, Decoder, Fate};

use super::{batch_mapping, decoder, explain, mapped, mapping, problem};

/// Messages that go to logs and rows.
const LONGEST_PROBLEM_CHARS: usize = 20 * 600;

fn bounded(decoder: &Decoder, body: &str) {
    let problems: Vec<String> = match explain(decoder, body, &[]) {
        Err(error) => vec![error.to_string()],
        Ok(elements) => elements
            .into_iter()
            .filter_map(|element| match element.fate {
                Fate::Bad(error) => Some(error.to_string()),
                Fate::Alert(_) | Fate::Skipped => None,
            })
            .collect(),
    };
    assert!(problems.iter().all(|problem| problem.chars().count() < LONGEST_PROBLEM_CHARS));
}

#[test]
fn depth_size_and_length_are_bounded() {
    let decoder = mapped(&mapping(&[]));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(problem(&decoder, &deep).contains("recursion limit"));
    let inner = json!({"id": deep}).to_string();
    assert!(problem(&mapped(&mapping(&[("id", "parse_json(payload.id)")])), &inner).contains("recursion limit"));
    let large = json!({"id": "x".repeat(1 << 20)}).to_string();
    assert!(problem(&decoder, &large).contains("larger than 1 MiB"));
    let long = json!({"id": "x".repeat((1 << 20) - 100), "severity": "y".repeat(50)}).to_string();
    let found = problem(&decoder, &long);
    assert!(found.chars().count() < LONGEST_PROBLEM_CHARS, "{} characters", found.chars().count());
    let numbers =
        r#"{"id": 123456789012345678901234567890, "severity": 1e300, "time": -1e-300, "user": 18446744073709551616}"#;
    assert!(problem(&decoder, numbers).contains("id gives a number"));
    assert!(problem(&mapped(&mapping(&[("id", "string(payload.id)")])), numbers).contains("inexact_number"));
    assert!(problem(&decoder, r#"{"id": 1e400}"#).contains("number out of range"));
}

#[test]
fn two_ids_that_a_double_cannot_tell_apart_stay_two() {
    let decoder = mapped(&mapping(&[("id", "string(payload.id)")]));
    for id in ["9007199254740993", "-9007199254740993", "18446744073709551615"] {
        let body = format!(r#"{{"id": {id}, "severity": "high", "time": 1, "user": "a@b"}}"#);
        assert_eq!(super::alerts(&decoder, &body)[0].id, id);
    }
}

#[test]
fn ten_thousand_elements_are_taken_and_no_more() {
    let element = |id: usize| json!({"id": id.to_string(), "severity": "high", "time": 1_790_000_000, "user": "a@b"});
    let body = |count: usize| json!({"results": (0..count).map(element).collect::<Vec<_>>()}).to_string();
    let decoder = mapped(&batch_mapping(&[]));
    assert_eq!(super::alerts(&decoder, &body(10_000)).len(), 10_000);
    assert!(problem(&decoder, &body(10_001)).contains("more than 10000 elements"));
    let nested = json!({"results": [{"id": "1", "list": vec![0; 10_001]}]}).to_string();
    assert!(problem(&decoder, &nested).contains("a list in payload.results has more than 10000 elements"));
}

#[test]
fn work_is_bounded_however_the_body_is_made() {
    let many = json!({"results": vec![json!({"id": "1"}); 9_000], "all": vec![0; 9_000]}).to_string();
    let text = json!({"results": vec![json!({"id": "1"}); 9_000], "all": "x".repeat(500_000)}).to_string();
    let parsed =
        json!({"results": vec![json!({"id": "1"}); 900], "all": format!("[{}1]", "[1],".repeat(9_000))}).to_string();
    for (field, expression, body) in [
        ("id", "payload.all.exists(x, x == 1) ? 'a' : 'b'", &many),
        ("id", "1 in payload.all ? 'a' : 'b'", &many),
        ("id", "payload.results.map(x, x.id)[0]", &many),
        ("id", "payload.all.contains('y') ? 'a' : 'b'", &text),
        ("id", "payload.all + payload.all", &text),
        ("id", "split(payload.all, 'x')[0]", &text),
        ("id", "parse_json(payload.all)[0][0]", &parsed),
        ("skip_when", "payload == item", &many),
    ] {
        let error = explain(&mapped(&batch_mapping(&[(field, expression)])), body, &[]).expect_err(expression);
        assert!(error.to_string().contains("would take too long over so large a body"), "{expression}: {error}");
    }
    // What is small is read as often as one likes.
    let name = json!({"results": vec![json!({"id": "1"}); 9_000], "tenant": "acme", "all": vec![0; 9_000]}).to_string();
    assert!(explain(&mapped(&batch_mapping(&[("id", "payload.tenant + item.id")])), &name, &[]).is_ok());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop_oneof![Just("payload"), Just("<NA>"), Just("User"), Just("a@b"), Just("high")].prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        let key = prop_oneof![Just("alerts".to_owned()), Just("user.name".to_owned()), ".{0,8}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map(key, inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Puts `value` somewhere into a recorded payload.
fn spoiled(mut body: Value, place: usize, value: Value) -> Value {
    fn places(value: &Value, path: &str, all: &mut Vec<String>) {
        all.push(path.to_owned());
        match value {
            Value::Object(map) => map.iter().for_each(|(key, inner)| {
                places(inner, &format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), all);
            }),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(at, inner)| places(inner, &format!("{path}/{at}"), all));
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    places(&body, "", &mut all);
    *body.pointer_mut(&all[place % all.len()]).expect("a place") = value;
    body
}

fn samples() -> Vec<(AlertFormat, Value)> {
    let of = |format: &AlertFormat| {
        let folder = format!("{}/tests/fixtures/{}", env!("CARGO_MANIFEST_DIR"), format.as_str());
        let read = |entry: std::io::Result<std::fs::DirEntry>| {
            let text = std::fs::read_to_string(entry.expect("a file").path()).expect("a text");
            (*format, serde_json::from_str(&text).expect("JSON"))
        };
        std::fs::read_dir(folder).expect("samples").map(read).collect::<Vec<_>>()
    };
    AlertFormat::ALL.iter().flat_map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_json_ends_as_alerts_or_problems(value in any_json(), which in 0..AlertFormat::ALL.len()) {
        bounded(&decoder(AlertFormat::ALL[which].as_str()), &value.to_string());
    }

    #[test]
    fn a_spoiled_payload_ends_as_alerts_or_problems(value in any_json(), which in any::<prop::sample::Index>(), place in any::<usize>()) {
        let samples = samples();
        let (format, body) = which.get(&samples).clone();
        bounded(&decoder(format.as_str()), &spoiled(body, place, value).to_string());
    }

    #[test]
    fn any_bytes_end_as_alerts_or_problems(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let found = decoder("grafana").explain(&bytes, &http::HeaderMap::new(), super::RECEIVED.parse().expect("a time"));
        prop_assert!(found.is_err() || !bytes.is_empty());
    }
}
