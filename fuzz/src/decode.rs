//! Authentic bytes of a sender that is broken or bought: they end as alerts whose names are someone's, or as problems of
//! bounded length.
//!
//! The first byte chooses the format, the second the envelope; in binary mode the rest begins with headers.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, header};
use sever::decode::{AlertFormat, Decoder, Element, Fate};
use sever::domain::{Alert, check_identifier};

use super::request;

/// Messages go to logs and rows: 20 problems, each with a path and a text of 240 characters, and some words.
pub(super) const LONGEST_PROBLEM_CHARS: usize = 20 * 600;

/// Events in a batch, times elements in each.
const MOST_ELEMENTS: usize = 100_000_000;

static DECODERS: LazyLock<Vec<Decoder>> = LazyLock::new(|| {
    AlertFormat::ALL.iter().map(|format| Decoder::new(Some(*format), None).expect("a preset")).collect()
});

/// See the module.
pub fn run(input: &[u8]) {
    let [format, mode, rest @ ..] = input else { return };
    let format = usize::from(*format) % DECODERS.len();
    let (headers, body) = enveloped(*mode, rest);
    let found = DECODERS[format].explain(body, &headers, request::now());
    check(&found);
    for alert in alerts(&found) {
        assert_someone(alert);
        assert_read_again(alert);
    }
}

fn enveloped(mode: u8, rest: &[u8]) -> (HeaderMap, &[u8]) {
    let kind = |text| HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(text))]);
    match mode % 4 {
        0 => (HeaderMap::new(), rest),
        1 => (kind("application/cloudevents+json"), rest),
        2 => (kind("application/cloudevents-batch+json; charset=utf-8"), rest),
        _ => {
            let (head, body) = request::split(rest, b"\n\n");
            (request::headers(head), body)
        }
    }
}

/// Whatever came of it is bounded.
pub(super) fn check(found: &Result<Vec<Element>, sever::decode::DecodeError>) {
    let short = |problem: String| assert!(problem.chars().count() < LONGEST_PROBLEM_CHARS, "{problem}");
    match found {
        Err(error) => short(error.to_string()),
        Ok(elements) => {
            assert!(elements.len() < MOST_ELEMENTS);
            for element in elements {
                if let Fate::Bad(error) = &element.fate {
                    short(error.to_string());
                }
            }
        }
    }
}

/// The alerts among the elements.
pub(super) fn alerts(found: &Result<Vec<Element>, sever::decode::DecodeError>) -> impl Iterator<Item = &Alert> {
    found.iter().flatten().filter_map(|element| match &element.fate {
        Fate::Alert(alert) => Some(&**alert),
        Fate::Skipped | Fate::Bad(_) => None,
    })
}

/// Every subject has a name, and every name may be asked for at a provider.
pub(super) fn assert_someone(alert: &Alert) {
    assert!((1..=256).contains(&alert.id.chars().count()), "{alert:?}");
    assert!(!alert.subjects.is_empty(), "an alert about nobody: {alert:?}");
    for subject in &alert.subjects {
        assert!(subject.identifiers().next().is_some(), "a subject without a name: {alert:?}");
        for (place, name) in subject.identifiers() {
            assert!(check_identifier(name).is_ok(), "{place} is {name:?}");
        }
    }
}

/// What was read is a sever alert itself: written as one, it is read as the same.
fn assert_read_again(alert: &Alert) {
    let text = serde_json::to_vec(alert).expect("JSON");
    let found = DECODERS[0].explain(&text, &HeaderMap::new(), request::now());
    let again = alerts(&found).next().unwrap_or_else(|| panic!("{found:?} of {alert:?}"));
    // JSON does not promise the last digit of a fraction, so numbers in the attributes are not compared.
    let named = |alert: &Alert| Alert { attributes: serde_json::Map::new(), ..alert.clone() };
    assert_eq!(named(again), named(alert));
    assert!(again.attributes.keys().eq(alert.attributes.keys()));
}
