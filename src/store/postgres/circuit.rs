//! Providers that fail: left alone for a while, then tried by one, whichever replica it belongs to. Nothing is tried anew
//! when a process starts: whoever tries a provider may be another one.

use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

use super::codec::{clean, get, micros, time_at, word};
use super::fault::Fault;
use super::read::now;
use super::time::{Moment, Timing};
use super::tx::{Tx, query};
use crate::audit::{Actor, AuditEvent};
use crate::domain::{CircuitState, ProviderName};
use crate::store::{CircuitTrial, CircuitView, CircuitWait};

/// A provider that failed again and again, or while it was tried.
pub(super) struct Opening {
    pub(super) provider: ProviderName,
    pub(super) trial: Option<CircuitTrial>,
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

/// Counts only what was decided on the circuit as it is: several replicas see one trouble.
pub(super) async fn open(tx: &mut Tx<'_>, opening: &Opening) -> Result<Option<Duration>, Fault> {
    match opening.trial {
        Some(trial) => open_again(tx, opening, trial).await?,
        None => open_first(tx, opening).await?,
    }
    let sql = "SELECT until FROM circuits WHERE provider = $1";
    let Some(row) = tx.one(sql, &[&opening.provider.as_str()]).await? else { return Ok(None) };
    let left = get::<i64>(&row, "until")?.saturating_sub(tx.steady);
    Ok(Some(Duration::from_micros(u64::try_from(left).unwrap_or(0))))
}

async fn open_first(tx: &mut Tx<'_>, opening: &Opening) -> Result<(), Fault> {
    let Opening { provider, note, wait, .. } = opening;
    // Waits for another replica that is just doing the same, and leaves it at that.
    let sql = "INSERT INTO circuits (provider, state, note, since, until, wait)
         VALUES ($1, $2, $3, $4, $4::bigint + $5::bigint, $5) ON CONFLICT (provider) DO NOTHING";
    let first = micros(wait.first);
    if tx.execute(sql, &[&provider.as_str(), &OPEN, &clean(note), &tx.steady, &first]).await? == 1 {
        let detail = json!({"provider": provider, "note": note}).to_string();
        tx.record(AuditEvent::CircuitOpened, None, None, &Actor::system(), detail).await?;
    }
    Ok(())
}

async fn open_again(tx: &Tx<'_>, opening: &Opening, trial: CircuitTrial) -> Result<(), Fault> {
    let Opening { provider, note, wait, .. } = opening;
    let sql = "UPDATE circuits SET state = $3, note = $4, trial = NULL, wait = least(2 * wait, $6::bigint),
         until = $5::bigint + least(2 * wait, $6::bigint) WHERE provider = $1 AND trial = $2";
    let longest = micros(wait.longest);
    tx.execute(sql, &[&provider.as_str(), &trial.0, &OPEN, &clean(note), &tx.steady, &longest]).await?;
    Ok(())
}

/// Of several who ask at once, the second waits for the first one's commit, and then finds that it is not time.
pub(super) async fn try_again(tx: &Tx<'_>, asked: &Trial) -> Result<Option<CircuitTrial>, Fault> {
    let sql = "UPDATE circuits SET state = $2, until = $3, trial = $5 WHERE provider = $1 AND until <= $4";
    let (until, trial) = (tx.steady.saturating_add(micros(asked.lease)), CircuitTrial(Uuid::now_v7()));
    let changed = tx.execute(sql, &[&asked.provider.as_str(), &HALF_OPEN, &until, &tx.steady, &trial.0]).await?;
    Ok((changed == 1).then_some(trial))
}

pub(super) async fn close(tx: &mut Tx<'_>, provider: &ProviderName, actor: &Actor) -> Result<(), Fault> {
    if tx.execute("DELETE FROM circuits WHERE provider = $1", &[&provider.as_str()]).await? == 1 {
        let detail = json!({"provider": provider}).to_string();
        tx.record(AuditEvent::CircuitClosed, None, None, actor, detail).await?;
        tx.wake();
    }
    Ok(())
}

pub(super) async fn list(db: &ClientWrapper, timing: &Timing) -> Result<Vec<CircuitView>, Fault> {
    let sql = "SELECT provider, state, note, since, until FROM circuits ORDER BY provider";
    let rows = query(db, sql, &[]).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let now = now(db, timing).await?;
    let moment = Moment { wall: now, steady: now, local: timing.clock.steady() };
    let read = |row: &Row| {
        let is_tried = get::<i16>(row, "state")? == HALF_OPEN;
        Ok(CircuitView {
            provider: word(row, "provider")?,
            state: if is_tried { CircuitState::HalfOpen } else { CircuitState::Open },
            note: get(row, "note")?,
            since: time_at(row, "since")?,
            // A worker compares it with its own clock.
            until: moment.to_local(get(row, "until")?),
        })
    };
    rows.iter().map(read).collect()
}
