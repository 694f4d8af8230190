//! The record, read by whoever checks it, past the service: one that was taken over would lie.

use super::{StoreUrl, postgres, sqlite};
use crate::audit::Check;

/// The record of a store at one moment, read beside whoever writes to it.
pub struct AuditReader(Kind);

enum Kind {
    Sqlite(sqlite::AuditReader),
    Postgres(postgres::AuditReader),
}

/// Opens the record of a store to be read, also beside a running service. Changes nothing.
pub async fn read_audit(url: &StoreUrl) -> anyhow::Result<AuditReader> {
    Ok(AuditReader(match url {
        StoreUrl::Sqlite(path) => Kind::Sqlite(sqlite::AuditReader::open(path)?),
        StoreUrl::Postgres(url) => Kind::Postgres(postgres::AuditReader::open(url).await?),
    }))
}

impl AuditReader {
    /// Whether anything in it was signed.
    pub async fn is_sealed(&self) -> anyhow::Result<bool> {
        match &self.0 {
            Kind::Sqlite(reader) => reader.is_sealed(),
            Kind::Postgres(reader) => reader.is_sealed().await,
        }
    }

    /// Has everything checked: stubs, seals, and every row in order.
    pub async fn check(&self, check: &mut Check<'_>) -> anyhow::Result<()> {
        match &self.0 {
            Kind::Sqlite(reader) => reader.check(check),
            Kind::Postgres(reader) => reader.check(check).await,
        }
    }
}
