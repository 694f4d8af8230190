//! What several tests share.

pub(crate) mod broker;
#[cfg(feature = "otel")]
pub(crate) mod collector;
pub(crate) mod pki;
pub(crate) mod postgres;
pub(crate) mod postgres_server;
pub(crate) mod store;
pub(crate) mod tools;
