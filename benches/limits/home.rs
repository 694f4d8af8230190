//! A store of its own for a measurement: a file, or a schema at the server that is measured; and jobs that wait in it, as
//! many as are asked for, in the rows that the service itself would have written.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Connection;
use sever::clock::{Clock, SystemClock};
use sever::store::{Store, StoreUrl};
use sever::telemetry::Metrics;
use tempfile::TempDir;

use crate::alerts::Subject;
use crate::intake::send;
use crate::limit::Taken;
use crate::pg_rows::{Patterns, connect};
use crate::rows::{Rows, TABLES, mixed};
use crate::service::{Service, folder, store_of};

/// Rows in one transaction.
const PORTION: usize = 5_000;

/// In microseconds.
const AN_HOUR: i64 = 3_600_000_000;

/// Bytes of a body, as alerts have them.
const BODY: usize = 1024;

/// Where stores are.
#[derive(Clone)]
pub(crate) enum Kind {
    Sqlite,
    /// At this server.
    Postgres(String),
}

impl Kind {
    /// SQLite, and PostgreSQL where a server is named.
    pub(crate) fn all() -> Vec<Self> {
        [Self::Sqlite].into_iter().chain(server().map(Self::Postgres)).collect()
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }
}

/// The PostgreSQL server to measure at, if there is one.
#[expect(clippy::disallowed_methods, reason = "whoever measures says where the server is")]
pub(crate) fn server() -> Option<String> {
    std::env::var("SEVER_TEST_POSTGRES_URL").ok()
}

/// A store that nobody else uses.
pub(crate) enum Home {
    Sqlite(TempDir),
    Postgres { server: String, schema: String },
}

impl Home {
    pub(crate) async fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::Sqlite(folder()),
            Kind::Postgres(server) => {
                let schema = format!("bench_{}", uuid::Uuid::now_v7().simple());
                let made = format!("CREATE SCHEMA {schema}");
                connect(server).await.batch_execute(&made).await.expect("a schema");
                Self::Postgres { server: server.clone(), schema }
            }
        }
    }

    /// As the config names it.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}", store_of(folder.path()).display()),
            Self::Postgres { server, schema } => {
                let joint = if server.contains('?') { '&' } else { '?' };
                format!("{server}{joint}options=-c%20search_path%3D{schema}")
            }
        }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let url: StoreUrl = self.url().parse().expect("a URL");
        sever::store::open(&url, clock, Arc::new(Metrics::new())).await.expect("a store")
    }

    /// One alert that the service took, and so many jobs more, all queued.
    pub(crate) async fn with_jobs(kind: &Kind, jobs: usize) -> Self {
        let home = Self::new(kind).await;
        let service = Service::taking_in(&home.url()).await;
        send(service.addresses.alerts, std::iter::once(Subject::numbered(0))).await;
        service.stop().await;
        match &home {
            Self::Sqlite(folder) => fill_file(&store_of(folder.path()), jobs),
            Self::Postgres { .. } => fill_schema(&home.url(), jobs).await,
        }
        home
    }

    /// So many people are counted by three budgets from now on; where they are kept in memory, that is read at a start.
    pub(crate) fn count_people(&self, people: usize) {
        let Self::Sqlite(folder) = self else { return };
        let connection = Connection::open(store_of(folder.path())).expect("a store");
        connection.execute_batch("BEGIN").expect("begun");
        let sql = "INSERT INTO budget_people (seq, accounts, names, uses) VALUES (?1, ?2, ?3, ?4)";
        let mut insert = connection.prepare(sql).expect("a statement");
        let until = (SystemClock::new().steady().as_microsecond() + AN_HOUR).to_be_bytes();
        let uses = [1_i64, 2, 3].map(|budget| [budget.to_be_bytes(), until].concat()).concat();
        for number in ROOM..ROOM + people as i64 {
            let (name, email) = (mixed(number, 0), mixed(number, 1));
            let accounts = format!(r#"{{"okta":"00u{number:017}"}}"#);
            // Three names: the account's id, its login and its address.
            let names = [&name[..], &email[..16]].concat();
            insert.execute((number, accounts, names, &uses)).expect("inserted");
        }
        drop(insert);
        connection.execute_batch("COMMIT").expect("committed");
    }

    /// Removes it. A file goes by itself.
    pub(crate) async fn end(self) {
        if let Self::Postgres { server, schema } = self {
            let gone = format!("DROP SCHEMA {schema} CASCADE");
            connect(&server).await.batch_execute(&gone).await.expect("dropped");
        }
    }
}

fn taken(numbers: std::ops::Range<usize>) -> impl Iterator<Item = Taken> {
    let body = Bytes::from(vec![b'x'; BODY]);
    numbers.map(move |number| Taken { id: format!("msg_{number:032x}"), body: body.clone() })
}

fn fill_file(file: &Path, jobs: usize) {
    let rows = Rows::of(file);
    let connection = Connection::open(file).expect("a store");
    connection.pragma_update(None, "synchronous", "off").expect("set");
    connection.pragma_update(None, "cache_size", -1_000_000).expect("set");
    let mut insert = rows.prepare(&connection).after(ROOM);
    for first in (0..jobs).step_by(PORTION) {
        connection.execute_batch("BEGIN").expect("begun");
        let portion = first..(first + PORTION).min(jobs);
        let count = portion.len();
        taken(portion).for_each(|one| insert.one(&one));
        insert.finish(count);
        connection.execute_batch("COMMIT").expect("committed");
    }
    drop(insert);
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("moved");
}

/// The numbers of the rows that the service wrote first stay below.
const ROOM: i64 = 10_000;

async fn fill_schema(url: &str, jobs: usize) {
    let db = connect(url).await;
    let mut insert = Patterns::of(&db).await.prepare(&db).await.after(ROOM);
    db.batch_execute("SET synchronous_commit = off").await.expect("set");
    for first in (0..jobs).step_by(PORTION) {
        let portion: Vec<Taken> = taken(first..(first + PORTION).min(jobs)).collect();
        insert.all(&db, &portion).await;
    }
    insert.finish(&db).await;
    // As it is done in the background, sooner or later.
    db.batch_execute(&format!("VACUUM (ANALYZE) {}", TABLES.join(", "))).await.expect("swept");
    db.batch_execute("CHECKPOINT").await.expect("on disk");
}
