//! `sever check`: every problem of a config at once.

use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;

use super::{ConfigFile, Failure, Outcome, block_on, err, out, queues};
use crate::clock::{Clock, SystemClock};
use crate::config::Loaded;
use crate::domain::ProviderName;
use crate::provider::{Configured, CredentialReport};

/// Arguments of `sever check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Also try every credential at its provider or broker; changes nothing there
    #[arg(long)]
    online: bool,
}

pub(super) fn run(args: &CheckArgs) -> Outcome {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let loaded = Loaded::from_file(&args.file.config, &clock).map_err(|problems| Failure::Usage(anyhow!(problems)))?;
    if !loaded.warnings.is_empty() {
        err(&loaded.warnings.to_string());
    }
    if args.online {
        block_on(check_all(&loaded))??;
    }
    out(&format!(
        "{}: {} sources, {} providers, {} rules: fine",
        args.file.config.display(),
        loaded.config.sources.len(),
        loaded.config.providers.len(),
        loaded.config.rules.len()
    ));
    Ok(())
}

async fn check_all(loaded: &Loaded) -> Outcome {
    if loaded.config.notify.is_empty() {
        err("no `notify`: nobody is told of jobs that wait for a person; name somebody under `notify`");
    }
    let mut failed = 0;
    for (name, configured) in loaded.providers.iter() {
        failed += usize::from(!check_one(name, configured).await);
    }
    let mut queues = 0;
    for (name, source) in &loaded.config.sources {
        if let Some(amqp) = &source.amqp {
            queues += usize::from(!queues::check(name, amqp).await);
        }
    }
    let providers = (failed > 0).then(|| format!("{failed} provider(s) do not take us as we are"));
    let queues = (queues > 0).then(|| format!("{queues} queue(s) are not as they should be"));
    let faults: Vec<_> = providers.into_iter().chain(queues).collect();
    if faults.is_empty() { Ok(()) } else { Err(Failure::Failed(anyhow!(faults.join(", ")))) }
}

/// Whether everything that sever does there would work.
async fn check_one(name: &ProviderName, configured: &Configured) -> bool {
    match configured.provider.check().await {
        Ok(report) => {
            describe(name, &report);
            report.missing.is_empty()
        }
        Err(error) => {
            err(&format!("{name}: {error}"));
            false
        }
    }
}

fn describe(name: &ProviderName, report: &CredentialReport) {
    out(&format!("{name}: signed in as {}", report.identity));
    for (word, list) in [("missing", &report.missing), ("not needed", &report.excess), ("unchecked", &report.unchecked)]
    {
        for permission in list {
            out(&format!("{name}: {word}: {permission}"));
        }
    }
}
