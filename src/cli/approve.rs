//! `sever approve`: an operator's yes to a held job.

use clap::Args;
use serde_json::json;

use super::client::Remote;
use super::jobs::decided;
use super::{Outcome, block_on};
use crate::domain::JobId;

/// Arguments of `sever approve`.
#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    /// The job
    id: JobId,
    /// The account to act on, where that was unclear
    #[arg(long, value_name = "ACCOUNT")]
    account_id: Option<String>,
    /// Why, for the audit record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: &ApproveArgs) -> Outcome {
    let mut body = json!({"reason": args.reason});
    if let Some(account) = &args.account_id {
        body["account_id"] = json!(account);
    }
    let api = args.remote.api()?;
    let answer = block_on(api.post(&format!("/v1/jobs/{}/approve", args.id), &body))??;
    args.remote.print(&answer, decided)
}
