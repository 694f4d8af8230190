//! What stops a change: the database, or what is stored there.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// Why a change was not made.
#[derive(Debug)]
pub(super) enum Fault {
    /// The transaction is over, for everyone in it.
    Database(tokio_postgres::Error),
    /// This change alone is refused; nothing of it was written.
    Said(StoreError),
}

impl Fault {
    /// Whether the same transaction may well succeed when it is run again.
    pub(super) fn is_clash(&self) -> bool {
        match self {
            Self::Database(error) => error.code().is_some_and(|code| {
                [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)
            }),
            Self::Said(_) => false,
        }
    }

    /// Whether what one change wanted to write cannot be written, so that its neighbours may do better without it.
    pub(super) fn is_about_data(&self) -> bool {
        match self {
            // Classes 22 and 23 of SQLSTATE: data exceptions and violated constraints; 54: a limit of the server.
            Self::Database(error) => {
                let code = error.code().map_or("", |code| code.code());
                ["22", "23", "54"].iter().any(|class| code.starts_with(class))
            }
            Self::Said(_) => false,
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Said(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Database(error) => Self::Unavailable(describe(&error)),
            Fault::Said(error) => error,
        }
    }
}

/// In words, without the values that a statement carried: those name people.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(told) = error.as_db_error() {
        return format!("PostgreSQL says: {} ({})", told.message(), told.code().code());
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// Why there is no connection.
pub(super) fn no_connection(error: &PoolError) -> String {
    match error {
        PoolError::Timeout(_) => "no connection to PostgreSQL became free in time".to_owned(),
        PoolError::Backend(error) => format!("no connection to PostgreSQL: {}", describe(error)),
        PoolError::PostCreateHook(_) => "PostgreSQL refused the settings of a new connection".to_owned(),
        PoolError::Closed | PoolError::NoRuntimeSpecified => "closed".to_owned(),
    }
}
