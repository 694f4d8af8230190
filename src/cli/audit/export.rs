//! `sever audit export`: the record as JSON lines, for a SIEM.

use clap::Args;
use serde_json::Value;

use super::When;
use super::pages::each;
use crate::audit::ocsf;
use crate::cli::client::{ApiError, Remote};
use crate::cli::text::plain_json;
use crate::cli::{Outcome, block_on, out};
use crate::store::AuditView;

/// Arguments of `sever audit export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Not before: 2026-11-21T22:00:00Z, or 24h for that long ago
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Before
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: &ExportArgs) -> Outcome {
    let api = args.remote.api()?;
    let filters = [("since", args.since), ("until", args.until)];
    let filters: Vec<_> = filters.into_iter().filter_map(|(name, at)| Some((name, at?.0.to_string()))).collect();
    let mut strange = None;
    block_on(each(&api, "/v1/audit", &filters, "after", |row: Value| {
        let event = if args.remote.is_json() { Ok(row) } else { event(row) };
        event.map(|event| out(&plain_json(&event.to_string()))).map_err(|error| strange = Some(error)).is_ok()
    }))??;
    strange.map_or(Ok(()), |error| Err(error.into()))
}

fn event(row: Value) -> Result<Value, ApiError> {
    let row = serde_json::from_value::<AuditView>(row).ok().and_then(AuditView::row);
    let strange = || ApiError::Strange("a row is not as this version of sever has it; use --json".to_owned());
    Ok(ocsf(&row.ok_or_else(strange)?))
}
