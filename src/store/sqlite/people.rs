//! Whom the budgets count, in memory: looking for room asks the disk nothing.
//!
//! Always holds: what is here is what `budget_people` has, the open transaction included. There is one process and one
//! thread that writes; what a transaction changed is remembered until its end, and taken back where it is undone.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, Row, params};

use super::codec::{json, to_json};
use super::tx::Tx;
use crate::domain::Budget;
use crate::store::StoreError;
use crate::store::accounts::Accounts;
use crate::store::counting::Mark;

/// A person whom at least one budget counts, or counted until a moment ago.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Theirs.
    pub(super) accounts: Accounts,
    /// Theirs alone.
    pub(super) names: Vec<Mark>,
    /// The budget, and until when it counts them, by the steady clock.
    pub(super) uses: Vec<(i64, i64)>,
}

/// Everyone who is counted.
#[derive(Debug, Default)]
pub(super) struct People {
    counted: HashMap<i64, Counted>,
    by_name: HashMap<Mark, i64>,
    /// Budget, end and person: whose time is up next.
    by_end: BTreeSet<(i64, i64, i64)>,
    /// People whom a budget counts, also those whose time is up.
    totals: HashMap<i64, i64>,
    newest: i64,
    /// What stood there before each change of the open transaction.
    undo: Vec<(i64, Option<Counted>)>,
}

impl People {
    /// As the file has them.
    pub(super) fn load(db: &Connection) -> Result<Self, StoreError> {
        let mut statement = db.prepare("SELECT seq, accounts, names, uses FROM budget_people ORDER BY seq")?;
        let read = |row: &Row<'_>| {
            let (names, uses): (Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(3)?);
            Ok((row.get(0)?, Counted { accounts: json(row, 1)?, names: halves(&names), uses: pairs(&uses) }))
        };
        let counted = statement.query_map([], read)?.collect::<rusqlite::Result<_>>()?;
        Ok(Self::of(counted))
    }

    /// These, in the order of their rows. Nobody can be asked for anything before this is done, and there may be very many.
    fn of(counted: Vec<(i64, Counted)>) -> Self {
        let ends =
            counted.iter().flat_map(|(row, person)| person.uses.iter().map(|(budget, until)| (*budget, *until, *row)));
        let by_end: BTreeSet<(i64, i64, i64)> = ends.collect();
        let mut totals = HashMap::new();
        for (budget, ..) in &by_end {
            *totals.entry(*budget).or_insert(0) += 1;
        }
        let mut by_name = HashMap::with_capacity(counted.iter().map(|(_, person)| person.names.len()).sum());
        for (row, person) in &counted {
            by_name.extend(person.names.iter().map(|name| (*name, *row)));
        }
        let newest = counted.last().map_or(0, |(row, _)| *row);
        Self { counted: counted.into_iter().collect(), by_name, by_end, totals, newest, undo: Vec::new() }
    }

    pub(super) fn named(&self, name: &Mark) -> Option<i64> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, row: i64) -> Option<&Counted> {
        self.counted.get(&row)
    }

    /// How many people a budget counts, some of whom may have had their time.
    pub(super) fn used(&self, budget: i64) -> i64 {
        self.totals.get(&budget).copied().unwrap_or(0)
    }

    /// How many it counts now.
    pub(super) fn used_at(&self, budget: i64, steady: i64) -> u64 {
        let over = self.over(budget, steady).count() as u64;
        u64::try_from(self.used(budget)).unwrap_or(0).saturating_sub(over)
    }

    /// Those whose time in a budget is up.
    pub(super) fn over(&self, budget: i64, steady: i64) -> impl Iterator<Item = i64> {
        self.by_end.range((budget, i64::MIN, i64::MIN)..=(budget, steady, i64::MAX)).map(|(.., row)| *row)
    }

    /// Every budget that counts anybody.
    pub(super) fn budgets(&self) -> Vec<i64> {
        self.totals.keys().copied().collect()
    }

    /// How far the open transaction has come.
    pub(super) fn progress(&self) -> usize {
        self.undo.len()
    }

    /// Takes back what came after `progress`.
    pub(super) fn go_back(&mut self, progress: usize) {
        while self.undo.len() > progress
            && let Some((row, before)) = self.undo.pop()
        {
            self.replace(row, before);
        }
    }

    /// The transaction stands.
    pub(super) fn settle(&mut self) {
        self.undo.clear();
    }

    fn put(&mut self, row: i64, person: Option<Counted>) {
        let before = self.replace(row, person);
        self.undo.push((row, before));
    }

    fn replace(&mut self, row: i64, person: Option<Counted>) -> Option<Counted> {
        let before = self.counted.remove(&row);
        if let Some(before) = &before {
            for name in &before.names {
                self.by_name.remove(name);
            }
            before.uses.iter().for_each(|(budget, until)| self.count(*budget, *until, row, -1));
        }
        if let Some(mut person) = person {
            // There may be very many.
            person.names.shrink_to_fit();
            person.uses.shrink_to_fit();
            self.by_name.extend(person.names.iter().map(|name| (*name, row)));
            person.uses.iter().for_each(|(budget, until)| self.count(*budget, *until, row, 1));
            self.newest = self.newest.max(row);
            self.counted.insert(row, person);
        }
        before
    }

    fn count(&mut self, budget: i64, until: i64, row: i64, by: i64) {
        if by > 0 {
            self.by_end.insert((budget, until, row));
        } else {
            self.by_end.remove(&(budget, until, row));
        }
        let total = self.totals.entry(budget).or_insert(0);
        *total += by;
        if *total == 0 {
            self.totals.remove(&budget);
        }
    }
}

