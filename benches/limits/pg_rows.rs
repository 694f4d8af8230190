//! The service's rows in PostgreSQL, as `rows.rs` has them in SQLite: those of one real alert are the pattern, with fresh
//! keys put in where keys are. What is the same in every row stands in the statement, the rest comes as columns.

use futures_util::future::{BoxFuture, try_join_all};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};
use uuid::Uuid;

use crate::limit::Taken;
use crate::rows::{TABLES, TIMES, mixed, ordered};

/// As in the service: nothing is answered before it is on disk.
const SETTINGS: &str = "SET synchronous_commit = on; SET plan_cache_mode = force_generic_plan; SET jit = off";

/// Sums are kept by writer, and bare ones are named by where their numbers begin.
const COUNT: &str = "INSERT INTO job_counts (writer, provider, state, jobs) VALUES ($2, 'okta', 0, $1::bigint)
     ON CONFLICT (writer, provider, state) DO UPDATE SET jobs = job_counts.jobs + excluded.jobs";

/// Connects, and has the connection driven by this runtime.
#[expect(clippy::disallowed_methods, reason = "ends with the connection")]
pub(crate) async fn connect(url: &str) -> Client {
    let (client, driver) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(driver);
    client.batch_execute(SETTINGS).await.expect("set");
    client
}

/// What a real alert leaves behind.
#[derive(Clone)]
pub(crate) struct Patterns(Vec<Pattern>);

#[derive(Clone)]
struct Pattern {
    sql: String,
    cells: Vec<Cell>,
}

/// What differs from row to row.
#[derive(Clone)]
enum Cell {
    /// The row's number.
    Number,
    /// Later in each row.
    Time(i64),
    /// Bytes in no order, as digests are.
    Digest(usize),
    /// In order, as version 7 UUIDs are.
    Uuid,
    Id,
    Body,
}

impl Patterns {
    /// Takes the pattern from the only alert in this schema.
    pub(crate) async fn of(db: &Client) -> Self {
        let mut patterns = Vec::new();
        for table in TABLES {
            patterns.push(Pattern::of(db, table).await);
        }
        Self(patterns)
    }

    pub(crate) async fn prepare(&self, db: &Client) -> Insert {
        let mut tables = Vec::new();
        for pattern in &self.0 {
            tables.push((db.prepare(&pattern.sql).await.expect("prepared"), pattern.cells.clone()));
        }
        Insert { number: 0, writer: "bare".to_owned(), tables, counts: db.prepare(COUNT).await.expect("prepared") }
    }
}

impl Pattern {
    async fn of(db: &Client, table: &str) -> Self {
        let sql = "SELECT column_name::text, udt_name::text FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position";
        let columns = db.query(sql, &[&table]).await.expect("columns");
        let columns: Vec<(String, String)> = columns.iter().map(|row| (row.get(0), row.get(1))).collect();
        let as_text: Vec<String> = columns.iter().map(|(name, _)| format!("quote_nullable({name}::text)")).collect();
        let sql = format!("SELECT {} FROM {table} ORDER BY {} DESC LIMIT 1", as_text.join(", "), columns[0].0);
        let row = db.query_one(&sql, &[]).await.expect("a row");
        let (mut cells, mut arrays, mut selected) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (name, kind)) in columns.iter().enumerate() {
            let value: String = row.get(place);
            let cell = Cell::of(name, kind, &value);
            selected.push(match &cell {
                None => format!("{value}::{kind}"),
                Some(_) if kind == "_int8" => format!("ARRAY[x.c{place}]"),
                Some(_) => format!("x.c{place}"),
            });
            if let Some(cell) = cell {
                let element = kind.trim_start_matches('_');
                arrays.push(format!("unnest(${}::{element}[]) AS c{place}", arrays.len() + 1));
                cells.push(cell);
            }
        }
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let sql = format!(
            "INSERT INTO {table} ({}) SELECT {} FROM (SELECT {}) AS x",
            names.join(", "),
            selected.join(", "),
            arrays.join(", ")
        );
        Self { sql, cells }
    }
}

