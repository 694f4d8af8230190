//! `sever providers`: where sessions end, and what keeps each from being called.

use std::collections::BTreeMap;

use clap::Args;
use serde::Deserialize;

use super::client::Remote;
use super::text::Sheet;
use super::{Outcome, block_on, words};
use crate::domain::{CircuitState, JobState, ProviderName};
use crate::store::{GateView, Page};

/// Arguments of `sever providers`.
#[derive(Debug, Args)]
pub(super) struct ProvidersArgs {
    #[command(flatten)]
    remote: Remote,
}

/// A provider, as far as it is shown here.
#[derive(Debug, Deserialize)]
pub(super) struct Provider {
    pub(super) name: ProviderName,
    kind: String,
    dry_run: bool,
    pub(super) gates: Vec<GateView>,
    /// `None`: the service is older.
    circuit: Option<CircuitState>,
    jobs: BTreeMap<JobState, u64>,
}

pub(super) fn run(args: &ProvidersArgs) -> Outcome {
    let api = args.remote.api()?;
    let answer = block_on(api.get("/v1/providers", &[]))??;
    args.remote.print(&answer, sheet)
}

fn sheet(page: &Page<Provider>) -> Sheet {
    if page.items.is_empty() {
        return Sheet::of("There is no provider in the config.");
    }
    let mut sheet = Sheet::default();
    sheet.table(&["NAME", "KIND", "CALLED", "JOBS"], page.items.iter().map(row));
    sheet
}

fn row(provider: &Provider) -> Vec<String> {
    let called = match (provider.gates.as_slice(), provider.circuit) {
        ([], Some(CircuitState::Open)) => "no, it fails; tried again soon".to_owned(),
        ([], Some(CircuitState::HalfOpen)) => "one job tries it".to_owned(),
        ([], Some(CircuitState::Closed) | None) if provider.dry_run => "dry run".to_owned(),
        ([], Some(CircuitState::Closed) | None) => "yes".to_owned(),
        (gates, _) => format!("no, {}", gates.iter().map(words::gate).collect::<Vec<_>>().join("; ")),
    };
    let jobs = provider.jobs.iter().filter(|(_, count)| **count > 0).map(|(state, count)| format!("{count} {state}"));
    vec![provider.name.to_string(), provider.kind.clone(), called, jobs.collect::<Vec<_>>().join(", ")]
}
