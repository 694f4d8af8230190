//! Whatever is altered, nothing of it is accepted.

use http::HeaderValue;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use sever::verify::VerifyError;

use crate::verify::{NOW, at, delivery, examples, secrets, signed, verifier};

/// One thing that somebody on the way could do to some bytes.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Truncate(Index),
    Extend(Vec<u8>),
    Prepend(Vec<u8>),
}

impl Change {
    fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        match self {
            Self::Flip(index, bits) => changed[index.index(bytes.len())] ^= bits,
            Self::Truncate(index) => changed.truncate(index.index(bytes.len())),
            Self::Extend(more) => changed.extend(more),
            Self::Prepend(more) => changed = [more, bytes].concat(),
        }
        changed
    }
}

/// Printable, so that most changes of headers are possible. No blank, which begins another signature of a list.
fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0x21..0x7f_u8, 1..20)
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<Index>(), 1..=255_u8).prop_map(|(index, bits)| Change::Flip(index, bits)),
        // Bit 5 tells upper case from lower case, the low bits are those that lenient base64 ignores.
        2 => (any::<Index>(), 0..6_u8).prop_map(|(index, bit)| Change::Flip(index, 1 << bit)),
        1 => any::<Index>().prop_map(Change::Truncate),
        1 => some_bytes().prop_map(Change::Extend),
        1 => some_bytes().prop_map(Change::Prepend),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_altered_delivery_is_forged(
        example in 0..examples(&json!([])).len(),
        target in any::<Index>(),
        change in change(),
        body in proptest::collection::vec(any::<u8>(), 1..200),
    ) {
        let example = examples(&secrets()).swap_remove(example);
        let mut headers = signed(example.clone(), "msg_2sKWPBgL-lAfx", NOW, &body);
        let mut body = body;
        // The body is a target like each of the headers.
        match target.index(headers.len() + 1) {
            0 => body = change.apply(&body),
            header => {
                let value = HeaderValue::from_bytes(&change.apply(headers[header - 1].1.as_bytes()));
                let Ok(value) = value else { return Ok(()) }; // no transport could bring it
                headers[header - 1].1 = value;
            }
        }
        let verdict = verifier(example.clone()).verify(delivery(&headers, &body), at(NOW));
        prop_assert!(matches!(verdict, Err(VerifyError::Forged(_))), "{example}: {verdict:?}");
    }

    #[test]
    fn a_signed_delivery_is_accepted(
        example in 0..examples(&json!([])).len(),
        secret in 0..3_usize,
        id in "[A-Za-z0-9_-]{1,256}",
        second in 1_000_000_000..9_999_999_999_i64,
        body in proptest::collection::vec(any::<u8>(), 1..200),
    ) {
        let (all, sender) = (secrets(), json!([secrets()[secret]]));
        let headers = signed(examples(&sender).swap_remove(example), &id, second, &body);
        let verdict = verifier(examples(&all).swap_remove(example)).verify(delivery(&headers, &body), at(second));
        prop_assert!(verdict.is_ok(), "{verdict:?}");
    }
}
