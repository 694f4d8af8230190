//! What is signed: where the chains stand, and what was removed from their beginnings.
//!
//! The signed text is the statement's label, a line feed, and the statement as JSON without blanks, with its keys in order.
//! It holds strings and whole numbers only, so that whoever copies it through a log may write it anew.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Something that a key signs.
pub trait Statement: Serialize {
    /// What kind it is. A signature under one kind says nothing under another.
    const LABEL: &'static str;

    /// The id of the key that signs.
    fn key(&self) -> &str;

    /// The text that is signed.
    fn signed_text(&self) -> String {
        let value = serde_json::to_value(self).expect("strings and numbers are JSON");
        format!("{}\n{value}", Self::LABEL)
    }
}

/// A statement with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Signed{T}")]
pub struct Signed<T> {
    /// What is signed.
    #[serde(flatten)]
    pub statement: T,
    /// Of the text, in base64.
    pub signature: String,
}

/// Why a signed statement is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// Signed by somebody whom we were not told of.
    #[error("is signed by the key {0}, which was not named as one to believe")]
    UnknownKey(String),
    /// Not signed by the key that it names.
    #[error("has a wrong signature: it was changed or made up")]
    BadSignature,
}

/// Where the record stood at a moment: the last row of every writer. It vouches for every row before those.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seal {
    /// When, by the wall clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The last row of every writer.
    pub heads: Vec<Head>,
    /// The id of the key.
    pub key: String,
    /// The first is 1, and each is one more than the one before.
    pub number: i64,
}

/// The last row of a writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    /// Its hash, in hexadecimal digits.
    pub hash: String,
    /// Its number.
    pub seq: i64,
    /// The writer.
    pub writer: String,
}

impl Statement for Seal {
    const LABEL: &'static str = "sever.audit.seal.v1";

    fn key(&self) -> &str {
        &self.key
    }
}

impl Signed<Seal> {
    /// SHA-256 of the signed text, in hexadecimal digits, as the record tells it.
    #[must_use]
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.statement.signed_text()))
    }

    /// Where this seal has a writer's chain.
    #[must_use]
    pub fn head(&self, writer: &str) -> Option<&Head> {
        self.statement.heads.iter().find(|head| head.writer == writer)
    }
}

/// What stands where old rows were removed from the beginning of a writer's chain. The next row follows from its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stub {
    /// When, by the wall clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The hash of the last row that was removed, in hexadecimal digits.
    pub hash: String,
    /// The id of the key.
    pub key: String,
    /// How many rows were removed, in all.
    pub removed: u64,
    /// The number of the seal that vouched for them.
    pub seal: i64,
    /// The last row that was removed.
    pub seq: i64,
    /// The writer.
    pub writer: String,
}

impl Statement for Stub {
    const LABEL: &'static str = "sever.audit.stub.v1";

    fn key(&self) -> &str {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PublicKeys, SigningKey};
    use super::*;

    fn seal(key: &SigningKey) -> Seal {
        let head = Head { hash: "ab".repeat(32), seq: 7, writer: "w".to_owned() };
        Seal { at: Timestamp::UNIX_EPOCH, heads: vec![head], key: key.id().to_owned(), number: 3 }
    }

    #[test]
    fn a_seal_survives_a_log_that_writes_it_anew() {
        let key = SigningKey::from_pem(&SigningKey::generate().expect("a key")).expect("a key");
        let keys: PublicKeys = [key.public()].into_iter().collect();
        let signed = key.sign(seal(&key));
        let pretty = serde_json::to_string_pretty(&signed).expect("JSON");
        let back: Signed<Seal> = serde_json::from_str(&pretty).expect("a seal");
        assert_eq!(keys.verify(&back), Ok(()));
        assert_eq!(
            signed.statement.signed_text(),
            format!(
                "sever.audit.seal.v1\n{{\"at\":\"1970-01-01T00:00:00Z\",\"heads\":[{{\"hash\":\"{}\",\"seq\":7,\"writer\":\"w\"}}],\
                 \"key\":\"{}\",\"number\":3}}",
                "ab".repeat(32),
                key.id()
            )
        );
    }

    #[test]
    fn whatever_is_changed_in_it_shows() {
        let key = SigningKey::from_pem(&SigningKey::generate().expect("a key")).expect("a key");
        let other = SigningKey::from_pem(&SigningKey::generate().expect("a key")).expect("a key");
        let keys: PublicKeys = [key.public()].into_iter().collect();
        let signed = key.sign(seal(&key));
        let change = |change: fn(&mut Seal)| {
            let mut forged = signed.clone();
            change(&mut forged.statement);
            keys.verify(&forged)
        };
        assert_eq!(change(|seal| seal.number = 4), Err(SealFault::BadSignature));
        assert_eq!(change(|seal| seal.heads.clear()), Err(SealFault::BadSignature));
        assert_eq!(change(|seal| seal.heads[0].seq = 8), Err(SealFault::BadSignature));
        assert_eq!(change(|seal| seal.at += std::time::Duration::from_secs(1)), Err(SealFault::BadSignature));
        let foreign = other.sign(seal(&other));
        assert_eq!(keys.verify(&foreign), Err(SealFault::UnknownKey(other.id().to_owned())));
        let under_our_name = other.sign(seal(&key));
        assert_eq!(keys.verify(&under_our_name), Err(SealFault::BadSignature));
        let cut = Signed { signature: String::new(), ..signed.clone() };
        assert_eq!(keys.verify(&cut), Err(SealFault::BadSignature));
    }
}
