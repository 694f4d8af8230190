//! From a document to parts that are ready to run, or to every problem at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Config, Document, Problems, secrets};
use crate::admin::Tokens;
use crate::audit::AuditKeys;
use crate::clock::Clock;
use crate::decode::Decoder;
use crate::domain::SourceName;
use crate::notify::Target;
use crate::policy::Policy;
use crate::provider::Providers;
use crate::store::{Retention, Routes, StoreUrl};
use crate::telemetry::trace::Collector;
use crate::tls::ServerTls;
use crate::verify::Verifier;

/// A config whose every part was built.
pub struct Loaded {
    /// Where it was read.
    pub path: PathBuf,
    /// SHA-256 of what was read.
    pub digest: [u8; 32],
    /// What the file says.
    pub config: Config,
    /// By which a changed secret is noticed, by the path of the part that it belongs to.
    pub marks: BTreeMap<String, [u8; 32]>,
    /// Who is believed, by source.
    pub verifiers: BTreeMap<SourceName, Verifier>,
    /// How their alerts are read, by source.
    pub decoders: BTreeMap<SourceName, Decoder>,
    /// Clients of the providers.
    pub providers: Providers,
    /// Rules and guardrails.
    pub policy: Policy,
    /// Who may operate.
    pub tokens: Option<Tokens>,
    /// Where jobs are kept.
    pub store: StoreUrl,
    /// How long.
    pub retention: Retention,
    /// What seals the audit record, and whose seals are believed.
    pub audit_keys: AuditKeys,
    /// Who is told.
    pub targets: Vec<Target>,
    /// Of what.
    pub routes: Routes,
    /// TLS of the listeners that have it.
    pub doors: Doors,
    /// Where traces go.
    pub collector: Option<Collector>,
    /// What works and should be better.
    pub warnings: Problems,
}

/// TLS of each listener, where it has any.
#[derive(Debug, Default)]
pub struct Doors {
    /// Alerts.
    pub alerts: Option<Arc<ServerTls>>,
    /// Operators.
    pub admin: Option<Arc<ServerTls>>,
    /// Metrics.
    pub metrics: Option<Arc<ServerTls>>,
}

impl Doors {
    /// Those that there are.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ServerTls>> {
        [&self.alerts, &self.admin, &self.metrics].into_iter().flatten()
    }
}

impl Loaded {
    /// Reads the file and builds every part. Changes nothing, and calls nobody.
    pub fn from_file(path: &Path, clock: &Arc<dyn Clock>) -> Result<Self, Problems> {
        let document = Document::load(path)?;
        let config = document.decode()?;
        Builder { path, document: &document, problems: document.problems() }.build(config, clock)
    }
}

pub(super) struct Builder<'a> {
    path: &'a Path,
    pub(super) document: &'a Document,
    problems: Problems,
}

impl Builder<'_> {
    fn build(mut self, config: Config, clock: &Arc<dyn Clock>) -> Result<Loaded, Problems> {
        // Before the secrets are read: one that changes in between is then noticed.
        let marks = secrets::marks(&config);
        let verifiers = self.verifiers(&config);
        let decoders = self.decoders(&config);
        let providers = self.providers(&config, clock);
        let policy = self.policy(&config);
        let tokens = self.tokens(&config);
        let store = self.store(&config.store);
        let audit = self.audit(&config);
        let (targets, routes) = (self.targets(&config), self.routes(&config));
        let doors = self.doors(&config, clock);
        let collector = self.collector(&config);
        self.relations(&config);
        self.advice(&config);
        let parts = (verifiers, decoders, providers, policy, tokens, store);
        let (Some(verifiers), Some(decoders), Some(providers), Some(policy), Some(tokens), Some(store)) = parts else {
            return Err(self.problems);
        };
        let Some(audit_keys) = audit else { return Err(self.problems) };
        if self.problems.has_errors() {
            return Err(self.problems);
        }
        let kept = &config.retention;
        let retention = Retention { jobs: kept.jobs.0, ignored: kept.ignored.0, quarantine: kept.quarantine.0 };
        let (path, digest, warnings) = (self.path.to_owned(), self.document.digest(), self.problems);
        Ok(Loaded {
            path,
            digest,
            config,
            marks,
            verifiers,
            decoders,
            providers,
            policy,
            tokens,
            store,
            retention,
            audit_keys,
            targets,
            routes,
            doors,
            collector,
            warnings,
        })
    }

    pub(super) fn error(&mut self, path: &str, message: impl Into<String>) {
        let problem = self.document.problem(path, message);
        self.problems.push(problem);
    }

    pub(super) fn warn(&mut self, path: &str, message: impl Into<String>) {
        let problem = self.document.problem(path, message).as_warning();
        self.problems.push(problem);
    }
}
