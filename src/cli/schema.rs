//! `sever schema`: the JSON schemas and the description of the operator API, from the types themselves.

use anyhow::Context;
use clap::{Args, ValueEnum};
use schemars::Schema;

use super::{Outcome, out};
use crate::admin::openapi;
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
    /// The operator API, as an OpenAPI 3.1 document
    Openapi,
}

pub(super) fn run(args: SchemaArgs) -> Outcome {
    let text = match args.name {
        Name::Alert => serde_json::to_string_pretty(&decode::sever::schema()),
        Name::Config => serde_json::to_string_pretty(&config_schema()),
        Name::Openapi => serde_json::to_string_pretty(&openapi()),
    };
    out(&text.context("the schema cannot be written")?);
    Ok(())
}

fn config_schema() -> Schema {
    let mut schema = schemars::schema_for!(Config);
    schema.insert("$id".to_owned(), "urn:sever:schema:config".into());
    schema.insert("title".to_owned(), "sever.yaml".into());
    schema
}
