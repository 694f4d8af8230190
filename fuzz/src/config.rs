//! A config file of any content: it is one, or every problem is told with its place.

use sever::config::{Config, Document};

/// Columns and lines beyond the text would lead nowhere.
fn assert_inside(text: &[u8], place: (u32, u32)) {
    let lines = text.split(|byte| *byte == b'\n').count();
    assert!(place.0 as usize <= lines.max(1) + 1 && place.1 as usize <= text.len() + 1, "{place:?} of {lines} lines");
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
    let json = document.value().to_string();
    match Document::parse(&json, "sever.json") {
        Ok(again) => assert_eq!(again.value().to_string(), json),
        Err(problems) => panic!("{problems}\n{json}"),
    }
    if let Err(problems) = document.decode::<Config>() {
        assert!(problems.has_errors() && !problems.to_string().is_empty());
    }
}
