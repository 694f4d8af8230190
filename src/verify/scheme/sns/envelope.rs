//! The envelope of a message: the one thing that is parsed before it is known to be authentic, for what is signed is
//! inside.
//!
//! A flat object, its size limited like every body's. Fields are strings, none occurs twice, and all but the message
//! itself are one line, so that the signed text can be cut into its fields in one way only.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::verify::Reason;
use crate::verify::headers::checked_id;

/// What SNS sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Kind {
    /// Something was published.
    Notification,
    /// Somebody subscribed us and SNS asks whether we agree.
    SubscriptionConfirmation,
    /// Somebody unsubscribed us.
    UnsubscribeConfirmation,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "Notification",
            Self::SubscriptionConfirmation => "SubscriptionConfirmation",
            Self::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        }
    }
}

/// A message with its signature. What else there is, such as message attributes, is not signed and not looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    #[serde(rename = "Type")]
    pub(super) kind: Kind,
    #[serde(rename = "MessageId")]
    pub(super) id: String,
    #[serde(rename = "TopicArn")]
    pub(super) topic: String,
    #[serde(rename = "Subject")]
    subject: Option<String>,
    #[serde(rename = "Message")]
    message: String,
    #[serde(rename = "Timestamp")]
    pub(super) timestamp: String,
    #[serde(rename = "Token")]
    token: Option<String>,
    #[serde(rename = "SubscribeURL")]
    pub(super) subscribe_url: Option<String>,
    #[serde(rename = "SignatureVersion")]
    pub(super) signature_version: String,
    #[serde(rename = "Signature")]
    pub(super) signature: String,
    #[serde(rename = "SigningCertURL")]
    pub(super) certificate_url: String,
}

impl Envelope {
    pub(super) fn read(body: &[u8]) -> Result<Self, Reason> {
        let envelope: Self = serde_json::from_slice(body).map_err(|_| Reason::MalformedBody)?;
        checked_id(&envelope.id)?;
        let lines = [Some(&envelope.topic), envelope.subject.as_ref(), envelope.token.as_ref()];
        let lines = lines.into_iter().chain([Some(&envelope.timestamp), envelope.subscribe_url.as_ref()]);
        let broken = lines.flatten().any(|line| line.chars().any(char::is_control));
        let confirms = envelope.token.is_some() && envelope.subscribe_url.is_some();
        if broken || (envelope.kind != Kind::Notification && !confirms) {
            return Err(Reason::MalformedBody);
        }
        Ok(envelope)
    }

    /// The signed fields, in their order. An absent subject is left out, not signed as empty.
    fn fields(&self) -> Vec<(&'static str, &str)> {
        let kind = self.kind.as_str();
        let (id, message, time, topic) = (&*self.id, &*self.message, &*self.timestamp, &*self.topic);
        let mut fields = vec![("Message", message), ("MessageId", id)];
        if self.kind == Kind::Notification {
            fields.extend(self.subject.as_deref().map(|subject| ("Subject", subject)));
            fields.push(("Timestamp", time));
        } else {
            fields.extend(self.subscribe_url.as_deref().map(|url| ("SubscribeURL", url)));
            fields.push(("Timestamp", time));
            fields.extend(self.token.as_deref().map(|token| ("Token", token)));
        }
        fields.extend([("TopicArn", topic), ("Type", kind)]);
        fields
    }

    /// What AWS signs: each key and each value on a line of its own.
    pub(super) fn signed_text(&self) -> String {
        self.fields().into_iter().flat_map(|(key, value)| [key, "\n", value, "\n"]).collect()
    }

    /// The envelope as far as it is signed.
    pub(super) fn signed_fields(&self) -> Bytes {
        let fields = self.fields().into_iter().map(|(key, value)| (key.to_owned(), Value::from(value)));
        Value::Object(fields.collect::<Map<_, _>>()).to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(more: &str) -> String {
        format!(
            r#"{{"Type":"Notification","MessageId":"m-1","TopicArn":"t","Message":"a\nb","Timestamp":"2026-09-21T14:13:10.123Z",
            "SignatureVersion":"2","Signature":"","SigningCertURL":""{more}}}"#
        )
    }

    #[test]
    fn what_is_not_signed_is_not_handed_on() {
        let with_attributes =
            envelope(r#","UnsubscribeURL":"https://evil.example","MessageAttributes":{"a":{"b":[1]}}"#);
        let read = Envelope::read(with_attributes.as_bytes()).expect("an envelope");
        let plain = Envelope::read(envelope("").as_bytes()).expect("an envelope");
        assert_eq!(read.signed_fields(), plain.signed_fields());
        assert!(!String::from_utf8_lossy(&read.signed_fields()).contains("evil"));
        let text =
            "Message\na\nb\nMessageId\nm-1\nTimestamp\n2026-09-21T14:13:10.123Z\nTopicArn\nt\nType\nNotification\n";
        assert_eq!(read.signed_text(), text);
    }

    #[test]
    fn ambiguous_envelopes_are_refused() {
        for more in [
            r#","Message":"another""#,
            r#","Subject":"a\nTimestamp\nb""#,
            r#","Subject":7"#,
            r#","Type":"SubscriptionConfirmation""#,
        ] {
            assert!(Envelope::read(envelope(more).as_bytes()).is_err(), "{more}");
        }
        for wrong in ["", "[]", "{}", "\u{feff}{}", "null", "{\"Type\":\"Notification\"}"] {
            assert!(Envelope::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(Envelope::read(envelope("").replace("m-1", "m\\n1").as_bytes()).is_err());
        assert!(Envelope::read(envelope("").replace("\"t\"", "7").as_bytes()).is_err());
        let confirmation = envelope("").replace("\"Notification\"", "\"SubscriptionConfirmation\"");
        assert!(Envelope::read(confirmation.as_bytes()).is_err(), "without token and address");
    }
}
