//! A secret in a header with every delivery: Okta's event hooks, and senders that cannot sign.
//!
//! It proves that the sender knows the secret, and nothing about the body. Digests are compared, so that the time taken
//! does not even tell how long a secret is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::{Signed, SignedHeaders, header_or, value};
use crate::settings::{Secret, SecretRef};
use crate::verify::keys::{self, SignedBytes};
use crate::verify::{Reason, SignatureScheme, VerifierProblem, VerifySettings, headers};

/// Where the secret stands, and how it is written there.
pub(in crate::verify) struct Place {
    header: HeaderName,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    /// The whole value.
    Plain,
    /// After `Bearer` (RFC 6750 section 2.1).
    Bearer,
    /// `user:password` in base64 after `Basic` (RFC 7617 section 2).
    Basic,
}

impl Place {
    pub(super) fn new(settings: &VerifySettings) -> Result<Self, Vec<VerifierProblem>> {
        let authorization = |form| Ok(Self { header: AUTHORIZATION, form });
        match settings.scheme {
            SignatureScheme::Bearer => authorization(Form::Bearer),
            SignatureScheme::Basic => authorization(Form::Basic),
            SignatureScheme::StaticHeader if settings.header.is_none() => {
                let message = "is required with the scheme static-header: the name of the header with the secret";
                Err(vec![VerifierProblem::new("header", message)])
            }
            // Okta lets one choose the header; Authorization is what its documentation uses.
            _ => Ok(Self { header: header_or(settings, "Authorization")?, form: Form::Plain }),
        }
    }
}

impl Form {
    /// The credential in a header, as the config writes it.
    fn read(self, text: &str) -> Result<Vec<u8>, Reason> {
        match self {
            Self::Plain => Ok(text.as_bytes().to_vec()),
            Self::Bearer => Ok(after(text, "bearer")?.as_bytes().to_vec()),
            Self::Basic => STANDARD.decode(after(text, "basic")?).map_err(|_| Reason::MalformedHeader),
        }
    }

    /// The reverse of [`Self::read`].
    fn write(self, secret: &str) -> String {
        match self {
            Self::Plain => secret.to_owned(),
            Self::Bearer => format!("Bearer {secret}"),
            Self::Basic => format!("Basic {}", STANDARD.encode(secret)),
        }
    }

    /// What is wrong with a secret that no header of this form could bring.
    fn refuse(self, secret: &str) -> Result<(), &'static str> {
        let graphic = |blank: bool| secret.bytes().all(|byte| byte.is_ascii_graphic() || (blank && byte == b' '));
        match self {
            Self::Plain if !graphic(true) || secret.trim() != secret => {
                Err("cannot stand in a header; use printable ASCII without blanks at the ends")
            }
            Self::Bearer if !graphic(false) => Err("cannot stand after Bearer; use printable ASCII without blanks"),
            Self::Basic if !secret.contains(':') => Err("is not user:password; write both, with a colon between"),
            Self::Plain | Self::Bearer | Self::Basic => Ok(()),
        }
    }
}

/// What follows the name of an authentication scheme, which may be written in any case (RFC 9110 section 11.1).
fn after<'a>(text: &'a str, scheme: &str) -> Result<&'a str, Reason> {
    let (name, rest) = text.split_once(' ').ok_or(Reason::MalformedHeader)?;
    if name.eq_ignore_ascii_case(scheme) { Ok(rest) } else { Err(Reason::MalformedHeader) }
}

/// The place with its secrets.
pub(in crate::verify) struct Fixed {
    place: Place,
    known: Vec<[u8; 32]>,
    first: Option<Secret>,
}

impl Fixed {
    pub(super) fn read(place: Place, secrets: &[SecretRef]) -> Result<Self, Vec<VerifierProblem>> {
        let known = keys::each(secrets, |secret| {
            place.form.refuse(secret)?;
            Ok((<[u8; 32]>::from(Sha256::digest(secret)), Secret::new(&place.form.write(secret))))
        })?;
        let (known, mut headers): (Vec<_>, Vec<_>) = known.into_iter().unzip();
        let first = (!headers.is_empty()).then(|| headers.swap_remove(0));
        Ok(Self { place, known, first })
    }

    pub(super) fn header(&self) -> &HeaderName {
        &self.place.header
    }

    pub(super) fn authenticate<'a>(&self, headers: &HeaderMap, body: &'a [u8]) -> Result<Signed<'a>, Reason> {
        let given = self.place.form.read(headers::once(headers, &self.place.header)?)?;
        let given = Sha256::digest(given);
        let mut found = Choice::from(0);
        for known in &self.known {
            found |= known.ct_eq(&given[..]);
        }
        if !bool::from(found) {
            return Err(Reason::CredentialMismatch);
        }
        Ok(Signed::of(SignedBytes::of(body)))
    }

    pub(super) fn sign(&self) -> Result<SignedHeaders, Reason> {
        let secret = self.first.as_ref().ok_or(Reason::CredentialMismatch)?;
        let mut value = value(secret.expose())?;
        value.set_sensitive(true);
        Ok(vec![(self.place.header.clone(), value)])
    }
}
