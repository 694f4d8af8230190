//! Sealing the record, and removing its sealed beginning. Replicas seal and remove at the same time: a number is given
//! once, and whoever removes takes turns.

use std::collections::BTreeMap;

use deadpool_postgres::ClientWrapper;
use jiff::Timestamp;
use serde_json::json;
use tokio_postgres::Row;

use super::audit::hash;
use super::codec::{get, json, to_json};
use super::fault::Fault;
use super::time::Timing;
use super::tx::{Tx, query};
use crate::audit::{Actor, AuditEvent, Head, Seal, Signed, Stub};
use crate::domain::NoticeKind;
use crate::store::news::News;
use crate::store::view::page;
use crate::store::{Heads, Page, Removal, StoreError};

/// Rows that are removed at a time: senders wait behind it.
const BATCH: i64 = 1000;

/// Microseconds.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// For so long every seal is kept; of older ones, one for each day.
const ALL_KEPT: i64 = 31 * DAY;

/// Held by whoever removes rows of the record.
const SHORTEN_LOCK: i64 = 0x7365_7665_7200_0004;

/// Where every chain stands. The newest seal is read first, so that where another one comes after it, the number of ours
/// is taken; the ends of all chains are read by one statement, so that they stood like this at one moment. A chain whose
/// rows are all gone without a stub stands where it was sealed last: that they are gone shows from then on as well.
pub(super) async fn heads(db: &ClientWrapper) -> Result<Heads, Fault> {
    let seal = newest(db).await?;
    let mut heads = ends(db).await?;
    let last_seal = seal.as_ref().map_or(0, |seal| seal.statement.number);
    let sealed_to = |head: &Head| seal.as_ref().and_then(|seal| Some(seal.head(&head.writer)?.seq)).unwrap_or_default();
    let (writers, sealed): (Vec<&str>, Vec<i64>) =
        heads.iter().map(|head| (head.writer.as_str(), sealed_to(head))).unzip();
    let sql = "SELECT EXISTS (SELECT 1 FROM (SELECT unnest($1::text[]) AS writer, unnest($2::bigint[]) AS seq) AS sealed
         JOIN audit ON audit.writer = sealed.writer AND audit.seq > sealed.seq WHERE audit.event <> 'sealed') AS is_changed";
    let rows = query(db, sql, &[&writers, &sealed]).await?;
    let is_changed = rows.first().map_or(Ok(false), |row| get(row, "is_changed"))?;
    let removed = removed(db).await?;
    let stands_for = |head: &Head| removed.get(&head.writer).is_some_and(|stub| stub.seq >= head.seq);
    let is_known = |head: &Head| heads.iter().any(|known| known.writer == head.writer);
    let sealed = seal.iter().flat_map(|seal| &seal.statement.heads);
    let gone: Vec<Head> = sealed.filter(|head| !is_known(head) && !stands_for(head)).cloned().collect();
    heads.extend(gone);
    Ok(Heads { heads, last_seal, is_changed })
}

/// The last row of each writer, the newest first. There are few writers: one seek for each.
pub(super) async fn ends(db: &ClientWrapper) -> Result<Vec<Head>, Fault> {
    // Asked for by writer and ordered by number, the planner may look for the last row from the end of all: it takes rows of
    // a writer to be everywhere, and reads the whole table for one who has been gone for long. Pairs are found by one index alone.
    let sql = "WITH RECURSIVE w (writer) AS (
           (SELECT writer FROM audit ORDER BY writer LIMIT 1)
           UNION ALL SELECT (SELECT audit.writer FROM audit WHERE audit.writer > w.writer ORDER BY audit.writer LIMIT 1)
           FROM w WHERE w.writer IS NOT NULL)
         SELECT w.writer, head.seq, head.hash FROM w CROSS JOIN LATERAL
           (SELECT audit.seq, audit.hash FROM audit WHERE (audit.writer, audit.seq) <= (w.writer, 9223372036854775807)
            ORDER BY audit.writer DESC, audit.seq DESC LIMIT 1) AS head
         WHERE w.writer IS NOT NULL ORDER BY head.seq DESC";
    let read =
        |row: &Row| Ok(Head { writer: get(row, "writer")?, seq: get(row, "seq")?, hash: hex::encode(hash(row)?) });
    query(db, sql, &[]).await?.iter().map(read).collect()
}

