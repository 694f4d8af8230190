//! Budgets: who was acted on of late, over all replicas, and whether there is room for one more. Whoever looks for room
//! holds the budgets' lock until its commit (`tx.rs`), so what it found stands until then.

use std::collections::HashMap;

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Row;

use super::codec::{count as number, get, json, to_json, word};
use super::fault::Fault;
use super::read;
use super::time::Timing;
use super::tx::{Tx, query};
use crate::domain::{Budget, SourceName};
pub(super) use crate::store::counting::{Count, Place};
use crate::store::counting::{Known, MOST_SOURCES, Mark, Person, find_person, room};

/// People whose time is up that are removed at once: other changes wait meanwhile.
const BATCH: i64 = 500;

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

/// Whom a budget counts under these names. Those whose time is up are done with, for whoever counts them again.
pub(super) async fn known(tx: &Tx<'_>, names: &[Mark]) -> Result<HashMap<Mark, Known>, Fault> {
    let names: Vec<&[u8]> = names.iter().map(|name| &name[..]).collect();
    let sql = "SELECT n.name, p.seq, p.accounts, p.names,
         ARRAY(SELECT budget FROM budget_uses u WHERE u.person = p.seq AND u.until > $2) AS counted_by,
         ARRAY(SELECT budget FROM budget_uses u WHERE u.person = p.seq AND u.until <= $2) AS no_more
         FROM budget_names n JOIN budget_people p ON p.seq = n.person WHERE n.name = ANY($1)";
    let (mut known, mut over) = (HashMap::new(), Vec::new());
    for row in tx.query(sql, &[&names, &tx.steady]).await? {
        let person = get(&row, "seq")?;
        over.extend(get::<Vec<i64>>(&row, "no_more")?.into_iter().map(|budget| (person, budget)));
        let counted_by: Vec<i64> = get(&row, "counted_by")?;
        if !counted_by.is_empty() {
            let (accounts, names) = (json(&row, "accounts")?, get(&row, "names")?);
            let name: &[u8] = get(&row, "name")?;
            let name = Mark::try_from(name).unwrap_or_default();
            known.insert(name, Known { row: person, accounts, names, counted_by });
        }
    }
    drop_uses(tx, &over).await?;
    Ok(known)
}

/// How many people the budgets count. Whoever has had their time is removed only where that decides.
async fn totals(tx: &Tx<'_>, count: &Count) -> Result<HashMap<i64, i64>, Fault> {
    let budgets: Vec<i64> = count.limits().map(|(budget, _)| budget).collect();
    loop {
        let totals = totals_of(tx, &budgets).await?;
        let mut gone = 0;
        for (budget, limit) in count.limits() {
            if totals.get(&budget).is_some_and(|used| *used >= limit) {
                gone += expire(tx, Some(budget)).await?;
            }
        }
        if gone == 0 {
            return Ok(totals);
        }
    }
}

/// How many people each of them counts, also those whose time is up.
pub(super) async fn totals_of(tx: &Tx<'_>, budgets: &[i64]) -> Result<HashMap<i64, i64>, Fault> {
    let totals = tx.query("SELECT budget, used FROM budget_totals WHERE budget = ANY($1)", &[&budgets]).await?;
    totals.iter().map(|row| Ok((get(row, "budget")?, get(row, "used")?))).collect()
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

/// Removes a batch of those whose time is up, from one budget or from every one, also if it left the config; how many.
pub(super) async fn expire(tx: &Tx<'_>, budget: Option<i64>) -> Result<u64, Fault> {
    let sql =
        "SELECT u.person, u.budget FROM budget_totals t CROSS JOIN LATERAL (SELECT person, budget FROM budget_uses
           WHERE budget_uses.budget = t.budget AND until <= $2 ORDER BY until LIMIT $3) AS u
         WHERE $1::bigint IS NULL OR t.budget = $1";
    let over = tx.query(sql, &[&budget, &tx.steady, &BATCH]).await?;
    let over = over.iter().map(|row| Ok((get(row, "person")?, get(row, "budget")?)));
    let over: Vec<(i64, i64)> = over.collect::<Result<_, Fault>>()?;
    drop_uses(tx, &over).await?;
    Ok(over.len() as u64)
}

