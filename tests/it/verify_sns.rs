//! Messages of SNS: what is fetched and from where, and what is handed on.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};
use sever::domain::Delivery;
use sever::verify::{Challenge, Download, DownloadError, Reason, Verified, Verifier, VerifyError};

use crate::verify::{NOW, at, settings, source, text};
use crate::verify_vectors::{vector, vector_delivery, vector_settings};

/// An SNS of this machine: answers what it is told to, and remembers what it was asked for.
#[derive(Default)]
pub(crate) struct Aws {
    answer: Mutex<Option<Vec<u8>>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Download for Aws {
    async fn get(&self, url: &str) -> Result<Bytes, DownloadError> {
        self.asked.lock().expect("unpoisoned").push(url.to_owned());
        let answer = self.answer.lock().expect("unpoisoned").clone();
        answer.map(Bytes::from).ok_or_else(|| DownloadError("nobody answers".to_owned()))
    }
}

impl Aws {
    /// Answers with the certificate of the vectors.
    pub(crate) fn new() -> Arc<Self> {
        let aws = Arc::new(Self::default());
        aws.answers(Some(certificate()));
        aws
    }

    pub(crate) fn answers(&self, with: Option<Vec<u8>>) {
        *self.answer.lock().expect("unpoisoned") = with;
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("unpoisoned").clone()
    }

