//! The keys that sign the record, and those that verify it (ed25519, RFC 8032).
//!
//! A key is known by its id: `ed25519:` and the first 16 hexadecimal digits of the SHA-256 of the public key's 32 bytes.

use aws_lc_rs::signature::{ED25519, ED25519_PUBLIC_KEY_LEN, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Document, SecretDocument};

use super::seal::{SealFault, Signed, Statement};

/// What stands before the 32 bytes of an ed25519 public key in a SubjectPublicKeyInfo (RFC 8410 section 4).
const PUBLIC_KEY_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// Why a text is not a key. Nothing of the text is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a private one.
    #[error("is not an ed25519 private key in PEM; make one with `openssl genpkey -algorithm ed25519`")]
    NotPrivate,
    /// Not a public one.
    #[error("is not an ed25519 public key in PEM; make one of the private key with `openssl pkey -in KEY -pubout`")]
    NotPublic,
    /// The system did not make one.
    #[error("the system made no key")]
    NotMade,
}

/// Signs seals and stubs. Shows nothing of itself but its id.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// Reads PKCS#8 in PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, document) = SecretDocument::from_pem(text).map_err(|_| KeyError::NotPrivate)?;
        if label != "PRIVATE KEY" {
            return Err(KeyError::NotPrivate);
        }
        let pair = Ed25519KeyPair::from_pkcs8(document.as_bytes()).map_err(|_| KeyError::NotPrivate)?;
        let public = PublicKey::new(pair.public_key().as_ref()).ok_or(KeyError::NotPrivate)?;
        Ok(Self { pair, public })
    }

    /// A fresh key, as PKCS#8 in PEM.
    pub fn generate() -> Result<String, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NotMade)?;
        let document = pair.to_pkcs8v1().map_err(|_| KeyError::NotMade)?;
        let document = SecretDocument::try_from(document.as_ref()).map_err(|_| KeyError::NotMade)?;
        let pem = document.to_pem("PRIVATE KEY", LineEnding::LF).map_err(|_| KeyError::NotMade)?;
        Ok(pem.to_string())
    }

    /// What others verify with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.public.id
    }

    /// Signs a statement, which has to name this key.
    #[must_use]
    pub fn sign<T: Statement>(&self, statement: T) -> Signed<T> {
        let signature = STANDARD.encode(self.pair.sign(statement.signed_text().as_bytes()));
        Signed { statement, signature }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public.id)
    }
}

/// Verifies what one key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: String,
    bytes: [u8; ED25519_PUBLIC_KEY_LEN],
}

impl PublicKey {
    fn new(bytes: &[u8]) -> Option<Self> {
        let digest = hex::encode(Sha256::digest(bytes));
        Some(Self { id: format!("ed25519:{}", &digest[..16]), bytes: bytes.try_into().ok()? })
    }

    /// Reads a SubjectPublicKeyInfo in PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, document) = Document::from_pem(text).map_err(|_| KeyError::NotPublic)?;
        let bytes = document.as_bytes().strip_prefix(&PUBLIC_KEY_HEAD).filter(|_| label == "PUBLIC KEY");
        bytes.and_then(Self::new).ok_or(KeyError::NotPublic)
    }

    /// Writes one.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let der = [&PUBLIC_KEY_HEAD[..], &self.bytes].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The keys whose signatures are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublicKeys(Vec<PublicKey>);

impl FromIterator<PublicKey> for PublicKeys {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl PublicKeys {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These and those.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        self.0.into_iter().chain(others.0).collect()
    }

    /// Whether one of these keys signed it: the one that it names.
    pub fn verify<T: Statement>(&self, signed: &Signed<T>) -> Result<(), SealFault> {
        let id = signed.statement.key();
        let key = self.0.iter().find(|key| key.id == id).ok_or_else(|| SealFault::UnknownKey(id.to_owned()))?;
        let signature = STANDARD.decode(&signed.signature).map_err(|_| SealFault::BadSignature)?;
        let text = signed.statement.signed_text();
        UnparsedPublicKey::new(&ED25519, key.bytes)
            .verify(text.as_bytes(), &signature)
            .map_err(|_| SealFault::BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of RFC 8410 section 10.3, the private key and its public one.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn keys_are_those_of_the_standard() {
        let key = SigningKey::from_pem(PRIVATE).expect("a private key");
        let public = PublicKey::from_pem(PUBLIC).expect("a public key");
        assert_eq!(key.public(), public);
        assert_eq!(public.to_pem(), PUBLIC);
        assert!(!format!("{key:?}").contains("1O5y"));
        let made = SigningKey::generate().expect("a key");
        assert_ne!(SigningKey::from_pem(&made).expect("is read back").public(), public);
    }

    #[test]
    fn what_is_no_such_key_is_refused_and_not_shown() {
        let rsa = "-----BEGIN RSA PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp\n-----END RSA PRIVATE KEY-----\n";
        for text in ["", "secret", PUBLIC, rsa, &PRIVATE.replace("K2Vw", "K2Vx")] {
            let error = SigningKey::from_pem(text).expect_err("it was taken");
            assert!(!error.to_string().contains("MC4C"));
        }
        for text in ["", "whpk_x", PRIVATE] {
            assert_eq!(PublicKey::from_pem(text), Err(KeyError::NotPublic));
        }
    }
}
