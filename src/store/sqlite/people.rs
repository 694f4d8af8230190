//! Whom the budgets count, in memory: looking for room asks the disk nothing.
//!
//! Always holds: what is here is what `budget_people` has, the open transaction included. There is one process and one
//! thread that writes; what a transaction changed is remembered until its end, and taken back where it is undone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, Row, params};

use super::codec::{json, to_json};
use super::tx::Tx;
use crate::domain::Budget;
use crate::store::StoreError;
use crate::store::accounts::Accounts;
use crate::store::counting::Mark;

/// A person whom at least one budget counts, or counted until a moment ago. There may be very many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Theirs.
    pub(super) accounts: Accounts,
    /// Theirs alone.
    pub(super) names: Box<[Mark]>,
    /// The budget, and until when it counts them, by the steady clock.
    pub(super) uses: Box<[(i64, i64)]>,
}

impl Counted {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (names, uses) = (halves(row.get_ref(2)?.as_blob()?), pairs(row.get_ref(3)?.as_blob()?));
        Ok(Self { accounts: json(row, 1)?, names, uses })
    }
}

/// Everyone who is counted. In trees, which grow and shrink with them: a hash table takes twice as much from one person to the
/// next (some 20 MiB at 114,688), and gives nothing back.
#[derive(Debug, Default)]
pub(super) struct People {
    counted: BTreeMap<i64, Counted>,
    by_name: BTreeMap<Mark, i64>,
    /// Of each budget, end and person: whose time is up next. Also those whose time is up already.
    by_end: HashMap<i64, BTreeSet<(i64, i64)>>,
    newest: i64,
    /// What stood there before each change of the open transaction.
    undo: Vec<(i64, Option<Counted>)>,
}

impl People {
    /// As the file has them. Nobody can be asked for anything before this is done.
    pub(super) fn load(db: &Connection) -> Result<Self, StoreError> {
        let size = "SELECT count(*), coalesce(sum(length(names)), 0) / 16 FROM budget_people";
        let (people, names): (usize, usize) = db.query_row(size, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        // Trees that are made at once take half of the memory.
        let (mut counted, mut by_name) = (Vec::with_capacity(people), Vec::with_capacity(names));
        let mut statement = db.prepare("SELECT seq, accounts, names, uses FROM budget_people ORDER BY seq")?;
        let mut rows = statement.query([])?;
        let mut budgets = BTreeSet::new();
        while let Some(row) = rows.next()? {
            let (row, person) = (row.get(0)?, Counted::read(row)?);
            budgets.extend(person.uses.iter().map(|(budget, _)| *budget));
            by_name.extend(person.names.iter().map(|name| (*name, row)));
            counted.push((row, person));
        }
        let newest = counted.last().map_or(0, |(row, _)| *row);
        let (counted, by_name) = (counted.into_iter().collect(), by_name.into_iter().collect());
        let mut all = Self { counted, by_name, newest, ..Self::default() };
        for budget in budgets {
            let mut ends = Vec::with_capacity(people);
            for (row, person) in &all.counted {
                ends.extend(person.uses.iter().filter(|used| used.0 == budget).map(|(_, until)| (*until, *row)));
            }
            all.by_end.insert(budget, ends.into_iter().collect());
        }
        Ok(all)
    }

    pub(super) fn named(&self, name: &Mark) -> Option<i64> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, row: i64) -> Option<&Counted> {
        self.counted.get(&row)
    }

    /// How many people a budget counts, some of whom may have had their time.
    pub(super) fn used(&self, budget: i64) -> i64 {
        self.by_end.get(&budget).map_or(0, |ends| i64::try_from(ends.len()).unwrap_or(i64::MAX))
    }

    /// How many it counts now.
    pub(super) fn used_at(&self, budget: i64, steady: i64) -> u64 {
        let over = self.over(budget, steady).count() as u64;
        u64::try_from(self.used(budget)).unwrap_or(0).saturating_sub(over)
    }

    /// Those whose time in a budget is up.
    pub(super) fn over(&self, budget: i64, steady: i64) -> impl Iterator<Item = i64> {
        let ends = self.by_end.get(&budget).into_iter();
        ends.flat_map(move |ends| ends.range(..=(steady, i64::MAX))).map(|(_, row)| *row)
    }

