//! Providers that fail: left alone for a while, then tried by one, whichever replica it belongs to. Nothing is tried anew
//! when a process starts: whoever tries a provider may be another one.

use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use serde_json::json;
use tokio_postgres::Row;

use super::codec::{clean, get, micros, time_at, word};
use super::fault::Fault;
use super::tx::{Tx, query};
use crate::audit::{Actor, AuditEvent};
use crate::domain::{CircuitState, ProviderName};
use crate::store::{CircuitView, CircuitWait};

/// A provider that failed again.
pub(super) struct Opening {
    pub(super) provider: ProviderName,
    pub(super) note: String,
    pub(super) wait: CircuitWait,
}

/// Somebody asks whether to try it.
pub(super) struct Trial {
    pub(super) provider: ProviderName,
    pub(super) lease: Duration,
}

const OPEN: i16 = CircuitState::Open as i16;
const HALF_OPEN: i16 = CircuitState::HalfOpen as i16;

pub(super) async fn open(tx: &mut Tx<'_>, opening: &Opening) -> Result<Duration, Fault> {
    let Opening { provider, note, wait } = opening;
    // A row that was there already has a transaction in its xmax: the one that locked it for this.
    let sql =
        "INSERT INTO circuits AS known (provider, state, note, since, until, wait) VALUES ($1, $2, $3, $4, $4::bigint + $5::bigint, $5)
         ON CONFLICT (provider) DO UPDATE SET state = excluded.state, note = excluded.note,
         wait = least(2 * known.wait, $6), until = $4 + least(2 * known.wait, $6)
         RETURNING wait, (xmax = 0) AS is_new";
    let (first, longest) = (micros(wait.first), micros(wait.longest));
    let row = tx.one(sql, &[&provider.as_str(), &OPEN, &clean(note), &tx.steady, &first, &longest]).await?;
    let (wait, is_new): (i64, bool) = match row {
        Some(row) => (get(&row, "wait")?, get(&row, "is_new")?),
        None => (first, false),
    };
    if is_new {
        let detail = json!({"provider": provider, "note": note}).to_string();
        tx.record(AuditEvent::CircuitOpened, None, None, &Actor::system(), detail).await?;
    }
    Ok(Duration::from_micros(u64::try_from(wait).unwrap_or(0)))
}

/// Of several who ask at once, the second waits for the first one's commit, and then finds that it is not time.
pub(super) async fn try_again(tx: &Tx<'_>, trial: &Trial) -> Result<bool, Fault> {
    let sql = "UPDATE circuits SET state = $2, until = $3 WHERE provider = $1 AND until <= $4";
    let until = tx.steady.saturating_add(micros(trial.lease));
    Ok(tx.execute(sql, &[&trial.provider.as_str(), &HALF_OPEN, &until, &tx.steady]).await? == 1)
}

pub(super) async fn close(tx: &mut Tx<'_>, provider: &ProviderName, actor: &Actor) -> Result<(), Fault> {
    if tx.execute("DELETE FROM circuits WHERE provider = $1", &[&provider.as_str()]).await? == 1 {
        let detail = json!({"provider": provider}).to_string();
        tx.record(AuditEvent::CircuitClosed, None, None, actor, detail).await?;
        tx.wake();
    }
    Ok(())
}

pub(super) async fn list(db: &ClientWrapper) -> Result<Vec<CircuitView>, Fault> {
    let read = |row: &Row| {
        let is_tried = get::<i16>(row, "state")? == HALF_OPEN;
        Ok(CircuitView {
            provider: word(row, "provider")?,
            state: if is_tried { CircuitState::HalfOpen } else { CircuitState::Open },
            note: get(row, "note")?,
            since: time_at(row, "since")?,
            until: time_at(row, "until")?,
        })
    };
    let sql = "SELECT provider, state, note, since, until FROM circuits ORDER BY provider";
    query(db, sql, &[]).await?.iter().map(read).collect()
}
