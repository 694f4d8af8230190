//! Who asked for a job may not approve it, where two operators are asked for.

use rusqlite::params;

use super::tx::Tx;
use crate::audit::Actor;
use crate::store::{Admitted, StoreError};

/// An operator asked for these jobs.
pub(super) fn ordered(tx: &Tx<'_>, admitted: &Admitted, actor: &Actor) -> Result<(), StoreError> {
    let Admitted::New(receipt) = admitted else { return Ok(()) };
    for job in receipt.alerts.iter().flat_map(|alert| &alert.jobs) {
        let sql = "SELECT seq FROM jobs WHERE id = ?1";
        let row = tx.sql(sql)?.query_row([job.id.0.into_bytes()], |row| row.get(0))?;
        asked(tx, row, actor)?;
    }
    Ok(())
}

/// An operator asked for this job, perhaps once more.
pub(super) fn asked(tx: &Tx<'_>, row: i64, actor: &Actor) -> Result<(), StoreError> {
    if !has_asked(tx, row, actor)? {
        tx.sql("UPDATE jobs SET asked_by = json_insert(coalesce(asked_by, '[]'), '$[#]', ?2) WHERE seq = ?1")?
            .execute(params![row, actor.as_str()])?;
    }
    Ok(())
}

/// Refuses those who asked for the job.
pub(super) fn check(tx: &Tx<'_>, row: i64, actor: &Actor) -> Result<(), StoreError> {
    if !has_asked(tx, row, actor)? {
        return Ok(());
    }
    let name = actor.as_str();
    Err(StoreError::Conflict(format!(
        "{name} asked for this job, and `four_eyes` is on: another operator has to approve it"
    )))
}

fn has_asked(tx: &Tx<'_>, row: i64, actor: &Actor) -> Result<bool, StoreError> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM jobs, json_each(jobs.asked_by) AS name WHERE jobs.seq = ?1 AND name.value = ?2)";
    Ok(tx.sql(sql)?.query_row(params![row, actor.as_str()], |row| row.get(0))?)
}
