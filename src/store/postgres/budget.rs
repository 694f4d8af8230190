//! Budgets: who was acted on of late, over all replicas, and whether there is room for one more. Whoever looks for room
//! holds the budgets' lock until its commit (`tx.rs`), so what it found stands until then.

use std::collections::HashMap;

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Row;

use super::codec::{count as number, get, json, word};
use super::fault::Fault;
use super::people::{expire, known};
use super::read;
use super::time::Timing;
use super::tx::{Tx, query};
use crate::domain::{Budget, SourceName};
use crate::store::counting::{Count, MOST_SOURCES, Place, find_person, room};

/// Whether the call may be made.
pub(super) enum Room {
    /// There is room, which is taken with the call.
    Free(Place),
    /// There is none; why.
    Full(String),
}

/// Looks for room in every budget that counts the job. Counts nobody yet.
pub(super) async fn seek(tx: &mut Tx<'_>, job: i64, count: &Count) -> Result<Room, Fault> {
    tx.lock_budgets().await?;
    let known = known(tx, &count.names()).await?;
    let person = find_person(count, |name| Ok::<_, Fault>(known.get(&name).cloned()))?;
    let totals = totals(tx, count).await?;
    let rules = rules(tx, job, count).await?;
    let used = |budget, _| Ok::<_, Fault>(totals.get(&budget).copied().unwrap_or(0));
    let full = match room(count, &count.source, &rules, &person, tx.steady, used)? {
        Ok(uses) => return Ok(Room::Free(Place { person, uses })),
        Err(full) => full,
    };
    // What one source asks for in vain goes on if another one asked for it too: nobody is kept from being heard by
    // whoever floods a budget of their own.
    if full.names_source {
        for source in other_sources(tx, job, &count.source).await? {
            if let Ok(uses) = room(count, &source, &rules, &person, tx.steady, used)? {
                return Ok(Room::Free(Place { person, uses }));
            }
        }
    }
    Ok(Room::Full(full.words))
}

/// How many people the budgets count. Whoever has had their time is removed only where that decides.
async fn totals(tx: &Tx<'_>, count: &Count) -> Result<HashMap<i64, i64>, Fault> {
    let budgets: Vec<i64> = count.limits().map(|(budget, _)| budget).collect();
    loop {
        let totals = totals_of(tx, &budgets).await?;
        let is_full = |(budget, limit)| totals.get(&budget).is_some_and(|used| *used >= limit);
        if !count.limits().any(is_full) || expire(tx).await? == 0 {
            return Ok(totals);
        }
    }
}

/// How many people each of them counts, also those whose time is up.
pub(super) const TOTALS: &str = "SELECT budget, used FROM budget_totals WHERE budget = ANY($1)";

pub(super) async fn totals_of(tx: &Tx<'_>, budgets: &[i64]) -> Result<HashMap<i64, i64>, Fault> {
    totals_in(&tx.query(TOTALS, &[&budgets]).await?)
}

pub(super) fn totals_in(rows: &[Row]) -> Result<HashMap<i64, i64>, Fault> {
    rows.iter().map(|row| Ok((get(row, "budget")?, get(row, "used")?))).collect()
}

/// Only where a budget names one.
async fn rules(tx: &Tx<'_>, job: i64, count: &Count) -> Result<Vec<String>, Fault> {
    if !count.names_rules() {
        return Ok(Vec::new());
    }
    let row = tx.one("SELECT rules FROM jobs WHERE seq = $1", &[&job]).await?;
    row.map_or(Ok(Vec::new()), |row| json(&row, "rules"))
}

async fn other_sources(tx: &Tx<'_>, job: i64, known: &SourceName) -> Result<Vec<SourceName>, Fault> {
    let sql = "SELECT DISTINCT alerts.source FROM alert_jobs JOIN alerts ON alerts.seq = alert_jobs.alert
         WHERE alert_jobs.job = $1 AND alerts.source <> $2 LIMIT $3";
    let sources = tx.query(sql, &[&job, &known.as_str(), &i64::from(MOST_SOURCES)]).await?;
    sources.iter().map(|row| word(row, "source")).collect()
}

/// How many people each of these budgets counts now.
pub(super) async fn used(db: &ClientWrapper, budgets: &[Budget], timing: &Timing) -> Result<Vec<u64>, Fault> {
    let keys: Vec<i64> = budgets.iter().map(Budget::key).collect();
    let sql = "WITH now AS (SELECT u.budget, count(*) AS people FROM budget_people p
           CROSS JOIN LATERAL unnest(p.budgets, p.untils) AS u (budget, until) WHERE u.until > $2 GROUP BY u.budget)
         SELECT coalesce(now.people, 0) AS used FROM unnest($1::bigint[]) WITH ORDINALITY AS b (budget, place)
         LEFT JOIN now ON now.budget = b.budget ORDER BY b.place";
    let rows = query(db, sql, &[&keys, &read::now(db, timing).await?]).await?;
    rows.iter().map(|row: &Row| number(row, "used")).collect()
}
