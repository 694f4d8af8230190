//! `sever load`: how many alerts an installation carries, and whether each that it acknowledged arrives.
//!
//! Sends unique signed alerts, plays the provider that they lead to, and compares the two: what was acknowledged has to
//! arrive, once. Waits are counted from the moment at which an alert was to be sent, so that a service that stalls is
//! not flattered by a sender that waits for it.

mod own;
mod pace;
mod report;
mod sink;
mod volley;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;

use super::client::BaseUrl;
use super::signing::SigningArgs;
use super::{Failure, Outcome, block_on, err, out};
use crate::clock::{Clock, SystemClock};
use crate::domain::{ProviderName, Severity};
use crate::lifecycle::Lifecycle;
use crate::settings;
use own::OwnService;
use pace::Pace;
use report::Report;
use sink::Sink;
use volley::{Target, Volley};

/// Arguments of `sever load`.
#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    #[command(flatten)]
    signing: SigningArgs,
    /// The alert listener to load; left out, a sever of its own on this machine, with an embedded store in a temporary
    /// folder
    #[arg(long, value_name = "URL", requires = "sink")]
    url: Option<BaseUrl>,
    /// Where to play the provider: an Okta that answers at once. The provider of the loaded service's config (kind
    /// okta, any token) has to have http://ADDRESS as its url
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    sink: Option<SocketAddr>,
    /// The name of that provider in the config
    #[arg(long, value_name = "NAME", default_value = "okta")]
    provider: ProviderName,
    /// Alerts a second, sent on time whatever the answers (an open loop); left out, each connection sends its next alert
    /// once it has an answer (a closed loop)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Connections, and so the most alerts under way at once
    #[arg(long, value_name = "N", default_value = "64")]
    connections: NonZeroUsize,
    /// For how long alerts are sent
    #[arg(long, value_name = "TIME", default_value = "10s")]
    duration: settings::Duration,
    /// How long to wait for the rest to arrive at the provider
    #[arg(long, value_name = "TIME", default_value = "60s")]
    settle: settings::Duration,
    /// The `kind` of each alert; a rule of the config has to match it
    #[arg(long, default_value = "session_stolen")]
    kind: String,
    /// The `severity` of each alert
    #[arg(long, default_value = "critical", value_parser = severity)]
    severity: Severity,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

fn severity(word: &str) -> Result<Severity, String> {
    let known = || Severity::ALL.map(Severity::as_str).join(", ");
    Severity::ALL.into_iter().find(|it| it.as_str() == word).ok_or_else(|| format!("{word:?} is none of {}", known()))
}

pub(super) fn run(args: &LoadArgs) -> Outcome {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    match &args.url {
        None => block_on(load_own(args, &clock))?,
        Some(url) => block_on(load_theirs(args, url, &clock))?,
    }
}

/// A service of our own, in a process of its own, which ends with us.
async fn load_own(args: &LoadArgs, clock: &Arc<dyn Clock>) -> Outcome {
    let lifecycle = Lifecycle::new();
    let sink = Sink::start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(clock), &lifecycle).await?;
    let mut own = OwnService::start(sink.address()).await?;
    let target = own.target(args)?;
    let volley = fire(args, target, &sink, clock).await;
    let memory = own.peak_memory();
    lifecycle.start_drain();
    own.stop().await?;
    tell(args, &Report::new(&volley?, &sink, memory))
}

async fn load_theirs(args: &LoadArgs, url: &BaseUrl, clock: &Arc<dyn Clock>) -> Outcome {
    let signing = args.signing.prepare(|source| url.alerts(source?))?;
    let source = signing.source.clone().ok_or_else(|| Failure::Usage(anyhow!("--scheme needs --source too")))?;
    let url = url.alerts(&source).context("the URL has no place for a path")?;
    let address = args.sink.context("clap asks for it")?;
    let lifecycle = Lifecycle::new();
    let sink = Sink::start(address, Arc::clone(clock), &lifecycle).await?;
    err(&format!("sever: the provider {} is played at http://{}", args.provider, sink.address()));
    let volley = fire(args, Target { url, signing }, &sink, clock).await;
    lifecycle.start_drain();
    tell(args, &Report::new(&volley?, &sink, None))
}

async fn fire(args: &LoadArgs, target: Target, sink: &Sink, clock: &Arc<dyn Clock>) -> anyhow::Result<Volley> {
    let pace = Pace::new(args.rate, args.duration.0, Arc::clone(clock));
    let kind = volley::Kind { kind: args.kind.clone(), severity: args.severity, provider: args.provider.clone() };
    let connections = args.connections.get();
    err(&format!("sever: sending for {} over {connections} connections", args.duration));
    let volley = Volley::fire(target, kind, pace, connections).await?;
    err(&format!("sever: {} acknowledged; waiting for them to arrive at the provider", volley.acknowledged.len()));
    sink.wait_for(&volley.acknowledged, args.settle.0).await;
    Ok(volley)
}

fn tell(args: &LoadArgs, report: &Report) -> Outcome {
    if args.json {
        out(&serde_json::to_string(report).map_err(anyhow::Error::from)?);
    } else {
        report.sheet().print();
    }
    match report.problem() {
        None => Ok(()),
        Some(problem) => Err(Failure::Failed(anyhow!(problem))),
    }
}
