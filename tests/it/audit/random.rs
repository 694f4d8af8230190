//! Changes of any kind, anywhere: whatever differs from what was written is found.

use proptest::prelude::*;

use super::{Record, first};

/// A change of the table, by numbers that are taken modulo what there is.
#[derive(Debug, Clone)]
enum Change {
    /// A bit of a column of a row, as SQLite stores it.
    Flip {
        row: u64,
        column: usize,
        bit: u64,
    },
    Remove {
        row: u64,
    },
    Swap {
        one: u64,
        other: u64,
    },
    Copy {
        from: u64,
        to: u64,
    },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<u64>(), 0..COLUMNS.len(), any::<u64>()).prop_map(|(row, column, bit)| Change::Flip { row, column, bit }),
        any::<u64>().prop_map(|row| Change::Remove { row }),
        (any::<u64>(), any::<u64>()).prop_map(|(one, other)| Change::Swap { one, other }),
        (any::<u64>(), any::<u64>()).prop_map(|(from, to)| Change::Copy { from, to }),
    ]
}

const COLUMNS: [&str; 9] = ["at", "writer", "event", "job", "alert", "actor", "detail", "hash", "earlier"];

fn apply(connection: &rusqlite::Connection, change: &Change, rows: u64) {
    let seq = |number: u64| i64::try_from(number % rows).expect("few") + 1;
    match change {
        Change::Flip { row, column, bit } => flip(connection, seq(*row), COLUMNS[*column], *bit),
        Change::Remove { row } => {
            connection.execute("DELETE FROM audit WHERE seq = ?1", [seq(*row)]).expect("removed");
        }
        Change::Swap { one, other } => {
            let (one, other) = (seq(*one), seq(*other));
            for (from, to) in [(one, -1), (other, one), (-1, other)] {
                connection.execute("UPDATE audit SET seq = ?2 WHERE seq = ?1", [from, to]).expect("moved");
            }
        }
        Change::Copy { from, to } => {
            let sql =
                "INSERT OR REPLACE INTO audit SELECT ?2, at, writer, event, job, alert, actor, detail, hash, earlier
                       FROM audit WHERE seq = ?1";
            connection.execute(sql, [seq(*from), seq(*to)]).expect("copied");
        }
    }
}

fn flip(connection: &rusqlite::Connection, seq: i64, column: &str, bit: u64) {
    use rusqlite::types::Value;
    let read = format!("SELECT {column} FROM audit WHERE seq = ?1");
    let Ok(mut value) = connection.query_row(&read, [seq], |row| row.get::<_, Value>(0)) else { return };
    match &mut value {
        Value::Integer(number) => *number ^= 1 << (bit % 40),
        Value::Blob(bytes) => flip_in(bytes, bit),
        Value::Text(text) => {
            let mut bytes = text.clone().into_bytes();
            // The lowest bit keeps ASCII what it is.
            let at = usize::try_from(bit).unwrap_or_default() % bytes.len();
            bytes[at] ^= 1;
            *text = String::from_utf8(bytes).unwrap_or_default();
        }
        Value::Null | Value::Real(_) => value = Value::Integer(7),
    }
    let write = format!("UPDATE audit SET {column} = ?2 WHERE seq = ?1");
    connection.execute(&write, rusqlite::params![seq, value]).expect("flipped");
}

fn flip_in(bytes: &mut [u8], bit: u64) {
    let at = usize::try_from(bit / 8).unwrap_or_default() % bytes.len();
    bytes[at] ^= 1 << (bit % 8);
}

type Content = Vec<Vec<rusqlite::types::Value>>;

fn content(connection: &rusqlite::Connection) -> Content {
    let mut statement = connection.prepare("SELECT * FROM audit ORDER BY seq").expect("rows");
    let rows = statement.query_map([], |row| (0..10).map(|column| row.get(column)).collect());
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

#[test]
fn whatever_differs_from_what_was_written_is_found() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let record = runtime.block_on(Record::new());
    let rows = record.rows().unsigned_abs();
    let sealed = record.seals[2].statement.heads[0].seq;
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) };
    proptest!(config, |(changes in prop::collection::vec(change(), 1..4))| {
        let path = record.copy();
        let connection = rusqlite::Connection::open(&path).expect("the store");
        let before = content(&connection);
        changes.iter().for_each(|change| apply(&connection, change, rows));
        let after = content(&connection);
        let report = record.check(&path);
        // What nobody has vouched for yet can be cut off without a trace.
        let is_cut = after.len() < before.len() && before.starts_with(&after) && after.len() >= sealed as usize;
        prop_assert_eq!(report.is_fine(), before == after || is_cut, "{:?}", report);
        if before != after && !is_cut && let Some(named) = first(&report.findings) {
            let same = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
            prop_assert!(named > same as i64, "rows up to {} are as they were, and {} is named", same, named);
        }
        std::fs::remove_file(&path).expect("removed");
    });
}
