//! The people whom budgets count: one row each, which tells every budget that does, and a row for each of their names.
//! Whoever asks here holds the budgets' lock.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Row;

use super::codec::{get, json, to_json};
use super::fault::Fault;
use super::flight::{Flight, Seat};
use super::tx::Tx;
use crate::store::counting::{Count, Known, Mark, Person, Place, Use};

/// People whose time is up that are looked for at once: other changes wait meanwhile.
const BATCH: i64 = 500;

const BY_NAME: &str = "SELECT n.name, p.seq, p.accounts, p.names, p.budgets, p.untils
     FROM budget_names n JOIN budget_people p ON p.seq = n.person WHERE n.name = ANY($1)";

/// Asks who bears these names, while the transaction opens.
pub(super) async fn look(flight: &mut Flight<'_>, names: &[Mark]) -> Result<Seat, Fault> {
    flight.ask(BY_NAME, &[&bytes(names)]).await
}

/// Whom a budget counts under these names.
pub(super) async fn known(tx: &Tx<'_>, names: &[Mark]) -> Result<HashMap<Mark, Known>, Fault> {
    let rows = tx.query(BY_NAME, &[&bytes(names)]).await?;
    known_of(tx, &rows).await
}

fn bytes(names: &[Mark]) -> Vec<&[u8]> {
    names.iter().map(|name| &name[..]).collect()
}

/// Those whose time is up are done with, for whoever counts them again.
pub(super) async fn known_of(tx: &Tx<'_>, rows: &[Row]) -> Result<HashMap<Mark, Known>, Fault> {
    let (mut known, mut over) = (HashMap::new(), Vec::new());
    for row in rows {
        let (person, budgets, untils) =
            (get(row, "seq")?, get::<Vec<i64>>(row, "budgets")?, get::<Vec<i64>>(row, "untils")?);
        let counted = budgets.iter().zip(&untils).filter(|(_, until)| **until > tx.steady);
        let counted_by: Vec<i64> = counted.map(|(budget, _)| *budget).collect();
        if counted_by.len() < budgets.len() {
            over.push(person);
        }
        if !counted_by.is_empty() {
            let (accounts, names) = (json(row, "accounts")?, get(row, "names")?);
            let name = Mark::try_from(get::<&[u8]>(row, "name")?).unwrap_or_default();
            known.insert(name, Known { row: person, accounts, names, counted_by });
        }
    }
    forget(tx, &over).await?;
    Ok(known)
}

/// Removes a batch of those whose time is up, also from budgets that left the config; how many.
pub(super) async fn expire(tx: &Tx<'_>) -> Result<u64, Fault> {
    let sql = "SELECT seq FROM budget_people WHERE until <= $1 ORDER BY until LIMIT $2";
    let over = tx.query(sql, &[&tx.steady, &BATCH]).await?;
    let over: Vec<i64> = over.iter().map(|row| get(row, "seq")).collect::<Result<_, _>>()?;
    forget(tx, &over).await?;
    Ok(over.len() as u64)
}

/// These people are not counted any more by budgets whose time with them is up, and nobody is kept whom none counts.
async fn forget(tx: &Tx<'_>, people: &[i64]) -> Result<(), Fault> {
    if people.is_empty() {
        return Ok(());
    }
    let sql = "WITH over AS (SELECT u.budget, count(*) AS people FROM budget_people p
             CROSS JOIN LATERAL unnest(p.budgets, p.untils) AS u (budget, until)
             WHERE p.seq = ANY($1) AND u.until <= $2 GROUP BY u.budget),
           less AS (UPDATE budget_totals t SET used = t.used - over.people FROM over WHERE t.budget = over.budget)
         UPDATE budget_people p SET (budgets, untils, until) = (
           SELECT coalesce(array_agg(u.budget), '{}'), coalesce(array_agg(u.until), '{}'), coalesce(min(u.until), 0)
           FROM unnest(p.budgets, p.untils) AS u (budget, until) WHERE u.until > $2) WHERE p.seq = ANY($1)";
    tx.later(sql, &[&people, &tx.steady]).await?;
    let sql = "WITH gone AS (DELETE FROM budget_people WHERE seq = ANY($1) AND budgets = '{}' RETURNING seq, names)
         DELETE FROM budget_names n USING gone
         CROSS JOIN LATERAL generate_series(1, length(gone.names), 16) AS place
         WHERE n.name = substring(gone.names FROM place FOR 16) AND n.person = gone.seq";
    tx.later(sql, &[&people]).await
}

/// What is written of people who are counted, column by column.
#[derive(Default)]
struct Written {
    people: Vec<i64>,
    accounts: Vec<String>,
    kept: Vec<Vec<u8>>,
    budgets: Vec<String>,
    untils: Vec<String>,
    first: Vec<i64>,
    names: Vec<Vec<u8>>,
    named: Vec<i64>,
    new: BTreeMap<i64, i64>,
}

