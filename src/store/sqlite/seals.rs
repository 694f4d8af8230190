//! Sealing the record, and removing its sealed beginning.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use super::codec::{json, to_json};
use super::outbox::News;
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent, Head, Seal, Signed, Stub};
use crate::domain::NoticeKind;
use crate::store::view::page;
use crate::store::{Heads, Page, Removal, StoreError};

/// Rows that are removed at a time: senders wait behind it.
const BATCH: u32 = 500;

/// Microseconds.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// For so long every seal is kept; of older ones, one for each day.
const ALL_KEPT: i64 = 31 * DAY;

/// Where every chain stands. A file has one writer at a time, which goes on with the chain of the one before; chains of
/// others stand where they stood.
pub(super) fn heads(db: &Connection) -> Result<Heads, StoreError> {
    let seal = newest(db)?;
    let last = db
        .prepare_cached("SELECT writer, seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| {
            Ok(Head { writer: row.get(0)?, seq: row.get(1)?, hash: hex::encode(row.get::<_, [u8; 32]>(2)?) })
        })
        .optional()?;
    let last_seal = seal.as_ref().map_or(0, |seal| seal.statement.number);
    let sealed_to = last.as_ref().and_then(|last| Some(seal.as_ref()?.head(&last.writer)?.seq)).unwrap_or_default();
    let is_changed = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM audit WHERE seq > ?1 AND event <> 'sealed')")?
        .query_row([sealed_to], |row| row.get(0))?;
    let others = seal.into_iter().flat_map(|seal| seal.statement.heads);
    let others = others.filter(|head| last.as_ref().is_none_or(|last| last.writer != head.writer));
    Ok(Heads { heads: others.chain(last.clone()).collect(), last_seal, is_changed })
}

fn newest(db: &Connection) -> Result<Option<Signed<Seal>>, StoreError> {
    let sql = "SELECT text FROM audit_seals ORDER BY number DESC LIMIT 1";
    Ok(db.prepare_cached(sql)?.query_row([], |row| json(row, 0)).optional()?)
}

/// Keeps a seal and records that it was made.
pub(super) fn keep(tx: &mut Tx<'_>, seal: &Signed<Seal>) -> Result<(), StoreError> {
    let number = seal.statement.number;
    let last: i64 = tx.sql("SELECT coalesce(max(number), 0) FROM audit_seals")?.query_row([], |row| row.get(0))?;
    if number != last + 1 {
        return Err(StoreError::Conflict(format!("the newest seal is {last}, and {number} does not come after it")));
    }
    tx.sql("INSERT INTO audit_seals (number, at, text) VALUES (?1, ?2, ?3)")?.execute(params![
        number,
        seal.statement.at.as_microsecond(),
        to_json(seal)?
    ])?;
    let detail = json!({"digest": seal.digest(), "seal": number}).to_string();
    tx.record(AuditEvent::Sealed, None, None, &Actor::system(), &detail)?;
    tx.tell(|| Some(News::Other(NoticeKind::AuditSealed, json!(seal))));
    Ok(())
}

/// Seals, newest first.
pub(super) fn list(db: &Connection, cursor: Option<i64>, limit: u32) -> Result<Page<Signed<Seal>>, StoreError> {
    let limit = limit.clamp(1, 1000);
    let mut statement =
        db.prepare_cached("SELECT number, text FROM audit_seals WHERE number < ?1 ORDER BY number DESC LIMIT ?2")?;
    let rows = statement.query_map(params![cursor.unwrap_or(i64::MAX), limit + 1], |row| {
        Ok((row.get("number")?, json(row, "text")?))
    })?;
    Ok(page(rows.collect::<Result<_, _>>()?, limit))
}

