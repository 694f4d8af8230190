//! A certificate of SNS: whose it is, when it holds, and its key.
//!
//! It was fetched over HTTPS from a host of SNS, and that connection is what vouches for it: the file brings no chain up
//! to a root. Name and dates are checked besides.

use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
};
use jiff::Timestamp;
use x509_cert::Certificate as X509;
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::Encode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

use crate::verify::SnsSignatureVersion;

/// The name in the certificates of every region but those of China.
const NAMES: [&str; 2] = ["sns.amazonaws.com", "sns.amazonaws.com.cn"];

/// A certificate that is one of SNS.
#[derive(Debug)]
pub(super) struct Certificate {
    not_before: Timestamp,
    pub(super) not_after: Timestamp,
    sha1: ParsedPublicKey,
    sha256: ParsedPublicKey,
}

impl Certificate {
    /// Reads PEM, the first certificate of it, fetched from `host`. An error says what is wrong.
    pub(super) fn read(pem: &[u8], host: &str) -> Result<Self, &'static str> {
        let chain = X509::load_pem_chain(pem).map_err(|_| "it is not a certificate in PEM")?;
        let certificate = chain.first().ok_or("there is no certificate in it")?.tbs_certificate();
        if !names(certificate).iter().any(|name| NAMES.contains(&name.as_str()) || name == host) {
            return Err("it is not in the name of SNS");
        }
        let key = certificate.subject_public_key_info().to_der().map_err(|_| "its key cannot be read")?;
        Ok(Self {
            not_before: timestamp(certificate.validity().not_before),
            not_after: timestamp(certificate.validity().not_after),
            sha1: parsed(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, &key)?,
            sha256: parsed(&RSA_PKCS1_2048_8192_SHA256, &key)?,
        })
    }

    pub(super) fn holds_at(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    pub(super) fn verifies(&self, version: SnsSignatureVersion, message: &[u8], signature: &[u8]) -> bool {
        let key = match version {
            SnsSignatureVersion::Sha1 => &self.sha1,
            SnsSignatureVersion::Sha256 => &self.sha256,
        };
        key.verify_sig(message, signature).is_ok()
    }
}

fn parsed(algorithm: &'static RsaParameters, key: &[u8]) -> Result<ParsedPublicKey, &'static str> {
    ParsedPublicKey::new(algorithm, key).map_err(|_| "its key is not RSA of 2048 bits or more")
}

/// The common name and the alternative names.
fn names(certificate: &TbsCertificate) -> Vec<String> {
    let common = certificate.subject().common_name().ok().flatten().map(|name| name.value().into_owned());
    let others = certificate.get_extension::<SubjectAltName>().ok().flatten().map(|(_, names)| names.0);
    let others = others.unwrap_or_default().into_iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        _ => None,
    });
    common.into_iter().chain(others).collect()
}

fn timestamp(time: Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
