//! Columns to types and back.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::fault::Fault;
use crate::domain::{AlertId, JobId, JobState, Severity};
use crate::store::StoreError;
pub(super) use crate::store::keys::{micros, to_json};

/// A column holds something that this version did not write.
fn broken(column: &str) -> Fault {
    tracing::error!(column, "the store holds a value that cannot be read");
    Fault::Said(StoreError::Unavailable(format!("the column {column} holds a value that cannot be read")))
}

pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> Result<T, Fault> {
    Ok(row.try_get(column)?)
}

pub(super) fn json<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, Fault> {
    serde_json::from_str(get(row, column)?).map_err(|_| broken(column))
}

pub(super) fn optional_json<T: DeserializeOwned>(row: &Row, column: &str) -> Result<Option<T>, Fault> {
    let text: Option<&str> = get(row, column)?;
    text.map(|text| serde_json::from_str(text).map_err(|_| broken(column))).transpose()
}

/// A word of one of our enums, or a checked name.
pub(super) fn word<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, Fault> {
    optional_word(row, column)?.ok_or_else(|| broken(column))
}

pub(super) fn optional_word<T: DeserializeOwned>(row: &Row, column: &str) -> Result<Option<T>, Fault> {
    let text: Option<&str> = get(row, column)?;
    let read = |text| T::deserialize(StrDeserializer::<serde::de::value::Error>::new(text));
    text.map(|text| read(text).map_err(|_| broken(column))).transpose()
}

pub(super) fn state(row: &Row, column: &str) -> Result<JobState, Fault> {
    let number: i16 = get(row, column)?;
    let known = usize::try_from(number).ok().and_then(|number| JobState::ALL.get(number));
    known.copied().ok_or_else(|| broken(column))
}

pub(super) fn severity(row: &Row, column: &str) -> Result<Severity, Fault> {
    let rank: i16 = get(row, column)?;
    u8::try_from(rank).ok().and_then(Severity::from_rank).ok_or_else(|| broken(column))
}

pub(super) fn time(micros: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_microsecond(micros).map_err(|_| broken("time"))
}

pub(super) fn time_at(row: &Row, column: &str) -> Result<Timestamp, Fault> {
    time(get(row, column)?)
}

pub(super) fn optional_time(row: &Row, column: &str) -> Result<Option<Timestamp>, Fault> {
    get::<Option<i64>>(row, column)?.map(time).transpose()
}

pub(super) fn count(row: &Row, column: &str) -> Result<u64, Fault> {
    u64::try_from(get::<i64>(row, column)?).map_err(|_| broken(column))
}

pub(super) fn small(row: &Row, column: &str) -> Result<u32, Fault> {
    u32::try_from(get::<i32>(row, column)?).map_err(|_| broken(column))
}

pub(super) fn job_id(row: &Row, column: &str) -> Result<JobId, Fault> {
    Ok(JobId(get(row, column)?))
}

pub(super) fn optional_job_id(row: &Row, column: &str) -> Result<Option<JobId>, Fault> {
    Ok(get::<Option<Uuid>>(row, column)?.map(JobId))
}

pub(super) fn alert_id(row: &Row, column: &str) -> Result<AlertId, Fault> {
    Ok(AlertId(get(row, column)?))
}

/// The number of an attempt, as a column.
pub(super) fn fence(attempt: u32) -> i32 {
    i32::try_from(attempt).unwrap_or(i32::MAX)
}

/// Text as PostgreSQL takes it, which knows no NUL: an alert that holds one is stored all the same.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
