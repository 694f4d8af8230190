//! Budgets: who was acted on of late, and whether there is room for one more.

use rusqlite::params;

use super::codec::{json, word};
use super::people::{self, Counted, People};
use super::tx::Tx;
use crate::domain::SourceName;
use crate::store::StoreError;
pub(super) use crate::store::counting::{Count, Place};
use crate::store::counting::{Full, Known, MOST_SOURCES, Mark, Person, Use, find_person};

/// People whose time is up that are removed at once: other changes wait meanwhile.
const BATCH: usize = 100;

/// Whether the call may be made.
pub(super) enum Room {
    /// There is room, which is taken with the call.
    Free(Place),
    /// There is none; why.
    Full(String),
}

/// Looks for room in every budget that counts the job. Counts nobody yet.
pub(super) fn seek(tx: &mut Tx<'_>, job: i64, count: &Count) -> Result<Room, StoreError> {
    let person = find_person(count, |name| by_name(tx, name))?;
    let rules = rules(tx, job, count)?;
    let full = match room(tx, count, &count.source, &rules, &person)? {
        Ok(uses) => return Ok(Room::Free(Place { person, uses })),
        Err(full) => full,
    };
    // What one source asks for in vain goes on if another one asked for it too: nobody is kept from being heard by
    // whoever floods a budget of their own.
    if full.names_source {
        for source in other_sources(tx, job, &count.source)? {
            if let Ok(uses) = room(tx, count, &source, &rules, &person)? {
                return Ok(Room::Free(Place { person, uses }));
            }
        }
    }
    Ok(Room::Full(full.words))
}

/// Only where a budget names one.
fn rules(tx: &Tx<'_>, job: i64, count: &Count) -> Result<Vec<String>, StoreError> {
    if !count.names_rules() {
        return Ok(Vec::new());
    }
    Ok(tx.sql("SELECT rules FROM jobs WHERE seq = ?1")?.query_row([job], |row| json(row, 0))?)
}

fn other_sources(tx: &Tx<'_>, job: i64, known: &SourceName) -> Result<Vec<SourceName>, StoreError> {
    let sql = "SELECT DISTINCT alerts.source FROM alert_jobs JOIN alerts ON alerts.seq = alert_jobs.alert
               WHERE alert_jobs.job = ?1 AND alerts.source <> ?2 LIMIT ?3";
    let mut statement = tx.sql(sql)?;
    let sources = statement.query_map(params![job, known.as_str(), MOST_SOURCES], |row| word(row, 0))?;
    Ok(sources.collect::<Result<_, _>>()?)
}

fn room(
    tx: &mut Tx<'_>,
    count: &Count,
    source: &SourceName,
    rules: &[String],
    person: &Person,
) -> Result<Result<Vec<Use>, Full>, StoreError> {
    crate::store::counting::room(count, source, rules, person, tx.steady, |budget, limit| used_of(tx, budget, limit))
}

/// Whoever has had their time is removed only where that decides.
fn used_of(tx: &mut Tx<'_>, budget: i64, limit: i64) -> Result<i64, StoreError> {
    while tx.people.used(budget) >= limit && expire(tx, budget)? > 0 {}
    Ok(tx.people.used(budget))
}

/// The person of this name, if a budget counts them still. Those that did are done with it.
fn by_name(tx: &mut Tx<'_>, name: Mark) -> Result<Option<Known>, StoreError> {
    let Some(row) = tx.people.named(&name) else { return Ok(None) };
    end_uses(tx, row)?;
    Ok(tx.people.get(row).map(|person| Known {
        row,
        accounts: person.accounts.clone(),
        names: person.names.concat(),
        counted_by: person.uses.iter().map(|(budget, _)| *budget).collect(),
    }))
}

/// Whatever has counted the person for as long as it had to is done with it.
fn end_uses(tx: &mut Tx<'_>, row: i64) -> Result<(), StoreError> {
    let steady = tx.steady;
    let Some(person) = tx.people.get(row) else { return Ok(()) };
    if person.uses.iter().all(|(_, until)| *until > steady) {
        return Ok(());
    }
    let mut person = person.clone();
    person.uses = person.uses.into_iter().filter(|(_, until)| *until > steady).collect();
    people::keep(tx, row, person)
}

/// Removes a batch of those whose time is up; how many.
fn expire(tx: &mut Tx<'_>, budget: i64) -> Result<u64, StoreError> {
    let over: Vec<i64> = tx.people.over(budget, tx.steady).take(BATCH).collect();
    over.iter().try_for_each(|row| end_uses(tx, *row))?;
    Ok(over.len() as u64)
}

/// Removes a batch of those whose time is up from every budget, also from those that left the config; how many.
pub(super) fn prune(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    tx.people.budgets().into_iter().try_fold(0, |gone, budget| Ok(gone + expire(tx, budget)?))
}

impl Place {
    /// The call is about to be made: its person is counted.
    pub(super) fn take(self, tx: &mut Tx<'_>, count: &Count) -> Result<(), StoreError> {
        if self.uses.is_empty() {
            return Ok(());
        }
        let (row, mut person) = self.person.with(tx.people, count);
        let mut uses = person.uses.into_vec();
        for Use { budget, until, .. } in self.uses {
            match uses.iter_mut().find(|(known, _)| *known == budget) {
                Some((_, known)) => *known = until.max(*known),
                None => uses.push((budget, until)),
            }
        }
        person.uses = uses.into();
        people::keep(tx, row, person)
    }
}

impl Person {
    /// The person with the account, and with the names that are nobody else's.
    fn with(self, people: &People, count: &Count) -> (i64, Counted) {
        let (row, names) = match self {
            Self::Same(known) => (known.row, Vec::new()),
            Self::Joined(known, names) => (known.row, names),
            Self::New(names) => (people::next_row(people), names),
        };
        let mut person = people.get(row).cloned().unwrap_or_default();
        person.accounts.set(&count.provider, &count.account);
        let names = names.into_iter().filter(|name| people.named(name).is_none());
        person.names = person.names.into_iter().chain(names).collect();
        (row, person)
    }
}
