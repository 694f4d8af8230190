//! The record, read back: for people a part at a time, and for whoever checks it past the service, with nothing of it
//! believed.

use std::pin::pin;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use deadpool_postgres::ClientWrapper;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::batch::Change;
use super::codec::{get, time_at};
use super::connect::{Connections, refused};
use super::fault::{Fault, describe};
use super::opening::RECORD_LOCK;
use super::tx::query;
use super::{PostgresStore, PostgresUrl, listen, seals, within};
use crate::audit::{AuditRow, Check, Seal, Signed, Stub};
use crate::domain::{AlertId, JobId};
use crate::store::view::page;
use crate::store::{AuditFilter, AuditStore, AuditView, Heads, Page, Removal, StoreError};

/// Rows that one request looks at, at most: some tenths of a second.
const MOST_LOOKED_AT: i64 = 100_000;

const COLUMNS: &str = "seq, at, writer, event, job, alert, actor, detail, earlier, hash";

#[async_trait]
impl AuditStore for PostgresStore {
    async fn find_audit(&self, filter: AuditFilter) -> Result<Page<AuditView>, StoreError> {
        let db = self.reader().await?;
        within(find(&db, &filter)).await
    }

    async fn audit_heads(&self) -> Result<Heads, StoreError> {
        let db = self.reader().await?;
        within(seals::heads(&db)).await
    }

    async fn keep_seal(&self, seal: Signed<Seal>) -> Result<(), StoreError> {
        self.changes.ask(seal, Change::Seal).await
    }

    async fn seals(&self, cursor: Option<i64>, limit: u32) -> Result<Page<Signed<Seal>>, StoreError> {
        let db = self.reader().await?;
        within(seals::list(&db, cursor, limit)).await
    }

    async fn stubs(&self) -> Result<Vec<Signed<Stub>>, StoreError> {
        let db = self.reader().await?;
        within(seals::stubs(&db)).await
    }

    async fn prunable_audit(&self, before: Timestamp) -> Result<Vec<Removal>, StoreError> {
        let db = self.reader().await?;
        within(seals::prunable(&db, before, &self.timing)).await
    }

    async fn prune_audit(&self, stubs: Vec<Signed<Stub>>) -> Result<u64, StoreError> {
        self.changes.ask(stubs, Change::Shorten).await
    }

    async fn thin_seals(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.changes.ask(before, Change::Thin).await
    }
}

/// Rows that fit. Rows are numbered before they are committed, and replicas commit in any order: a row could appear behind
/// a cursor that has passed it. So no row is shown that is younger than the youngest number given out a moment ago, once
/// everyone who wrote then has committed: that is what waiting for the lock means.
async fn find(db: &ClientWrapper, filter: &AuditFilter) -> Result<Page<AuditView>, Fault> {
    let limit = filter.limit.clamp(1, 1000);
    let (from, to) = bounds(db, filter).await?;
    let edge = edge(db, filter, from, to).await?;
    let order = if filter.newest_first { "DESC" } else { "ASC" };
    let (from, to) = match edge {
        Some(edge) if filter.newest_first => (edge, to),
        Some(edge) => (from, edge),
        None => (from, to),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM audit WHERE seq BETWEEN $1 AND $2 AND ($3::uuid IS NULL OR job = $3)
         AND ($4::uuid IS NULL OR alert = $4) AND ($5::text IS NULL OR actor = $5) AND ($6::text IS NULL OR event = $6)
         AND ($7::bigint IS NULL OR at >= $7) AND ($8::bigint IS NULL OR at < $8) ORDER BY seq {order} LIMIT $9"
    );
    let (job, alert) = (filter.job.map(|id| id.0), filter.alert.map(|id| id.0));
    let event = filter.event.map(|event| event.as_str());
    let micros = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
    let (since, until) = (micros(filter.since), micros(filter.until));
    let most = i64::from(limit) + 1;
    let values: [&(dyn ToSql + Sync); 9] = [&from, &to, &job, &alert, &filter.actor, &event, &since, &until, &most];
    let rows = query(db, &sql, &values).await?;
    let rows = rows.iter().map(|row| Ok((get(row, "seq")?, AuditView::new(read(row)?, time_at(row, "at")?))));
    let mut found = page(rows.collect::<Result<_, Fault>>()?, limit);
    found.next_cursor = found.next_cursor.or_else(|| edge.map(|edge| edge.to_string()));
    Ok(found)
}

/// From where to where rows can be shown, both included.
async fn bounds(db: &ClientWrapper, filter: &AuditFilter) -> Result<(i64, i64), Fault> {
    let youngest = query(db, "SELECT last_value + 1023 AS youngest FROM audit_seq", &[]).await?;
    let youngest: i64 = youngest.first().map_or(Ok(i64::MAX), |row| get(row, "youngest"))?;
    query(db, "SELECT pg_advisory_xact_lock($1)", &[&RECORD_LOCK]).await?;
    let after = filter.after;
    Ok(if filter.newest_first {
        (i64::MIN, after.map_or(youngest, |after| after.saturating_sub(1).min(youngest)))
    } else {
        (after.map_or(i64::MIN, |after| after.saturating_add(1)), youngest)
    })
}

