//! `sever sign`: the headers that make a body a delivery.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use http::Uri;

use super::signing::SigningArgs;
use super::source::read_body;
use super::{Failure, Outcome, out};
use crate::domain::SourceName;

/// Arguments of `sever sign`.
#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The body; - is standard input
    #[arg(value_name = "BODY", default_value = "-")]
    body: PathBuf,
    #[command(flatten)]
    signing: SigningArgs,
    /// rfc9421: the address that it will be posted to [default: the source's at http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    url: Option<Uri>,
}

/// Where the source's deliveries go on this machine.
fn here(source: &SourceName) -> Option<Uri> {
    format!("http://127.0.0.1:8080/v1/alerts/{source}").parse().ok()
}

pub(super) fn run(args: &SignArgs) -> Outcome {
    if args.signing.names_scheme() && args.signing.source.is_some() {
        return Err(Failure::Usage(anyhow!("--scheme needs no --source; leave one of them out")));
    }
    let signing = args.signing.prepare(|source| args.url.clone().or_else(|| here(source?)))?;
    let headers = signing.sign(&read_body(&args.body)?)?;
    // Not signed; without it, curl says that the body is a form.
    out("content-type: application/json");
    for (name, value) in headers {
        out(&format!("{name}: {}", value.to_str().context("a header is not text; use plain ASCII")?));
    }
    Ok(())
}
