//! A config file of any content: it is one, or every problem is told with its place.

use serde_json::Value;
use sever::config::{Config, Document};

/// A key in one line of YAML has at most 1024 characters (YAML 1.2, section 7.4.2), and in JSON every key is one.
const LONGEST_KEY_CHARS: usize = 1000;

/// Columns and lines beyond the text would lead nowhere.
fn assert_inside(text: &[u8], place: (u32, u32)) {
    let lines = text.split(|byte| *byte == b'\n').count();
    assert!(place.0 as usize <= lines.max(1) + 1 && place.1 as usize <= text.len() + 1, "{place:?} of {lines} lines");
}

fn longest_key(value: &Value) -> usize {
    match value {
        Value::Object(entries) => {
            let longer =
                |(key, value): (&String, &Value)| Value::from(key.as_str()).to_string().len().max(longest_key(value));
            entries.iter().map(longer).max().unwrap_or(0)
        }
        Value::Array(list) => list.iter().map(longest_key).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Whether a character may stand in YAML as it is (YAML 1.2, section 5.1). In JSON more may.
fn is_printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// See the module.
pub fn run(input: &[u8]) {
    let document = match Document::parse(input, "sever.yaml") {
        Ok(document) => document,
        Err(problems) => {
            assert!(problems.has_errors() && problems.to_string().contains("sever.yaml"), "{problems}");
            return;
        }
    };
    for path in ["", "listen", "sources.edr.verify.secrets[0]", "rules[3].when", "x.y[18446744073709551615]"] {
        if let Some(place) = document.locate(path) {
            assert_inside(input, place);
        }
    }
    // JSON is YAML, and means the same.
    let value = document.value();
    let json = value.to_string();
    match Document::parse(&json, "sever.json") {
        Ok(again) => assert_eq!(again.value().to_string(), json),
        Err(_) if longest_key(&value) > LONGEST_KEY_CHARS || !json.chars().all(is_printable) => {}
        Err(problems) => panic!("{problems}\n{json}"),
    }
    if let Err(problems) = document.decode::<Config>() {
        assert!(problems.has_errors() && !problems.to_string().is_empty());
    }
}
