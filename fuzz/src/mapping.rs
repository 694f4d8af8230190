//! A mapping's expression and a payload, neither of which means well: what cannot be known to end in time is refused, the
//! rest ends within bounds.
//!
//! The first line names the field that the second line is the expression of; `each` makes it one of a batch. The rest is
//! the payload.

use http::HeaderMap;
use serde_json::{Value, json};
use sever::decode::{Decoder, Element, Fate, MappingSettings};
use sever::expression::Size;

use super::decode::{alerts, assert_someone, check};
use super::request;

/// Ten problems of an expression, each a line.
const LONGEST_MESSAGE_CHARS: usize = 4096 * 4;

/// The most that an expression may give: 4 MiB, as the mapping counts it.
const LARGEST_RESULT: usize = 4 << 20;

/// See the module.
pub fn run(input: &[u8]) {
    let (field, rest) = request::split(input, b"\n");
    let (expression, payload) = request::split(rest, b"\n");
    let (Ok(field), Ok(expression)) = (std::str::from_utf8(field), std::str::from_utf8(expression)) else { return };
    let decoder = match Decoder::new(None, Some(&mapping(field, expression))) {
        Ok(decoder) => decoder,
        Err(problems) => {
            let bounded = |(path, message): &(String, String)| path.len() + message.len() < LONGEST_MESSAGE_CHARS;
            assert!(!problems.is_empty() && problems.iter().all(bounded), "{problems:?}");
            return;
        }
    };
    let found = decoder.explain(payload, &HeaderMap::new(), request::now());
    check(&found);
    for alert in alerts(&found) {
        assert_someone(alert);
        assert!(Size::of_object(&alert.attributes).total <= LARGEST_RESULT, "an expression gives more than it may");
    }
    let again = decoder.explain(payload, &HeaderMap::new(), request::now());
    assert_eq!(fates(&found), fates(&again), "the same body means the same");
}

fn fates(
    found: &Result<Vec<Element>, sever::decode::DecodeError>,
) -> Result<Vec<(Option<usize>, &'static str)>, String> {
    let word = |fate: &Fate| match fate {
        Fate::Alert(_) => "alert",
        Fate::Skipped => "skipped",
        Fate::Bad(_) => "bad",
    };
    match found {
        Ok(elements) => Ok(elements.iter().map(|element| (element.position, word(&element.fate))).collect()),
        Err(error) => Err(error.to_string()),
    }
}

/// Its other fields give what always fits.
fn mapping(field: &str, expression: &str) -> MappingSettings {
    let mut fields = json!({
        "id": "'1'", "kind": "'k'", "severity": "high", "occurred_at": "received_at", "subjects": "[{'email': 'a@b.c'}]",
    });
    let known = ["id", "severity", "occurred_at", "subjects", "reason", "skip_when", "dry_run", "each", "kind"];
    let field = if known.contains(&field) { field } else { "attributes" };
    if field == "attributes" {
        fields["each"] = Value::from("type(payload) == list ? payload : [payload]");
    }
    fields[field] = Value::from(expression);
    serde_json::from_value(fields).expect("a mapping")
}
