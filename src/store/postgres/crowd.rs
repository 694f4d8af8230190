//! Places in budgets for many people at once, in as few questions as for one. Whoever does not fit in plainly is left out
//! and asks alone afterwards (`budget.rs`): a name that two of them share, somebody who joins a known person, a budget
//! that is full. So what is found here depends on nobody else in the batch.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::budget::{Count, Place, expire, known, totals_of};
use super::codec::{get, json, to_json};
use super::fault::Fault;
use super::tx::{Parameters, Tx};
use crate::store::counting::{Mark, Person, find_person, room};

/// A job's row, and what the budgets have to know of its call.
pub(super) type Caller<'a> = (i64, &'a Count);

/// Places by job. Counts nobody yet.
pub(super) async fn seek(tx: &mut Tx<'_>, callers: &[Caller<'_>]) -> Result<HashMap<i64, Place>, Fault> {
    if callers.is_empty() {
        return Ok(HashMap::new());
    }
    tx.lock_budgets().await?;
    let names: Vec<Mark> = callers.iter().flat_map(|(_, count)| count.names()).collect();
    let known = known(tx, &names).await?;
    let mut totals = totals(tx, callers).await?;
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
async fn totals(tx: &Tx<'_>, callers: &[Caller<'_>]) -> Result<HashMap<i64, i64>, Fault> {
    let mut limits: BTreeMap<i64, i64> = BTreeMap::new();
    for (budget, limit) in callers.iter().flat_map(|(_, count)| count.limits()) {
        limits.entry(budget).and_modify(|least| *least = limit.min(*least)).or_insert(limit);
    }
    let budgets: Vec<i64> = limits.keys().copied().collect();
    loop {
        let totals = totals_of(tx, &budgets).await?;
        let mut gone = 0;
        for (budget, limit) in &limits {
            if totals.get(budget).is_some_and(|used| used >= limit) {
                gone += expire(tx, Some(*budget)).await?;
            }
        }
        if gone == 0 {
            return Ok(totals);
        }
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

/// What is written of people who are counted, column by column.
#[derive(Default)]
struct Written {
    people: Vec<i64>,
    accounts: Vec<String>,
    kept: Vec<Vec<u8>>,
    names: Vec<Vec<u8>>,
    named: Vec<i64>,
    users: Vec<i64>,
    budgets: Vec<i64>,
    until: Vec<i64>,
    new: BTreeMap<i64, i64>,
}

/// The calls are about to be made: these people are counted.
pub(super) async fn take(tx: &Tx<'_>, places: Vec<(Place, &Count)>) -> Result<(), Fault> {
    let mut written = Written::default();
    let mut numbers = numbers(tx, places.len()).await?;
    for (place, count) in places.into_iter().filter(|(place, _)| !place.uses.is_empty()) {
        let number = numbers.pop().unwrap_or_default();
        written.add(place, count, number)?;
    }
    write(tx, &written).await
}

async fn numbers(tx: &Tx<'_>, count: usize) -> Result<Vec<i64>, Fault> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let sql = "SELECT nextval('budget_people_seq') AS seq FROM generate_series(1, $1::bigint)";
    tx.query(sql, &[&count]).await?.iter().map(|row| get(row, "seq")).collect()
}

impl Written {
    /// `number`: of a person whom nobody has counted yet.
    fn add(&mut self, place: Place, count: &Count, number: i64) -> Result<(), Fault> {
        let person = match place.person {
            Person::Same(known) | Person::Joined(known, _) => known.row,
            Person::New(marks) => {
                self.people.push(number);
                self.accounts.push(to_json(&BTreeMap::from([(&count.provider, &count.account)]))?);
                self.kept.push(marks.concat());
                self.named.extend(marks.iter().map(|_| number));
                self.names.extend(marks.into_iter().map(|mark| mark.to_vec()));
                number
            }
        };
        for used in place.uses {
            self.users.push(person);
            self.budgets.push(used.budget);
            self.until.push(used.until);
            *self.new.entry(used.budget).or_default() += i64::from(used.is_new);
        }
        Ok(())
    }
}

/// In one flight. A name that is another's stays theirs.
async fn write(tx: &Tx<'_>, written: &Written) -> Result<(), Fault> {
    if written.users.is_empty() {
        return Ok(());
    }
    let (totals, added): (Vec<i64>, Vec<i64>) = written.new.iter().map(|(budget, by)| (*budget, *by)).unzip();
    let people: Parameters<'_> = &[&written.people, &written.accounts, &written.kept];
    let names: Parameters<'_> = &[&written.names, &written.named];
    let uses: Parameters<'_> = &[&written.users, &written.budgets, &written.until];
    let sums: Parameters<'_> = &[&totals, &added];
    tokio::try_join!(
        biased;
        tx.execute(
            "INSERT INTO budget_people (seq, accounts, names) SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[])",
            people
        ),
        tx.execute(
            "INSERT INTO budget_names (name, person) SELECT * FROM unnest($1::bytea[], $2::bigint[])
             ON CONFLICT (name) DO NOTHING",
            names
        ),
        tx.execute(
            "INSERT INTO budget_uses (person, budget, until) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
             ON CONFLICT (person, budget) DO UPDATE SET until = greatest(budget_uses.until, excluded.until)",
            uses
        ),
        tx.execute(
            "INSERT INTO budget_totals (budget, used) SELECT * FROM unnest($1::bigint[], $2::bigint[])
             ON CONFLICT (budget) DO UPDATE SET used = budget_totals.used + excluded.used",
            sums
        ),
    )?;
    Ok(())
}
