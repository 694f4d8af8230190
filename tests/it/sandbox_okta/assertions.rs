//! Client assertions: claims, keys, algorithms.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RsaEncoding, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sever::clock::Clock;
use sever::sandbox::okta::{Algorithm, App};

use super::org::*;

#[tokio::test]
async fn assertions_are_checked_claim_by_claim() {
    let org = Org::start().await;
    let app = org.service_app();
    let (now, url) = (org.clock.now().as_second(), org.okta().url());
    let table = [
        ("iss", json!("0oaStranger")),
        ("iss", json!(null)),
        ("sub", json!("0oaStranger")),
        ("sub", json!(null)),
        ("aud", json!(format!("{url}/oauth2/default/v1/token"))),
        ("aud", json!(format!("{url}/oauth2/v1/token/"))),
        ("aud", json!(url)),
        ("aud", json!([format!("{url}/oauth2/v1/token")])),
        ("exp", json!(null)),
        ("exp", json!(now)),
        ("exp", json!(now + 3601)),
        ("exp", json!((now + 300).to_string())),
        ("exp", json!((now + 300) * 1000)),
        ("iat", json!(now + 1)),
        ("nbf", json!(now + 1)),
    ];
    for (claim, value) in table {
        let mut claims = org.claims("0oa1service");
        claims[claim] = value;
        let reply = org.token(&app.sign(&claims), "okta.users.read").await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "invalid_client"), "{claim}: {}", claims[claim]);
        assert!(reply.json()["error_description"].is_string());
    }
    let mut bare = org.claims("0oa1service");
    bare["exp"] = json!(now + 3600);
    bare.as_object_mut().expect("an object").retain(|name, _| name != "jti" && name != "iat");
    let signed = app.sign(&bare);
    assert_eq!(org.token(&signed, "okta.users.read").await.status, 200, "jti and iat are optional");
    assert_eq!(org.token(&signed, "okta.users.read").await.status, 200, "without jti it may be used again");
}

#[tokio::test]
async fn assertions_are_checked_for_key_signature_and_reuse() {
    let org = Org::start().await;
    let app = org.service_app();
    let good = app.sign(&org.claims("0oa1service"));
    assert_eq!(org.token(&good, "okta.users.read").await.status, 200);
    assert_eq!(org.token(&good, "okta.users.read").await.code(), "invalid_client", "a jti is used once");

    let (_, stranger_pem) = App::with_fresh_key("0oa1service");
    let stranger = Signer { app: app.app.clone(), private_pem: stranger_pem };
    let other_key_id = Signer { app: App { key_id: "other".into(), ..app.app.clone() }, ..app.clone_key() };
    let good = app.sign(&org.claims("0oa1service"));
    let parts: Vec<&str> = good.split('.').collect();
    let none = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "kid": app.app.key_id}).to_string());
    let table = [
        stranger.sign(&org.claims("0oa1service")),
        other_key_id.sign(&org.claims("0oa1service")),
        format!("{none}.{}.", parts[1]),
        format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode("{}"), parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        "nonsense".to_owned(),
    ];
    for assertion in table {
        let reply = org.token(&assertion, "okta.users.read").await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "invalid_client"), "{assertion}");
    }
}

impl Signer {
    fn clone_key(&self) -> Self {
        Self { app: self.app.clone(), private_pem: self.private_pem.clone() }
    }
}

#[tokio::test]
async fn each_of_the_six_algorithms_is_taken_with_its_own_key_only() {
    let org = Org::start().await;
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let rsa_pem = pem(rsa.public_key().as_der().expect("a public key").as_ref());
    let table: [(Algorithm, Key); 6] = [
        (Algorithm::Rs256, Key::Rsa(&rsa, &signature::RSA_PKCS1_SHA256)),
        (Algorithm::Rs384, Key::Rsa(&rsa, &signature::RSA_PKCS1_SHA384)),
        (Algorithm::Rs512, Key::Rsa(&rsa, &signature::RSA_PKCS1_SHA512)),
        (Algorithm::Es256, ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)),
        (Algorithm::Es384, ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)),
        (Algorithm::Es512, ecdsa(&signature::ECDSA_P521_SHA512_FIXED_SIGNING)),
    ];
    for (algorithm, key) in table {
        let (app, _) = App::with_fresh_key("0oa2service");
        let public_key_pem = key.public_pem().unwrap_or_else(|| rsa_pem.clone());
        let app = App { algorithm, public_key_pem, ..app };
        org.okta().register_app(app.clone());
        let header = |alg: &str| json!({"alg": alg, "kid": app.key_id});
        let right = key.jwt(&header(algorithm.as_str()), &org.claims("0oa2service"));
        assert_eq!(org.token(&right, "okta.users.read").await.status, 200, "{algorithm:?}");
        let other = if algorithm == Algorithm::Rs256 { "RS384" } else { "RS256" };
        let wrong = key.jwt(&header(other), &org.claims("0oa2service"));
        assert_eq!(org.token(&wrong, "okta.users.read").await.code(), "invalid_client", "{algorithm:?}");
    }
}

enum Key<'a> {
    Rsa(&'a RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(Box<EcdsaKeyPair>),
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Key<'static> {
    Key::Ecdsa(Box::new(EcdsaKeyPair::generate(algorithm).expect("a key")))
}

impl Key<'_> {
    fn public_pem(&self) -> Option<String> {
        match self {
            Self::Rsa(..) => None,
            Self::Ecdsa(key) => Some(pem(key.public_key().as_der().expect("a public key").as_ref())),
        }
    }

    fn jwt(&self, header: &Value, claims: &Value) -> String {
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, message, &mut signature).expect("signed");
                signature
            }
            Self::Ecdsa(key) => key.sign(&random, message).expect("signed").as_ref().to_vec(),
        }
    }
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}