async fn newest(db: &ClientWrapper) -> Result<Option<Signed<Seal>>, Fault> {
    let rows = query(db, "SELECT text FROM audit_seals ORDER BY number DESC LIMIT 1", &[]).await?;
    rows.first().map(|row| json(row, "text")).transpose()
}

/// Keeps a seal and records that it was made. Whoever comes second with a number waits for the first one's commit.
pub(super) async fn keep(tx: &mut Tx<'_>, seal: &Signed<Seal>) -> Result<(), Fault> {
    let number = seal.statement.number;
    let sql = "INSERT INTO audit_seals (number, at, text) SELECT $1::bigint, $2::bigint, $3::text
         WHERE $1 = (SELECT coalesce(max(number), 0) + 1 FROM audit_seals) ON CONFLICT (number) DO NOTHING";
    if tx.execute(sql, &[&number, &seal.statement.at.as_microsecond(), &to_json(seal)?]).await? == 0 {
        let taken = format!("seal {number} does not come after the newest one");
        return Err(StoreError::Conflict(taken).into());
    }
    let detail = json!({"digest": seal.digest(), "seal": number}).to_string();
    tx.record(AuditEvent::Sealed, None, None, &Actor::system(), detail).await?;
    tx.tell(|| News::Other(NoticeKind::AuditSealed, json!(seal)));
    Ok(())
}

/// Seals, newest first.
pub(super) async fn list(db: &ClientWrapper, cursor: Option<i64>, limit: u32) -> Result<Page<Signed<Seal>>, Fault> {
    let limit = limit.clamp(1, 1000);
    let sql = "SELECT number, text FROM audit_seals WHERE number < $1 ORDER BY number DESC LIMIT $2";
    let rows = query(db, sql, &[&cursor.unwrap_or(i64::MAX), &(i64::from(limit) + 1)]).await?;
    let found = rows.iter().map(|row| Ok((get(row, "number")?, json(row, "text")?)));
    Ok(page(found.collect::<Result<_, Fault>>()?, limit))
}

/// What stands for removed rows.
pub(super) async fn stubs(db: &ClientWrapper) -> Result<Vec<Signed<Stub>>, Fault> {
    let rows = query(db, "SELECT text FROM audit_stubs ORDER BY writer", &[]).await?;
    rows.iter().map(|row| json(row, "text")).collect()
}

/// By writer.
async fn removed(db: &ClientWrapper) -> Result<BTreeMap<String, Stub>, Fault> {
    let stubs = stubs(db).await?.into_iter().map(|stub| stub.statement);
    Ok(stubs.map(|stub| (stub.writer.clone(), stub)).collect())
}

/// Rows from the beginning, up to the first that is too young, not sealed, or may be referred to by a job that is kept.
/// Rows about a job come after those that were there when it was received, as far as clocks agree.
pub(super) async fn prunable(db: &ClientWrapper, before: Timestamp, timing: &Timing) -> Result<Vec<Removal>, Fault> {
    let Some(seal) = newest(db).await? else { return Ok(Vec::new()) };
    let removed = removed(db).await?;
    let oldest_job = "SELECT least(received_at, created_at) AS at FROM jobs ORDER BY seq LIMIT 1";
    let oldest_job = query(db, oldest_job, &[]).await?.first().map(|row| get::<i64>(row, "at")).transpose()?;
    let margin = i64::try_from(timing.guard_margin().as_micros()).unwrap_or(i64::MAX);
    let before = oldest_job.map_or(i64::MAX, |at| at.saturating_sub(margin)).min(before.as_microsecond());
    let mut found: BTreeMap<String, Removal> = BTreeMap::new();
    for row in query(db, "SELECT seq, at, writer, hash FROM audit ORDER BY seq LIMIT $1", &[&BATCH]).await? {
        let (seq, writer): (i64, String) = (get(&row, "seq")?, get(&row, "writer")?);
        let is_sealed = seal.head(&writer).is_some_and(|head| seq <= head.seq);
        if get::<i64>(&row, "at")? >= before || !is_sealed {
            break;
        }
        let earlier = found.get(&writer).map(|removal| removal.removed);
        let earlier = earlier.or_else(|| removed.get(&writer).map(|stub| stub.removed)).unwrap_or_default();
        let (hash, number) = (hex::encode(hash(&row)?), seal.statement.number);
        let removal = Removal { writer: writer.clone(), seq, hash, removed: earlier + 1, seal: number };
        found.insert(writer, removal);
    }
    Ok(found.into_values().collect())
}

