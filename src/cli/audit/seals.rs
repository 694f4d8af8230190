//! Seals: the newest of a service, and those that somebody kept in a file.

use std::path::Path;

use anyhow::anyhow;
use clap::Args;
use serde_json::Value;

use crate::audit::{Seal, Signed};
use crate::cli::client::Remote;
use crate::cli::text::plain_json;
use crate::cli::{Failure, Outcome, block_on, out};
use crate::store::Page;

/// Arguments of `sever audit seal`.
#[derive(Debug, Args)]
pub(super) struct SealArgs {
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: &SealArgs) -> Outcome {
    let answer = block_on(args.remote.api()?.get("/v1/audit/seals", &[("limit", "1".to_owned())]))??;
    let page: Page<Signed<Seal>> = answer.read()?;
    let message = "the record has no seal: set audit.signing_key in the config, and wait a minute";
    let seal = page.items.first().ok_or_else(|| Failure::Failed(anyhow!(message)))?;
    out(&plain_json(&serde_json::to_string(seal).map_err(anyhow::Error::from)?));
    Ok(())
}

/// The seals in a file: one as `sever audit seal` prints it, several, or lines of the service's log among others.
pub(super) fn from_file(path: &Path) -> Result<Vec<Signed<Seal>>, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(anyhow!("{name} could not be read: {error}; mend the path")))?;
    let whole: Result<Value, _> = serde_json::from_str(&text);
    let values = match whole {
        Ok(value) => vec![value],
        Err(_) => text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
    };
    let found: Vec<_> = values.iter().flat_map(found_in).collect();
    if found.is_empty() {
        let message = format!("{name} holds no seal; give a file that `sever audit seal` wrote, or the log in JSON");
        return Err(Failure::Usage(anyhow!(message)));
    }
    Ok(found)
}

fn found_in(value: &Value) -> Vec<Signed<Seal>> {
    if let Ok(seal) = serde_json::from_value(value.clone()) {
        return vec![seal];
    }
    match (&value["items"], &value["seal"]) {
        (Value::Array(items), _) => items.iter().flat_map(found_in).collect(),
        (_, Value::String(text)) => serde_json::from_str(text).map(|value| found_in(&value)).unwrap_or_default(),
        (_, inner @ Value::Object(_)) => found_in(inner),
        _ => Vec::new(),
    }
}
