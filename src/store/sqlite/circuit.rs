//! Providers that fail: left alone for a while, then tried by one.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use super::codec::{micros, time_at, word};
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{CircuitState, ProviderName};
use crate::store::{CircuitView, CircuitWait, StoreError};

pub(super) fn open(
    tx: &mut Tx<'_>,
    provider: &ProviderName,
    note: &str,
    wait: CircuitWait,
) -> Result<Duration, StoreError> {
    let known: Option<i64> = tx
        .sql("SELECT wait FROM circuits WHERE provider = ?1")?
        .query_row([provider.as_str()], |row| row.get(0))
        .optional()?;
    let wait = known.map_or(micros(wait.first), |before| before.saturating_mul(2).min(micros(wait.longest)));
    tx.sql(
        "INSERT INTO circuits (provider, state, note, since, until, wait) VALUES (?1, ?2, ?3, ?4, ?4 + ?5, ?5)
         ON CONFLICT DO UPDATE SET state = excluded.state, note = excluded.note, until = excluded.until,
         wait = excluded.wait",
    )?
    .execute(params![provider.as_str(), CircuitState::Open as i64, note, tx.steady, wait])?;
    if known.is_none() {
        let detail = json!({"provider": provider, "note": note}).to_string();
        tx.record(AuditEvent::CircuitOpened, None, None, &Actor::system(), &detail)?;
    }
    Ok(Duration::from_micros(u64::try_from(wait).unwrap_or(0)))
}

pub(super) fn try_again(tx: &mut Tx<'_>, provider: &ProviderName, lease: Duration) -> Result<bool, StoreError> {
    let sql = "UPDATE circuits SET state = ?2, until = ?3 WHERE provider = ?1 AND until <= ?4";
    let lease_until = tx.steady.saturating_add(micros(lease));
    let half_open = CircuitState::HalfOpen as i64;
    Ok(tx.sql(sql)?.execute(params![provider.as_str(), half_open, lease_until, tx.steady])? == 1)
}

pub(super) fn close(tx: &mut Tx<'_>, provider: &ProviderName) -> Result<(), StoreError> {
    if tx.sql("DELETE FROM circuits WHERE provider = ?1")?.execute([provider.as_str()])? == 1 {
        let detail = json!({"provider": provider}).to_string();
        tx.record(AuditEvent::CircuitClosed, None, None, &Actor::system(), &detail)?;
        tx.wake();
    }
    Ok(())
}

pub(super) fn list(db: &Connection) -> Result<Vec<CircuitView>, StoreError> {
    let mut statement = db.prepare_cached("SELECT provider, state, note, since, until FROM circuits ORDER BY 1")?;
    let read = |row: &Row<'_>| {
        let state = if row.get::<_, i64>("state")? == CircuitState::HalfOpen as i64 {
            CircuitState::HalfOpen
        } else {
            CircuitState::Open
        };
        let (since, until) = (time_at(row, "since")?, time_at(row, "until")?);
        Ok(CircuitView { provider: word(row, "provider")?, state, note: row.get("note")?, since, until })
    };
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whoever tried a provider is gone, and the clock may have been set since: each is tried anew.
pub(super) fn try_all_again(connection: &Connection, now: i64) -> rusqlite::Result<usize> {
    connection
        .execute("UPDATE circuits SET state = ?1, until = min(until, ?2)", params![CircuitState::Open as i64, now])
}
