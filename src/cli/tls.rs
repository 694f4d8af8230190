//! TLS of the commands that ask sever over HTTPS: whom they trust, and who they are.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use reqwest::{Certificate, ClientBuilder, Identity};

use super::Failure;
use crate::tls::certificates;

/// Where the certificates are.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ClientTls {
    /// Trust certificates signed by those in this file alone [default: those that the system trusts]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Our own certificate, for a listener with client_ca
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl ClientTls {
    /// Adds what the files hold.
    pub(super) fn add_to(&self, builder: ClientBuilder) -> Result<ClientBuilder, Failure> {
        let builder = match &self.ca {
            Some(ca) => builder.tls_certs_only(trusted(ca)?),
            None => builder,
        };
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Ok(builder.identity(identity(cert, key)?)),
            _ => Ok(builder),
        }
    }
}

fn trusted(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let found = certificates(path).map_err(|message| Failure::Usage(anyhow!("--ca: {message}")))?;
    let wrong = |_| Failure::Usage(anyhow!("--ca: {} holds what is not a certificate", path.display()));
    found.iter().map(|certificate| Certificate::from_der(certificate).map_err(wrong)).collect()
}

fn identity(cert: &Path, key: &Path) -> Result<Identity, Failure> {
    let mut both = read("--cert", cert)?;
    both.push(b'\n');
    both.extend(read("--key", key)?);
    let (cert, key) = (cert.display(), key.display());
    Identity::from_pem(&both).map_err(|_| {
        Failure::Usage(anyhow!(
            "{cert} and {key} are not a certificate and its private key in PEM; name the right files"
        ))
    })
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::Usage(anyhow!("{option}: {} could not be read: {error}; mend the path", path.display()))
    })
}
