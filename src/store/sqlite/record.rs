//! What the audit record tells of an attempt: how it ended, and what the provider said. It stands there alone; a job
//! knows the row, and that row the one of the attempt before.

use rusqlite::{Connection, OptionalExtension};

use super::codec::{json, optional_json};
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent, AuditRecord};
use crate::domain::{Attempt, JobId, Revocation};
use crate::store::{StoreError, told};

/// Adds the row about an attempt of which nothing more will be heard.
pub(super) fn lost(tx: &mut Tx<'_>, job: JobId, attempt: &Attempt, earlier: Option<i64>) -> Result<(), StoreError> {
    let detail = told::lost(attempt)?;
    let (event, actor) = (AuditEvent::LeaseLost, Actor::system());
    let record = AuditRecord { at: tx.now, event, job: Some(job), alert: None, actor: &actor, detail: &detail };
    Ok(tx.append(&record, earlier)?)
}

/// The row that tells the latest attempt of a job.
pub(super) fn of_job(tx: &Tx<'_>, row: i64) -> Result<Option<i64>, StoreError> {
    let found = tx.sql("SELECT record FROM jobs WHERE seq = ?1")?.query_row([row], |row| row.get(0)).optional()?;
    Ok(found.flatten())
}

/// Every attempt, first to last, from the row that tells the last one.
pub(super) fn history(db: &Connection, last: Option<i64>) -> rusqlite::Result<Vec<Attempt>> {
    let mut statement = db.prepare_cached(
        "WITH RECURSIVE told (seq, earlier, detail) AS (
           SELECT seq, earlier, detail FROM audit WHERE seq = ?1
           UNION ALL SELECT audit.seq, audit.earlier, audit.detail FROM told JOIN audit ON audit.seq = told.earlier)
         SELECT json_extract(detail, '$.attempt') FROM told ORDER BY seq",
    )?;
    statement.query_map([last], |row| json(row, 0))?.collect()
}

/// What the provider said, as told by this row.
pub(super) fn said(db: &Connection, row: Option<i64>) -> rusqlite::Result<Option<Revocation>> {
    let Some(row) = row else { return Ok(None) };
    db.prepare_cached("SELECT json_extract(detail, '$.result') FROM audit WHERE seq = ?1")?
        .query_row([row], |row| optional_json(row, 0))
        .optional()
        .map(Option::flatten)
}