/// These people are not counted by these budgets any more, and nobody is kept whom none counts.
async fn drop_uses(tx: &Tx<'_>, over: &[(i64, i64)]) -> Result<(), Fault> {
    if over.is_empty() {
        return Ok(());
    }
    let (people, budgets): (Vec<i64>, Vec<i64>) = over.iter().copied().unzip();
    let sql = "WITH gone AS (DELETE FROM budget_uses u USING unnest($1::bigint[], $2::bigint[]) AS o (person, budget)
           WHERE u.person = o.person AND u.budget = o.budget RETURNING u.budget)
         UPDATE budget_totals t SET used = t.used - less.people
         FROM (SELECT budget, count(*) AS people FROM gone GROUP BY budget) AS less WHERE t.budget = less.budget";
    tx.execute(sql, &[&people, &budgets]).await?;
    let sql = "DELETE FROM budget_people p WHERE seq = ANY($1)
         AND NOT EXISTS (SELECT 1 FROM budget_uses u WHERE u.person = p.seq) RETURNING seq, names";
    let (mut gone, mut names): (Vec<i64>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    for row in tx.query(sql, &[&people]).await? {
        let person = get(&row, "seq")?;
        for name in get::<Vec<u8>>(&row, "names")?.chunks(16) {
            gone.push(person);
            names.push(name.to_vec());
        }
    }
    let sql = "DELETE FROM budget_names n USING unnest($1::bytea[], $2::bigint[]) AS g (name, person)
         WHERE n.name = g.name AND n.person = g.person";
    tx.execute(sql, &[&names, &gone]).await?;
    Ok(())
}

/// The call is about to be made: its person is counted.
pub(super) async fn take(tx: &Tx<'_>, place: Place, count: &Count) -> Result<(), Fault> {
    let Place { person, uses } = place;
    if uses.is_empty() {
        return Ok(());
    }
    let person = keep(tx, person, count).await?;
    let budgets: Vec<i64> = uses.iter().map(|used| used.budget).collect();
    let until: Vec<i64> = uses.iter().map(|used| used.until).collect();
    let new: Vec<i64> = uses.iter().filter(|used| used.is_new).map(|used| used.budget).collect();
    let sql = "WITH counted AS (INSERT INTO budget_uses (person, budget, until)
           SELECT $1, u.budget, u.until FROM unnest($2::bigint[], $3::bigint[]) AS u (budget, until)
           ON CONFLICT (person, budget) DO UPDATE SET until = greatest(budget_uses.until, excluded.until))
         INSERT INTO budget_totals (budget, used) SELECT budget, 1 FROM unnest($4::bigint[]) AS n (budget)
         ON CONFLICT (budget) DO UPDATE SET used = budget_totals.used + 1";
    tx.execute(sql, &[&person, &budgets, &until, &new]).await?;
    Ok(())
}

/// The row of the person. A name that is another's stays theirs.
async fn keep(tx: &Tx<'_>, person: Person, count: &Count) -> Result<i64, Fault> {
    let (row, mut accounts, mut kept, new) = match person {
        Person::Same(known) => return Ok(known.row),
        Person::Joined(known, new) => (Some(known.row), known.accounts, known.names, new),
        Person::New(new) => (None, Default::default(), Vec::new(), new),
    };
    accounts.set(count.provider.clone(), count.account.clone());
    kept.extend(new.concat());
    let sql =
        "INSERT INTO budget_people (seq, accounts, names) VALUES (nextval('budget_people_seq'), $1, $2) RETURNING seq";
    let accounts = to_json(&accounts)?;
    let row = match row {
        Some(row) => {
            let sql = "UPDATE budget_people SET accounts = $2, names = $3 WHERE seq = $1";
            tx.execute(sql, &[&row, &accounts, &kept]).await?;
            row
        }
        None => tx.one(sql, &[&accounts, &kept]).await?.map_or(Ok(0), |row| get(&row, "seq"))?,
    };
    let new: Vec<&[u8]> = new.iter().map(|name| &name[..]).collect();
    let sql = "INSERT INTO budget_names (name, person) SELECT name, $2 FROM unnest($1::bytea[]) AS n (name)
         ON CONFLICT (name) DO NOTHING";
    tx.execute(sql, &[&new, &row]).await?;
    Ok(row)
}

/// How many people each of these budgets counts now.
pub(super) async fn used(db: &ClientWrapper, budgets: &[Budget], timing: &Timing) -> Result<Vec<u64>, Fault> {
    let keys: Vec<i64> = budgets.iter().map(Budget::key).collect();
    let sql = "SELECT (SELECT count(*) FROM budget_uses u WHERE u.budget = b.budget AND u.until > $2) AS used
         FROM unnest($1::bigint[]) WITH ORDINALITY AS b (budget, place) ORDER BY place";
    let rows = query(db, sql, &[&keys, &read::now(db, timing).await?]).await?;
    rows.iter().map(|row: &Row| number(row, "used")).collect()
}
