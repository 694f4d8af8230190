//! TLS to the server. Where it is used, the certificate and its name are checked, whatever `sslmode` says.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls_platform_verifier::Verifier;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Trusts the certificates in `root`, or else the system's.
pub(super) fn connector(root: Option<&Path>) -> anyhow::Result<MakeRustlsConnect> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match root {
        Some(path) => builder.with_root_certificates(roots(path)?),
        // Called dangerous because a verifier of one's own could be wrong; this one asks the system.
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier::new(provider)?)),
    };
    Ok(MakeRustlsConnect::new(builder.with_no_client_auth()))
}

fn roots(path: &Path) -> anyhow::Result<RootCertStore> {
    let name = path.display();
    let pem = std::fs::read(path).with_context(|| format!("sslrootcert {name} could not be read; mend the path"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| {
            anyhow::anyhow!("sslrootcert {name} is not PEM; it begins with -----BEGIN CERTIFICATE-----")
        })?;
        roots
            .add(certificate)
            .with_context(|| format!("sslrootcert {name} holds a certificate that cannot be trusted"))?;
    }
    if roots.is_empty() {
        bail!("sslrootcert {name} holds no certificate");
    }
    Ok(roots)
}
