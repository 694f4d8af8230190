//! Places in budgets for many people at once, in as few questions as for one. Whoever does not fit in plainly is left out
//! and asks alone afterwards (`budget.rs`): a name that two of them share, somebody who joins a known person, a budget
//! that is full. So what is found here depends on nobody else in the batch.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tokio_postgres::Row;

use super::budget::{TOTALS, totals_in, totals_of};
use super::codec::{get, json};
use super::fault::Fault;
use super::flight::{Answers, Flight, Seat};
use super::people::{self, expire, known_of};
use super::tx::Tx;
use crate::store::counting::{Count, Mark, Person, Place, find_person, room};

/// A job's row, and what the budgets have to know of its call.
pub(super) type Caller<'a> = (i64, &'a Count);

/// What is asked while the transaction opens, once the budgets are locked.
pub(super) struct Look {
    known: Seat,
    totals: Seat,
}

/// The people who bear the callers' names, and how many the budgets count.
pub(super) struct Seen {
    known: Vec<Row>,
    totals: Vec<Row>,
}

pub(super) async fn look(flight: &mut Flight<'_>, counts: &[&Count]) -> Result<Look, Fault> {
    let names: Vec<Mark> = counts.iter().flat_map(|count| count.names()).collect();
    let budgets: BTreeSet<i64> = counts.iter().flat_map(|count| count.limits()).map(|(budget, _)| budget).collect();
    let budgets: Vec<i64> = budgets.into_iter().collect();
    Ok(Look { known: people::look(flight, &names).await?, totals: flight.ask(TOTALS, &[&budgets]).await? })
}

impl Look {
    pub(super) fn seen(&self, answers: &mut Answers) -> Seen {
        Seen { known: answers.rows(self.known), totals: answers.rows(self.totals) }
    }
}

/// Places by job. Counts nobody yet.
pub(super) async fn seek(tx: &mut Tx<'_>, callers: &[Caller<'_>], seen: &Seen) -> Result<HashMap<i64, Place>, Fault> {
    if callers.is_empty() {
        return Ok(HashMap::new());
    }
    let known = known_of(tx, &seen.known).await?;
    let mut totals = totals(tx, callers, &seen.totals).await?;
    let rules = rules(tx, callers).await?;
    let (mut named, mut people, mut places) = (HashSet::new(), HashSet::new(), HashMap::new());
    for (row, count) in callers {
        let fresh = count.names().into_iter().filter(|name| named.insert(*name)).count();
        let person = find_person(count, |name| Ok::<_, Fault>(known.get(&name).cloned()))?;
        let is_plain = match &person {
            Person::New(_) => true,
            Person::Same(known) => people.insert(known.row),
            Person::Joined(..) => false,
        };
        if !is_plain || fresh < count.names().len() {
            continue;
        }
        let used = |budget, _| Ok::<_, Fault>(totals.get(&budget).copied().unwrap_or(0));
        let rules = rules.get(row).map_or(&[][..], Vec::as_slice);
        let Ok(uses) = room(count, &count.source, rules, &person, tx.steady, used)? else { continue };
        for taken in uses.iter().filter(|used| used.is_new) {
            *totals.entry(taken.budget).or_default() += 1;
        }
        places.insert(*row, Place { person, uses });
    }
    Ok(places)
}

/// How many people the budgets count. Where that decides, whoever has had their time is removed before.
async fn totals(tx: &Tx<'_>, callers: &[Caller<'_>], seen: &[Row]) -> Result<HashMap<i64, i64>, Fault> {
    let mut limits: BTreeMap<i64, i64> = BTreeMap::new();
    for (budget, limit) in callers.iter().flat_map(|(_, count)| count.limits()) {
        limits.entry(budget).and_modify(|least| *least = limit.min(*least)).or_insert(limit);
    }
    let budgets: Vec<i64> = limits.keys().copied().collect();
    let mut totals = totals_in(seen)?;
    loop {
        let is_full = |(budget, limit): (&i64, &i64)| totals.get(budget).is_some_and(|used| used >= limit);
        if !limits.iter().any(is_full) || expire(tx).await? == 0 {
            return Ok(totals);
        }
        totals = totals_of(tx, &budgets).await?;
    }
}

/// Of those for whom a budget names one.
async fn rules(tx: &Tx<'_>, callers: &[Caller<'_>]) -> Result<HashMap<i64, Vec<String>>, Fault> {
    let rows: Vec<i64> = callers.iter().filter(|(_, count)| count.names_rules()).map(|(row, _)| *row).collect();
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let found = tx.query("SELECT seq, rules FROM jobs WHERE seq = ANY($1)", &[&rows]).await?;
    found.iter().map(|row| Ok((get(row, "seq")?, json(row, "rules")?))).collect()
}
