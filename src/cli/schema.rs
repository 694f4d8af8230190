//! `sever schema`: the JSON schemas, from the types themselves.

use anyhow::Context;
use clap::{Args, ValueEnum};
use schemars::Schema;

use super::{Outcome, out};
use crate::config::Config;
use crate::decode;

/// Arguments of `sever schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Which
    name: Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Alerts in our own format
    Alert,
    /// sever.yaml
    Config,
}

pub(super) fn run(args: SchemaArgs) -> Outcome {
    let schema = match args.name {
        Name::Alert => decode::sever::schema(),
        Name::Config => config_schema(),
    };
    out(&serde_json::to_string_pretty(&schema).context("the schema cannot be written")?);
    Ok(())
}

fn config_schema() -> Schema {
    let mut schema = schemars::schema_for!(Config);
    schema.insert("$id".to_owned(), "urn:sever:schema:config".into());
    schema.insert("title".to_owned(), "sever.yaml".into());
    schema
}
