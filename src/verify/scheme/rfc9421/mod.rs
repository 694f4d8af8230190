//! HTTP Message Signatures (RFC 9421), by HMAC-SHA256 or ed25519, with the digest of the body (RFC 9530).
//!
//! The signature covers headers and never the body itself, so `content-digest` has to be among them and is compared with
//! the body. Which algorithm is right is known from the key; what the sender says has to agree (section 3.2).

mod base;
mod digest;
mod fields;

use http::{HeaderMap, HeaderName};
use jiff::Timestamp;

use super::{Covered, Signed, SignedHeaders, value};
use crate::domain::{Delivery, HttpRequest};
use crate::verify::keys::{Keys, SignedBytes, Tag};
use crate::verify::{Reason, VerifierProblem, VerifySettings, headers};
use fields::Input;

const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");

/// The component that ties the body to the signature.
const DIGEST: &str = "content-digest";

/// What a signature covers at least, where the config does not say.
const COMPONENTS: [&str; 4] = ["@method", "@authority", "@path", DIGEST];

/// The label of what we sign. Any would do.
const LABEL: &str = "sig1";

/// What a signature has to be.
#[derive(Debug)]
pub(in crate::verify) struct Rules {
    required: Vec<String>,
    key_ids: Vec<String>,
}

impl Rules {
    pub(super) fn new(settings: &VerifySettings) -> Result<Self, Vec<VerifierProblem>> {
        let default = || COMPONENTS.map(str::to_owned).to_vec();
        let required = settings.components.clone().unwrap_or_else(default);
        let mut problems = wrong_ids(settings);
        problems.extend(wrong_components(&required));
        let key_ids = settings.key_ids.clone();
        if problems.is_empty() { Ok(Self { required, key_ids }) } else { Err(problems) }
    }
}

fn wrong_ids(settings: &VerifySettings) -> Vec<VerifierProblem> {
    let mut problems = Vec::new();
    let (ids, secrets) = (settings.key_ids.len(), settings.secrets.len());
    if ids != secrets {
        let message = format!("has {ids} entries for {secrets} secrets; give the keyid of each, in the same order");
        problems.push(VerifierProblem::new("key_ids", message));
    }
    let is_text = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !b"\"\\".contains(&byte);
    for (index, id) in settings.key_ids.iter().enumerate() {
        if id.is_empty() || !id.bytes().all(is_text) {
            let message = "must be printable ASCII without quotation marks";
            problems.push(VerifierProblem::new(format!("key_ids[{index}]"), message));
        }
    }
    problems
}

fn wrong_components(required: &[String]) -> Vec<VerifierProblem> {
    let mut problems = Vec::new();
    if !required.iter().any(|name| name == DIGEST) {
        let message = "must hold content-digest: without it nothing ties the body to the signature";
        problems.push(VerifierProblem::new("components", message));
    }
    for (index, name) in required.iter().enumerate() {
        if !base::is_component(name) || required[..index].contains(name) {
            let message = format!(
                "{name:?} is no component, or stands there twice; write names of headers in lower case, and {}",
                base::DERIVED.join(", ")
            );
            problems.push(VerifierProblem::new(format!("components[{index}]"), message));
        }
    }
    problems
}

/// The scheme with its keys.
pub(in crate::verify) struct Rfc9421 {
    required: Vec<String>,
    keys: Vec<(String, Keys)>,
}

impl Rfc9421 {
    pub(super) fn new(rules: Rules, keys: Keys) -> Self {
        Self { required: rules.required, keys: rules.key_ids.into_iter().zip(keys.apart()).collect() }
    }

