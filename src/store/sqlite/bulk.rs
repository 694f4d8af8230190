//! One decision about many jobs.
//!
//! They are looked for beside the writer, so that a long search keeps nobody waiting, and looked at again in the
//! transaction that changes them: what is changed is what is counted.

use rusqlite::{Connection, Row, params};

use super::codec::job_id;
use super::operate;
use super::read::{conditions, gates, is_about};
use super::tx::Tx;
use crate::domain::{JobId, ProviderName, SourceName, fold};
use crate::store::view::decided_in;
use crate::store::{BulkDone, BulkOrder, Consent, Decision, GateView, JobFilter, LeftJob, StoreError};

/// Jobs that are told one by one where they were left.
const MOST_TOLD: usize = 100;

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

/// Decides about those that are still as the filter wants them, if they are as many as expected.
pub(super) fn decide(tx: &mut Tx<'_>, order: &BulkOrder, picked: &[i64]) -> Result<BulkDone, StoreError> {
    let jobs = still_wanted(tx, order, picked)?;
    if jobs.len() as u64 != order.expect_count {
        return Err(StoreError::Miscounted(jobs.len() as u64));
    }
    let mut done = BulkDone { changed: 0, left_count: 0, left: Vec::new() };
    for id in jobs {
        match decide_one(tx, order, id) {
            Ok(()) => done.changed += 1,
            Err(StoreError::Conflict(reason)) => {
                done.left_count += 1;
                if done.left.len() < MOST_TOLD {
                    done.left.push(LeftJob { id, reason });
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn still_wanted(tx: &Tx<'_>, order: &BulkOrder, picked: &[i64]) -> Result<Vec<JobId>, StoreError> {
    let db = tx.connection();
    let sql = format!("SELECT id FROM jobs WHERE seq = ?4 AND {}", wanted(order, &gates(db)?));
    let mut statement = db.prepare(&sql)?;
    let mut jobs = Vec::with_capacity(picked.len());
    for row in picked {
        let found = params![i64::MAX, provider(&order.filter), source(&order.filter), row];
        let ids = statement.query_map(found, |row: &Row<'_>| job_id(row, "id"))?;
        jobs.extend(ids.collect::<Result<Vec<_>, _>>()?);
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
