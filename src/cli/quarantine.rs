//! `sever quarantine`: authentic deliveries that could not be decoded or planned.

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::client::Remote;
use super::receipt;
use super::text::{Sheet, moment};
use super::{Outcome, block_on};
use crate::store::{Page, QuarantineView};

/// Arguments of `sever quarantine`.
#[derive(Debug, Args)]
pub(super) struct QuarantineArgs {
    #[command(subcommand)]
    command: QuarantineCommand,
}

#[derive(Debug, Subcommand)]
enum QuarantineCommand {
    /// List the deliveries in quarantine
    #[command(after_help = "Example: sever quarantine list")]
    List(ListArgs),
    /// Show a delivery with its body; that it was read is recorded
    #[command(after_help = "Example: sever quarantine show 17")]
    Show(OneArgs),
    /// Decode and plan a delivery again, under the config of today
    #[command(after_help = "Example: sever quarantine replay 17")]
    Replay(OneArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The delivery's number
    id: u32,
    #[command(flatten)]
    remote: Remote,
}

/// A delivery with all that it holds.
#[derive(Debug, Deserialize)]
struct Detail {
    #[serde(flatten)]
    delivery: QuarantineView,
    headers: Vec<Header>,
    body_encoding: String,
    body: String,
}

#[derive(Debug, Deserialize)]
struct Header {
    name: String,
    value: String,
}

pub(super) fn run(args: &QuarantineArgs) -> Outcome {
    match &args.command {
        QuarantineCommand::List(args) => {
            let api = args.remote.api()?;
            let answer = block_on(api.get("/v1/quarantine", &[("limit", args.limit.to_string())]))??;
            args.remote.print(&answer, sheet)
        }
        QuarantineCommand::Show(args) => {
            let answer = block_on(args.remote.api()?.get(&format!("/v1/quarantine/{}", args.id), &[]))??;
            args.remote.print(&answer, one)
        }
        QuarantineCommand::Replay(args) => receipt::replay(&args.remote, &format!("/v1/quarantine/{}/replay", args.id)),
    }
}

fn sheet(page: &Page<QuarantineView>) -> Sheet {
    if page.items.is_empty() {
        return Sheet::of("Nothing is in quarantine.");
    }
    let mut sheet = Sheet::default();
    let row = |kept: &QuarantineView| {
        let (id, size) = (kept.id.to_string(), kept.size_bytes.to_string());
        vec![id, kept.source.to_string(), moment(kept.received_at), size, kept.reason.clone()]
    };
    sheet.table(&["ID", "SOURCE", "RECEIVED", "BYTES", "REASON"], page.items.iter().map(row));
    if page.next_cursor.is_some() {
        sheet.line("There are more: use --limit.");
    }
    sheet
}

fn one(detail: &Detail) -> Sheet {
    let kept = &detail.delivery;
    let mut sheet = Sheet::of(format_args!("Delivery {}: {}", kept.id, kept.reason));
    sheet.facts(&[
        ("source", kept.source.to_string()),
        ("their id", kept.delivery_id.clone()),
        ("received", moment(kept.received_at)),
        ("bytes", kept.size_bytes.to_string()),
    ]);
    for element in &kept.elements {
        sheet.line(format_args!("  {element}"));
    }
    for header in &detail.headers {
        sheet.line(format_args!("  {}: {}", header.name, header.value));
    }
    sheet.line(format_args!("Body ({}):", detail.body_encoding));
    detail.body.lines().for_each(|line| sheet.line(line));
    sheet
}
