//! A message as a delivery: its table of headers as text, and three of its properties under names of headers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::types::AMQPValue;

use super::strainer::{TOO_LARGE, UNREADABLE};
use crate::domain::{Delivery, SourceName};
use crate::ingest::Refusal;

/// What CloudEvents puts before the names of attributes (CloudEvents AMQP binding 1.0, section 3.1.3.1). Header names of
/// HTTP have `ce-` there, which is what decoders know.
const CLOUDEVENTS: [&str; 2] = ["cloudevents_", "cloudevents:"];

/// A message that was not judged yet.
#[derive(Debug, Clone)]
pub(super) struct Message {
    headers: HeaderMap,
    id: Option<String>,
    body: Bytes,
    received_at: Timestamp,
}

impl Message {
    /// Reads what came, unless it may not come in.
    pub(super) fn new(
        properties: &BasicProperties,
        body: Vec<u8>,
        max_body: usize,
        received_at: Timestamp,
    ) -> Result<Self, Refusal> {
        match properties.content_type().as_ref().map(|kind| kind.as_str()) {
            Some(UNREADABLE) => return Err(Refusal::Malformed),
            Some(TOO_LARGE) => return Err(Refusal::TooLarge),
            _ if body.len() > max_body => return Err(Refusal::TooLarge),
            _ => {}
        }
        let id = properties.message_id().as_ref().map(|id| id.to_string());
        Ok(Self { headers: headers(properties), id, body: body.into(), received_at })
    }

    /// The property `message_id`, which has to be the signed id, if it is there.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// As any transport hands it in.
    pub(super) fn delivery(&self, source: &SourceName) -> Delivery {
        Delivery::new(source.clone(), self.headers.clone(), self.body.clone(), self.received_at)
    }
}

/// The headers of a delivery that comes as a message. Names that differ in case alone are one, as in HTTP: then there are
/// two values, and a scheme that needs one refuses.
#[must_use]
pub fn headers(properties: &BasicProperties) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: HeaderValue| {
        // What cannot be the name of a header in HTTP is nothing that any scheme looks for.
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            // Only far beyond what fits into one frame could there be too many.
            let _ = headers.try_append(name, value);
        }
    };
    for (name, value) in properties.headers().iter().flat_map(|table| table.inner()) {
        let lower = name.as_str().to_ascii_lowercase();
        let attribute = CLOUDEVENTS.iter().find_map(|prefix| lower.strip_prefix(prefix));
        add(&attribute.map_or(lower.clone(), |attribute| format!("ce-{attribute}")), header_value(value));
    }
    let property = |text: &str| HeaderValue::from_str(text).unwrap_or_else(|_| no_text());
    if let Some(kind) = properties.content_type() {
        add("content-type", property(kind.as_str()));
    }
    if let Some(id) = properties.message_id() {
        add("message_id", property(id.as_str()));
    }
    if let Some(time) = properties.timestamp() {
        add("timestamp", HeaderValue::from(*time));
    }
    headers
}

