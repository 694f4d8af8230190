//! Migrations: numbered files, applied once each, in one transaction.

use anyhow::bail;
use rusqlite::Connection;

const MIGRATIONS: &[&str] = &[include_str!("../migrations/sqlite/1.sql")];

/// Brings the file up to date. A file of a later version is refused, for its meaning is not known here.
pub(super) fn migrate(connection: &mut Connection) -> anyhow::Result<()> {
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: usize = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > MIGRATIONS.len() {
        bail!("the store has schema {version} and this sever knows up to {}; use a newer sever", MIGRATIONS.len());
    }
    for migration in &MIGRATIONS[version..] {
        tx.execute_batch(migration)?;
    }
    tx.pragma_update(None, "user_version", MIGRATIONS.len())?;
    Ok(tx.commit()?)
}
