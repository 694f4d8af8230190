//! When a provider was closed to everyone.

use rusqlite::params;

use super::tx::Tx;
use crate::store::StoreError;
use crate::store::closures::Closures;

/// The closures that ended after `since`, or last still.
pub(super) fn since(tx: &Tx<'_>, provider: &str, since: i64) -> Result<Closures, StoreError> {
    let mut statement = tx.sql(
        "SELECT closed_at, coalesce(opened_at, ?3) FROM gates
         WHERE provider = ?1 AND (opened_at IS NULL OR opened_at > ?2)
         UNION ALL SELECT closed_at, coalesce(opened_at, ?3) FROM gates
         WHERE provider = '' AND (opened_at IS NULL OR opened_at > ?2)",
    )?;
    let rows = statement.query_map(params![provider, since, tx.steady], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Closures::of(rows.collect::<Result<_, _>>()?))
}
