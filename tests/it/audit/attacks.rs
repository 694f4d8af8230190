//! One attack each.

use sever::audit::{AuditRow, Finding, Seal, Signed, SigningKey};
use sever::domain::{AlertId, JobId};

use super::{Record, first, key};

/// Every column, with a change of it that keeps its type where it can.
const CHANGES: [(&str, &str); 10] = [
    ("seq", "seq + 1000"),
    ("at", "at + 1"),
    ("writer", "writer || 'x'"),
    ("event", "CASE event WHEN 'done' THEN 'dead' ELSE 'done' END"),
    ("job", "CASE WHEN job IS NULL THEN zeroblob(16) ELSE NULL END"),
    ("alert", "CASE WHEN alert IS NULL THEN zeroblob(16) ELSE NULL END"),
    ("actor", "CASE actor WHEN 'sever' THEN 'operator:oncall' ELSE 'sever' END"),
    ("detail", "replace(detail, '{', '{ ')"),
    ("hash", "zeroblob(32)"),
    ("earlier", "CASE WHEN earlier IS NULL THEN 0 ELSE NULL END"),
];

#[tokio::test]
async fn an_untouched_record_is_fine() {
    let record = Record::new().await;
    let report = record.check(&record.copy());
    assert_eq!(report.findings, []);
    assert_eq!((report.rows, report.seals, report.unsealed), (record.rows().unsigned_abs(), 3, 1));
    assert_eq!(report.newest.map(|(number, _)| number), Some(3));
    let copies: Vec<_> = record.seals.iter().collect();
    assert_eq!(record.check_with(&record.copy(), &copies).findings, []);
}

#[tokio::test]
async fn a_change_of_any_column_of_any_row_is_found_at_that_row() {
    let record = Record::new().await;
    let connection = rusqlite::Connection::open(record.copy()).expect("the store");
    let mut columns = connection.prepare("SELECT name FROM pragma_table_info('audit')").expect("columns");
    let columns = columns.query_map([], |row| row.get(0)).expect("columns");
    let mut columns: Vec<String> = columns.collect::<Result<_, _>>().expect("names");
    let mut known: Vec<&str> = CHANGES.iter().map(|(column, _)| *column).collect();
    columns.sort_unstable();
    known.sort_unstable();
    assert_eq!(columns, known, "a column that this test does not change");
    for seq in 1..=record.rows() {
        for (column, value) in CHANGES {
            let found = record.found(&format!("UPDATE audit SET {column} = {value} WHERE seq = {seq}"));
            let expected = match column {
                // It is missed where it was: the next row does not follow. The last one only shows where it is now.
                "seq" if seq == record.rows() => seq + 1000,
                "seq" => seq + 1,
                _ => seq,
            };
            assert_eq!(first(&found), Some(expected), "{column} of row {seq}: {found:?}");
        }
    }
}

#[tokio::test]
async fn a_value_of_another_type_is_found() {
    let record = Record::new().await;
    for change in ["at = 'soon'", "event = x'ff00'", "job = x'00'", "hash = x'00'", "detail = x'c328'", "earlier = 'x'"]
    {
        let found = record.found(&format!("UPDATE audit SET {change} WHERE seq = 4"));
        assert_eq!(first(&found), Some(4), "{change}: {found:?}");
    }
}

#[tokio::test]
async fn a_removed_row_is_found_wherever_it_was() {
    let record = Record::new().await;
    for seq in 1..record.rows() {
        let found = record.found(&format!("DELETE FROM audit WHERE seq = {seq}"));
        assert_eq!(first(&found), Some(seq + 1), "row {seq}: {found:?}");
    }
    let found = record.found("DELETE FROM audit WHERE seq < 5");
    assert!(found[0].to_string().contains("rows before it were removed"), "{}", found[0]);
    let found = record.found("DELETE FROM audit WHERE seq BETWEEN 4 AND 6");
    assert!(found[0].to_string().contains("rows 4 to 6 were removed"), "{}", found[0]);
}

/// As `chain` hashes it, by whoever knows the program and not the key.
fn rehash(row: &mut AuditRow, previous: &[u8; 32]) {
    use sever::audit::{Actor, AuditRecord, Place, chain};
    let actor = row.actor.strip_prefix("operator:").map_or_else(Actor::system, Actor::operator);
    let place = Place { writer: &row.writer, seq: row.seq, earlier: row.earlier };
    let at = jiff::Timestamp::from_microsecond(row.at).expect("a time");
    let event = row.event.parse().expect("an event");
    let record = AuditRecord { at, event, job: row.job, alert: row.alert, actor: &actor, detail: &row.detail };
    row.hash = chain(previous, &place, &record);
}

