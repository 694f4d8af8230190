//! The files of secrets that a config refers to, and marks by which a changed one is noticed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Config, Document};

/// What the secrets of each part look like, by the part's path: `providers.okta`. Two marks are equal where nothing changed;
/// nobody can find a secret from one that holds enough to be one, and they are kept in memory alone.
pub(super) fn marks(config: &Config) -> BTreeMap<String, [u8; 32]> {
    let sources = config.sources.iter().map(|(name, source)| (format!("sources.{name}"), mark(source)));
    let providers = config.providers.iter().map(|(name, provider)| (format!("providers.{name}"), mark(provider)));
    let tokens = config.admin.iter().map(|admin| ("admin.tokens".to_owned(), mark(&admin.tokens)));
    sources.chain(providers).chain(tokens).collect()
}

fn mark(settings: &impl Serialize) -> [u8; 32] {
    let mut digest = Sha256::new();
    for file in files(&serde_json::to_value(settings).unwrap_or_default()) {
        let content = std::fs::read(&file).unwrap_or_default();
        digest.update((content.len() as u64).to_be_bytes());
        digest.update(content);
    }
    digest.finalize().into()
}

/// The files of secrets that the config at `path` refers to, as far as it can be read; also those of one that is wrong, for
/// what is wrong may be one of them.
#[must_use]
pub fn secret_files(path: &std::path::Path) -> Vec<PathBuf> {
    Document::load(path).map(|document| files(&document.value())).unwrap_or_default()
}

/// Every `{file: PATH}`, wherever it stands.
fn files(value: &Value) -> Vec<PathBuf> {
    match value {
        Value::Object(map) => match (map.len(), map.get("file")) {
            (1, Some(Value::String(path))) => vec![PathBuf::from(path)],
            _ => map.values().flat_map(files).collect(),
        },
        Value::Array(items) => items.iter().flat_map(files).collect(),
        _ => Vec::new(),
    }
}
