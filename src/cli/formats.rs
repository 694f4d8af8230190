//! `sever formats`: the formats that sever reads, and the mapping behind each, to copy and change.

use anyhow::Context;
use clap::{Args, Subcommand};

use super::text::Sheet;
use super::{Outcome, out};
use crate::decode::{AlertFormat, sever};

/// Arguments of `sever formats`.
#[derive(Debug, Args)]
pub(super) struct FormatsArgs {
    #[command(subcommand)]
    command: FormatsCommand,
}

#[derive(Debug, Subcommand)]
enum FormatsCommand {
    /// List the formats
    #[command(after_help = "Example: sever formats list")]
    List,
    /// Print the mapping that a format is; put it under a source in place of `format` and change it
    #[command(after_help = "Example: sever formats show grafana")]
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The format's name
    name: AlertFormat,
}

pub(super) fn run(args: &FormatsArgs) -> Outcome {
    match &args.command {
        FormatsCommand::List => list().print(),
        FormatsCommand::Show(args) => out(show(args.name)?.trim_end()),
    }
    Ok(())
}

fn list() -> Sheet {
    let mut sheet = Sheet::default();
    let rows = AlertFormat::ALL.iter().map(|format| vec![format.as_str().to_owned(), about(*format).to_owned()]);
    sheet.table(&["FORMAT", "WHAT IT READS"], rows);
    sheet.line("Each may also come in a CloudEvents 1.0 envelope. Anything else: docs/sources/custom.md");
    sheet
}

/// The first line of the preset says it.
fn about(format: AlertFormat) -> &'static str {
    let first = format.preset().and_then(|preset| preset.lines().next());
    first.map_or("Our own format: `sever schema alert`", |line| line.trim_start_matches(['#', ' ']))
}

/// Our own format is no mapping; its schema says what it is.
fn show(format: AlertFormat) -> anyhow::Result<String> {
    match format.preset() {
        Some(preset) => Ok(preset.to_owned()),
        None => serde_json::to_string_pretty(&sever::schema()).context("the schema cannot be written"),
    }
}
