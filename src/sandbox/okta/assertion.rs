//! Checks a client assertion (RFC 7523) by Okta's rules, with the stand-in's own clock.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::Value;

use super::token::App;
use super::world::World;

/// An assertion may expire at most this far ahead.
const LONGEST_S: i64 = 3600;

/// The algorithms that Okta takes for `private_key_jwt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 7518, section 3.1")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Es256,
    Es384,
    Es512,
}

impl Algorithm {
    /// The `alg` of the header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
        }
    }
}

/// What an assertion must say at this endpoint and moment.
pub(super) struct Expected {
    pub(super) audience: String,
    pub(super) now: Timestamp,
}

impl Expected {
    /// The app that signed; its `jti` is spent. Fails with a sentence about the first thing that is wrong.
    pub(super) fn verify(&self, world: &mut World, assertion: &str) -> Result<App, String> {
        let parts: Vec<&str> = assertion.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else { return Err("not a signed JWT".to_owned()) };
        let (header_json, claims_json) = (json_of(header)?, json_of(claims)?);
        let client_id = claims_json["iss"].as_str().unwrap_or_default();
        let app = world.apps.get(client_id).cloned().ok_or("the client is unknown")?;
        check_header(&app, &header_json)?;
        check_signature(&app, &assertion[..header.len() + 1 + claims.len()], signature)?;
        self.check_claims(&app, &claims_json)?;
        spend(world, &app, &claims_json)?;
        Ok(app)
    }

    fn check_claims(&self, app: &App, claims: &Value) -> Result<(), String> {
        let now_s = self.now.as_second();
        let expires_s = claims["exp"].as_i64().ok_or("exp is missing or not in whole seconds")?;
        let rules = [
            (claims["sub"].as_str() == Some(&app.client_id), "sub differs from iss"),
            (claims["aud"].as_str() == Some(&self.audience), "aud is not the token endpoint"),
            (expires_s > now_s, "the assertion has expired"),
            (expires_s <= now_s + LONGEST_S, "exp is more than an hour ahead"),
            (claims["iat"].is_null() || claims["iat"].as_i64().is_some_and(|at| at <= now_s), "iat lies in the future"),
            (claims["nbf"].is_null() || claims["nbf"].as_i64().is_some_and(|at| at <= now_s), "nbf lies in the future"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, broken)| Err((*broken).to_owned()))
    }
}

fn check_header(app: &App, header: &Value) -> Result<(), String> {
    if header["alg"].as_str() != Some(app.algorithm.as_str()) {
        return Err("alg is not the one of the registered key".to_owned());
    }
    match header["kid"].as_str() == Some(&app.key_id) {
        true => Ok(()),
        false => Err("kid is missing or names no registered key".to_owned()),
    }
}

fn check_signature(app: &App, signed: &str, signature: &str) -> Result<(), String> {
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "the signature is not base64url")?;
    let key = UnparsedPublicKey::new(app.algorithm.verification(), der_of(&app.public_key_pem)?);
    key.verify(signed.as_bytes(), &signature).map_err(|_| "the signature does not match".to_owned())
}

/// `jti` is optional, but once only.
fn spend(world: &mut World, app: &App, claims: &Value) -> Result<(), String> {
    let Some(jti) = claims["jti"].as_str() else { return Ok(()) };
    match world.used_assertions.insert((app.client_id.clone(), jti.to_owned())) {
        true => Ok(()),
        false => Err("jti was used before".to_owned()),
    }
}

fn json_of(part: &str) -> Result<Value, String> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| "not base64url")?;
    serde_json::from_slice(&bytes).map_err(|_| "not JSON".to_owned())
}

fn der_of(pem: &str) -> Result<Vec<u8>, String> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    STANDARD.decode(base64).map_err(|_| "the registered key is not PEM".to_owned())
}

/// A key pair for an app of a test.
pub(super) struct FreshKey {
    pub(super) private_pem: String,
    pub(super) public_pem: String,
}

impl FreshKey {
    pub(super) fn generate() -> Self {
        let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).expect("key generation works");
        let private = pair.to_pkcs8v1().expect("a fresh key can be encoded");
        let public = pair.public_key().as_der().expect("a fresh key can be encoded");
        Self { private_pem: pem("PRIVATE KEY", private.as_ref()), public_pem: pem("PUBLIC KEY", public.as_ref()) }
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
