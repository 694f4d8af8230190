//! The record, read back: for people a part at a time, and for whoever checks it from the file, with nothing of it
//! believed, not even that a column holds what it should.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::types::ToSql;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use serde::de::DeserializeOwned;

use super::codec::time;
use crate::audit::{AuditRow, Check};
use crate::domain::{AlertId, JobId};
use crate::store::view::page;
use crate::store::{AuditFilter, AuditView, Page, StoreError};

/// Rows that one request looks at, at most: some tenths of a second.
const MOST_LOOKED_AT: i64 = 100_000;

const COLUMNS: &str = "seq, at, writer, event, job, alert, actor, detail, earlier, hash";

/// Rows that fit, in the order asked for.
pub(super) fn find(db: &Connection, filter: &AuditFilter) -> Result<Page<AuditView>, StoreError> {
    let limit = filter.limit.clamp(1, 1000);
    let Some((from, to, more)) = window(db, filter)? else {
        return Ok(Page { items: Vec::new(), next_cursor: None });
    };
    let (clauses, values) = clauses(filter);
    let order = if filter.newest_first { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM audit WHERE seq BETWEEN {from} AND {to}{clauses} ORDER BY seq {order} LIMIT {}",
        limit + 1
    );
    let mut statement = db.prepare_cached(&sql)?;
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    let rows = statement.query_map(&values[..], |row| {
        let row = read(row)?;
        let at = time(row.at)?;
        Ok((row.seq, AuditView::new(row, at)))
    })?;
    let mut found = page(rows.collect::<Result<_, _>>()?, limit);
    if found.next_cursor.is_none() && more {
        found.next_cursor = Some(if filter.newest_first { from } else { to }.to_string());
    }
    Ok(found)
}

/// The rows that this request looks at, and whether there are others behind them.
fn window(db: &Connection, filter: &AuditFilter) -> Result<Option<(i64, i64, bool)>, StoreError> {
    let edge = |sql: &str| db.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional();
    let first: Option<i64> = edge("SELECT seq FROM audit ORDER BY seq LIMIT 1")?;
    let last: Option<i64> = edge("SELECT seq FROM audit ORDER BY seq DESC LIMIT 1")?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(None) };
    let (from, to) = if filter.newest_first {
        let to = filter.after.map_or(last, |after| after.saturating_sub(1).min(last));
        (to.saturating_sub(MOST_LOOKED_AT - 1).max(first), to)
    } else {
        let from = filter.after.map_or(first, |after| after.saturating_add(1).max(first));
        (from, from.saturating_add(MOST_LOOKED_AT - 1).min(last))
    };
    let more = if filter.newest_first { from > first } else { to < last };
    Ok((from <= to).then_some((from, to, more)))
}

fn clauses(filter: &AuditFilter) -> (String, Vec<Box<dyn ToSql>>) {
    let mut sql = String::new();
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut add = |clause: &str, value: Option<Box<dyn ToSql>>| {
        if let Some(value) = value {
            sql.push_str(" AND ");
            sql.push_str(clause);
            values.push(value);
        }
    };
    let boxed = |value: Option<Timestamp>| value.map(|at| Box::new(at.as_microsecond()) as Box<dyn ToSql>);
    add("job = ?", filter.job.map(|id| Box::new(id.0.into_bytes()) as _));
    add("alert = ?", filter.alert.map(|id| Box::new(id.0.into_bytes()) as _));
    add("actor = ?", filter.actor.clone().map(|actor| Box::new(actor) as _));
    add("event = ?", filter.event.map(|event| Box::new(event.as_str()) as _));
    add("at >= ?", boxed(filter.since));
    add("at < ?", boxed(filter.until));
    (sql, values)
}

fn read(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let job: Option<[u8; 16]> = row.get("job")?;
    let alert: Option<[u8; 16]> = row.get("alert")?;
    Ok(AuditRow {
        seq: row.get("seq")?,
        at: row.get("at")?,
        writer: row.get("writer")?,
        event: row.get("event")?,
        job: job.map(|id| JobId(uuid::Uuid::from_bytes(id))),
        alert: alert.map(|id| AlertId(uuid::Uuid::from_bytes(id))),
        actor: row.get("actor")?,
        detail: row.get("detail")?,
        earlier: row.get("earlier")?,
        hash: row.get("hash")?,
    })
}

/// Where nobody has the file open, it is said that nobody will: SQLite would leave a log and its index beside it, which
/// would be the reader's, and the service could not use them.
fn address(path: &Path) -> String {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let is_open = PathBuf::from(format!("{}-wal", path.display())).exists();
    let mode = if is_open { "" } else { "?immutable=1" };
    format!("file:{}{mode}", percent_encode(path.as_os_str().as_bytes(), PLAIN))
}

/// The record in a file, at one moment, read beside whoever writes to it.
pub(in crate::store) struct AuditReader {
    connection: Connection,
}

impl AuditReader {
    pub(in crate::store) fn open(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot open {}", path.display());
        let true_path = path.canonicalize().with_context(cannot)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(address(&true_path), flags).with_context(cannot)?;
        connection.busy_timeout(std::time::Duration::from_secs(2))?;
        // Everything that follows is read at one moment.
        let opened = connection.execute_batch("BEGIN; SELECT 1 FROM audit LIMIT 1;");
        opened.with_context(|| format!("{} is no store of this version of sever", path.display()))?;
        Ok(Self { connection })
    }

    /// Whether anything in it was signed.
    pub(in crate::store) fn is_sealed(&self) -> anyhow::Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM audit_seals) OR EXISTS (SELECT 1 FROM audit_stubs)";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// Has everything checked: stubs, seals, and every row in order.
    pub(in crate::store) fn check(&self, check: &mut Check<'_>) -> anyhow::Result<()> {
        for stub in self.texts("SELECT text, 'the stub of writer ' || writer FROM audit_stubs ORDER BY writer")? {
            match stub {
                Ok(stub) => check.stub(&stub),
                Err(name) => check.strange(name),
            }
        }
        for seal in self.texts("SELECT text, 'seal ' || number FROM audit_seals ORDER BY number")? {
            match seal {
                Ok(seal) => check.seal(seal),
                Err(name) => check.strange(name),
            }
        }
        let mut statement = self.connection.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            match read(row) {
                Ok(row) => check.row(&row),
                Err(error) => check.unreadable(row.get("seq")?, &error.to_string()),
            }
        }
        Ok(())
    }

    /// Signed statements; `Err` names one that cannot be read.
    fn texts<T: DeserializeOwned>(&self, sql: &str) -> rusqlite::Result<Vec<Result<T, String>>> {
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let name = row.get_ref(1)?.as_str().unwrap_or("a seal or stub").to_owned();
            let text = row.get_ref(0)?.as_str().unwrap_or_default();
            Ok(serde_json::from_str(text).map_err(|_| name))
        })?;
        rows.collect()
    }
}
