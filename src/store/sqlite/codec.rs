//! Columns to types and back.

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;

use crate::domain::{AlertId, JobId, JobState, Severity, Traces};
pub(super) use crate::store::keys::{alert_guard, job_key, micros, person_key, to_json};

/// A column by its name, or by its place, which SQLite need not look for.
pub(super) trait Column: rusqlite::RowIndex + Copy + std::fmt::Display {}

impl<C: rusqlite::RowIndex + Copy + std::fmt::Display> Column for C {}

/// The places of a row's columns, one after the other.
#[derive(Debug, Default)]
pub(super) struct Places(usize);

impl Places {
    pub(super) fn next(&mut self) -> usize {
        self.0 += 1;
        self.0 - 1
    }
}

/// A column holds something that this version did not write.
fn broken(column: impl Column, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    tracing::error!(column = %column, "the store holds a value that cannot be read");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}

pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: impl Column) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| broken(column, error))
}

/// A word of one of our enums, or a checked name.
pub(super) fn word<T: DeserializeOwned>(row: &Row<'_>, column: impl Column) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    T::deserialize(StrDeserializer::<serde::de::value::Error>::new(text)).map_err(|error| broken(column, error))
}

pub(super) fn optional_word<T: DeserializeOwned>(row: &Row<'_>, column: impl Column) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(_) => word(row, column).map(Some),
        None => Ok(None),
    }
}

pub(super) fn optional_json<T: DeserializeOwned>(row: &Row<'_>, column: impl Column) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(_) => json(row, column).map(Some),
        None => Ok(None),
    }
}

pub(super) fn traces(row: &Row<'_>, column: impl Column) -> rusqlite::Result<Traces> {
    Ok(Traces::from_text(row.get_ref(column)?.as_str_or_null()?))
}

pub(super) fn state(row: &Row<'_>, column: impl Column) -> rusqlite::Result<JobState> {
    let number: usize = row.get(column)?;
    JobState::ALL.get(number).copied().ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number as i64))
}

pub(super) fn severity(row: &Row<'_>, column: impl Column) -> rusqlite::Result<Severity> {
    let rank: u8 = row.get(column)?;
    Severity::from_rank(rank).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, i64::from(rank)))
}

pub(super) fn time(micros: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, micros))
}

pub(super) fn time_at(row: &Row<'_>, column: impl Column) -> rusqlite::Result<Timestamp> {
    time(row.get(column)?)
}

pub(super) fn job_id(row: &Row<'_>, column: impl Column) -> rusqlite::Result<JobId> {
    Ok(JobId(uuid::Uuid::from_bytes(row.get(column)?)))
}

pub(super) fn alert_id(row: &Row<'_>, column: impl Column) -> rusqlite::Result<AlertId> {
    Ok(AlertId(uuid::Uuid::from_bytes(row.get(column)?)))
}