    /// Every budget that counts anybody.
    pub(super) fn budgets(&self) -> Vec<i64> {
        self.by_end.keys().copied().collect()
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
            before.uses.iter().for_each(|(budget, until)| self.uncount(*budget, *until, row));
        }
        if let Some(person) = person {
            self.by_name.extend(person.names.iter().map(|name| (*name, row)));
            for (budget, until) in &person.uses {
                self.by_end.entry(*budget).or_default().insert((*until, row));
            }
            self.newest = self.newest.max(row);
            self.counted.insert(row, person);
        }
        before
    }

    fn uncount(&mut self, budget: i64, until: i64, row: i64) {
        let Some(ends) = self.by_end.get_mut(&budget) else { return };
        ends.remove(&(until, row));
        if ends.is_empty() {
            self.by_end.remove(&budget);
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
    let uses: Vec<u8> = person.uses.iter().flat_map(|(budget, until)| blob(*budget, *until)).collect();
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

fn blob(budget: i64, until: i64) -> Vec<u8> {
    [budget.to_be_bytes(), until.to_be_bytes()].concat()
}

fn halves(bytes: &[u8]) -> Box<[Mark]> {
    bytes.as_chunks().0.into()
}

fn pairs(bytes: &[u8]) -> Box<[(i64, i64)]> {
    let pairs = bytes.as_chunks::<16>().0.iter().map(|pair| pair.as_chunks().0);
    let numbers = pairs.map(|numbers| (i64::from_be_bytes(numbers[0]), i64::from_be_bytes(numbers[1])));
    numbers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With two names.
    fn person(name: u8, uses: &[(i64, i64)]) -> Counted {
        Counted { accounts: Accounts::default(), names: [[name; 16], [name + 100; 16]].into(), uses: uses.into() }
    }

    #[test]
    fn what_is_undone_was_never_there() {
        let mut people = People::default();
        people.put(1, Some(person(1, &[(7, 100), (8, 200)])));
        people.settle();
        let before = (people.counted.clone(), people.by_name.clone(), people.by_end.clone());
        people.put(2, Some(person(2, &[(7, 150)])));
        let progress = people.progress();
        people.put(1, None);
        people.put(3, Some(person(1, &[(8, 300)])));
        assert_eq!((people.used(7), people.used(8), people.named(&[1; 16])), (1, 1, Some(3)));
        people.go_back(progress);
        assert_eq!((people.used(7), people.used(8), people.named(&[1; 16])), (2, 1, Some(1)));
        people.go_back(0);
        assert_eq!((people.counted.clone(), people.by_name.clone(), people.by_end.clone()), before);
        assert_eq!(next_row(&people), 4, "a number is given once");
    }

    #[test]
    fn what_a_file_has_is_what_was_put_there_one_by_one() {
        let mut file = Connection::open_in_memory().expect("a file");
        super::super::schema::migrate(&mut file).expect("migrated");
        let mut one_by_one = People::default();
        let all = [(2, &[(7, 150), (8, 90)][..]), (3, &[(8, 90)]), (9, &[(7, 100)])];
        for (row, uses) in all {
            let mut person = person(u8::try_from(row).expect("small"), uses);
            person.accounts.set(&"okta".parse().expect("a name"), "00u:1");
            person.accounts.set(&"slack".parse().expect("a name"), "U1");
            let uses: Vec<u8> = uses.iter().flat_map(|(budget, until)| blob(*budget, *until)).collect();
            let sql = "INSERT INTO budget_people (seq, accounts, names, uses) VALUES (?1, ?2, ?3, ?4)";
            file.execute(sql, params![row, r#"{"okta":"00u:1","slack":"U1"}"#, person.names.concat(), uses])
                .expect("stored");
            one_by_one.put(row, Some(person));
        }
        let loaded = People::load(&file).expect("loaded");
        assert_eq!((&loaded.counted, &loaded.by_name), (&one_by_one.counted, &one_by_one.by_name));
        assert_eq!((&loaded.by_end, loaded.progress()), (&one_by_one.by_end, 0));
        assert_eq!((next_row(&loaded), loaded.used(8), loaded.used(9)), (10, 2, 0));
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
