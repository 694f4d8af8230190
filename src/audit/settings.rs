//! What the config says about the record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::{KeyError, PublicKey, PublicKeys, SigningKey};
use crate::settings::SecretRef;

/// How the audit record is sealed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {
    /// The ed25519 key that signs the record each minute: PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    /// Without it the record is chained, but not sealed, and nothing of it is ever removed.
    #[serde(default)]
    pub signing_key: Option<SecretRef>,
    /// The public keys of earlier signing keys, in PEM, as `openssl pkey -pubout` writes them. What those signed stays
    /// valid.
    #[serde(default)]
    pub verify_keys: Vec<SecretRef>,
}

/// The keys that the config names.
#[derive(Debug)]
pub struct AuditKeys {
    /// The one that signs.
    pub signing: Option<SigningKey>,
    /// All whose seals are believed, the signing one among them.
    pub believed: PublicKeys,
}

impl AuditSettings {
    /// Reads the keys. Fails with every problem at once, each with its path.
    pub fn keys(&self) -> Result<AuditKeys, Vec<(String, String)>> {
        let mut problems = Vec::new();
        let mut note = |path: String, message: String| problems.push((path, message));
        let signing = self.signing_key.as_ref().and_then(|reference| {
            let read = read(reference, SigningKey::from_pem);
            read.map_err(|message| note("audit.signing_key".to_owned(), message)).ok()
        });
        let mut public: Vec<PublicKey> = signing.iter().map(SigningKey::public).collect();
        for (position, reference) in self.verify_keys.iter().enumerate() {
            match read(reference, PublicKey::from_pem) {
                Ok(key) => public.push(key),
                Err(message) => note(format!("audit.verify_keys[{position}]"), message),
            }
        }
        let keys = AuditKeys { signing, believed: public.into_iter().collect() };
        if problems.is_empty() { Ok(keys) } else { Err(problems) }
    }
}

fn read<T>(reference: &SecretRef, parse: impl Fn(&str) -> Result<T, KeyError>) -> Result<T, String> {
    let text = reference.resolve().map_err(|error| error.to_string())?;
    parse(text.expose()).map_err(|error| format!("the key from {reference} {error}"))
}
