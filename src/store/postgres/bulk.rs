//! One decision about many jobs.
//!
//! They are looked for beside the lane, so that a long search keeps nobody waiting, and looked at again under their
//! locks, a stretch at a time.

use std::collections::HashSet;
use std::sync::Arc;

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Row;

use super::codec::{get, job_id};
use super::fault::Fault;
use super::operate::{self, FOUND, Found};
use super::read::{conditions, gates, is_about, provider, source};
use super::tx::{Tx, query};
use crate::domain::{JobId, fold};
use crate::store::stretches::MOVED_ON;
use crate::store::view::decided_in;
use crate::store::{BulkDone, BulkOrder, Consent, Decision, GateView, StoreError};

/// The order, and the rows of some of the jobs that it is about.
pub(super) struct Picked {
    pub(super) order: Arc<BulkOrder>,
    pub(super) rows: Vec<i64>,
}

/// The rows of the jobs that the filter picks, oldest first.
pub(super) async fn pick(db: &ClientWrapper, order: &BulkOrder) -> Result<Vec<i64>, Fault> {
    let filter = &order.filter;
    let columns = if filter.subject.is_some() { "seq, subject, account_id" } else { "seq" };
    let sql = format!("SELECT {columns} FROM jobs WHERE {}", wanted(order, &gates(db).await?));
    let person = filter.subject.as_deref().map(|name| (name, fold(name)));
    let is_meant =
        |row: &&Row| person.as_ref().is_none_or(|(exact, folded)| is_about(row, exact, folded).unwrap_or(false));
    let rows = query(db, &sql, &[&i64::MAX, &provider(filter), &source(filter)]).await?;
    let mut picked: Vec<i64> = rows.iter().filter(is_meant).map(|row| get(row, "seq")).collect::<Result<_, _>>()?;
    picked.sort_unstable();
    Ok(picked)
}

fn wanted(order: &BulkOrder, gates: &[GateView]) -> String {
    format!("{} AND {}", conditions(&order.filter, gates), decided_in(order))
}

/// Decides about those that are still as the filter wants them.
pub(super) async fn decide(tx: &mut Tx<'_>, picked: &Picked) -> Result<BulkDone, Fault> {
    let order = &picked.order;
    let (jobs, gone) = still_wanted(tx, picked).await?;
    let mut done = BulkDone::nothing();
    gone.into_iter().for_each(|id| done.leave(id, MOVED_ON.to_owned()));
    let mut decided = Vec::with_capacity(jobs.len());
    let consent = Consent { account_id: None, reason: order.reason.clone(), four_eyes: order.four_eyes };
    for job in jobs {
        match refusal(order, &job, &consent) {
            Ok(()) => decided.push(job),
            Err(StoreError::Conflict(reason)) => done.leave(job.id, reason),
            Err(error) => return Err(error.into()),
        }
    }
    done.changed = decided.len() as u64;
    let (actor, reason) = (&order.actor, order.reason.as_str());
    match order.decision {
        Decision::Approve => operate::approve(tx, &decided, actor, &consent).await?,
        Decision::Requeue => operate::requeue(tx, &decided, actor, reason).await?,
        Decision::Cancel => operate::cancel(tx, &decided, actor, reason).await?,
    }
    Ok(done)
}

/// Those that are, and the ids of those that are not.
async fn still_wanted(tx: &Tx<'_>, picked: &Picked) -> Result<(Vec<Found>, Vec<JobId>), Fault> {
    let Picked { order, rows } = picked;
    let wanted = wanted(order, &gates(tx.reader().await?).await?);
    let sql = format!("{FOUND} WHERE seq = ANY($4) AND {wanted} ORDER BY seq FOR UPDATE");
    let jobs = tx.query(&sql, &[&i64::MAX, &provider(&order.filter), &source(&order.filter), rows]).await?;
    let jobs = jobs.iter().map(Found::read).collect::<Result<Vec<_>, _>>()?;
    let found: HashSet<i64> = jobs.iter().map(|job| job.row).collect();
    let gone: Vec<i64> = rows.iter().copied().filter(|row| !found.contains(row)).collect();
    if gone.is_empty() {
        return Ok((jobs, Vec::new()));
    }
    let gone = tx.query("SELECT id FROM jobs WHERE seq = ANY($1) ORDER BY seq", &[&gone]).await?;
    Ok((jobs, gone.iter().map(|row| job_id(row, "id")).collect::<Result<_, _>>()?))
}

fn refusal(order: &BulkOrder, job: &Found, consent: &Consent) -> Result<(), StoreError> {
    match order.decision {
        Decision::Approve => job.may_be_approved(&order.actor, consent),
        Decision::Requeue => job.may_be_requeued(),
        Decision::Cancel => job.may_be_cancelled(),
    }
}
