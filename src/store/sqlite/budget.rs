//! Budgets: who was acted on of late, and whether there is room for one more.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::codec::{json, to_json, word};
use super::tx::Tx;
use crate::domain::{Budget, SourceName};
use crate::store::StoreError;
pub(super) use crate::store::counting::{Count, Place};
use crate::store::counting::{Full, Known, MOST_SOURCES, Mark, Person, Use, find_person};

/// People whose time is up that are removed at once: other changes wait meanwhile.
const BATCH: u32 = 500;

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
    while tx.used(budget)? >= limit && expire(tx, budget)? > 0 {}
    Ok(tx.used(budget)?)
}

/// The person of this name, if a budget counts them still.
fn by_name(tx: &mut Tx<'_>, name: Mark) -> Result<Option<Known>, StoreError> {
    let sql = "SELECT p.seq, p.accounts, p.names FROM budget_names n JOIN budget_people p ON p.seq = n.person WHERE n.name = ?1";
    let read = |row: &Row<'_>| Ok((row.get(0)?, json(row, 1)?, row.get(2)?));
    let Some((row, accounts, names)) = tx.sql(sql)?.query_row([name], read).optional()? else { return Ok(None) };
    let counted_by = counted_by(tx, row)?;
    Ok((!counted_by.is_empty()).then_some(Known { row, accounts, names, counted_by }))
}

/// The budgets that count this person. Those that did are done with it, and nobody is kept whom none counts.
fn counted_by(tx: &mut Tx<'_>, person: i64) -> Result<Vec<i64>, StoreError> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let uses: Vec<(i64, i64)> = tx
        .sql("SELECT budget, until FROM budget_uses WHERE person = ?1")?
        .query_map([person], read)?
        .collect::<Result<_, _>>()?;
    let (live, over): (Vec<_>, Vec<_>) = uses.into_iter().partition(|(_, until)| *until > tx.steady);
    for (budget, _) in over {
        drop_use(tx, person, budget)?;
    }
    Ok(live.into_iter().map(|(budget, _)| budget).collect())
}

fn drop_use(tx: &mut Tx<'_>, person: i64, budget: i64) -> Result<(), StoreError> {
    tx.sql("DELETE FROM budget_uses WHERE person = ?1 AND budget = ?2")?.execute([person, budget])?;
    tx.use_more(budget, -1)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM budget_uses WHERE person = ?1)";
    let is_counted: bool = tx.sql(sql)?.query_row([person], |row| row.get(0))?;
    if is_counted { Ok(()) } else { forget(tx, person) }
}

fn forget(tx: &Tx<'_>, person: i64) -> Result<(), StoreError> {
    let names: Option<Vec<u8>> = tx
        .sql("DELETE FROM budget_people WHERE seq = ?1 RETURNING names")?
        .query_map([person], |row| row.get(0))?
        .next()
        .transpose()?;
    let mut delete = tx.sql("DELETE FROM budget_names WHERE name = ?1 AND person = ?2")?;
    for name in names.unwrap_or_default().chunks(16) {
        delete.execute(params![name, person])?;
    }
    Ok(())
}

/// Removes a batch of those whose time is up; how many.
fn expire(tx: &mut Tx<'_>, budget: i64) -> Result<u64, StoreError> {
    let sql = "SELECT person FROM budget_uses WHERE budget = ?1 AND until <= ?2 ORDER BY until LIMIT ?3";
    let people: Vec<i64> =
        tx.sql(sql)?.query_map(params![budget, tx.steady, BATCH], |row| row.get(0))?.collect::<Result<_, _>>()?;
    people.iter().try_for_each(|person| drop_use(tx, *person, budget))?;
    Ok(people.len() as u64)
}

/// Removes a batch of those whose time is up from every budget, also from those that left the config; how many.
pub(super) fn prune(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    let budgets: Vec<i64> =
        tx.sql("SELECT budget FROM budget_totals")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    budgets.into_iter().try_fold(0, |gone, budget| Ok(gone + expire(tx, budget)?))
}

impl Place {
    /// The call is about to be made: its person is counted.
    pub(super) fn take(self, tx: &mut Tx<'_>, count: &Count) -> Result<(), StoreError> {
        if self.uses.is_empty() {
            return Ok(());
        }
        let person = self.person.keep(tx, count)?;
        for Use { budget, until, is_new } in self.uses {
            tx.sql(
                "INSERT INTO budget_uses (person, budget, until) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET until = max(until, ?3)",
            )?
            .execute([person, budget, until])?;
            tx.use_more(budget, i64::from(is_new))?;
        }
        Ok(())
    }
}

impl Person {
    fn keep(self, tx: &Tx<'_>, count: &Count) -> Result<i64, StoreError> {
        match self {
            Self::Same(known) => Ok(known.row),
            Self::New(names) => {
                let accounts = BTreeMap::from([(&count.provider, &count.account)]);
                let sql = "INSERT INTO budget_people (accounts, names) VALUES (?1, ?2)";
                let row = tx.sql(sql)?.insert(params![to_json(&accounts)?, names.concat()])?;
                name(tx, row, &names)?;
                Ok(row)
            }
            Self::Joined(mut known, names) => {
                known.accounts.insert(count.provider.clone(), count.account.clone());
                known.names.extend(names.concat());
                tx.sql("UPDATE budget_people SET accounts = ?2, names = ?3 WHERE seq = ?1")?.execute(params![
                    known.row,
                    to_json(&known.accounts)?,
                    known.names
                ])?;
                name(tx, known.row, &names)?;
                Ok(known.row)
            }
        }
    }
}

/// A name that is another's stays theirs.
fn name(tx: &Tx<'_>, person: i64, names: &[Mark]) -> Result<(), StoreError> {
    let mut statement = tx.sql("INSERT OR IGNORE INTO budget_names (name, person) VALUES (?1, ?2)")?;
    for name in names {
        statement.execute(params![name, person])?;
    }
    Ok(())
}

/// How many people each of these budgets counts now.
pub(super) fn used(db: &Connection, budgets: &[Budget], steady: i64) -> Result<Vec<u64>, StoreError> {
    let mut statement = db.prepare_cached("SELECT count(*) FROM budget_uses WHERE budget = ?1 AND until > ?2")?;
    let count = |budget: &Budget| Ok(statement.query_row([budget.key(), steady], |row| row.get(0))?);
    budgets.iter().map(count).collect()
}