/// Stores a person, here and in the file. Whom no budget counts is nobody any more.
pub(super) fn keep(tx: &mut Tx<'_>, row: i64, person: Counted) -> Result<(), StoreError> {
    if person.uses.is_empty() {
        tx.sql("DELETE FROM budget_people WHERE seq = ?1")?.execute([row])?;
        tx.people.put(row, None);
        return Ok(());
    }
    let uses: Vec<u8> =
        person.uses.iter().flat_map(|(budget, until)| [budget.to_be_bytes(), until.to_be_bytes()].concat()).collect();
    let sql = "INSERT INTO budget_people (seq, accounts, names, uses) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET accounts = ?2, names = ?3, uses = ?4";
    tx.sql(sql)?.execute(params![row, to_json(&person.accounts)?, person.names.concat(), uses])?;
    tx.people.put(row, Some(person));
    Ok(())
}

/// How many people each of these budgets counts at this time, by the steady clock. A change in progress is waited for.
pub(super) fn budget_use(people: &Mutex<People>, budgets: &[Budget], steady: i64) -> Vec<u64> {
    let people = people.lock().unwrap_or_else(PoisonError::into_inner);
    budgets.iter().map(|budget| people.used_at(budget.key(), steady)).collect()
}

/// A row for somebody who is not counted yet.
pub(super) fn next_row(people: &People) -> i64 {
    people.newest + 1
}

fn halves(bytes: &[u8]) -> Vec<Mark> {
    bytes.as_chunks().0.to_vec()
}

fn pairs(bytes: &[u8]) -> Vec<(i64, i64)> {
    let numbers: Vec<i64> = bytes.as_chunks().0.iter().map(|number| i64::from_be_bytes(*number)).collect();
    numbers.as_chunks().0.iter().map(|[budget, until]| (*budget, *until)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: u8, uses: &[(i64, i64)]) -> Counted {
        Counted { accounts: Accounts::default(), names: vec![[name; 16]], uses: uses.to_vec() }
    }

    #[test]
    fn what_is_undone_was_never_there() {
        let mut people = People::default();
        people.put(1, Some(person(1, &[(7, 100), (8, 200)])));
        people.settle();
        let before = format!("{:?}", (people.get(1), &people.by_name, &people.by_end, people.used(7), people.used(8)));
        people.put(2, Some(person(2, &[(7, 150)])));
        let progress = people.progress();
        people.put(1, None);
        people.put(3, Some(person(1, &[(8, 300)])));
        assert_eq!((people.used(7), people.used(8), people.named(&[1; 16])), (1, 1, Some(3)));
        people.go_back(progress);
        assert_eq!((people.used(7), people.used(8), people.named(&[1; 16])), (2, 1, Some(1)));
        people.go_back(0);
        let after = format!("{:?}", (people.get(1), &people.by_name, &people.by_end, people.used(7), people.used(8)));
        assert_eq!(after, before);
        assert_eq!(next_row(&people), 4, "a number is given once");
    }

    #[test]
    fn all_at_once_are_the_same_as_one_by_one() {
        let all = vec![(2, person(2, &[(7, 150), (8, 90)])), (3, person(3, &[(8, 90)])), (9, person(9, &[(7, 100)]))];
        let (mut one_by_one, at_once) = (People::default(), People::of(all.clone()));
        for (row, person) in all {
            one_by_one.put(row, Some(person));
        }
        assert_eq!((&at_once.counted, &at_once.by_name), (&one_by_one.counted, &one_by_one.by_name));
        assert_eq!((&at_once.by_end, &at_once.totals), (&one_by_one.by_end, &one_by_one.totals));
        assert_eq!((next_row(&at_once), at_once.progress()), (10, 0));
    }

    #[test]
    fn whose_time_is_up_is_not_counted() {
        let mut people = People::default();
        people.put(1, Some(person(1, &[(7, 100)])));
        people.put(2, Some(person(2, &[(7, 101)])));
        assert_eq!([99, 100, 101].map(|now| people.used_at(7, now)), [2, 1, 0]);
        assert_eq!(people.over(7, 100).collect::<Vec<_>>(), [1]);
    }
}
