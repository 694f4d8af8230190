//! The config and its source, for commands that work without a service, and the body that they work on.

use std::io::Read;
use std::path::Path;

use anyhow::anyhow;

use super::{ConfigFile, Failure};
use crate::config::{Config, Document};
use crate::domain::SourceName;
use crate::ingest::SourceSettings;

/// As much as any source may take.
const LARGEST_BODY_BYTES: u64 = 64 << 20;

/// A config that was read, and one of its sources. No secret is looked up.
pub(super) struct Chosen {
    /// The file.
    pub(super) document: Document,
    /// What it says.
    pub(super) config: Config,
    /// The source.
    pub(super) name: SourceName,
    /// Its settings.
    pub(super) source: SourceSettings,
}

impl Chosen {
    /// The source of this name, or the only one.
    pub(super) fn read(file: &ConfigFile, name: Option<&SourceName>) -> Result<Self, Failure> {
        let document = Document::load(&file.config).map_err(|problems| Failure::Usage(anyhow!(problems)))?;
        let config: Config = document.decode().map_err(|problems| Failure::Usage(anyhow!(problems)))?;
        let found = match name {
            Some(name) => config.sources.get_key_value(name),
            None if config.sources.len() == 1 => config.sources.first_key_value(),
            None => None,
        };
        let Some((name, source)) = found else { return Err(Failure::Usage(anyhow!(which(file, name, &config)))) };
        let (name, source) = (name.clone(), source.clone());
        Ok(Self { document, config, name, source })
    }
}

fn which(file: &ConfigFile, name: Option<&SourceName>, config: &Config) -> String {
    let file = file.config.display();
    let known: Vec<_> = config.sources.keys().map(SourceName::as_str).collect();
    match (name, known.as_slice()) {
        (_, []) => format!("{file} has no source; add one under `sources`"),
        (Some(name), known) => format!("{file} has no source {name}; it has {}", known.join(", ")),
        (None, known) => format!("{file} has several sources; name one with --source: {}", known.join(", ")),
    }
}

/// The bytes of this file, or of standard input for `-`.
pub(super) fn read_body(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LARGEST_BODY_BYTES + 1).read_to_end(&mut body)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST_BODY_BYTES + 1).read_to_end(&mut body))
    };
    let name = path.display();
    match read {
        Ok(read) if read as u64 > LARGEST_BODY_BYTES => {
            let message = format!("{} is larger than any source takes (64 MiB); is it the right file?", name);
            Err(Failure::Usage(anyhow!(message)))
        }
        Ok(_) => Ok(body),
        Err(error) => Err(Failure::Usage(anyhow!("{} could not be read: {error}; mend the path", name))),
    }
}