    fn verifier(self: &Arc<Self>, more: &[(&str, Value)]) -> Verifier {
        let mut value = vector_settings(&vector("sns-s-v2-valid"));
        more.iter().for_each(|(key, it)| value[*key] = it.clone());
        Verifier::with_download(source(), &settings(value), self.clone()).expect("a verifier")
    }
}

fn certificate() -> Vec<u8> {
    let certificates = vector("sns-s-v2-valid")["fixtures"]["certificates"].clone();
    let pem = certificates.as_object().and_then(|all| all.values().next()).and_then(Value::as_str);
    pem.expect("a certificate").as_bytes().to_vec()
}

fn message(id: &str) -> Delivery {
    vector_delivery(&vector(id))
}

/// A message with some of its fields replaced.
fn altered(id: &str, fields: &[(&str, Value)]) -> Delivery {
    let mut delivery = message(id);
    let mut envelope: Value = serde_json::from_slice(&delivery.body).expect("JSON");
    fields.iter().for_each(|(key, value)| envelope[*key] = value.clone());
    delivery.body = envelope.to_string().into();
    delivery
}

async fn judge(verifier: &Verifier, delivery: Delivery, second: i64) -> Result<Verified, VerifyError> {
    verifier.prepare(&delivery, at(second)).await;
    verifier.verify(delivery, at(second))
}

async fn reason(verifier: &Verifier, delivery: Delivery, second: i64) -> Option<Reason> {
    judge(verifier, delivery, second).await.err().map(|error| error.reason())
}

#[tokio::test]
async fn a_certificate_is_fetched_once() {
    let aws = Aws::new();
    let verifier = aws.verifier(&[]);
    for id in ["sns-s-v2-valid", "sns-s-v1-valid", "sns-s-v2-no-subject", "sns-s-message-altered", "sns-s-v2-valid"] {
        let wanted = (id == "sns-s-message-altered").then_some(Reason::SignatureMismatch);
        assert_eq!(reason(&verifier, message(id), NOW).await, wanted, "{id}");
    }
    assert_eq!(aws.asked().len(), 1, "{:?}", aws.asked());
}

#[tokio::test]
async fn nothing_is_fetched_for_what_cannot_pass() {
    let aws = Aws::new();
    let verifier = aws.verifier(&[("signature_versions", json!([2]))]);
    for (id, wanted) in [
        ("sns-s-foreign-topic", Reason::TopicNotAllowed),
        ("sns-s-cert-host-suffix", Reason::UntrustedCertUrl),
        ("sns-s-cert-http", Reason::UntrustedCertUrl),
        ("sns-s-v1-valid", Reason::UnknownVersion),
        ("sns-s-version-3", Reason::UnknownVersion),
        ("sns-s-no-signature", Reason::MalformedBody),
    ] {
        assert_eq!(reason(&verifier, message(id), NOW).await, Some(wanted), "{id}");
    }
    let mut mislabelled = message("sns-s-v2-valid");
    let name = HeaderName::from_static("x-amz-sns-message-type");
    mislabelled.headers.insert(name, HeaderValue::from_static("SubscriptionConfirmation"));
    assert_eq!(reason(&verifier, mislabelled, NOW).await, Some(Reason::MalformedHeader));
    let raw = Delivery { body: Bytes::from_static(b"{\"detail\":{}}"), ..message("sns-s-v2-valid") };
    assert_eq!(reason(&verifier, raw, NOW).await, Some(Reason::MalformedBody));
    assert_eq!(aws.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn without_a_certificate_nothing_is_decided_and_soon_it_is_tried_again() {
    let aws = Aws::new();
    aws.answers(None);
    let verifier = aws.verifier(&[]);
    for second in [NOW, NOW + 1, NOW + 15] {
        let verdict = judge(&verifier, message("sns-s-v2-valid"), second).await;
        assert!(matches!(verdict, Err(VerifyError::Undecided(Reason::CertificateUnavailable))), "{verdict:?}");
    }
    assert_eq!(aws.asked().len(), 1);
    aws.answers(Some(certificate()));
    assert!(judge(&verifier, message("sns-s-v2-valid"), NOW + 16).await.is_ok());
    assert_eq!(aws.asked().len(), 2);
}

#[tokio::test]
async fn a_flood_of_addresses_is_not_fetched() {
    let aws = Aws::new();
    aws.answers(None);
    let verifier = aws.verifier(&[]);
    for number in 0..500 {
        let url = format!("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{number:032}.pem");
        let delivery = altered("sns-s-v2-valid", &[("SigningCertURL", json!(url))]);
        assert_eq!(reason(&verifier, delivery, NOW).await, Some(Reason::CertificateUnavailable));
    }
    assert_eq!(aws.asked().len(), 20);
    aws.answers(Some(certificate()));
    assert!(judge(&verifier, message("sns-s-v2-valid"), NOW + 60).await.is_ok(), "a minute later");
}

#[tokio::test]
async fn a_flood_keeps_no_address_that_proved_right_from_being_fetched_again() {
    let aws = Aws::new();
    let verifier = aws.verifier(&[("tolerance", json!("365d"))]);
    assert!(judge(&verifier, message("sns-s-v2-valid"), NOW).await.is_ok());
    // When the certificate that is known ends, and another stands at the address.
    let later = 2_100_000_000;
    for number in 0..50 {
        let url = format!("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{number:032}.pem");
        judge(&verifier, altered("sns-s-v2-valid", &[("SigningCertURL", json!(url))]), later)
            .await
            .expect_err("invented");
    }
    assert_eq!(aws.asked().len(), 21);
    assert!(verifier.has_to_fetch(&message("sns-s-v2-valid"), at(later)));
    assert_eq!(reason(&verifier, message("sns-s-v2-valid"), later).await, Some(Reason::UntrustedCertificate));
    assert_eq!(aws.asked().len(), 22, "it was looked for");
    assert!(!verifier.has_to_fetch(&message("sns-s-v2-valid"), at(later)));
}

#[tokio::test]
async fn certificates_that_are_none_of_sns_are_not_trusted() {
    for pem in [
        &include_bytes!("../fixtures/sns/other-name.pem")[..],
        include_bytes!("../fixtures/sns/weak-key.pem"),
        include_bytes!("../fixtures/keys/rsa-public.pem"),
        b"<html>not here</html>",
        b"",
    ] {
        let aws = Aws::new();
        aws.answers(Some(pem.to_vec()));
        let found = reason(&aws.verifier(&[]), message("sns-s-v2-valid"), NOW).await;
        assert_eq!(found, Some(Reason::UntrustedCertificate), "{}", String::from_utf8_lossy(pem));
    }
    // That of the vectors holds from 2026 to 2036.
    for second in [1_767_000_000, 2_100_000_000] {
        let found = reason(&Aws::new().verifier(&[]), message("sns-s-v2-valid"), second).await;
        assert_eq!(found, Some(Reason::UntrustedCertificate));
    }
}

#[tokio::test]
async fn a_certificate_that_ends_is_looked_for_again() {
    let aws = Aws::new();
    let verifier = aws.verifier(&[("tolerance", json!("365d"))]);
    assert!(judge(&verifier, message("sns-s-v2-valid"), NOW).await.is_ok());
    assert_eq!(reason(&verifier, message("sns-s-v2-valid"), 2_100_000_000).await, Some(Reason::UntrustedCertificate));
    assert_eq!(aws.asked().len(), 2);
}

#[tokio::test]
async fn only_signed_fields_are_handed_on_and_make_the_guard() {
    let verifier = Aws::new().verifier(&[]);
    let plain = judge(&verifier, message("sns-s-v2-valid"), NOW).await.expect("authentic");
    let adorned = [("UnsubscribeURL", json!("https://evil.example")), ("MessageAttributes", json!({"severity": 9}))];
    let adorned = judge(&verifier, altered("sns-s-v2-valid", &adorned), NOW).await.expect("authentic");
    assert_eq!(adorned.body(), plain.body());
    assert_eq!(adorned.guard(), plain.guard(), "a repeat stays one, whatever is added");
    assert_eq!(plain.signed_id(), Some("22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"));
    let body: Value = serde_json::from_slice(plain.body()).expect("JSON");
    let keys: Vec<_> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]);
}

#[tokio::test]
async fn a_time_ahead_has_no_excuse() {
    let verifier = Aws::new().verifier(&[("tolerance", json!("1h"))]);
    let sent = 1_789_999_990; // 14:13:10.123
    for (second, wanted) in [
        (sent + 3600, None),
        (sent + 3601, Some(Reason::TimestampStale)),
        (sent - 299, None),
        (sent - 301, Some(Reason::TimestampFuture)),
    ] {
        assert_eq!(reason(&verifier, message("sns-s-v2-valid"), second).await, wanted, "{second}");
    }
}

#[tokio::test]
async fn a_subscription_is_confirmed_at_the_signed_address() {
    let aws = Aws::new();
    let verifier = aws.verifier(&[]);
    let question = judge(&verifier, message("sns-s-subscription-confirmation"), NOW).await.expect("authentic");
    let challenge = question.challenge().expect("a question").clone();
    let Challenge::Subscribe(url) = &challenge else { panic!("{challenge:?}") };
    assert_eq!(aws.asked().len(), 1, "only the certificate so far");
    assert_eq!(verifier.answer(&challenge).await, Ok(json!({"status": "confirmed"})));
    assert_eq!(aws.asked().last(), Some(url));
    aws.answers(None);
    assert_eq!(verifier.answer(&challenge).await, Err(Reason::ConfirmationUnavailable));
    let elsewhere = [("SubscribeURL", json!("https://169.254.169.254/?Action=ConfirmSubscription"))];
    let elsewhere = altered("sns-s-subscription-confirmation", &elsewhere);
    assert_eq!(reason(&verifier, elsewhere, NOW).await, Some(Reason::SignatureMismatch));
}

/// Every byte once, not at random: borders of an envelope are few.
#[tokio::test]
async fn whatever_byte_is_flipped_nothing_else_is_handed_on() {
    let verifier = Aws::new().verifier(&[]);
    let honest = judge(&verifier, message("sns-s-v2-valid"), NOW).await.expect("authentic");
    let mut harmless = 0;
    for index in 0..message("sns-s-v2-valid").body.len() {
        for bits in [1, 0x20, 0x80] {
            let mut delivery = message("sns-s-v2-valid");
            let mut body = delivery.body.to_vec();
            body[index] ^= bits;
            delivery.body = body.into();
            if let Ok(verified) = verifier.verify(delivery, at(NOW)) {
                harmless += 1;
                assert_eq!((verified.body(), verified.guard()), (honest.body(), honest.guard()), "byte {index}");
            }
        }
    }
    assert!(harmless > 0, "the address to unsubscribe is not signed");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_body_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), key in 0..11_usize, value in any::<String>()) {
        let verifier = Aws::new().verifier(&[]);
        let delivery = Delivery { body: bytes.into(), ..message("sns-s-v2-valid") };
        prop_assert!(verifier.verify(delivery, at(NOW)).is_err());
        let keys = ["Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion", "Signature",
            "SigningCertURL", "SubscribeURL", "Token"];
        let delivery = altered("sns-s-v2-valid", &[(keys[key], json!(value))]);
        let verdict = verifier.verify(delivery, at(NOW));
        prop_assert!(verdict.is_err(), "there is no certificate yet");
    }
}

/// The settings of the vectors, for a config.
pub(crate) fn topic() -> String {
    let vector = vector("sns-s-v2-valid");
    text(&vector["config"]["topic_arns"][0]).to_owned()
}

/// The body of a vector.
pub(crate) fn body(id: &str) -> Vec<u8> {
    STANDARD.decode(text(&vector(id)["body"])).expect("base64")
}