/// The calls are about to be made: these people are counted.
pub(super) async fn take(tx: &mut Tx<'_>, places: Vec<(Place, &Count)>) -> Result<(), Fault> {
    let mut written = Written::default();
    for (Place { person, uses }, count) in places.into_iter().filter(|(place, _)| !place.uses.is_empty()) {
        for used in &uses {
            *written.new.entry(used.budget).or_default() += i64::from(used.is_new);
        }
        match person {
            Person::New(marks) => {
                // One was taken for everybody who might have to be counted.
                let number = tx.numbers.people.pop().unwrap_or_default();
                written.add(number, count, marks, &uses)?;
            }
            Person::Same(known) => extend(tx, known.row, &uses).await?,
            Person::Joined(known, marks) => {
                extend(tx, known.row, &uses).await?;
                join(tx, known, count, &marks).await?;
            }
        }
    }
    write(tx, &written).await
}

impl Written {
    fn add(&mut self, number: i64, count: &Count, marks: Vec<Mark>, uses: &[Use]) -> Result<(), Fault> {
        self.people.push(number);
        self.accounts.push(to_json(&BTreeMap::from([(&count.provider, &count.account)]))?);
        self.kept.push(marks.concat());
        self.budgets.push(array(uses.iter().map(|used| used.budget)));
        self.untils.push(array(uses.iter().map(|used| used.until)));
        self.first.extend(uses.iter().map(|used| used.until).min());
        self.named.extend(marks.iter().map(|_| number));
        self.names.extend(marks.into_iter().map(|mark| mark.to_vec()));
        Ok(())
    }
}

/// As text: lists of lists of unlike lengths cannot be passed otherwise.
pub(super) fn array(numbers: impl Iterator<Item = i64>) -> String {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    format!("{{{}}}", numbers.join(","))
}

/// A name that is another's stays theirs.
async fn write(tx: &Tx<'_>, written: &Written) -> Result<(), Fault> {
    let (totals, added): (Vec<i64>, Vec<i64>) = written.new.iter().map(|(budget, by)| (*budget, *by)).unzip();
    if totals.is_empty() {
        return Ok(());
    }
    let sql = "WITH people AS (INSERT INTO budget_people (seq, accounts, names, budgets, untils, until)
             SELECT p.seq, p.accounts, p.names, p.budgets::bigint[], p.untils::bigint[], p.until
             FROM (SELECT unnest($1::bigint[]) AS seq, unnest($2::text[]) AS accounts, unnest($3::bytea[]) AS names,
               unnest($4::text[]) AS budgets, unnest($5::text[]) AS untils, unnest($6::bigint[]) AS until) AS p),
           names AS (INSERT INTO budget_names (name, person) SELECT unnest($7::bytea[]), unnest($8::bigint[])
             ON CONFLICT (name) DO NOTHING)
         INSERT INTO budget_totals (budget, used) SELECT unnest($9::bigint[]), unnest($10::bigint[])
         ON CONFLICT (budget) DO UPDATE SET used = budget_totals.used + excluded.used";
    let Written { people, accounts, kept, budgets, untils, first, names, named, .. } = written;
    tx.later(sql, &[people, accounts, kept, budgets, untils, first, names, named, &totals, &added]).await
}

/// Counts somebody on who is counted already.
async fn extend(tx: &Tx<'_>, person: i64, uses: &[Use]) -> Result<(), Fault> {
    let budgets: Vec<i64> = uses.iter().map(|used| used.budget).collect();
    let untils: Vec<i64> = uses.iter().map(|used| used.until).collect();
    let sql = "UPDATE budget_people p SET (budgets, untils, until) = (
           SELECT array_agg(u.budget), array_agg(u.until), min(u.until) FROM (
             SELECT budget, max(until) AS until FROM (SELECT * FROM unnest(p.budgets, p.untils) UNION ALL
               SELECT unnest($2::bigint[]), unnest($3::bigint[])) AS known (budget, until) GROUP BY budget) AS u)
         WHERE p.seq = $1";
    tx.later(sql, &[&person, &budgets, &untils]).await
}

/// Somebody who is counted already has an account here as well.
async fn join(tx: &Tx<'_>, known: Known, count: &Count, marks: &[Mark]) -> Result<(), Fault> {
    let Known { row, mut accounts, mut names, .. } = known;
    accounts.set(&count.provider, &count.account);
    names.extend(marks.concat());
    let sql =
        "WITH names AS (INSERT INTO budget_names (name, person) SELECT name, $1 FROM unnest($4::bytea[]) AS n (name)
           ON CONFLICT (name) DO NOTHING)
         UPDATE budget_people SET accounts = $2, names = $3 WHERE seq = $1";
    tx.later(sql, &[&row, &to_json(&accounts)?, &names, &bytes(marks)]).await
}