impl Cell {
    /// `None`: the same in every row.
    fn of(column: &str, kind: &str, value: &str) -> Option<Self> {
        let number: Option<i64> = value.trim_matches('\'').parse().ok();
        match (column, kind) {
            _ if value == "NULL" => None,
            ("body", _) => Some(Self::Body),
            ("delivery_id", _) => Some(Self::Id),
            ("seq" | "delivery" | "alert" | "job", "int8") | (_, "_int8") => Some(Self::Number),
            (_, "uuid") => Some(Self::Uuid),
            // As text it begins with \x.
            (_, "bytea") => Some(Self::Digest(
                (value.trim_start_matches('E').trim_matches('\'').trim_start_matches('\\').len() - 1) / 2,
            )),
            (_, "int8") => number.filter(|time| *time > TIMES).map(Self::Time),
            _ => None,
        }
    }

    fn column<'a>(&self, place: usize, first: i64, taken: &'a [Taken]) -> Column<'a> {
        let numbers = || (first..).zip(taken).map(|(number, _)| number);
        match self {
            Self::Number => Box::new(numbers().collect::<Vec<_>>()),
            Self::Time(time) => Box::new(numbers().map(|number| time + number).collect::<Vec<_>>()),
            Self::Digest(size) => {
                Box::new(numbers().map(|number| mixed(number, place)[..*size].to_vec()).collect::<Vec<_>>())
            }
            Self::Uuid => {
                let uuid = |number| Uuid::from_slice(&ordered(number, place)[..16]).expect("16 bytes");
                Box::new(numbers().map(uuid).collect::<Vec<_>>())
            }
            Self::Id => Box::new(taken.iter().map(|taken| taken.id.as_str()).collect::<Vec<_>>()),
            Self::Body => Box::new(taken.iter().map(|taken| &taken.body[..]).collect::<Vec<_>>()),
        }
    }
}

type Column<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// The statements, ready.
pub(crate) struct Insert {
    number: i64,
    writer: String,
    tables: Vec<(Statement, Vec<Cell>)>,
    counts: Statement,
}

impl Insert {
    /// Numbers begin above this one.
    pub(crate) fn after(self, number: i64) -> Self {
        Self { number, writer: format!("bare-{number}"), ..self }
    }

    /// Writes these and commits, in one flight.
    pub(crate) async fn all(&mut self, db: &Client, taken: &[Taken]) {
        let columns: Vec<Vec<Column<'_>>> = self
            .tables
            .iter()
            .enumerate()
            .map(|(table, (_, cells))| {
                let column = |(place, cell): (usize, &Cell)| cell.column(16 * table + place, self.number + 1, taken);
                cells.iter().enumerate().map(column).collect()
            })
            .collect();
        let parameters: Vec<Vec<&(dyn ToSql + Sync)>> =
            columns.iter().map(|table| table.iter().map(|column| &**column as &(dyn ToSql + Sync)).collect()).collect();
        let count = taken.len() as i64;
        let counted: [&(dyn ToSql + Sync); 2] = [&count, &self.writer];
        // What is polled first is sent first.
        let mut flight: Vec<BoxFuture<'_, Result<(), Error>>> = vec![Box::pin(db.batch_execute("BEGIN"))];
        for ((statement, _), parameters) in self.tables.iter().zip(&parameters) {
            flight.push(Box::pin(async move { db.execute(statement, parameters).await.map(drop) }));
        }
        let counts = &self.counts;
        flight.push(Box::pin(async move { db.execute(counts, &counted).await.map(drop) }));
        flight.push(Box::pin(db.batch_execute("COMMIT")));
        try_join_all(flight).await.expect("committed");
        self.number += count;
    }

    /// The service's next rows come after these.
    pub(crate) async fn finish(&self, db: &Client) {
        let sql = "SELECT setval('deliveries_seq', $1), setval('alerts_seq', $1), setval('jobs_seq', $1),
             setval('audit_seq', $1)";
        db.query(sql, &[&self.number]).await.expect("set");
    }
}
