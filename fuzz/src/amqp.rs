//! What a broker passes on from whoever may publish: what comes through the strainer can be read by the library behind it,
//! on an ordinary stack, and no header makes a message authentic.
//!
//! An even first byte: the rest is a stream of frames. An odd one: the rest is a table of headers.

use std::sync::LazyLock;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{FieldTable, parsing::parse_field_table};
use sever::ingest::{Strainer, message_headers};
use sever::verify::{Verifier, VerifyError};

use super::{request, schemes};

const MAX_BODY: u64 = 64;

/// A content header that is replaced has at least 12 bytes, and what takes its place some fifty.
const MOST_GROWTH: usize = 5;

static VERIFIERS: LazyLock<Vec<Verifier>> =
    LazyLock::new(|| schemes::signing().iter().map(schemes::verifier).collect());

/// See the module.
pub fn run(input: &[u8]) {
    match input.split_first() {
        Some((mode, rest)) if mode % 2 == 0 => stream(rest),
        Some((_, rest)) => table(rest),
        None => {}
    }
}

fn stream(bytes: &[u8]) {
    let whole = strained([bytes].into_iter());
    assert!(whole.0.len() <= bytes.len() * MOST_GROWTH, "{} bytes of {}", whole.0.len(), bytes.len());
    for size in [1, 7] {
        assert_eq!(strained(bytes.chunks(size)), whole, "the same however it comes in pieces");
    }
}

/// What passes, and whether the stream was AMQP to its end.
fn strained<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> (Vec<u8>, bool) {
    let mut strainer = Strainer::new(MAX_BODY);
    for piece in pieces {
        strainer.input().extend_from_slice(piece);
        if strainer.strain().is_err() {
            return (strainer.output().to_vec(), false);
        }
    }
    (strainer.output().to_vec(), true)
}

fn table(bytes: &[u8]) {
    let payload = [&[0, 60, 0, 0][..], &0_u64.to_be_bytes(), &0x2000_u16.to_be_bytes(), bytes].concat();
    let Ok(size) = u32::try_from(payload.len()) else { return };
    let frame = [&[2, 0, 1][..], &size.to_be_bytes(), &payload, &[0xCE]].concat();
    let (passed, is_amqp) = strained([&frame[..]].into_iter());
    // What is refused passes as another frame, with a content type in the place of the headers.
    if !is_amqp || passed != frame {
        return;
    }
    match parse_field_table(bytes) {
        Ok((left, table)) => judge(table, left),
        Err(error) => panic!("passed and cannot be read: {error}"),
    }
}

fn judge(table: FieldTable, left: &[u8]) {
    assert!(left.is_empty(), "{} bytes behind the table", left.len());
    let properties = BasicProperties::default().with_headers(table).with_message_id("msg_1".into());
    let headers = message_headers(&properties);
    let mut delivery = request::with_headers(headers, Bytes::from_static(b"{}"));
    delivery.request = None;
    for verifier in VERIFIERS.iter() {
        match verifier.verify(delivery.clone(), request::now()) {
            Err(VerifyError::Forged(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}
