//! Who a client certificate is for, and which of them the config means.
//!
//! Names are compared as text after both were written in the form of RFC 4514: attribute types by any of their names, values
//! exactly, in the order of the name. A value that looks like several attributes stays one, for its commas are escaped.

use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::files::timestamp;

/// A certificate that a client showed and that one of `client_ca` signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    subject: String,
    dns: Vec<String>,
    uris: Vec<String>,
    not_after: Timestamp,
}

impl ClientCertificate {
    /// Reads it; `None`: it cannot be read, and is nobody's.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let certificate = certificate.tbs_certificate();
        let (_, names) =
            certificate.get_extension::<SubjectAltName>().ok()?.unwrap_or((false, SubjectAltName(Vec::new())));
        let (mut dns, mut uris) = (Vec::new(), Vec::new());
        for name in &names.0 {
            match name {
                GeneralName::DnsName(name) => dns.push(name.as_str().to_ascii_lowercase()),
                GeneralName::UniformResourceIdentifier(uri) => uris.push(uri.as_str().to_owned()),
                _ => {}
            }
        }
        let subject = certificate.subject().to_string();
        Some(Self { subject, dns, uris, not_after: timestamp(certificate.validity().not_after) })
    }

    /// Whether it is for one of these.
    #[must_use]
    pub fn is_any(&self, subjects: &[ClientSubject]) -> bool {
        subjects.iter().any(|subject| match &subject.0 {
            Pattern::Name(name) => *name == self.subject,
            Pattern::Dns(name) => self.dns.contains(name),
            Pattern::Uri(uri) => self.uris.contains(uri),
        })
    }

    /// Whether it has not expired. A connection may outlive the certificate that it was made with.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        now <= self.not_after
    }

    /// The name of its subject (RFC 4514), for logs.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

/// Whose certificate is meant: `CN=edr,O=Acme` is the whole name of the subject as RFC 4514 writes it, the most specific
/// part first (`openssl x509 -noout -subject -nameopt RFC2253`); `dns:edr.acme.com` and `uri:spiffe://acme.com/edr` are
/// entries of its subject alternative names. Nothing stands for several: there are no wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct ClientSubject(Pattern);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Name(String),
    Dns(String),
    Uri(String),
}

impl TryFrom<String> for ClientSubject {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let pattern = match text.split_once(':') {
            Some(("dns", name)) => Pattern::Dns(dns_name(name)?),
            Some(("uri", uri)) => Pattern::Uri(whole_uri(uri)?),
            _ => Pattern::Name(subject_name(&text)?),
        };
        Ok(Self(pattern))
    }
}

impl From<ClientSubject> for String {
    fn from(subject: ClientSubject) -> Self {
        match subject.0 {
            Pattern::Name(name) => name,
            Pattern::Dns(name) => format!("dns:{name}"),
            Pattern::Uri(uri) => format!("uri:{uri}"),
        }
    }
}

/// Read and written again, as the subject of a certificate is written.
fn subject_name(text: &str) -> Result<String, String> {
    let wrong = || {
        format!(
            "{text:?} is not the name of a subject; write it as RFC 4514 does, without spaces around `=` and `,`: \
             CN=edr,O=Acme, or name an entry of the alternative names: dns:edr.acme.com, uri:spiffe://acme.com/edr"
        )
    };
    let name = Name::from_str(text).map_err(|_| wrong())?.to_string();
    if name.is_empty() { Err(wrong()) } else { Ok(name) }
}

fn dns_name(name: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() || !name.chars().all(fits) {
        return Err(format!("\"dns:{name}\" is not a whole DNS name; write dns:edr.acme.com, without wildcard"));
    }
    Ok(name.to_ascii_lowercase())
}

fn whole_uri(uri: &str) -> Result<String, String> {
    let has_scheme = uri.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
    if !has_scheme || uri.contains(|c: char| c.is_whitespace() || c == '*') {
        return Err(format!("\"uri:{uri}\" is not a whole URI; write uri:spiffe://acme.com/edr, without wildcard"));
    }
    Ok(uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(text: &str) -> Result<String, String> {
        ClientSubject::try_from(text.to_owned()).map(String::from)
    }

    #[test]
    fn a_subject_is_read_in_any_spelling_of_its_types_and_no_other() {
        for (text, normal) in [
            ("CN=edr,O=Acme", "CN=edr,O=Acme"),
            ("cn=edr,o=Acme", "CN=edr,O=Acme"),
            ("2.5.4.3=edr,2.5.4.10=Acme", "CN=edr,O=Acme"),
            ("commonName=edr", "CN=edr"),
            (r"CN=edr\,O=Acme", r"CN=edr\,O=Acme"),
            (r"CN=edr\2CO=Acme", r"CN=edr\,O=Acme"),
            ("CN=#0c03656472", "CN=edr"),
            ("dns:EDR.acme.com", "dns:edr.acme.com"),
            ("uri:spiffe://acme.com/edr", "uri:spiffe://acme.com/edr"),
        ] {
            assert_eq!(subject(text).as_deref(), Ok(normal), "{text}");
        }
        for text in [
            "",
            "edr",
            "edr.acme.com",
            "CN = edr, O = Acme",
            "/O=Acme/CN=edr",
            "dns:",
            "dns:*.acme.com",
            "uri:",
            "uri:edr",
            "uri:spiffe://acme.com/*",
        ] {
            assert!(subject(text).is_err(), "{text}: {:?}", subject(text));
        }
    }
}
