//! `sever alerts`: what came in, and what it was made into.

use clap::{Args, Subcommand};

use super::client::Remote;
use super::receipt;
use super::text::{Sheet, moment};
use super::{Outcome, block_on};
use crate::domain::AlertId;
use crate::store::{AlertView, Page};

/// Arguments of `sever alerts`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct AlertsArgs {
    #[command(subcommand)]
    command: Option<AlertsCommand>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum AlertsCommand {
    /// Show an alert and its jobs
    #[command(after_help = "Example: sever alerts show 0199a7f0-3c1e-7a52-9d0b-5a4f0e6b7c11")]
    Show(OneArgs),
    /// Plan an alert's delivery again, under the config of today; what was done is not done again
    #[command(after_help = "Example: sever alerts replay 0199a7f0-3c1e-7a52-9d0b-5a4f0e6b7c11")]
    Replay(OneArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// At most so many, newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The alert, by sever's id
    id: AlertId,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: &AlertsArgs) -> Outcome {
    match &args.command {
        None => {
            let api = args.list.remote.api()?;
            let answer = block_on(api.get("/v1/alerts", &[("limit", args.list.limit.to_string())]))??;
            args.list.remote.print(&answer, sheet)
        }
        Some(AlertsCommand::Show(args)) => {
            let answer = block_on(args.remote.api()?.get(&format!("/v1/alerts/{}", args.id), &[]))??;
            args.remote.print(&answer, one)
        }
        Some(AlertsCommand::Replay(args)) => receipt::replay(&args.remote, &format!("/v1/alerts/{}/replay", args.id)),
    }
}

fn sheet(page: &Page<AlertView>) -> Sheet {
    if page.items.is_empty() {
        return Sheet::of("There is no alert.");
    }
    let mut sheet = Sheet::default();
    sheet.table(&["ID", "SOURCE", "THEIR ID", "KIND", "SEVERITY", "RECEIVED", "JOBS"], page.items.iter().map(row));
    if page.next_cursor.is_some() {
        sheet.line("There are more: use --limit.");
    }
    sheet
}

fn row(alert: &AlertView) -> Vec<String> {
    vec![
        alert.id.to_string(),
        alert.source.to_string(),
        alert.external_id.clone(),
        alert.kind.clone(),
        alert.severity.as_str().to_owned(),
        moment(alert.received_at),
        alert.jobs.len().to_string(),
    ]
}

fn one(alert: &AlertView) -> Sheet {
    let mut sheet = Sheet::of(format_args!("Alert {}: {}, {}", alert.id, alert.kind, alert.severity.as_str()));
    sheet.facts(&[
        ("their id", alert.external_id.clone()),
        ("source", alert.source.to_string()),
        ("issuer", alert.issuer.clone()),
        ("reason", alert.reason.clone().unwrap_or_default()),
        ("occurred", moment(alert.occurred_at)),
        ("received", moment(alert.received_at)),
    ]);
    receipt::jobs(&mut sheet, &alert.jobs, &alert.skipped);
    sheet
}
