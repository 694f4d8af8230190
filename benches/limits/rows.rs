//! What the limits write: either one row for each alert, or the very rows that the service writes.
//!
//! The second is taken from the service itself: rows of one real alert are the pattern, with fresh keys put in where
//! keys are. So both sides write the same tables, columns, indexes and sizes, whatever the schema is.

use std::path::Path;

use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{Connection, Statement, ToSql, params_from_iter};

use crate::limit::Taken;

/// The service's own.
const SCHEMA: &str = include_str!("../../src/store/migrations/sqlite/1.sql");

const ONE_ROW: &str = "CREATE TABLE taken (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL,
    due_at INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE INDEX taken_due ON taken (due_at) WHERE state = 0;";

/// Tables that an alert adds to. Counts are kept in another way.
pub(crate) const TABLES: [&str; 6] = ["deliveries", "delivery_guards", "alerts", "alert_jobs", "jobs", "audit"];

/// Microseconds since 1970 are above this, and no other number is.
pub(crate) const TIMES: i64 = 1_000_000_000_000_000;

/// What a limit writes.
#[derive(Clone)]
pub(crate) enum Rows {
    /// One row for each alert.
    One,
    /// The service's rows.
    Same(Vec<Pattern>),
}

/// One table's row of the pattern.
#[derive(Clone)]
pub(crate) struct Pattern {
    sql: String,
    cells: Vec<Cell>,
}

#[derive(Clone)]
enum Cell {
    Same(Value),
    /// The row's number.
    Number,
    /// Later in each row.
    Time(i64),
    /// Bytes in no order, as digests are.
    Digest(usize),
    /// Bytes in order, as version 7 UUIDs are.
    Uuid(usize),
    Id,
    Body,
}

impl Rows {
    /// Takes the pattern from the only alert in this store.
    pub(crate) fn of(store: &Path) -> Self {
        let connection = Connection::open(store).expect("a store");
        Self::Same(TABLES.iter().map(|table| Pattern::of(&connection, table)).collect())
    }

    pub(crate) fn schema(&self) -> &'static str {
        match self {
            Self::One => ONE_ROW,
            Self::Same(_) => SCHEMA,
        }
    }

    /// The tables, each with one row for each alert.
    pub(crate) fn tables(&self) -> &'static [&'static str] {
        match self {
            Self::One => &["taken"],
            Self::Same(_) => &TABLES,
        }
    }

    pub(crate) fn prepare<'c>(&self, connection: &'c Connection) -> Insert<'c> {
        let one = vec![Pattern {
            sql: "INSERT INTO taken (seq, id, state, due_at, body) VALUES (?1, ?2, ?3, ?4, ?5)".to_owned(),
            cells: vec![Cell::Number, Cell::Id, Cell::Same(Value::Integer(0)), Cell::Time(TIMES), Cell::Body],
        }];
        let (patterns, counts) = match self {
            Self::One => (one, None),
            Self::Same(patterns) => (patterns.clone(), Some(connection.prepare(COUNT).expect("prepared"))),
        };
        let prepare = |pattern: Pattern| (connection.prepare(&pattern.sql).expect("prepared"), pattern.cells);
        Insert { number: 0, tables: patterns.into_iter().map(prepare).collect(), counts }
    }
}

const COUNT: &str = "INSERT INTO job_counts (provider, state, jobs) VALUES ('okta', 0, ?1)
    ON CONFLICT DO UPDATE SET jobs = jobs + ?1";

impl Pattern {
    fn of(connection: &Connection, table: &str) -> Self {
        // Pausing wrote to the audit record first; the last row is the alert's.
        let sql = format!("SELECT * FROM {table} ORDER BY 1 DESC LIMIT 1");
        let mut statement = connection.prepare(&sql).expect("prepared");
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let cells = statement.query_row([], |row| {
            let cell = |(place, name): (usize, &String)| Ok(Cell::of(name, row.get(place)?));
            names.iter().enumerate().map(cell).collect::<rusqlite::Result<Vec<Cell>>>()
        });
        let places: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
        let sql = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), places.join(", "));
        Self { sql, cells: cells.expect("a row") }
    }
}

impl Cell {
    fn of(column: &str, value: Value) -> Self {
        match (column, value) {
            ("body", _) => Self::Body,
            ("delivery_id", _) => Self::Id,
            ("seq" | "delivery", _) | ("alert" | "job", Value::Integer(_)) => Self::Number,
            ("id" | "alert_id" | "alert", Value::Blob(bytes)) => Self::Uuid(bytes.len()),
            (_, Value::Blob(bytes)) => Self::Digest(bytes.len()),
            (_, Value::Integer(time)) if time > TIMES => Self::Time(time),
            (_, value) => Self::Same(value),
        }
    }

    fn bind<'a>(&'a self, number: i64, column: usize, taken: &'a Taken) -> Bound<'a> {
        match self {
            Self::Same(value) => Bound::Borrowed(value),
            Self::Number => Bound::Number(number),
            Self::Time(first) => Bound::Number(first + number),
            Self::Digest(size) => Bound::Bytes(mixed(number, column), *size),
            Self::Uuid(size) => Bound::Bytes(ordered(number, column), *size),
            Self::Id => Bound::Text(&taken.id),
            Self::Body => Bound::Blob(&taken.body),
        }
    }
}

/// A value on its way into a statement, without a copy.
enum Bound<'a> {
    Borrowed(&'a Value),
    Number(i64),
    Bytes([u8; 32], usize),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Borrowed(value) => value.to_sql(),
            Self::Number(number) => number.to_sql(),
            Self::Bytes(bytes, size) => Ok(ToSqlOutput::from(&bytes[..*size])),
            Self::Text(text) => text.to_sql(),
            Self::Blob(bytes) => bytes.to_sql(),
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014), four times: cheap, and in no order.
pub(crate) fn mixed(number: i64, column: usize) -> [u8; 32] {
    let mut state = number as u64 ^ ((column as u64) << 56);
    let mut bytes = [0; 32];
    for eight in bytes.chunks_exact_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let one = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let two = (one ^ (one >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        eight.copy_from_slice(&(two ^ (two >> 31)).to_be_bytes());
    }
    bytes
}

pub(crate) fn ordered(number: i64, column: usize) -> [u8; 32] {
    let mut bytes = mixed(number, column);
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The statements, ready.
pub(crate) struct Insert<'c> {
    number: i64,
    tables: Vec<(Statement<'c>, Vec<Cell>)>,
    counts: Option<Statement<'c>>,
}

impl Insert<'_> {
    /// Numbers begin above this one.
    pub(crate) fn after(self, number: i64) -> Self {
        Self { number, ..self }
    }

    pub(crate) fn one(&mut self, taken: &Taken) {
        self.number += 1;
        for (statement, cells) in &mut self.tables {
            let values = cells.iter().enumerate().map(|(column, cell)| cell.bind(self.number, column, taken));
            statement.execute(params_from_iter(values)).expect("inserted");
        }
    }

    /// What is counted once for each commit.
    pub(crate) fn finish(&mut self, alerts: usize) {
        if let Some(counts) = &mut self.counts {
            counts.execute([alerts as i64]).expect("counted");
        }
    }
}
