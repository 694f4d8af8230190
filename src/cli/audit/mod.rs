//! `sever audit`: what happened and by whose hand, whether the record of it can be trusted, and the record for a SIEM.

mod export;
mod list;
mod pages;
mod seals;
mod verify;

use std::str::FromStr;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::Outcome;
use crate::clock::{Clock, SystemClock};
use crate::settings::Duration;

/// Arguments of `sever audit`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    #[command(flatten)]
    list: list::ListArgs,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// List what happened, newest first
    #[command(after_help = "Example: sever audit list --actor oncall --since 24h")]
    List(list::ListArgs),
    /// Tell whether anything of the record was changed, removed, inserted or cut off
    #[command(after_help = "Example: sever audit verify --public-key audit-key.pub --seal kept-elsewhere.json\n     \
        or: sever audit verify -c sever.yaml")]
    Verify(verify::VerifyArgs),
    /// Print the record for a SIEM, one OCSF event a line, oldest first
    #[command(after_help = "Example: sever audit export --since 24h > audit.jsonl")]
    Export(export::ExportArgs),
    /// Print the newest seal, to be kept elsewhere
    #[command(after_help = "Example: sever audit seal > seal-$(date +%F).json")]
    Seal(seals::SealArgs),
}

pub(super) fn run(args: &AuditArgs) -> Outcome {
    match &args.command {
        None => list::run(&args.list),
        Some(AuditCommand::List(args)) => list::run(args),
        Some(AuditCommand::Verify(args)) => verify::run(args),
        Some(AuditCommand::Export(args)) => export::run(args),
        Some(AuditCommand::Seal(args)) => seals::run(args),
    }
}

/// A time as people write it: `2026-11-21T22:00:00Z`, or `24h` for that long ago.
#[derive(Debug, Clone, Copy)]
struct When(Timestamp);

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self(at));
        }
        let mend = || format!("{text:?} is no time; write 2026-11-21T22:00:00Z, or 24h for that long ago");
        let ago: Duration = text.parse().map_err(|_| mend())?;
        SystemClock::new().now().checked_sub(ago.0).map(Self).map_err(|_| mend())
    }
}