fn read(connection: &rusqlite::Connection) -> Vec<AuditRow> {
    let sql = "SELECT seq, at, writer, event, job, alert, actor, detail, earlier, hash FROM audit ORDER BY seq";
    let mut statement = connection.prepare(sql).expect("rows");
    let id = |bytes: Option<[u8; 16]>| bytes.map(uuid::Uuid::from_bytes);
    let rows = statement.query_map([], |row| {
        Ok(AuditRow {
            seq: row.get(0)?,
            at: row.get(1)?,
            writer: row.get(2)?,
            event: row.get(3)?,
            job: id(row.get(4)?).map(JobId),
            alert: id(row.get(5)?).map(AlertId),
            actor: row.get(6)?,
            detail: row.get(7)?,
            earlier: row.get(8)?,
            hash: row.get(9)?,
        })
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

fn write(connection: &rusqlite::Connection, rows: &[AuditRow]) {
    connection.execute("DELETE FROM audit", []).expect("emptied");
    for row in rows {
        let id = |id: Option<uuid::Uuid>| id.map(uuid::Uuid::into_bytes);
        let (job, alert) = (id(row.job.map(|id| id.0)), id(row.alert.map(|id| id.0)));
        connection
            .execute(
                "INSERT INTO audit (seq, at, writer, event, job, alert, actor, detail, earlier, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                rusqlite::params![
                    row.seq,
                    row.at,
                    row.writer,
                    row.event,
                    job,
                    alert,
                    row.actor,
                    row.detail,
                    row.earlier,
                    row.hash
                ],
            )
            .expect("inserted");
    }
}

/// Changes the rows and chains them anew from there on, as whoever wrote the program would.
fn rewrite(path: &std::path::Path, change: impl FnOnce(&mut Vec<AuditRow>)) {
    let connection = rusqlite::Connection::open(path).expect("the store");
    let mut rows = read(&connection);
    change(&mut rows);
    let mut previous = [0; 32];
    for (number, row) in rows.iter_mut().enumerate() {
        row.seq = i64::try_from(number).expect("few") + 1;
        rehash(row, &previous);
        previous = row.hash;
    }
    write(&connection, &rows);
}

#[tokio::test]
async fn an_inserted_row_is_found_though_it_has_a_hash_of_its_own() {
    let record = Record::new().await;
    let path = record.copy();
    let connection = rusqlite::Connection::open(&path).expect("the store");
    let mut rows = read(&connection);
    let mut forged = rows[4].clone();
    forged.detail = r#"{"reason":"asked by the CISO"}"#.to_owned();
    rehash(&mut forged, &rows[3].hash);
    // Without chaining the others anew: they are only moved.
    rows.insert(4, forged);
    (1..).zip(&mut rows).for_each(|(seq, row)| row.seq = seq);
    write(&connection, &rows);
    let found = record.check(&path).findings;
    assert_eq!(first(&found), Some(6), "{found:?}");
}

#[tokio::test]
async fn a_chain_made_anew_is_found_by_the_seals() {
    let record = Record::new().await;
    let path = record.copy();
    rewrite(&path, |rows| rows[5].actor = "sever".to_owned());
    let found = record.check(&path).findings;
    assert!(matches!(found[0], Finding::Rewritten { .. }), "{found:?}");
    assert_eq!(first(&found), None, "the chain itself is whole: {found:?}");
    // The seals gone as well: one that was kept elsewhere shows it, and so does their absence.
    let connection = rusqlite::Connection::open(&path).expect("the store");
    connection.execute_batch("DELETE FROM audit_seals").expect("deleted");
    assert!(record.check(&path).findings.contains(&Finding::Unsealed));
    rewrite(&path, |rows| rows.retain(|row| row.event != "sealed"));
    assert_eq!(record.check(&path).findings, [Finding::Unsealed]);
    let found = record.check_with(&path, &[&record.seals[0]]).findings;
    assert!(matches!(found[0], Finding::Rewritten { .. }), "{found:?}");
}

#[tokio::test]
async fn a_cut_end_is_found_by_the_seals() {
    let record = Record::new().await;
    let last_sealed = record.seals[2].statement.heads[0].seq;
    let found = record.found(&format!("DELETE FROM audit WHERE seq >= {last_sealed}"));
    assert!(matches!(&found[..], [Finding::CutOff { seq, .. }] if *seq == last_sealed), "{found:?}");

    // Down to the second seal, which is now the newest: only the third, kept elsewhere, tells.
    let head = record.seals[1].statement.heads[0].seq;
    let path = record.tampered(&format!(
        "DELETE FROM audit WHERE seq > {head}; DELETE FROM audit_seals WHERE number = 3; \
         DELETE FROM audit_seals WHERE number = 2"
    ));
    assert_eq!(record.check(&path).findings, []);
    for copy in &record.seals[1..] {
        let found = record.check_with(&path, &[copy]).findings;
        assert!(!found.is_empty(), "{copy:?}");
    }
    let found = record.check_with(&path, &[&record.seals[2]]).findings;
    assert!(found.iter().any(|it| matches!(it, Finding::CutOff { .. })), "{found:?}");
    assert!(found.contains(&Finding::SealGone { number: 3 }), "{found:?}");
}

#[tokio::test]
async fn removed_seals_are_found_as_long_as_the_record_tells_of_them() {
    let record = Record::new().await;
    let found = record.found("DELETE FROM audit_seals WHERE number >= 2");
    assert_eq!(found, [Finding::SealGone { number: 2 }, Finding::SealGone { number: 3 }]);
    let gone = [1, 2, 3].map(|number| Finding::SealGone { number });
    assert_eq!(record.found("DELETE FROM audit_seals"), [&gone[..], &[Finding::Unsealed]].concat());
}

#[tokio::test]
async fn a_forged_seal_is_found() {
    let record = Record::new().await;
    let text = |seal: &Signed<Seal>| serde_json::to_string(seal).expect("JSON").replace('\'', "''");
    let replace = |seal: &Signed<Seal>| format!("UPDATE audit_seals SET text = '{}' WHERE number = 3", text(seal));
    // With a key of the attacker's own, under its own name and under ours.
    let (own, ours) = (key(), SigningKey::from_pem(&record.key).expect("the key"));
    for name in [own.id(), ours.id()] {
        let seal = own.sign(Seal { key: name.to_owned(), ..record.seals[2].statement.clone() });
        let found = record.found(&replace(&seal));
        assert!(matches!(&found[0], Finding::Seal { name, .. } if name == "seal 3"), "{found:?}");
    }
    // A seal of ours in the place of another: an older one under the newest number.
    let older = &record.seals[0];
    let found = record.found(&replace(older));
    assert!(found.contains(&Finding::SealGone { number: 3 }), "{found:?}");
    for nonsense in ["", "{}", "[1]"] {
        let found = record.found(&format!("UPDATE audit_seals SET text = '{nonsense}' WHERE number = 3"));
        assert!(matches!(&found[0], Finding::Strange { name } if name == "seal 3"), "{found:?}");
    }
}

#[tokio::test]
async fn a_chain_of_a_made_up_writer_is_found() {
    let record = Record::new().await;
    let path = record.copy();
    let connection = rusqlite::Connection::open(&path).expect("the store");
    let rows = read(&connection);
    let mut forged = rows[0].clone();
    // Below every other row: a chain of its own, from the beginning.
    (forged.seq, forged.writer) = (0, "somebody".to_owned());
    rehash(&mut forged, &[0; 32]);
    write(&connection, &[&[forged][..], &rows].concat());
    let found = record.check(&path).findings;
    assert!(matches!(&found[..], [Finding::Stranger { seq: 0, .. }]), "{found:?}");
}

#[tokio::test]
async fn a_million_wrong_rows_are_told_in_a_few_lines() {
    let record = Record::new().await;
    let report = record.check(&record.tampered("UPDATE audit SET hash = randomblob(32)"));
    assert!(report.findings.len() as u64 + report.more >= report.rows);
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
                INSERT INTO audit SELECT 1000 + i, 0, 'w', 'done', NULL, NULL, 'x', '{}', randomblob(32), NULL FROM n";
    let report = record.check(&record.tampered(many));
    assert_eq!(report.findings.len(), 100);
    assert!(report.more > 4000, "{}", report.more);
}
