//! Providers that fail: left alone for a while, then tried by one.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;
use uuid::Uuid;

use super::codec::{micros, time_at, word};
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{CircuitState, ProviderName};
use crate::store::{CircuitTrial, CircuitView, CircuitWait, StoreError};

/// Counts only what was decided on the circuit as it is.
pub(super) fn open(
    tx: &mut Tx<'_>,
    provider: &ProviderName,
    trial: Option<CircuitTrial>,
    note: &str,
    wait: CircuitWait,
) -> Result<Option<Duration>, StoreError> {
    match trial {
        Some(trial) => {
            let sql = "UPDATE circuits SET state = ?3, note = ?4, trial = NULL, wait = min(2 * wait, ?6),
                 until = ?5 + min(2 * wait, ?6) WHERE provider = ?1 AND trial = ?2";
            let (open, longest) = (CircuitState::Open as i64, micros(wait.longest));
            tx.sql(sql)?.execute(params![provider.as_str(), trial.0.as_bytes(), open, note, tx.steady, longest])?;
        }
        None => open_first(tx, provider, note, wait)?,
    }
    let until: Option<i64> = tx
        .sql("SELECT until FROM circuits WHERE provider = ?1")?
        .query_row([provider.as_str()], |row| row.get(0))
        .optional()?;
    let left = |until: i64| Duration::from_micros(u64::try_from(until.saturating_sub(tx.steady)).unwrap_or(0));
    Ok(until.map(left))
}

fn open_first(tx: &mut Tx<'_>, provider: &ProviderName, note: &str, wait: CircuitWait) -> Result<(), StoreError> {
    let sql = "INSERT INTO circuits (provider, state, note, since, until, wait) VALUES (?1, ?2, ?3, ?4, ?4 + ?5, ?5)
         ON CONFLICT DO NOTHING";
    let (open, first) = (CircuitState::Open as i64, micros(wait.first));
    if tx.sql(sql)?.execute(params![provider.as_str(), open, note, tx.steady, first])? == 1 {
        let detail = json!({"provider": provider, "note": note}).to_string();
        tx.record(AuditEvent::CircuitOpened, None, None, &Actor::system(), &detail)?;
    }
    Ok(())
}

pub(super) fn try_again(
    tx: &mut Tx<'_>,
    provider: &ProviderName,
    lease: Duration,
) -> Result<Option<CircuitTrial>, StoreError> {
    let sql = "UPDATE circuits SET state = ?2, until = ?3, trial = ?5 WHERE provider = ?1 AND until <= ?4";
    let lease_until = tx.steady.saturating_add(micros(lease));
    let (half_open, trial) = (CircuitState::HalfOpen as i64, CircuitTrial(Uuid::now_v7()));
    let asked = params![provider.as_str(), half_open, lease_until, tx.steady, trial.0.as_bytes()];
    Ok((tx.sql(sql)?.execute(asked)? == 1).then_some(trial))
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
    let sql = "UPDATE circuits SET state = ?1, until = min(until, ?2), trial = NULL";
    connection.execute(sql, params![CircuitState::Open as i64, now])
}