/// Text as it is and whole numbers in digits, for some publishers write the time of signing as one. Anything else is
/// no text.
fn header_value(value: &AMQPValue) -> HeaderValue {
    let number = |number: i64| HeaderValue::from(number);
    match value {
        AMQPValue::LongString(text) => HeaderValue::from_bytes(text.as_bytes()).unwrap_or_else(|_| no_text()),
        AMQPValue::ShortString(text) => HeaderValue::from_str(text.as_str()).unwrap_or_else(|_| no_text()),
        AMQPValue::ShortShortInt(value) => number((*value).into()),
        AMQPValue::ShortShortUInt(value) => number((*value).into()),
        AMQPValue::ShortInt(value) => number((*value).into()),
        AMQPValue::ShortUInt(value) => number((*value).into()),
        AMQPValue::LongInt(value) => number((*value).into()),
        AMQPValue::LongUInt(value) => number((*value).into()),
        AMQPValue::LongLongInt(value) => number(*value),
        AMQPValue::Boolean(_)
        | AMQPValue::Float(_)
        | AMQPValue::Double(_)
        | AMQPValue::DecimalValue(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::Timestamp(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::ByteArray(_)
        | AMQPValue::Void => no_text(),
    }
}

/// Stands for a value that is there and is no text: whoever needs it as text finds it malformed, not absent.
fn no_text() -> HeaderValue {
    HeaderValue::from_bytes(b"\xff").expect("opaque bytes are allowed (RFC 9110 section 5.5)")
}

#[cfg(test)]
mod tests {
    use lapin::types::{FieldArray, FieldTable};

    use super::*;

    fn read(headers: Vec<(&str, AMQPValue)>) -> HeaderMap {
        let table = headers.into_iter().fold(FieldTable::default(), |mut table, (name, value)| {
            table.insert(name.into(), value);
            table
        });
        super::headers(&BasicProperties::default().with_headers(table))
    }

    #[test]
    fn text_and_numbers_are_text_and_nothing_else_is() {
        let headers = read(vec![
            ("Webhook-Id", AMQPValue::LongString("msg_1".into())),
            ("webhook-timestamp", AMQPValue::LongInt(1_790_000_000)),
            ("a", AMQPValue::LongLongInt(-5)),
            ("b", AMQPValue::Timestamp(1_790_000_000)),
            ("c", AMQPValue::ByteArray(b"text".to_vec().into())),
            ("d", AMQPValue::FieldArray(FieldArray::default())),
            ("e", AMQPValue::LongString(b"a\nb".to_vec().into())),
            ("f", AMQPValue::LongString(b"\xc3\x28".to_vec().into())),
            ("g", AMQPValue::Boolean(true)),
            ("not a header", AMQPValue::LongString("x".into())),
        ]);
        let text = |name: &str| headers.get(name).map(|value| value.to_str().ok());
        assert_eq!(text("webhook-id"), Some(Some("msg_1")));
        assert_eq!(text("webhook-timestamp"), Some(Some("1790000000")));
        assert_eq!(text("a"), Some(Some("-5")));
        for name in ["b", "c", "d", "e", "f", "g"] {
            assert_eq!(text(name), Some(None), "{name} is there, and no text");
        }
        assert_eq!(headers.len(), 9);
    }

    #[test]
    fn names_that_differ_in_case_are_the_same_twice() {
        let value = |text: &str| AMQPValue::LongString(text.into());
        let headers = read(vec![("webhook-id", value("a")), ("Webhook-Id", value("b"))]);
        assert_eq!(headers.get_all("webhook-id").iter().count(), 2);
    }

    #[test]
    fn properties_and_cloudevents_are_found_under_their_names() {
        let mut table = FieldTable::default();
        table.insert("cloudEvents_id".into(), AMQPValue::LongString("1".into()));
        table.insert("cloudEvents:source".into(), AMQPValue::LongString("/edr".into()));
        let properties = BasicProperties::default()
            .with_headers(table)
            .with_content_type("application/json".into())
            .with_message_id("msg_1".into())
            .with_timestamp(1_790_000_000);
        let headers = super::headers(&properties);
        for (name, value) in [
            ("ce-id", "1"),
            ("ce-source", "/edr"),
            ("content-type", "application/json"),
            ("message_id", "msg_1"),
            ("timestamp", "1790000000"),
        ] {
            assert_eq!(headers.get(name).and_then(|found| found.to_str().ok()), Some(value), "{name}");
        }
    }

    #[test]
    fn what_the_strainer_marked_and_what_is_too_large_is_refused() {
        let of = |kind: &str, size: usize| {
            let properties = BasicProperties::default().with_content_type(kind.into());
            Message::new(&properties, vec![b'x'; size], 10, Timestamp::UNIX_EPOCH).map(|message| message.body.len())
        };
        assert_eq!(of("application/json", 10), Ok(10));
        assert_eq!(of("application/json", 11), Err(Refusal::TooLarge));
        assert_eq!(of(TOO_LARGE, 0), Err(Refusal::TooLarge));
        assert_eq!(of(UNREADABLE, 0), Err(Refusal::Malformed));
    }
}
