//! What makes two alerts, jobs or people the same to a store; and values as every store writes them.

use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::StoreError;
use crate::domain::{NewJob, Origin, Subject};

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unavailable(error.to_string()))
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
