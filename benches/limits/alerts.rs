//! Alerts of 1 KiB, each for another person, signed before anything is timed.

use std::ops::Range;

use jiff::Timestamp;
use serde_json::json;
use sever::clock::{Clock, SystemClock};
use sever::domain::JobId;
use sever::verify::{Signer, VerifySettings};

pub(crate) use crate::person::Subject;
use crate::person::{SECRET, alert, body};

/// As somebody has it who is no sender.
const WRONG_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Where alerts go.
pub(crate) const PATH: &str = "/v1/alerts/edr";

/// Another source, with another secret.
pub(crate) const OTHER_PATH: &str = "/v1/alerts/other";

/// One signed request for each of these people, as bytes on the wire.
pub(crate) fn requests(people: impl Iterator<Item = Subject>) -> Vec<Vec<u8>> {
    let (signer, now) = (signer(SECRET), SystemClock::new().now());
    people.map(|person| request(&signer, PATH, &person, now)).collect()
}

/// One signed request for each so many of these people.
pub(crate) fn crowds(people: impl Iterator<Item = Subject>, size: usize) -> Vec<Vec<u8>> {
    let (signer, now) = (signer(SECRET), SystemClock::new().now());
    let people: Vec<Subject> = people.collect();
    people.chunks(size).map(|crowd| wrap(&signer, PATH, &alert(crowd, now, ""), now)).collect()
}

/// The same, signed by somebody who has another secret, and sent on by a proxy.
pub(crate) fn forged(path: &str, people: impl Iterator<Item = Subject>) -> Vec<Forged> {
    let (signer, now) = (signer(WRONG_SECRET), SystemClock::new().now());
    people.map(|person| Forged::of(request(&signer, path, &person, now))).collect()
}

/// A forged request, as bytes on the wire.
pub(crate) struct Forged {
    bytes: Vec<u8>,
    sender: Range<usize>,
}

impl Forged {
    fn of(mut bytes: Vec<u8>) -> Self {
        let line_end = bytes.iter().position(|byte| *byte == b'\n').expect("a request line") + 1;
        let header = format!("x-forwarded-for: {}\r\n", sender(0));
        let from = line_end + header.len() - 2 - sender(0).len();
        bytes.splice(line_end..line_end, header.into_bytes());
        Self { bytes, sender: from..from + sender(0).len() }
    }

    /// As the number-th sender sends it.
    pub(crate) fn write(&self, number: usize, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.bytes);
        into[self.sender.clone()].copy_from_slice(sender(number).as_bytes());
    }
}

/// An address of a network of its own, always as long (RFC 4193).
fn sender(number: usize) -> String {
    format!("fd00:0000:{:04x}:{:04x}::1", number >> 16, number & 0xffff)
}

/// A signed message of a queue.
pub(crate) struct Message {
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// One signed message for each of these people.
pub(crate) fn messages(people: impl Iterator<Item = Subject>) -> Vec<Message> {
    let (signer, now) = (signer(SECRET), SystemClock::new().now());
    let message = |person: Subject| {
        let body = body(&person, now).into_bytes();
        let headers = signer.sign(&format!("msg_{}", JobId::new().0.simple()), now, &body).expect("signed");
        let text = |(name, value): (http::HeaderName, http::HeaderValue)| (name.to_string(), value.as_bytes().to_vec());
        Message { headers: headers.into_iter().map(text).collect(), body }
    };
    people.map(message).collect()
}

fn signer(secret: &str) -> Signer {
    let settings = json!({"scheme": "standard-webhooks", "secrets": [{"value": secret}]});
    let settings: VerifySettings = serde_json::from_value(settings).expect("settings");
    Signer::new(&settings).expect("a signer")
}

fn request(signer: &Signer, path: &str, person: &Subject, now: Timestamp) -> Vec<u8> {
    wrap(signer, path, &body(person, now), now)
}

fn wrap(signer: &Signer, path: &str, body: &str, now: Timestamp) -> Vec<u8> {
    let id = format!("msg_{}", JobId::new().0.simple());
    let headers = signer.sign(&id, now, body.as_bytes()).expect("signed");
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: sever\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {}\r\n", value.to_str().expect("a header in ASCII")));
    }
    request.push_str("\r\n");
    request.push_str(body);
    request.into_bytes()
}
