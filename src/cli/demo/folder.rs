//! The demo's own folder: config, secrets, store and log. Only its user may read it.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::audit::SigningKey;
use crate::cli::init::{SECRET_MODE, random_word, webhook_secret, write_new};
use crate::cli::place::Place;

const TEMPLATE: &str = include_str!("sever.yaml");

/// A folder that nobody had before.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// In the system's folder for temporary files, with fresh secrets.
    pub(super) fn create() -> anyhow::Result<Self> {
        let name = format!("sever-demo-{}", uuid::Uuid::new_v4().simple());
        let folder = Self(std::env::temp_dir().join(name));
        for path in [folder.0.clone(), folder.0.join("secrets")] {
            let created = std::fs::DirBuilder::new().mode(0o700).create(&path);
            created.with_context(|| format!("cannot create {}; TMPDIR names another place", path.display()))?;
        }
        folder.keep(&folder.alert_secret(), &webhook_secret()?)?;
        folder.keep(&folder.operator_token(), &random_word()?)?;
        write_new(&folder.audit_key(), &SigningKey::generate()?, SECRET_MODE)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// What the sender of alerts signs with.
    pub(super) fn alert_secret(&self) -> PathBuf {
        self.0.join("secrets/edr")
    }

    /// What operators show.
    pub(super) fn operator_token(&self) -> PathBuf {
        self.0.join("secrets/oncall")
    }

    /// What the audit record is signed with.
    fn audit_key(&self) -> PathBuf {
        self.0.join("secrets/audit-key")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.0.join("sever.yaml")
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.0.join("sever.log")
    }

    /// Where log lines go.
    pub(super) fn log(&self) -> anyhow::Result<File> {
        let path = self.log_path();
        File::create(&path).with_context(|| format!("cannot create {}", path.display()))
    }

    /// Writes the config and the credential of each provider; where the config is.
    pub(super) fn write_config(
        &self,
        alerts: SocketAddr,
        operators: SocketAddr,
        places: &[Place],
    ) -> anyhow::Result<PathBuf> {
        let mut providers = String::new();
        for place in places {
            let mut references = Vec::new();
            for (position, secret) in place.admit_us()?.iter().enumerate() {
                let file = self.0.join("secrets").join(format!("{}-{}", place.name(), position + 1));
                self.keep(&file, secret)?;
                references.push(format!("{{file: {}}}", quoted(&file)));
            }
            providers.push_str(&place.settings(&references));
        }
        let revoke: Vec<String> = places.iter().map(|place| format!("{{provider: {}}}", place.name())).collect();
        let config = TEMPLATE
            .replace("@ALERTS@", &alerts.to_string())
            .replace("@OPERATORS@", &operators.to_string())
            .replace("@STORE@", &quoted(Path::new(&format!("sqlite://{}", self.0.join("sever.db").display()))))
            .replace("@EDR@", &quoted(&self.alert_secret()))
            .replace("@ONCALL@", &quoted(&self.operator_token()))
            .replace("@AUDIT@", &quoted(&self.audit_key()))
            .replace("@PROVIDERS@\n", &providers)
            .replace("@REVOKE@", &revoke.join(", "));
        write_new(&self.config(), &config, 0o644)?;
        Ok(self.config())
    }

    fn keep(&self, path: &Path, secret: &str) -> anyhow::Result<()> {
        write_new(path, &format!("{secret}\n"), SECRET_MODE)
    }

    pub(super) fn remove(&self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(&self.0).with_context(|| format!("cannot remove {}", self.0.display()))
    }
}

/// As YAML takes it, whatever characters are in it.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.display().to_string()).to_string()
}
