//! From the files to what a handshake needs, or to everything that is wrong with them. No error shows what is in a key.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{Error, RootCertStore, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::time::{Time, Validity};

use super::settings::{ClientAuth, TlsSettings};

/// What is wrong: the key below `tls`, and what to do about it.
pub type Problem = (String, String);

/// The files as they were read.
pub(super) struct Read {
    pub(super) config: Arc<ServerConfig>,
    /// When our certificate ends.
    pub(super) not_after: Timestamp,
    /// What works, and not for everybody.
    pub(super) warnings: Vec<Problem>,
}

/// Reads the files and joins them, as of `now`.
pub(super) fn read(settings: &TlsSettings, auth: ClientAuth, now: Timestamp) -> Result<Read, Vec<Problem>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = certificates(&settings.cert).map_err(|message| ("cert", message));
    let key = private_key(settings).map_err(|message| ("key", message));
    let verifier = settings.client_ca.as_deref().map(|ca| client_verifier(ca, auth, &provider)).transpose();
    let verifier = verifier.map_err(|message| ("client_ca", message));
    let (chain, key, verifier) = match (chain, key, verifier) {
        (Ok(chain), Ok(key), Ok(verifier)) => (chain, key, verifier),
        (chain, key, verifier) => {
            let found = [chain.err(), key.err(), verifier.err()].into_iter().flatten();
            return Err(found.map(|(key, message)| (key.to_owned(), message)).collect());
        }
    };
    let (not_after, warnings) = validity(settings, &chain, now).map_err(|problem| vec![problem])?;
    let config = server_config(settings, provider, verifier, chain, key).map_err(|problem| vec![problem])?;
    Ok(Read { config: Arc::new(config), not_after, warnings })
}

fn private_key(settings: &TlsSettings) -> Result<PrivateKeyDer<'static>, String> {
    let key = settings.key.resolve()?;
    PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| {
        let place = settings.key.reference();
        format!("{place} is not a private key in PEM without a passphrase; write the file that belongs to `cert`")
    })
}

fn client_verifier(
    ca: &Path,
    auth: ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        let wrong = |error| format!("{} holds a certificate that cannot be trusted: {error}", ca.display());
        roots.add(certificate).map_err(wrong)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::Required => builder,
    };
    builder.build().map_err(|error| format!("{} cannot be used: {error}", ca.display()))
}

fn server_config(
    settings: &TlsSettings,
    provider: Arc<CryptoProvider>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Problem> {
    let asks = verifier.is_some();
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| (String::new(), format!("TLS cannot start: {error}")))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| unfit(settings, &error))?;
    // RFC 7301; nothing else is spoken here.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if asks {
        // A resumed session would bring back a certificate that nobody looks at again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn unfit(settings: &TlsSettings, error: &Error) -> Problem {
    let (cert, key) = (settings.cert.display(), settings.key.reference());
    match error {
        Error::InconsistentKeys(_) => (
            "key".to_owned(),
            format!("{key} is not the key of the certificate in {cert}; give the two that belong together"),
        ),
        other => ("cert".to_owned(), format!("{cert} and {key} cannot be used: {other}")),
    }
}

/// When our certificate ends, and which of the certificates do not hold now.
fn validity(
    settings: &TlsSettings,
    chain: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<(Timestamp, Vec<Problem>), Problem> {
    let wrong = || ("cert".to_owned(), format!("{} holds what is not a certificate", settings.cert.display()));
    let ours = chain.first().and_then(|first| span(first)).ok_or_else(wrong)?;
    let mut warnings = Vec::new();
    let mend = "clients will refuse it; renew it";
    warnings.extend(out_of_time(&settings.cert, ours, now, mend).map(|message| ("cert".to_owned(), message)));
    if let Some(ca) = &settings.client_ca {
        let authorities = certificates(ca).unwrap_or_default();
        let mend = "nobody gets in by it; replace it";
        let old = authorities.iter().filter_map(span).find_map(|span| out_of_time(ca, span, now, mend));
        warnings.extend(old.map(|message| ("client_ca".to_owned(), message)));
    }
    Ok((ours.1, warnings))
}

fn out_of_time(path: &Path, (from, to): (Timestamp, Timestamp), now: Timestamp, mend: &str) -> Option<String> {
    let path = path.display();
    if now > to {
        Some(format!("{path}: the certificate expired on {to}; {mend}"))
    } else if now < from {
        Some(format!("{path}: the certificate holds from {from} only; {mend}"))
    } else {
        None
    }
}

fn span(certificate: &CertificateDer<'_>) -> Option<(Timestamp, Timestamp)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let Validity { not_before, not_after, .. } = certificate.tbs_certificate().validity();
    Some((timestamp(*not_before), timestamp(*not_after)))
}

pub(super) fn timestamp(time: Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

/// The certificates in a PEM file; at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let name = path.display();
    let pem = std::fs::read(path).map_err(|error| format!("{name} could not be read: {error}; mend the path"))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| format!("{name} is not PEM; it begins with -----BEGIN CERTIFICATE-----"))?;
    if certificates.is_empty() { Err(format!("{name} holds no certificate")) } else { Ok(certificates) }
}
