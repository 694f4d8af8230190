//! Receipts, as people read them.

use anyhow::anyhow;
use serde_json::json;

use super::client::Remote;
use super::text::{Sheet, person};
use super::{Failure, Outcome, block_on};
use crate::store::{JobReceipt, Receipt, ReceiptStatus, Skipped};

/// What became of a delivery.
pub(super) fn sheet(receipt: &Receipt) -> Sheet {
    let mut sheet = Sheet::of(format_args!("{}: delivery {}", status(receipt.status), receipt.delivery_id));
    for alert in &receipt.alerts {
        sheet.line(format_args!("Alert {} ({})", alert.external_id, alert.id));
        jobs(&mut sheet, &alert.jobs, &alert.skipped);
    }
    for kept in &receipt.quarantined {
        sheet.line(format_args!("Kept in quarantine: {kept}"));
    }
    if let Some(reason) = &receipt.not_kept {
        sheet.line(format_args!("NOT kept for a person: {reason}"));
    }
    sheet
}

fn status(status: ReceiptStatus) -> &'static str {
    match status {
        ReceiptStatus::Accepted => "Accepted",
        ReceiptStatus::Duplicate => "Known already, with its jobs as they are now",
        ReceiptStatus::Ignored => "Ignored, for no rule made a job of it",
        ReceiptStatus::Quarantined => "Kept in quarantine, for it could not be decoded or planned",
    }
}

/// The jobs of an alert, and the rules that made none.
pub(super) fn jobs(sheet: &mut Sheet, jobs: &[JobReceipt], skipped: &[Skipped]) {
    let row = |job: &JobReceipt| {
        vec![job.id.to_string(), job.state.to_string(), job.provider.to_string(), person(&job.subject)]
    };
    sheet.table(&["JOB", "STATE", "PROVIDER", "SUBJECT"], jobs.iter().map(row));
    for Skipped { rule, reason } in skipped {
        sheet.line(format_args!("  no job from rule {rule:?}: {reason}"));
    }
}

/// Has a stored delivery planned again, and tells what came of it.
pub(super) fn replay(remote: &Remote, path: &str) -> Outcome {
    let api = remote.api()?;
    let answer = block_on(api.post(path, &json!({})))??;
    remote.print(&answer, sheet)?;
    match answer.read::<Receipt>()?.status {
        ReceiptStatus::Accepted | ReceiptStatus::Duplicate | ReceiptStatus::Ignored => Ok(()),
        ReceiptStatus::Quarantined => {
            let message = "it still cannot be decoded or planned; `sever quarantine list` has the reason";
            Err(Failure::Failed(anyhow!(message)))
        }
    }
}
