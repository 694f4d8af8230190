//! Formats: presets with recorded payloads and their traps, custom mappings, envelopes, batches, and hostile bodies.

mod batches;
mod documented;
mod envelopes;
mod hostile;
mod mappings;
mod presets;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use sever::decode::{AlertFormat, DecodeError, Decoder, Element, Fate, MappingSettings};
use sever::domain::Alert;

/// When the deliveries of these tests are received.
const RECEIVED: &str = "2026-09-21T14:20:00Z";

fn decoder(format: &str) -> Decoder {
    let format: AlertFormat = format.parse().expect("a format");
    Decoder::new(Some(format), None).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn mapped(mapping: &MappingSettings) -> Decoder {
    Decoder::new(None, Some(mapping)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A mapping that takes `{"id", "severity", "time", "user"}`, with some of its fields replaced.
fn mapping(changes: &[(&str, &str)]) -> MappingSettings {
    let mut fields = serde_json::json!({
        "id": "payload.id", "kind": "'suspicious'", "severity": "payload.severity", "occurred_at": "time(payload.time)",
        "subjects": "[{'email': payload.user}]",
    });
    for (field, expression) in changes {
        fields[field] = Value::from(*expression);
    }
    serde_json::from_value(fields).expect("a mapping")
}

/// The same of each element of `payload.results`.
fn batch_mapping(changes: &[(&str, &str)]) -> MappingSettings {
    let mut all = vec![
        ("each", "payload.results"),
        ("id", "item.id"),
        ("severity", "item.severity"),
        ("occurred_at", "time(item.time)"),
        ("subjects", "[{'email': item.user}]"),
    ];
    all.extend(changes);
    mapping(&all)
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        let name: HeaderName = sever::decode::header_name(name).expect("a header name");
        (name, value.parse::<HeaderValue>().expect("a header value"))
    };
    list.iter().map(pair).collect()
}

fn explain(decoder: &Decoder, body: &str, list: &[(&str, &str)]) -> Result<Vec<Element>, DecodeError> {
    decoder.explain(body.as_bytes(), &headers(list), RECEIVED.parse().expect("a time"))
}

/// The alerts; everything else has to be skipped.
fn alerts(decoder: &Decoder, body: &str) -> Vec<Alert> {
    let elements = explain(decoder, body, &[]).unwrap_or_else(|error| panic!("{error}"));
    elements.into_iter().filter_map(|element| alert(element.fate)).collect()
}

fn alert(fate: Fate) -> Option<Alert> {
    match fate {
        Fate::Alert(alert) => Some(*alert),
        Fate::Skipped => None,
        Fate::Bad(error) => panic!("{error}"),
    }
}

/// What is wrong with the only thing that there is.
fn problem(decoder: &Decoder, body: &str) -> String {
    match explain(decoder, body, &[]) {
        Err(error) => error.to_string(),
        Ok(elements) => match elements.as_slice() {
            [Element { fate: Fate::Bad(error), .. }] => error.to_string(),
            other => panic!("{other:?} has nothing wrong"),
        },
    }
}

fn sample(folder: &str, name: &str) -> Value {
    serde_json::from_str(&sample_text(folder, name)).expect("the sample is JSON")
}

fn sample_text(folder: &str, name: &str) -> String {
    let path = format!("{}/tests/fixtures/{folder}/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