/// The last row that this request looks at, if there are others behind it.
async fn edge(db: &ClientWrapper, filter: &AuditFilter, from: i64, to: i64) -> Result<Option<i64>, Fault> {
    let all = AuditFilter {
        newest_first: filter.newest_first,
        after: filter.after,
        limit: filter.limit,
        ..AuditFilter::default()
    };
    if *filter == all {
        // The page ends before that.
        return Ok(None);
    }
    let order = if filter.newest_first { "DESC" } else { "ASC" };
    let sql = format!("SELECT seq FROM audit WHERE seq BETWEEN $1 AND $2 ORDER BY seq {order} OFFSET $3 LIMIT 2");
    let rows = query(db, &sql, &[&from, &to, &(MOST_LOOKED_AT - 1)]).await?;
    if rows.len() < 2 { Ok(None) } else { rows.first().map(|row| get(row, "seq")).transpose() }
}

pub(super) fn hash(row: &Row) -> Result<[u8; 32], Fault> {
    let hash: &[u8] = get(row, "hash")?;
    let wrong = || StoreError::Unavailable("a row of the record has a hash of another length".to_owned());
    Ok(hash.try_into().map_err(|_| wrong())?)
}

fn read(row: &Row) -> Result<AuditRow, Fault> {
    Ok(AuditRow {
        seq: get(row, "seq")?,
        at: get(row, "at")?,
        writer: get(row, "writer")?,
        event: get(row, "event")?,
        job: get::<Option<Uuid>>(row, "job")?.map(JobId),
        alert: get::<Option<Uuid>>(row, "alert")?.map(AlertId),
        actor: get(row, "actor")?,
        detail: get(row, "detail")?,
        earlier: get(row, "earlier")?,
        hash: hash(row)?,
    })
}

/// The record of a database, at one moment, read beside whoever writes to it.
pub(in crate::store) struct AuditReader {
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for AuditReader {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl AuditReader {
    pub(in crate::store) async fn open(url: &PostgresUrl) -> anyhow::Result<Self> {
        let (client, driver) = Connections::new(url)?.apart().await.map_err(|error| refused(&error))?;
        let driver = listen(async move {
            // Whoever asks is told what went wrong.
            let _ = driver.await;
        });
        let reader = Self { client, driver };
        // Everything that follows is read at one moment.
        let begin = "SET statement_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
             SELECT 1 FROM audit LIMIT 1; SELECT 1 FROM audit_seals LIMIT 1;";
        let begun = reader.client.batch_execute(begin).await.map_err(|error| anyhow!(describe(&error)));
        begun.context("the database is no store of this version of sever, or this user may not read it")?;
        Ok(reader)
    }

    /// Whether anything in it was signed.
    pub(in crate::store) async fn is_sealed(&self) -> anyhow::Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM audit_seals) OR EXISTS (SELECT 1 FROM audit_stubs)";
        Ok(self.client.query_one(sql, &[]).await.map_err(said)?.try_get(0)?)
    }

    /// Has everything checked: stubs, seals, and every row in order.
    pub(in crate::store) async fn check(&self, check: &mut Check<'_>) -> anyhow::Result<()> {
        let stubs = "SELECT text, 'the stub of writer ' || writer AS name FROM audit_stubs ORDER BY writer";
        for stub in self.texts(stubs).await? {
            match stub {
                Ok(stub) => check.stub(&stub),
                Err(name) => check.strange(name),
            }
        }
        for seal in self.texts("SELECT text, 'seal ' || number AS name FROM audit_seals ORDER BY number").await? {
            match seal {
                Ok(seal) => check.seal(seal),
                Err(name) => check.strange(name),
            }
        }
        let none: [&(dyn ToSql + Sync); 0] = [];
        let sql = format!("SELECT {COLUMNS} FROM audit ORDER BY seq");
        let mut rows = pin!(self.client.query_raw(&sql, none).await.map_err(said)?);
        while let Some(row) = rows.try_next().await.map_err(said)? {
            match read(&row) {
                Ok(row) => check.row(&row),
                Err(fault) => check.unreadable(row.try_get("seq")?, &StoreError::from(fault).to_string()),
            }
        }
        Ok(())
    }

    /// Signed statements; `Err` names one that cannot be read.
    async fn texts<T: DeserializeOwned>(&self, sql: &str) -> anyhow::Result<Vec<Result<T, String>>> {
        let rows = self.client.query(sql, &[]).await.map_err(said)?;
        let read = |row: &Row| {
            let (text, name): (&str, String) = (row.try_get("text")?, row.try_get("name")?);
            Ok(serde_json::from_str(text).map_err(|_| name))
        };
        rows.iter().map(read).collect()
    }
}

fn said(error: tokio_postgres::Error) -> anyhow::Error {
    anyhow!(describe(&error))
}
