//! The `tls` key of a listener.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{Secret, SecretRef};

/// TLS on a listener: `{cert: /etc/sever/tls.crt, key: /etc/sever/tls.key}`. The files are PEM, and read again when they
/// change. TLS 1.2 and 1.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// Our certificate, followed by those of the authorities between it and a root.
    pub cert: PathBuf,
    /// Its private key: the path of a file, or a reference.
    pub key: KeySettings,
    /// Certificates of the authorities that sign those of clients. With it, clients are asked for a certificate: on the
    /// listener of alerts, whoever shows none is let in, and `client_subjects` of a source says who may deliver to it;
    /// elsewhere everybody needs one. Default: nobody is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

/// A private key: where its file is, or a reference as for any other secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum KeySettings {
    /// The path of a file.
    Path(PathBuf),
    /// Any other place.
    Reference(SecretRef),
}

impl KeySettings {
    pub(super) fn reference(&self) -> SecretRef {
        match self {
            Self::Path(path) => SecretRef::File(path.clone()),
            Self::Reference(reference) => reference.clone(),
        }
    }

    pub(super) fn resolve(&self) -> Result<Secret, String> {
        self.reference().resolve().map_err(|error| error.to_string())
    }
}

/// Who has to show a certificate, where `client_ca` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Whoever wants to; one that is shown is checked.
    Optional,
    /// Everybody.
    Required,
}

impl TlsSettings {
    /// The files that are watched.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let key = if let SecretRef::File(path) = self.key.reference() { Some(path) } else { None };
        [Some(self.cert.clone()), key, self.client_ca.clone()].into_iter().flatten().collect()
    }
}
