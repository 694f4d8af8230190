//! `sever completions`: what a shell needs to complete commands, options and their words.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Cli, Outcome, out};

/// Arguments of `sever completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> Outcome {
    // Into memory first: writing there cannot fail, and a closed pipe is the reader's choice.
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "sever", &mut script);
    out(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}