    pub(super) fn authenticate(&self, delivery: &Delivery) -> Result<Signed<'static>, Reason> {
        // Once and no more, although the signature would cover two as well.
        headers::once(&delivery.headers, &HeaderName::from_static(DIGEST))?;
        let inputs = fields::inputs(headers::once(&delivery.headers, &SIGNATURE_INPUT)?)?;
        let signatures = fields::signatures(headers::once(&delivery.headers, &SIGNATURE)?)?;
        if signatures.len() != inputs.len() {
            return Err(Reason::MalformedHeader);
        }
        let mut verdict = Err(Reason::MalformedHeader);
        for input in inputs {
            let signature = signatures.get(&input.label).ok_or(Reason::MalformedHeader)?;
            let judged = self.judge(&input, signature, delivery);
            // The first says why, unless any is right.
            if judged.is_ok() || matches!(verdict, Err(Reason::MalformedHeader)) {
                verdict = judged;
            }
        }
        let signed = verdict?;
        digest::check(&delivery.headers, &delivery.body)?;
        Ok(signed)
    }

    fn judge(&self, input: &Input, signature: &[u8], delivery: &Delivery) -> Result<Signed<'static>, Reason> {
        if !self.required.iter().all(|name| input.components.contains(name)) {
            return Err(Reason::ComponentMissing);
        }
        let time = input.created.ok_or(Reason::MissingHeader)?;
        let base = base::of(&input.components, &input.parameters, &delivery.headers, delivery.request.as_ref())?;
        self.check(input, &base, signature)?;
        let covered = Covered::Text(self.identity(delivery)?);
        Ok(Signed { time: Some(time), expires: input.expires, covered, ..Signed::of(SignedBytes::default()) })
    }

    /// What every right signature covers, and so stays the same whichever of them are left out of a repeat: not the
    /// parameters, which each has for itself. The digest of the body is always among it.
    fn identity(&self, delivery: &Delivery) -> Result<String, Reason> {
        base::of(&self.required, "", &delivery.headers, delivery.request.as_ref())
    }

    /// Every key of this id is tried; there may be two while the sender changes keys.
    fn check(&self, input: &Input, base: &str, signature: &[u8]) -> Result<(), Reason> {
        let named = self.keys.iter().filter(|(id, _)| Some(id) == input.key_id.as_ref()).map(|(_, keys)| keys);
        let keys: Vec<&Keys> = named.collect();
        if keys.is_empty() {
            return Err(Reason::UnknownKey);
        }
        let agrees = |keys: &&Keys| input.algorithm.as_deref().is_none_or(|said| said == algorithm(keys));
        let keys: Vec<&Keys> = keys.into_iter().filter(agrees).collect();
        if keys.is_empty() {
            return Err(Reason::UnsupportedAlgorithm);
        }
        let found = keys.into_iter().fold(false, |found, key| found | makes(key, base, signature));
        if found { Ok(()) } else { Err(Reason::SignatureMismatch) }
    }

    pub(super) fn can_sign(&self) -> bool {
        self.keys.first().is_some_and(|(_, keys)| keys.has_mac())
    }

    pub(super) fn sign(
        &self,
        now: Timestamp,
        body: &[u8],
        target: Option<&HttpRequest>,
    ) -> Result<SignedHeaders, Reason> {
        let (key_id, keys) = self.keys.first().ok_or(Reason::UnknownKey)?;
        let digest = value(&digest::of(body))?;
        let digest_header = HeaderName::from_static(DIGEST);
        let headers = HeaderMap::from_iter([(digest_header.clone(), digest.clone())]);
        let parameters = fields::parameters(&self.required, now, key_id, algorithm(keys));
        let base = base::of(&self.required, &parameters, &headers, target)?;
        let tag = keys.sign(&SignedBytes::of(base.as_bytes())).ok_or(Reason::UnsupportedAlgorithm)?;
        let signature = fields::signature(LABEL, tag.as_bytes());
        let input = value(&format!("{LABEL}={parameters}"))?;
        Ok(vec![(digest_header, digest), (SIGNATURE_INPUT, input), (SIGNATURE, value(&signature)?)])
    }
}

/// Whether a single key made this signature.
fn makes(key: &Keys, base: &str, signature: &[u8]) -> bool {
    let bytes = SignedBytes::of(base.as_bytes());
    let length = if key.has_public() { 64 } else { 32 };
    let candidate = (signature.len() == length).then(|| Tag::new(signature)).into_iter();
    key.any_makes(&bytes, candidate.clone()) | key.any_verifies(&bytes, candidate)
}

/// The name of the algorithm that a single key is for (IANA, "HTTP Signature Algorithms").
fn algorithm(key: &Keys) -> &'static str {
    if key.has_public() { "ed25519" } else { "hmac-sha256" }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use http::{HeaderValue, Method};
    use serde_json::Value;

    use super::*;
    use crate::settings::SecretRef;
    use crate::verify::keys::KeyText;

    /// The example covers no body, so no config takes it. Its base and its MAC are right nevertheless.
    #[test]
    fn the_example_of_the_rfc_is_authentic() {
        let file = include_str!("../../../../tests/fixtures/signatures/vectors.json");
        let file: Value = serde_json::from_str(file).expect("JSON");
        let vectors = file["vectors"].as_array().expect("vectors").iter();
        let vector = vectors.clone().find(|vector| vector["id"] == "rfc9421-s-appendix-b25").expect("the example");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let headers = vector["headers"].as_array().expect("headers").iter().map(|pair| {
            let name = HeaderName::from_bytes(text(&pair[0]).as_bytes()).expect("a name");
            (name, HeaderValue::from_str(&text(&pair[1])).expect("a value"))
        });
        let body = STANDARD.decode(text(&vector["body"])).expect("base64");
        let url = text(&vector["request"]["url"]).parse().expect("a URL");
        let source = "edr".parse().expect("a name");
        let delivery = Delivery::new(source, headers.collect(), body.into(), Timestamp::UNIX_EPOCH)
            .requested(HttpRequest { method: Method::POST, url: Some(url) });
        let secret = SecretRef::Value(text(&vector["secrets"][0]["value"]));
        let keys = Keys::read(&[secret], KeyText::Coded).expect("a key");
        let rules = Rules { required: Vec::new(), key_ids: vec![text(&vector["secrets"][0]["id"])] };
        let signed = Rfc9421::new(rules, keys).authenticate(&delivery).expect("authentic");
        assert_eq!(signed.time.map(Timestamp::as_second), vector["now"].as_i64());
    }
}
