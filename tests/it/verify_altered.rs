//! Whatever is altered, nothing of it is accepted.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use sever::verify::VerifyError;
use sha2::{Digest, Sha512};

use crate::verify::{NOW, all_examples, at, delivery, examples, fixed_examples, secrets, signed, verifier};

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

/// Printable, so that most changes of headers are possible. No blank and no comma, which begin another signature of a
/// list.
fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec((0x21..0x7f_u8).prop_filter("a comma", |byte| *byte != b','), 1..20)
}

/// Whether two spellings are one to the scheme: PagerDuty's hex and the words Bearer and Basic have no case.
fn same(example: &Value, one: &HeaderValue, other: &HeaderValue) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let caseless = match example["scheme"].as_str() {
        Some("pagerduty") => one.len(),
        Some("bearer") => "bearer".len(),
        Some("basic") => "basic".len(),
        _ => 0,
    };
    let cut = caseless.min(other.len()).min(one.len());
    one[..cut].eq_ignore_ascii_case(&other[..cut]) && one[cut..] == other[cut..]
}

/// Anything, and what looks nearly like a header of some scheme.
fn header_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => proptest::collection::vec(any::<u8>(), 0..80),
        1 => "(v1=|v1,|v1a,|v0=|t=|sha256=|Basic |Bearer |sig1=)[-A-Za-z0-9+/=:,;\"() @]{0,90}".prop_map(String::into_bytes),
        1 => "(sig1=)?\\((\"@?[a-z-]{1,12}\" ?){0,4}\\)(;(created|expires|keyid|alg)=(\"[a-z]{0,9}\"|[0-9]{1,16})){0,4}"
            .prop_map(String::into_bytes),
    ]
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

fn key_pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key pair")
}

fn public_key() -> Value {
    json!({"value": format!("whpk_{}", STANDARD.encode(key_pair().public_key().as_ref()))})
}

/// A delivery by Standard Webhooks v1a, or by RFC 9421 with ed25519, and the settings that take it.
fn ed25519(number: usize, body: &[u8]) -> (Value, Vec<(HeaderName, HeaderValue)>) {
    let (settings, text) = if number == 0 { v1a(body) } else { rfc9421(body) };
    let headers = text
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(&value).expect("a value")));
    (settings, headers.collect())
}

