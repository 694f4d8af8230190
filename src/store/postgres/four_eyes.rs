//! Who asked for a job may not approve it, where two operators are asked for.

use super::codec::clean;
use super::fault::Fault;
use super::tx::Tx;
use crate::audit::Actor;
use crate::store::{Receipt, StoreError};

/// An operator asked for these jobs.
pub(super) async fn ordered(tx: &Tx<'_>, receipt: &Receipt, actor: &Actor) -> Result<(), Fault> {
    let jobs: Vec<_> = receipt.alerts.iter().flat_map(|alert| &alert.jobs).map(|job| job.id.0).collect();
    let sql = "UPDATE jobs SET asked_by = array_append(asked_by, $2) WHERE id = ANY($1) AND $2 <> ALL(asked_by)";
    tx.execute(sql, &[&jobs, &clean(actor.as_str())]).await?;
    Ok(())
}

/// An operator asked for these jobs, perhaps once more.
pub(super) async fn asked(tx: &Tx<'_>, rows: &[i64], actor: &Actor) -> Result<(), Fault> {
    let sql = "UPDATE jobs SET asked_by = array_append(asked_by, $2) WHERE seq = ANY($1) AND $2 <> ALL(asked_by)";
    tx.execute(sql, &[&rows, &clean(actor.as_str())]).await?;
    Ok(())
}

/// Refuses those who asked for the job.
pub(super) fn check(asked_by: &[String], actor: &Actor) -> Result<(), StoreError> {
    let name = actor.as_str();
    if asked_by.iter().all(|asked| *asked != clean(name)) {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "{name} asked for this job, and `four_eyes` is on: another operator has to approve it"
    )))
}
