//! The TLS of one listener: handshakes under the certificate of now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use super::files::{self, Problem};
use super::identity::ClientCertificate;
use super::settings::{ClientAuth, TlsSettings};
use crate::live::Live;
use crate::settings::Files;
use crate::telemetry::{ListenerOnly, ListenerResult, Metrics};

/// Whoever is at the other end of a TLS connection. A request without one came in the clear.
#[derive(Debug, Clone)]
pub struct TlsPeer {
    /// The certificate that was shown, signed by one of `client_ca`.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// Why there is no connection. Anybody can cause it, so it is worth a line for debugging and no more.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer did not get through it in time.
    #[error("the handshake took too long")]
    TooSlow,
    /// The peer speaks something else, or its certificate is none that we know.
    #[error(transparent)]
    Failed(#[from] std::io::Error),
}

/// Our side of TLS on one listener.
pub struct ServerTls {
    listener: &'static str,
    settings: TlsSettings,
    auth: ClientAuth,
    now: Live<ServerConfig>,
    files: Mutex<Watched>,
}

struct Watched {
    files: Files,
    not_after: Timestamp,
    /// The files in use are no longer those on disk.
    is_behind: bool,
}

impl ServerTls {
    /// Reads the files. `listener` is the key of the config, for logs and metrics. Fails with every problem at once, each
    /// with its key below `tls`; otherwise with what works and should be better.
    pub fn new(
        listener: &'static str,
        settings: &TlsSettings,
        auth: ClientAuth,
        now: Timestamp,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let files = Files::new(settings.files());
        let read = files::read(settings, auth, now)?;
        let tls = Self {
            listener,
            settings: settings.clone(),
            auth,
            now: Live::from(read.config),
            files: Mutex::new(Watched { files, not_after: read.not_after, is_behind: false }),
        };
        Ok((tls, read.warnings))
    }

    /// The handshake, within a time.
    pub async fn accept(
        &self,
        stream: TcpStream,
        within: Duration,
    ) -> Result<(TlsStream<TcpStream>, TlsPeer), HandshakeError> {
        let accepted = TlsAcceptor::from(self.now.get()).accept(stream);
        let stream = tokio::time::timeout(within, accepted).await.map_err(|_| HandshakeError::TooSlow)??;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = shown.and_then(|first| ClientCertificate::read(first)).map(Arc::new);
        Ok((stream, TlsPeer { certificate }))
    }

    /// Counts a handshake.
    pub fn count(&self, metrics: &Metrics, result: &'static str) {
        metrics.tls_handshakes.get_or_create(&ListenerResult { listener: self.listener, result }).inc();
    }

    /// Reads the files again if they were changed: connections that are made from now on get what is in them.
    pub fn look(&self, now: Timestamp, metrics: &Metrics) {
        let mut watched = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.files.changed() {
            self.read_again(&mut watched, now);
        }
        let labels = ListenerOnly { listener: self.listener };
        metrics.tls_reload_ok.get_or_create(&labels).set(i64::from(!watched.is_behind));
        metrics.tls_not_after.get_or_create(&labels).set(watched.not_after.as_second());
    }

    fn read_again(&self, watched: &mut Watched, now: Timestamp) {
        let listener = self.listener;
        match files::read(&self.settings, self.auth, now) {
            Ok(read) => {
                self.now.replace(read.config);
                (watched.not_after, watched.is_behind) = (read.not_after, false);
                tracing::info!(listener, not_after = %read.not_after, "the changed files for TLS are in use");
                for (key, message) in read.warnings {
                    tracing::warn!(listener, key, "{message}");
                }
            }
            Err(problems) => {
                watched.is_behind = true;
                let problems: Vec<_> = problems.iter().map(|(key, message)| format!("{key}: {message}")).collect();
                let problems = problems.join("; ");
                tracing::error!(listener, problems, "changed files for TLS cannot be used; the old stay in use");
            }
        }
    }

    /// What is wrong, in words that may be shown to anybody.
    #[must_use]
    pub fn degraded(&self, now: Timestamp) -> Option<String> {
        let watched = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = self.listener;
        if watched.is_behind {
            Some(format!("{listener}: changed files for TLS cannot be used, the old stay in use"))
        } else {
            (now > watched.not_after).then(|| format!("{listener}: its certificate expired"))
        }
    }
}

/// Shows paths and no key.
impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("listener", &self.listener).field("settings", &self.settings).finish()
    }
}
