//! The signed statement by which a service app proves who it is (`private_key_jwt`, RFC 7523).

use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::settings::Secret;

/// Okta allows an hour. Five minutes outlast any call and leave room for clocks that differ a little.
const LIFETIME_SECONDS: i64 = 5 * 60;

/// How assertions are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, for RSA keys.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA with SHA-256, for EC keys on P-256.
    #[serde(rename = "ES256")]
    Es256,
}

/// A private key that has been seen to work. Debug shows nothing of it.
#[derive(Debug, Clone)]
pub(super) struct SigningKey {
    algorithm: Algorithm,
    key: EncodingKey,
}

#[derive(Debug, Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: Uuid,
}

impl SigningKey {
    /// Reads a key in PEM. The error is the mend.
    pub(super) fn read(pem: &Secret, wanted: Option<SigningAlgorithm>) -> Result<Self, String> {
        let (label, der) = private_block(pem.expose())?;
        let found = match label.as_str() {
            "RSA PRIVATE KEY" => rsa_pkcs1(der),
            "EC PRIVATE KEY" => ec(&der),
            "PRIVATE KEY" => ec(&der).or_else(|_| rsa_pkcs8(pem.expose())),
            _ => return Err(format!("is a {label:?}; decrypt it or convert it to an unencrypted PKCS#8 key in PEM")),
        };
        let key = found.map_err(|()| {
            "cannot be used; give an RSA key of 2048 bits or more, or an EC key on P-256, as the app knows it"
                .to_owned()
        })?;
        key.check(wanted)
    }

    fn check(self, wanted: Option<SigningAlgorithm>) -> Result<Self, String> {
        match (wanted, self.algorithm) {
            (Some(SigningAlgorithm::Rs256), Algorithm::ES256) => {
                Err("is an EC key and `algorithm` is RS256; remove `algorithm`".to_owned())
            }
            (Some(SigningAlgorithm::Es256), Algorithm::RS256) => {
                Err("is an RSA key and `algorithm` is ES256; remove `algorithm`".to_owned())
            }
            // A trial: what cannot sign now will not sign in an emergency either.
            _ => match self.assertion("trial", "trial", "trial", Timestamp::UNIX_EPOCH) {
                Ok(_) => Ok(self),
                Err(_) => Err("cannot sign; give an RSA key of 2048 to 8192 bits, or an EC key on P-256".to_owned()),
            },
        }
    }

    /// A fresh assertion, never the same twice.
    pub(super) fn assertion(
        &self,
        client_id: &str,
        key_id: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<Secret, jsonwebtoken::errors::Error> {
        let iat = now.as_second();
        let (exp, jti) = (iat + LIFETIME_SECONDS, Uuid::now_v7());
        let claims = Claims { iss: client_id, sub: client_id, aud: audience, iat, exp, jti };
        let header = Header { kid: Some(key_id.to_owned()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, &claims, &self.key).map(|text| Secret::new(&text))
    }
}

fn rsa_pkcs1(der: Vec<u8>) -> Result<SigningKey, ()> {
    RsaKeyPair::from_der(&der).map_err(|_| ())?;
    Ok(SigningKey { algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_der(&der) })
}

fn rsa_pkcs8(pem: &str) -> Result<SigningKey, ()> {
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| ())?;
    Ok(SigningKey { algorithm: Algorithm::RS256, key })
}

/// SEC1 or PKCS#8; the signer below takes PKCS#8 alone.
fn ec(der: &[u8]) -> Result<SigningKey, ()> {
    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(|_| ())?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| ())?;
    Ok(SigningKey { algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(pkcs8.as_ref()) })
}

/// The label and the bytes of the first block with a private key; `openssl ecparam` puts one with parameters before it.
fn private_block(pem: &str) -> Result<(String, Vec<u8>), String> {
    if pem.trim_start().starts_with('{') {
        return Err("is a JWK; give the key in PEM (where Okta makes the key, choose PEM)".to_owned());
    }
    let mut blocks = pem.split("-----BEGIN ").skip(1).filter_map(|rest| rest.split_once("-----"));
    let (label, rest) = blocks
        .find(|(label, _)| label.ends_with("PRIVATE KEY"))
        .ok_or("holds no private key in PEM; it begins with -----BEGIN PRIVATE KEY-----")?;
    if rest.contains("ENCRYPTED") {
        return Err("is encrypted; decrypt it, for example with `openssl pkcs8 -topk8 -nocrypt`".to_owned());
    }
    let body: String = rest.split("-----").next().unwrap_or_default().split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| "is PEM that is damaged; copy it again with its line ends")?;
    Ok((label.to_owned(), der))
}
