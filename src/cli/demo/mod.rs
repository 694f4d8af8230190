//! `sever demo`: the whole pipeline on this machine, with stand-ins of the providers.
//!
//! Nothing is pretended on our side: the config is a file that the usual loader reads, the service is the one that
//! `sever serve` runs, alerts are signed and sent over HTTP. What is left of a person's sessions is read from the
//! stand-in, never concluded from what the service says.

mod facts;
mod folder;
mod http;
mod operator;
mod scene;
mod sender;
mod stage;
mod summary;
mod tell;
mod watch;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;

use super::stop::Stop;
use super::{Failure, Outcome, block_on, err, out};
use crate::app::{Addresses, App};
use crate::cli::place::Place;
use crate::clock::{Clock, SystemClock};
use crate::config::Loaded;
use crate::lifecycle::Lifecycle;
use crate::sandbox::Sandbox;
use crate::telemetry::{LogFormat, init_logs_to};
use folder::Folder;
use operator::Operator;
use scene::SCENES;
use sender::Sender;
use stage::{Played, Stage};

/// Arguments of `sever demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// End after the scenes; status 0 only if everything was seen as it should be
    #[arg(long)]
    exit: bool,
    /// First of the ports on 127.0.0.1: alerts, operators, the stand-ins' control, one for each stand-in. 0: any free
    #[arg(long, value_name = "PORT", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=65_000))]
    port: u16,
}

pub(super) fn run(args: &DemoArgs) -> Outcome {
    let folder = Folder::create()?;
    init_logs_to(LogFormat::Text, std::sync::Mutex::new(folder.log()?), false);
    let played = block_on(perform(args, &folder)).and_then(|outcome| outcome);
    match &played {
        Ok(()) if args.exit => folder.remove()?,
        Ok(()) => out(&format!("Left behind: {}", folder.path().display())),
        Err(_) => err(&format!("The config, the store and the log are in {}", folder.path().display())),
    }
    played
}

/// Everything that runs.
struct Running {
    sandbox: Sandbox,
    places: Vec<Place>,
    app: App,
    addresses: Addresses,
    clock: Arc<dyn Clock>,
    lifecycle: Lifecycle,
}

async fn perform(args: &DemoArgs, folder: &Folder) -> Outcome {
    let mut stop = Stop::new()?;
    let running = Running::start(args.port, folder).await?;
    tell::opening(&running, folder);
    let outcome = tokio::select! {
        outcome = show(args, &running, folder) => outcome,
        () = stop.told() => stopped(args, &running),
        () = running.lifecycle.draining() => Err(Failure::Failed(anyhow!("a part of the service stopped unasked"))),
    };
    running.finish().await;
    outcome
}

/// Being told to stop is how a demo that stays up ends; one that was to judge the scenes has not done so.
fn stopped(args: &DemoArgs, running: &Running) -> Outcome {
    out("");
    out("Stopping: what runs is finished first.");
    match args.exit || running.lifecycle.has_failed() {
        true => Err(Failure::Failed(anyhow!("stopped before every scene was seen"))),
        false => Ok(()),
    }
}

/// Plays every scene and judges them. Without `--exit` it goes on until it is cancelled.
async fn show(args: &DemoArgs, running: &Running, folder: &Folder) -> Outcome {
    let sender = Sender::new(folder, running.addresses.alerts, Arc::clone(&running.clock))?;
    let admin = running.addresses.admin.context("the demo's config has an operator API, and none was started")?;
    let stage = Stage { running, sender, operator: Operator::new(folder, admin)? };
    let mut played = Vec::with_capacity(SCENES.len());
    for (position, scene) in SCENES.iter().enumerate() {
        played.push(stage.play(position + 1, scene).await?);
    }
    played.iter_mut().for_each(Played::look_again);
    summary::print(&played);
    let verdict = judge(&played);
    if !args.exit {
        if let Err(Failure::Failed(difference)) = &verdict {
            err(&format!("sever: {difference}"));
        }
        tell::how_to_look_around(running, folder);
        std::future::pending::<()>().await;
    }
    verdict
}

/// Fine only if every scene was seen as it should be.
fn judge(played: &[Played<'_>]) -> Outcome {
    let differing: Vec<&str> = played.iter().filter(|played| !played.is_fine()).map(|played| played.name).collect();
    match differing.as_slice() {
        [] if !played.is_empty() => Ok(()),
        [] => Err(Failure::Failed(anyhow!("no scene was played"))),
        names => Err(Failure::Failed(anyhow!("not as it should be: {}", names.join("; ")))),
    }
}

impl Running {
    async fn start(port: u16, folder: &Folder) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let sandbox = Sandbox::start(local(port, 2), Arc::clone(&clock))
            .await
            .context("the stand-ins cannot listen; choose another --port")?;
        let places = Place::all(&sandbox);
        let config = folder.write_config(local(port, 0), local(port, 1), &places)?;
        let loaded = Loaded::from_file(&config, &clock).map_err(|problems| anyhow!(problems))?;
        let lifecycle = Lifecycle::new();
        let app = App::new(loaded, Arc::clone(&clock), lifecycle.clone()).await?;
        let addresses = app.start().await?;
        Ok(Self { sandbox, places, app, addresses, clock, lifecycle })
    }

    async fn finish(&self) {
        self.app.finish().await;
        self.sandbox.shutdown().await;
    }
}

/// An address of this machine; port 0 stays 0, which is any free one.
fn local(port: u16, offset: u16) -> SocketAddr {
    let port = if port == 0 { 0 } else { port.saturating_add(offset) };
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::facts::Facts;
    use super::*;

    fn played(seen: Facts) -> Played<'static> {
        let (changed, residents) = (Vec::new(), Vec::new());
        Played { name: "a scene", expected: Facts::default(), seen, took: None, changed, residents }
    }

    #[test]
    fn one_scene_that_differs_makes_the_whole_fail() {
        let other = Facts { quarantined: 1, ..Facts::default() };
        assert!(judge(&[played(Facts::default())]).is_ok());
        let outcome = judge(&[played(Facts::default()), played(other)]);
        assert!(matches!(outcome, Err(Failure::Failed(error)) if error.to_string().contains("a scene")));
    }

    #[test]
    fn what_changed_after_the_scene_counts_too() {
        let late = Played { changed: vec!["one more call".to_owned()], ..played(Facts::default()) };
        assert!(judge(&[late]).is_err());
    }

    #[test]
    fn nothing_played_proves_nothing() {
        assert!(judge(&[]).is_err());
    }
}