/// Removes what the stubs stand for, and keeps them. Every stub is looked at before anything is removed, for others share
/// this transaction.
pub(super) async fn prune(tx: &mut Tx<'_>, stubs: &[Signed<Stub>]) -> Result<u64, Fault> {
    tx.query("SELECT pg_advisory_xact_lock($1)", &[&SHORTEN_LOCK]).await?;
    let before = removed(tx.reader().await?).await?;
    for stub in stubs {
        let earlier = before.get(&stub.statement.writer).map_or(0, |stub| stub.removed);
        check(tx, &stub.statement, earlier).await?;
    }
    let mut gone = 0;
    for stub in stubs {
        let Stub { writer, seq, .. } = &stub.statement;
        gone += tx.execute("DELETE FROM audit WHERE writer = $1 AND seq <= $2", &[writer, seq]).await?;
        let sql = "INSERT INTO audit_stubs (writer, seq, text) VALUES ($1, $2, $3)
             ON CONFLICT (writer) DO UPDATE SET seq = excluded.seq, text = excluded.text";
        tx.execute(sql, &[writer, seq, &to_json(stub)?]).await?;
    }
    if gone > 0 {
        tx.record(AuditEvent::Pruned, None, None, &Actor::system(), json!({"audit": gone}).to_string()).await?;
    }
    Ok(gone)
}

/// Whether the rows that a stub stands for are there.
async fn check(tx: &Tx<'_>, stub: &Stub, earlier: u64) -> Result<(), Fault> {
    let Stub { writer, seq, hash, removed, .. } = stub;
    let sql = "SELECT count(*) AS rows, (SELECT encode(hash, 'hex') FROM audit WHERE seq = $2 AND writer = $1) AS hash
         FROM audit WHERE writer = $1 AND seq <= $2";
    let row = tx.one(sql, &[writer, seq]).await?.ok_or(StoreError::NotFound("record"))?;
    let (rows, found): (i64, Option<String>) = (get(&row, "rows")?, get(&row, "hash")?);
    if found.as_ref() != Some(hash) || earlier + rows.unsigned_abs() != *removed {
        return Err(StoreError::Conflict(format!("the record of {writer} is not as its stub says")).into());
    }
    Ok(())
}

/// Of seals older than a month, the last of each day stays; older than `before`, none. The newest stays.
pub(super) async fn thin(tx: &Tx<'_>, before: Timestamp) -> Result<u64, Fault> {
    let month = tx.moment.wall.min(tx.steady).saturating_sub(ALL_KEPT);
    let sql = "DELETE FROM audit_seals WHERE number = ANY(ARRAY(SELECT s.number FROM audit_seals s
         WHERE s.number < (SELECT max(number) FROM audit_seals) AND (s.at < $1 OR s.at < $2 AND EXISTS
           (SELECT 1 FROM audit_seals later WHERE later.number = s.number + 1 AND later.at / $3 = s.at / $3))
         ORDER BY s.number LIMIT $4 FOR UPDATE OF s SKIP LOCKED))";
    tx.execute(sql, &[&before.as_microsecond(), &month, &DAY, &BATCH]).await
}
