//! The record as the sealer and those who check it need it.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{AuditView, Page, StoreError};
use crate::audit::{AuditEvent, AuditRow, Head, Seal, Signed, Stub};
use crate::domain::{AlertId, JobId};

/// Reading, sealing and shortening the record. Nothing here changes a row.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Rows that fit, in the order asked for. A part may be short, even empty, and have a cursor all the same: each
    /// request looks at a bounded number of rows.
    async fn find_audit(&self, filter: AuditFilter) -> Result<Page<AuditView>, StoreError>;

    /// Where every chain stands, as committed.
    async fn audit_heads(&self) -> Result<Heads, StoreError>;

    /// Keeps a seal and records that it was made. [`StoreError::Conflict`] where another one has its number already.
    async fn keep_seal(&self, seal: Signed<Seal>) -> Result<(), StoreError>;

    /// Seals, newest first.
    async fn seals(&self, cursor: Option<i64>, limit: u32) -> Result<Page<Signed<Seal>>, StoreError>;

    /// What stands for removed rows: one stub for each writer that has lost any.
    async fn stubs(&self) -> Result<Vec<Signed<Stub>>, StoreError>;

    /// A bounded number of rows that may be removed from the beginning of each chain: older than this, sealed, and
    /// older than every job that is kept. The stubs are still to be signed.
    async fn prunable_audit(&self, before: Timestamp) -> Result<Vec<Removal>, StoreError>;

    /// Removes what the stubs stand for, and keeps them, all or nothing; how many rows went.
    /// [`StoreError::Conflict`] where the record is not as the stubs say.
    async fn prune_audit(&self, stubs: Vec<Signed<Stub>>) -> Result<u64, StoreError>;

    /// Thins out seals: each one covers all that the ones before it covered. Beyond a month one for each day is kept, and
    /// none from before this time; the newest stays.
    async fn thin_seals(&self, before: Timestamp) -> Result<u64, StoreError>;
}

/// Where the record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads {
    /// The last row of every writer.
    pub heads: Vec<Head>,
    /// The number of the newest seal; 0: there is none.
    pub last_seal: i64,
    /// Whether anything but seals was recorded since.
    pub is_changed: bool,
}

/// Rows that may be removed from the beginning of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Whose.
    pub writer: String,
    /// The last of them.
    pub seq: i64,
    /// Its hash, in hexadecimal digits.
    pub hash: String,
    /// How many went before and go now, in all.
    pub removed: u64,
    /// The seal that vouches for them.
    pub seal: i64,
}

/// Which rows of the record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// About this job.
    pub job: Option<JobId>,
    /// About this alert.
    pub alert: Option<AlertId>,
    /// By this actor, as recorded.
    pub actor: Option<String>,
    /// Of this kind.
    pub event: Option<AuditEvent>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// The newest first.
    pub newest_first: bool,
    /// After this one of the page before.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

impl AuditView {
    /// As it is shown; the detail as its text, and beside it the text where that says it otherwise.
    #[must_use]
    pub fn new(row: AuditRow, at: Timestamp) -> Self {
        let detail: Option<serde_json::Value> = serde_json::from_str(&row.detail).ok();
        let same = detail.as_ref().map(ToString::to_string).is_some_and(|text| text == row.detail);
        Self {
            seq: row.seq,
            at,
            writer: row.writer,
            event: row.event,
            job: row.job,
            alert: row.alert,
            actor: row.actor,
            detail: detail.unwrap_or_default(),
            detail_text: (!same).then_some(row.detail),
            earlier: row.earlier,
            hash: hex::encode(row.hash),
        }
    }

    /// The row behind it, to be checked. `None`: its hash is none.
    #[must_use]
    pub fn row(self) -> Option<AuditRow> {
        Some(AuditRow {
            seq: self.seq,
            at: self.at.as_microsecond(),
            writer: self.writer,
            event: self.event,
            job: self.job,
            alert: self.alert,
            actor: self.actor,
            detail: self.detail_text.unwrap_or_else(|| self.detail.to_string()),
            earlier: self.earlier,
            hash: hex::decode(self.hash).ok()?.try_into().ok()?,
        })
    }
}