/// What stands for removed rows.
pub(super) fn stubs(db: &Connection) -> Result<Vec<Signed<Stub>>, StoreError> {
    let mut statement = db.prepare_cached("SELECT text FROM audit_stubs ORDER BY writer")?;
    let rows = statement.query_map([], |row| json(row, 0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Rows from the beginning, up to the first that is too young, not sealed, or may be referred to by a job that is kept.
/// Rows about a job come after those that were there when it was received.
pub(super) fn prunable(db: &Connection, before: Timestamp) -> Result<Vec<Removal>, StoreError> {
    let Some(seal) = newest(db)? else { return Ok(Vec::new()) };
    let oldest_job: Option<i64> = db
        .prepare_cached("SELECT received_at FROM jobs ORDER BY seq LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let before = oldest_job.map_or(i64::MAX, |job| job).min(before.as_microsecond());
    let mut found: BTreeMap<String, Removal> = BTreeMap::new();
    let mut statement = db.prepare_cached("SELECT seq, at, writer, hash FROM audit ORDER BY seq LIMIT ?1")?;
    let mut rows = statement.query([BATCH])?;
    while let Some(row) = rows.next()? {
        let (seq, at, writer): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let is_sealed = seal.head(&writer).is_some_and(|head| seq <= head.seq);
        if at >= before || !is_sealed {
            break;
        }
        let hash = hex::encode(row.get::<_, [u8; 32]>(3)?);
        let removed = match found.get(&writer) {
            Some(removal) => removal.removed,
            None => removed_before(db, &writer)?,
        };
        let removal = Removal { writer: writer.clone(), seq, hash, removed: removed + 1, seal: seal.statement.number };
        found.insert(writer, removal);
    }
    Ok(found.into_values().collect())
}

fn removed_before(db: &Connection, writer: &str) -> Result<u64, StoreError> {
    let sql = "SELECT text FROM audit_stubs WHERE writer = ?1";
    let stub: Option<Signed<Stub>> = db.prepare_cached(sql)?.query_row([writer], |row| json(row, 0)).optional()?;
    Ok(stub.map_or(0, |stub| stub.statement.removed))
}

/// Removes what the stubs stand for, and keeps them.
pub(super) fn prune(tx: &mut Tx<'_>, stubs: &[Signed<Stub>]) -> Result<u64, StoreError> {
    let mut gone = 0;
    for stub in stubs {
        let Stub { writer, seq, hash, removed, .. } = &stub.statement;
        let found: Option<[u8; 32]> = tx
            .sql("SELECT hash FROM audit WHERE seq = ?1 AND writer = ?2")?
            .query_row(params![seq, writer], |row| row.get(0))
            .optional()?;
        let before = removed_before(tx.connection(), writer)?;
        let rows = tx.sql("DELETE FROM audit WHERE writer = ?1 AND seq <= ?2")?.execute(params![writer, seq])? as u64;
        if found.map(hex::encode).as_ref() != Some(hash) || before + rows != *removed {
            return Err(StoreError::Conflict(format!("the record of {writer} is not as its stub says")));
        }
        tx.sql(
            "INSERT INTO audit_stubs (writer, seq, text) VALUES (?1, ?2, ?3)
                ON CONFLICT (writer) DO UPDATE SET seq = ?2, text = ?3",
        )?
        .execute(params![writer, seq, to_json(stub)?])?;
        gone += rows;
    }
    if gone > 0 {
        tx.record(AuditEvent::Pruned, None, None, &Actor::system(), &json!({"audit": gone}).to_string())?;
    }
    Ok(gone)
}

/// Of seals older than a month, the last of each day stays; older than `before`, none. The newest stays.
pub(super) fn thin(tx: &mut Tx<'_>, before: Timestamp) -> Result<u64, StoreError> {
    let now = tx.now.as_microsecond().min(tx.steady);
    let sql = "DELETE FROM audit_seals WHERE number IN (SELECT number FROM audit_seals s
               WHERE number < (SELECT max(number) FROM audit_seals) AND (at < ?1 OR at < ?2 AND EXISTS
                 (SELECT 1 FROM audit_seals later WHERE later.number = s.number + 1 AND later.at / ?3 = s.at / ?3))
               ORDER BY number LIMIT ?4)";
    Ok(tx.sql(sql)?.execute(params![before.as_microsecond(), now - ALL_KEPT, DAY, BATCH])? as u64)
}
