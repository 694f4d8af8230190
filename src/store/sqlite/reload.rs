//! What the record tells of a config that was taken on while we ran.

use serde_json::json;

use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::store::StoreError;

/// Adds the row.
pub(super) fn record(tx: &mut Tx<'_>, digest: [u8; 32], changed: &[String]) -> Result<(), StoreError> {
    let detail = json!({"changed": changed, "sha256": hex::encode(digest)});
    tx.record(AuditEvent::ConfigReloaded, None, None, &Actor::system(), &detail.to_string())?;
    Ok(())
}
