//! `sever pause` and `sever resume`: whether providers are called.

use clap::Args;
use serde_json::json;

use super::client::Remote;
use super::providers::Provider;
use super::text::Sheet;
use super::{Outcome, block_on, words};
use crate::domain::ProviderName;
use crate::store::{GateView, StatusView};

/// Arguments of `sever pause` and `sever resume`.
#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    /// Which provider [default: all of them]
    provider: Option<ProviderName>,
    /// Why, for the audit record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn pause(args: &PauseArgs) -> Outcome {
    switch(args, "pause")
}

pub(super) fn resume(args: &PauseArgs) -> Outcome {
    switch(args, "resume")
}

fn switch(args: &PauseArgs, what: &str) -> Outcome {
    let path = match &args.provider {
        Some(provider) => format!("/v1/providers/{provider}/{what}"),
        None => format!("/v1/{what}"),
    };
    let api = args.remote.api()?;
    let answer = block_on(api.post(&path, &json!({"reason": args.reason})))??;
    match args.provider {
        Some(_) => args.remote.print(&answer, |it: &Provider| sheet(it.name.as_str(), &it.gates)),
        None => args.remote.print(&answer, all),
    }
}

fn all(status: &StatusView) -> Sheet {
    let (whole, single): (Vec<_>, Vec<_>) = status.gates.iter().cloned().partition(|gate| gate.provider.is_none());
    let mut sheet = sheet("Every provider", &whole);
    for gate in single {
        let provider = gate.provider.as_ref().map_or("", ProviderName::as_str);
        sheet.line(format_args!("  {provider} is not called by itself: {}", words::gate(&gate)));
    }
    sheet
}

fn sheet(who: &str, gates: &[GateView]) -> Sheet {
    if gates.is_empty() {
        return Sheet::of(format_args!("{who} is called again."));
    }
    let mut sheet = Sheet::of(format_args!("{who} is not called; alerts are taken and their jobs wait:"));
    for gate in gates {
        let scope = if gate.provider.is_none() { " (all providers)" } else { "" };
        sheet.line(format_args!("  {}{scope}", words::gate(gate)));
    }
    sheet
}
