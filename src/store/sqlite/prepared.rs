//! The statements of one transaction.
//!
//! The connection keeps statements by their text, all of which it copies, hashes and compares at every use. Within a
//! transaction the same few run for one job after another: here they are found by where their text stands in the program.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use rusqlite::{CachedStatement, Connection, Statement};

/// Statements that were used in this transaction and are not in use now.
#[derive(Default)]
pub(super) struct Statements<'db>(Rc<RefCell<Vec<Idle<'db>>>>);

struct Idle<'db> {
    sql: &'static str,
    statement: CachedStatement<'db>,
}

impl<'db> Statements<'db> {
    pub(super) fn get(&self, db: &'db Connection, sql: &'static str) -> rusqlite::Result<Prepared<'db>> {
        let known = self.0.borrow().iter().position(|idle| std::ptr::eq(idle.sql, sql));
        let statement = match known {
            Some(place) => self.0.borrow_mut().swap_remove(place).statement,
            None => db.prepare_cached(sql)?,
        };
        Ok(Prepared { sql, statement: Some(statement), home: Rc::clone(&self.0) })
    }
}

/// A statement in use. Afterwards it waits for its next use.
pub(super) struct Prepared<'db> {
    sql: &'static str,
    statement: Option<CachedStatement<'db>>,
    home: Rc<RefCell<Vec<Idle<'db>>>>,
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        if let Some(statement) = self.statement.take() {
            self.home.borrow_mut().push(Idle { sql: self.sql, statement });
        }
    }
}

impl<'db> Deref for Prepared<'db> {
    type Target = Statement<'db>;

    fn deref(&self) -> &Self::Target {
        self.statement.as_ref().expect("it goes when this is dropped")
    }
}

impl DerefMut for Prepared<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.statement.as_mut().expect("it goes when this is dropped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "SELECT ?1";

    fn ask<'db>(statements: &Statements<'db>, db: &'db Connection, number: i64) -> i64 {
        statements.get(db, SQL).expect("a statement").query_row([number], |row| row.get(0)).expect("a row")
    }

    #[test]
    fn a_statement_is_used_again_and_twice_at_once() {
        let db = Connection::open_in_memory().expect("a database");
        let statements = Statements::default();
        assert_eq!([1, 2].map(|number| ask(&statements, &db, number)), [1, 2]);
        assert_eq!(statements.0.borrow().len(), 1);

        let mut first = statements.get(&db, SQL).expect("a statement");
        let mut rows = first.query([3]).expect("rows");
        assert_eq!(ask(&statements, &db, 4), 4, "the first one is in use");
        let row = rows.next().expect("a row").expect("a row");
        assert_eq!(row.get::<_, i64>(0), Ok(3));
    }
}
