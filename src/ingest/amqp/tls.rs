//! TLS towards a broker: whom we trust, and who we are.

use std::path::Path;
use std::sync::Arc;

use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, client::WantsClientCert};

use super::settings::AmqpTls;
use crate::tls::certificates;

/// What makes a connection a TLS one, or what is wrong with the files. No error shows what is in them.
pub(super) fn connector(settings: &AmqpTls) -> Result<TlsConnector, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot start: {error}"))?;
    let builder = trusting(builder, settings.ca.as_deref(), provider)?;
    let config = match (&settings.cert, &settings.key) {
        (Some(cert), Some(key)) => {
            let key = key.resolve().map_err(|error| error.to_string())?;
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
                .map_err(|_| "the key is not a private key in PEM; write the file that belongs to `cert`".to_owned())?;
            let fits = builder.with_client_auth_cert(certificates(cert)?, key);
            fits.map_err(|error| format!("`cert` and `key` cannot be used: {error}; do they belong together?"))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn trusting(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    ca: Option<&Path>,
    provider: Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let Some(ca) = ca else {
        // Called dangerous because a verifier of one's own could be wrong; this one asks the system.
        let verifier = Verifier::new(provider).map_err(|error| format!("no certificate can be checked: {error}"))?;
        return Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        let wrong = |error| format!("{} holds a certificate that cannot be trusted: {error}", ca.display());
        roots.add(certificate).map_err(wrong)?;
    }
    Ok(builder.with_root_certificates(roots))
}
