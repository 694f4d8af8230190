//! CloudEvents 1.0 around an alert: structured, binary and batch.
//!
//! Sources: CloudEvents 1.0.2, its JSON event format, and its HTTP and AMQP protocol bindings. In binary mode the
//! attributes are headers, which most signatures do not cover; only `event` is made of them.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, header};
use percent_encoding::percent_decode;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::error::DecodeError;
use super::strict::UniqueValue;
use super::time::rfc3339;
use crate::expression::LONGEST_LIST;

/// The prefix that an attribute has as a header: over HTTP, and over AMQP.
const PREFIXES: [&str; 2] = ["ce-", "cloudevents_"];

/// The second spelling of the prefix over AMQP, which no HTTP header can have.
const COLON_PREFIX: &str = "cloudevents:";

/// The name by which an AMQP header is known here, in lower case; `None` for one that has no counterpart.
#[must_use]
pub fn header_name(amqp: &str) -> Option<HeaderName> {
    let name = amqp.to_ascii_lowercase();
    let name = name.strip_prefix(COLON_PREFIX).map_or(name.clone(), |attribute| format!("{}{attribute}", PREFIXES[1]));
    name.parse().ok()
}

/// What a body holds.
pub(super) enum Contents<'a> {
    /// The alert format itself, perhaps with the attributes of an event.
    Single(Event<'a>),
    /// Events, each of which may be a bad one.
    Batch(Vec<Result<Event<'a>, DecodeError>>),
}

/// An event, or what stands for one.
pub(super) struct Event<'a> {
    /// Its attributes; empty where there is no envelope.
    pub(super) attributes: Map<String, Value>,
    /// What the alert format is applied to.
    pub(super) data: Cow<'a, [u8]>,
}

/// Opens the envelope, if there is one.
pub(super) fn open<'a>(body: &'a [u8], headers: &HeaderMap) -> Result<Contents<'a>, DecodeError> {
    match mode(headers) {
        Mode::Structured => structured(body).map(Contents::Single),
        Mode::Batch => batch(body).map(Contents::Batch),
        Mode::Binary => binary(body, headers).map(Contents::Single),
        Mode::None => Ok(Contents::Single(Event { attributes: Map::new(), data: Cow::Borrowed(body) })),
    }
}

enum Mode {
    Structured,
    Batch,
    Binary,
    None,
}

/// HTTP protocol binding, section 3: the content type tells.
fn mode(headers: &HeaderMap) -> Mode {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence.starts_with("application/cloudevents-batch") {
        Mode::Batch
    } else if essence.starts_with("application/cloudevents") {
        Mode::Structured
    } else if headers.keys().any(|name| attribute_name(name.as_str()) == Some("specversion")) {
        Mode::Binary
    } else {
        Mode::None
    }
}

fn attribute_name(header: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| header.strip_prefix(prefix))
}

fn binary<'a>(body: &'a [u8], headers: &HeaderMap) -> Result<Event<'a>, DecodeError> {
    let mut attributes = Map::new();
    for (header, value) in headers {
        let Some(name) = attribute_name(header.as_str()) else { continue };
        let text = value.to_str().map_err(|_| DecodeError::of(header, "is not printable ASCII"))?;
        let text = if header.as_str().starts_with("ce-") { decoded(header.as_str(), text)? } else { text.to_owned() };
        if attributes.insert(name.to_owned(), Value::String(text)).is_some() {
            return Err(DecodeError::of(header, "is given twice"));
        }
    }
    check_attributes(&attributes, "ce-")?;
    Ok(Event { attributes, data: Cow::Borrowed(body) })
}

/// HTTP protocol binding, section 3.1.3.2: percent-decoded once, and the result has to be UTF-8.
fn decoded(header: &str, text: &str) -> Result<String, DecodeError> {
    let text = percent_decode(text.as_bytes()).decode_utf8();
    text.map(Cow::into_owned).map_err(|_| DecodeError::of(header, "is not UTF-8 after percent-decoding"))
}

fn structured(body: &[u8]) -> Result<Event<'static>, DecodeError> {
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| DecodeError::of(".", error))?;
    envelope.open()
}

/// An empty batch is one (JSON event format, section 4).
fn batch(body: &[u8]) -> Result<Vec<Result<Event<'static>, DecodeError>>, DecodeError> {
    let events: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| DecodeError::of(".", error))?;
    if events.len() > LONGEST_LIST {
        return Err(DecodeError::of(".", format_args!("has more than {LONGEST_LIST} events")));
    }
    Ok(events.into_iter().map(|event| structured(event.get().as_bytes())).collect())
}

/// An event in the JSON format.
#[derive(Default)]
struct Envelope {
    attributes: Map<String, Value>,
    data: Option<Box<RawValue>>,
    data_base64: Option<String>,
}

impl Envelope {
    fn open(self) -> Result<Event<'static>, DecodeError> {
        check_attributes(&self.attributes, "")?;
        check_type(&self.attributes)?;
        let data = match (self.data, self.data_base64) {
            (Some(data), None) => Box::<str>::from(data).into_string().into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).map_err(|_| DecodeError::of("data_base64", "is not base64"))?,
            (Some(_), Some(_)) => return Err(DecodeError::of("data", "is given twice: as data_base64 too")),
            (None, None) => return Err(DecodeError::of("data", "is missing, so there is no alert in the event")),
        };
        Ok(Event { attributes: self.attributes, data: Cow::Owned(data) })
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnvelopeVisitor;

        impl<'de> Visitor<'de> for EnvelopeVisitor {
            type Value = Envelope;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event, which is an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Envelope, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(key) = entries.next_key::<String>()? {
                    let twice = match key.as_str() {
                        "data" => envelope.data.replace(entries.next_value()?).is_some(),
                        "data_base64" => envelope.data_base64.replace(entries.next_value()?).is_some(),
                        _ => {
                            let value = entries.next_value_seed(UniqueValue)?;
                            envelope.attributes.insert(key.clone(), value).is_some()
                        }
                    };
                    if twice {
                        return Err(A::Error::custom(format_args!("has the key {key:?} twice")));
                    }
                }
                Ok(envelope)
            }
        }

        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

/// What every event has to have (CloudEvents 1.0, section 3). `prefix` is for the message.
fn check_attributes(attributes: &Map<String, Value>, prefix: &str) -> Result<(), DecodeError> {
    let text = |name: &str| attributes.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("specversion") != "1.0" {
        let message = "is not 1.0, the only version of CloudEvents that is read here";
        return Err(DecodeError::of(format_args!("{prefix}specversion"), message));
    }
    if let Some(absent) = ["id", "source", "type"].into_iter().find(|name| text(name).is_empty()) {
        return Err(DecodeError::of(
            format_args!("{prefix}{absent}"),
            "is not given as a text, and every event has one",
        ));
    }
    if attributes.contains_key("time") && rfc3339(text("time")).is_none() {
        return Err(DecodeError::of(format_args!("{prefix}time"), "is not a time in RFC 3339"));
    }
    Ok(())
}

/// JSON unless it says otherwise (JSON event format, section 3.1).
fn check_type(attributes: &Map<String, Value>) -> Result<(), DecodeError> {
    let Some(given) = attributes.get("datacontenttype") else { return Ok(()) };
    let essence = given.as_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "text/json" || essence.ends_with("/json") || essence.ends_with("+json");
    if is_json { Ok(()) } else { Err(DecodeError::of("datacontenttype", "is not JSON, and alerts are")) }
}