type Headers = Vec<(&'static str, String)>;

fn v1a(body: &[u8]) -> (Value, Headers) {
    let signature = key_pair().sign(&[format!("msg_1.{NOW}.").as_bytes(), body].concat());
    let headers = vec![
        ("webhook-id", "msg_1".to_owned()),
        ("webhook-timestamp", NOW.to_string()),
        ("webhook-signature", format!("v1a,{}", STANDARD.encode(signature))),
    ];
    (json!({"scheme": "standard-webhooks", "secrets": [public_key(), secrets()[0]]}), headers)
}

fn rfc9421(body: &[u8]) -> (Value, Headers) {
    let digest = format!("sha-512=:{}:", STANDARD.encode(Sha512::digest(body)));
    let parameters = format!(r#"("content-digest" "@authority");created={NOW};keyid="a";alg="ed25519""#);
    let base =
        format!("\"content-digest\": {digest}\n\"@authority\": hooks.example.com\n\"@signature-params\": {parameters}");
    let headers = vec![
        ("signature", format!("x=:{}:", STANDARD.encode(key_pair().sign(base.as_bytes())))),
        ("signature-input", format!("x={parameters}")),
        ("content-digest", digest),
    ];
    let settings = json!({"scheme": "rfc9421", "secrets": [public_key()], "key_ids": ["a"],
        "components": ["@authority", "content-digest"]});
    (settings, headers)
}

/// RFC 8032 section 5.1.7: S and S + L would be two signatures of one message.
#[test]
fn an_ed25519_signature_has_one_spelling() {
    let (settings, mut headers) = ed25519(0, b"{}");
    let mut signature = STANDARD.decode(&headers[2].1.as_bytes()[4..]).expect("base64");
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").expect("hex");
    let mut carry = 0;
    for (byte, more) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        *byte = u8::try_from(sum & 0xff).expect("a byte");
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    headers[2].1 = HeaderValue::from_str(&format!("v1a,{}", STANDARD.encode(signature))).expect("a value");
    assert!(verifier(settings).verify(delivery(&headers, b"{}"), at(NOW)).is_err());
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
                if same(&example, &headers[header - 1].1, &value) {
                    return Ok(());
                }
                headers[header - 1].1 = value;
            }
        }
        let verdict = verifier(example.clone()).verify(delivery(&headers, &body), at(NOW));
        prop_assert!(matches!(verdict, Err(VerifyError::Forged(_))), "{example}: {verdict:?}");
    }

    #[test]
    fn an_altered_ed25519_delivery_is_forged(
        (number, target, change) in (0..2_usize, any::<Index>(), change()),
        body in proptest::collection::vec(any::<u8>(), 1..200),
    ) {
        let (settings, mut headers) = ed25519(number, &body);
        let verifier = verifier(settings);
        prop_assert!(verifier.verify(delivery(&headers, &body), at(NOW)).is_ok());
        let mut body = body;
        match target.index(headers.len() + 1) {
            0 => body = change.apply(&body),
            header => {
                let value = HeaderValue::from_bytes(&change.apply(headers[header - 1].1.as_bytes()));
                let Ok(value) = value else { return Ok(()) };
                headers[header - 1].1 = value;
            }
        }
        let verdict = verifier.verify(delivery(&headers, &body), at(NOW));
        prop_assert!(matches!(verdict, Err(VerifyError::Forged(_))), "{verdict:?}");
    }

    #[test]
    fn an_altered_secret_is_refused(
        example in 0..fixed_examples(&json!([])).len(),
        change in change(),
    ) {
        let example = fixed_examples(&secrets()).swap_remove(example);
        let mut headers = signed(example.clone(), "", NOW, b"{}");
        let Ok(value) = HeaderValue::from_bytes(&change.apply(headers[0].1.as_bytes())) else { return Ok(()) };
        if same(&example, &headers[0].1, &value) {
            return Ok(());
        }
        headers[0].1 = value;
        let verdict = verifier(example.clone()).verify(delivery(&headers, b"{}"), at(NOW));
        prop_assert!(matches!(verdict, Err(VerifyError::Forged(_))), "{example}: {verdict:?}");
    }

    #[test]
    fn no_header_and_no_body_makes_a_verifier_panic(
        example in 0..all_examples(&json!([])).len(),
        values in proptest::collection::vec(header_text(), 4),
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let example = all_examples(&secrets()).swap_remove(example);
        let mut headers = signed(example.clone(), "msg_1", NOW, b"{}");
        for (header, text) in headers.iter_mut().zip(values) {
            let Ok(value) = HeaderValue::from_bytes(&text) else { return Ok(()) };
            header.1 = value;
        }
        prop_assert!(verifier(example.clone()).verify(delivery(&headers, &body), at(NOW)).is_err(), "{example}");
    }

    #[test]
    fn a_signed_delivery_is_accepted(
        example in 0..all_examples(&json!([])).len(),
        secret in 0..3_usize,
        id in "[A-Za-z0-9_-]{1,256}",
        second in 1_000_000_000..9_999_999_999_i64,
        body in proptest::collection::vec(any::<u8>(), 1..200),
    ) {
        let (all, sender) = (secrets(), json!([secrets()[secret]]));
        let headers = signed(all_examples(&sender).swap_remove(example), &id, second, &body);
        let verdict = verifier(all_examples(&all).swap_remove(example)).verify(delivery(&headers, &body), at(second));
        prop_assert!(verdict.is_ok(), "{verdict:?}");
    }
}
