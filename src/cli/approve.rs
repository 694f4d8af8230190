//! `sever approve`: an operator's yes to a held job, or to many.

use clap::Args;
use serde_json::json;

use super::bulk::{self, FilterArgs, Which};
use super::client::Remote;
use super::jobs::decided;
use super::{Outcome, block_on};
use crate::domain::JobId;

/// Arguments of `sever approve`.
#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    /// The job
    id: Option<JobId>,
    /// The account to act on, where that was unclear
    #[arg(long, value_name = "ACCOUNT", requires = "id")]
    account_id: Option<String>,
    /// Why, for the audit record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: &ApproveArgs) -> Outcome {
    let which = args.filter.or(args.id)?;
    let api = args.remote.api()?;
    let id = match which {
        Which::One(id) => id,
        Which::Many(filter) => return block_on(bulk::decide(&api, "approve", filter, &args.reason, &args.remote))?,
    };
    let mut body = json!({"reason": args.reason});
    if let Some(account) = &args.account_id {
        body["account_id"] = json!(account);
    }
    let answer = block_on(api.post(&format!("/v1/jobs/{id}/approve"), &body))??;
    args.remote.print(&answer, decided)
}
