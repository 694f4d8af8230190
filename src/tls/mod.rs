//! TLS towards whoever connects to us: our certificate, and who they are by theirs.
//!
//! TLS 1.2 and 1.3 alone, as rustls speaks no other. Files are read again when they change; one that cannot be used leaves
//! the old in use and is told in the log, in `/readyz` and in the metrics.

mod files;
mod identity;
mod server;
mod settings;

pub use files::{Problem, certificates};
pub use identity::{ClientCertificate, ClientSubject};
pub use server::{HandshakeError, ServerTls, TlsPeer};
pub use settings::{ClientAuth, KeySettings, TlsSettings};
