//! `sever serve`: runs until told to stop.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigFile, Failure, Logs, Outcome, block_on};
use crate::app::{App, Role};
use crate::clock::{Clock, SystemClock};
use crate::config::Loaded;
use crate::lifecycle::Lifecycle;
use crate::telemetry::init_logs;

/// Arguments of `sever serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// What this process does: everything, or with PostgreSQL only the intake or only the work
    #[arg(long, value_enum, default_value = "all")]
    role: Role,
    #[command(flatten)]
    logs: Logs,
}

pub(super) fn run(args: ServeArgs) -> Outcome {
    init_logs(args.logs.log_format);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let loaded = Loaded::from_file(&args.file.config, &clock).map_err(|problems| Failure::Usage(anyhow!(problems)))?;
    for warning in loaded.warnings.iter() {
        tracing::warn!(path = %warning.path, line = warning.line, "{}", warning.message);
    }
    args.role.fits(&loaded.store).map_err(|problem| Failure::Usage(anyhow!(problem)))?;
    block_on(serve(loaded, clock, args.role))?
}

async fn serve(loaded: Loaded, clock: Arc<dyn Clock>, role: Role) -> Outcome {
    let lifecycle = Lifecycle::new();
    let app = App::new(loaded, clock, lifecycle.clone()).await?.with_role(role);
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let addresses = app.start().await?;
    tracing::info!(alerts = %addresses.alerts, admin = ?addresses.admin, metrics = ?addresses.metrics, "listening");
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                tracing::info!("SIGHUP: reading the config again");
                // What comes of it is told in the log.
                let _ = app.reloader.reload().await;
                continue;
            }
            _ = terminate.recv() => tracing::info!("SIGTERM: finishing what runs"),
            _ = interrupt.recv() => tracing::info!("SIGINT: finishing what runs"),
            () = lifecycle.draining() => {}
        }
        break;
    }
    app.finish().await;
    if lifecycle.has_failed() {
        return Err(Failure::Failed(anyhow!("a part of the service stopped unasked; the log has the reason")));
    }
    tracing::info!("stopped");
    Ok(())
}
