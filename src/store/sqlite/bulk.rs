//! One decision about many jobs.
//!
//! They are looked for beside the writer, so that a long search keeps nobody waiting, and looked at again in the
//! transaction that changes them, a stretch at a time.

use rusqlite::{Connection, Row, params};

use super::codec::job_id;
use super::operate;
use super::read::{conditions, gates, is_about};
use super::tx::Tx;
use crate::domain::{JobId, ProviderName, SourceName, fold};
use crate::store::stretches::MOVED_ON;
use crate::store::view::decided_in;
use crate::store::{BulkDone, BulkOrder, Consent, Decision, GateView, JobFilter, StoreError};

/// The rows of the jobs that the filter picks, oldest first.
pub(super) fn pick(db: &Connection, order: &BulkOrder) -> Result<Vec<i64>, StoreError> {
    let sql = format!("SELECT * FROM jobs WHERE {} ORDER BY seq", wanted(order, &gates(db)?));
    let person = order.filter.subject.as_deref().map(|name| (name, fold(name)));
    let mut statement = db.prepare(&sql)?;
    let mut rows = statement.query(params![i64::MAX, provider(&order.filter), source(&order.filter)])?;
    let mut picked = Vec::new();
    while let Some(row) = rows.next()? {
        if person.as_ref().is_none_or(|(exact, folded)| is_about(row, exact, folded).unwrap_or(false)) {
            picked.push(row.get("seq")?);
        }
    }
    Ok(picked)
}

/// In a state in which such a decision is made.
fn wanted(order: &BulkOrder, gates: &[GateView]) -> String {
    format!("{} AND {}", conditions(&order.filter, gates), decided_in(order))
}

fn provider(filter: &JobFilter) -> Option<&str> {
    filter.provider.as_ref().map(ProviderName::as_str)
}

fn source(filter: &JobFilter) -> Option<&str> {
    filter.source.as_ref().map(SourceName::as_str)
}

/// Decides about those of these that are still as the filter wants them.
pub(super) fn decide(tx: &mut Tx<'_>, order: &BulkOrder, picked: &[i64]) -> Result<BulkDone, StoreError> {
    let mut done = BulkDone::nothing();
    for (id, is_wanted) in looked_at(tx, order, picked)? {
        let decided =
            if is_wanted { decide_one(tx, order, id) } else { Err(StoreError::Conflict(MOVED_ON.to_owned())) };
        match decided {
            Ok(()) => done.changed += 1,
            Err(StoreError::Conflict(reason)) => done.leave(id, reason),
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Each with whether it is.
fn looked_at(tx: &Tx<'_>, order: &BulkOrder, picked: &[i64]) -> Result<Vec<(JobId, bool)>, StoreError> {
    let db = tx.connection();
    let sql = format!("SELECT id, coalesce({}, FALSE) AS wanted FROM jobs WHERE seq = ?4", wanted(order, &gates(db)?));
    let mut statement = db.prepare(&sql)?;
    let mut jobs = Vec::with_capacity(picked.len());
    for row in picked {
        let found = params![i64::MAX, provider(&order.filter), source(&order.filter), row];
        let read = |row: &Row<'_>| Ok((job_id(row, "id")?, row.get("wanted")?));
        jobs.extend(statement.query_map(found, read)?.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(jobs)
}

/// Refuses before it writes anything, so that the others are not undone.
fn decide_one(tx: &mut Tx<'_>, order: &BulkOrder, job: JobId) -> Result<(), StoreError> {
    let BulkOrder { actor, reason, four_eyes, .. } = order;
    match order.decision {
        Decision::Approve => {
            let consent = Consent { account_id: None, reason: reason.clone(), four_eyes: *four_eyes };
            operate::approve(tx, job, actor, &consent)
        }
        Decision::Requeue => operate::requeue(tx, job, actor, reason),
        Decision::Cancel => operate::cancel(tx, job, actor, reason),
    }
}
