//! Columns to types and back.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;
use sha2::{Digest, Sha256};

use crate::domain::{AlertId, JobId, JobState, NewJob, Origin, Severity, Subject};
use crate::store::StoreError;

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

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unavailable(error.to_string()))
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

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut key = [0; 16];
    key.copy_from_slice(&digest.finalize()[..16]);
    key
}

/// The same for the same alert, whichever door it came in by.
pub(super) fn alert_guard(issuer: &str, external_id: &str) -> [u8; 16] {
    digest(&[issuer.as_bytes(), external_id.as_bytes()])
}

/// The same for the same job of one alert.
pub(super) fn job_key(job: &NewJob, request: &str) -> [u8; 16] {
    digest(&[job.provider.as_str().as_bytes(), &person_key(job), request.as_bytes(), &[u8::from(job.dry_run)]])
}

/// The same for jobs about the same names, exactly as given. Names that merely look alike may be two people, and one of
/// them would be left out; that two spellings are one account shows when they are resolved.
pub(super) fn person_key(job: &NewJob) -> [u8; 16] {
    // Whoever has no name at the provider is held, and only the note says whom the alert meant.
    let note = match &job.origin {
        Origin::Held(_, note) if job.subject == Subject::default() => note.as_str(),
        Origin::Due | Origin::Held(..) | Origin::Dead(..) => "",
    };
    let Subject { id, email, username } = &job.subject;
    let [id, email, username] = [id, email, username].map(|name| name.as_deref().unwrap_or_default().as_bytes());
    digest(&[id, email, username, note.as_bytes()])
}
