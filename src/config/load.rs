//! From a document to parts that are ready to run, or to every problem at once.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::nearest;
use super::{Config, Document, Problems, StoreSettings, secrets};
use crate::admin::{AdminSettings, Role, Tokens};
use crate::audit::AuditKeys;
use crate::clock::Clock;
use crate::decode::Decoder;
use crate::domain::{ProviderName, ScopeKind, SourceName, TargetName};
use crate::ingest::{OPERATOR_SOURCE, SourceSettings};
use crate::notify::Target;
use crate::policy::{KnownProviders, Policy, PolicySettings};
use crate::provider::{ProviderSettings, Providers};
use crate::settings::{ByteSize, SecretRef};
use crate::store::{Retention, Routes, StoreUrl};
use crate::telemetry::trace::Collector;
use crate::tls::{ClientAuth, ServerTls, TlsSettings};
use crate::verify::{Verifier, secret_marks};
use crate::worker::{LEASE, LEASE_MARGIN};

/// The largest body that a source may allow: it is held in memory, once for each request under way.
const LARGEST_BODY: ByteSize = ByteSize(64 << 20);

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

struct Builder<'a> {
    path: &'a Path,
    document: &'a Document,
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

    fn error(&mut self, path: &str, message: impl Into<String>) {
        let problem = self.document.problem(path, message);
        self.problems.push(problem);
    }

    fn warn(&mut self, path: &str, message: impl Into<String>) {
        let problem = self.document.problem(path, message).as_warning();
        self.problems.push(problem);
    }

    fn verifiers(&mut self, config: &Config) -> Option<BTreeMap<SourceName, Verifier>> {
        let mut verifiers = BTreeMap::new();
        for (name, source) in &config.sources {
            if name.as_str() == OPERATOR_SOURCE {
                let message = "is the name under which revocations of operators are shown; choose another";
                self.error(&format!("sources.{name}"), message);
            }
            match Verifier::new(name.clone(), &source.verify) {
                Ok(verifier) => {
                    verifiers.insert(name.clone(), verifier);
                }
                Err(found) => {
                    for problem in found {
                        self.error(&format!("sources.{name}.verify.{}", problem.field), problem.message);
                    }
                }
            }
            for warning in source.verify.warnings(source.client_subjects.is_some()) {
                self.warn(&format!("sources.{name}.verify"), warning.to_string());
            }
        }
        (verifiers.len() == config.sources.len()).then_some(verifiers)
    }

    fn decoders(&mut self, config: &Config) -> Option<BTreeMap<SourceName, Decoder>> {
        let mut decoders = BTreeMap::new();
        for (name, source) in &config.sources {
            match Decoder::new(source.format, source.alert.as_ref()) {
                Ok(decoder) => {
                    self.unmapped(name, source.max_body(), &decoder);
                    decoders.insert(name.clone(), decoder);
                }
                Err(found) => {
                    for (field, message) in found {
                        self.error(&format!("sources.{name}.{field}"), message);
                    }
                }
            }
        }
        (decoders.len() == config.sources.len()).then_some(decoders)
    }

    /// No error: a batch of CloudEvents may be larger than each of its events.
    fn unmapped(&mut self, name: &SourceName, max_body: ByteSize, decoder: &Decoder) {
        if decoder.most_bytes().is_some_and(|most| max_body.as_usize() > most) {
            let message = "a mapping reads at most 1 MiB: a larger body is kept in quarantine, unless it is a batch of \
                           CloudEvents of which none is larger";
            self.warn(&format!("sources.{name}.webhook.max_body"), message);
        }
    }

    fn providers(&mut self, config: &Config, clock: &Arc<dyn Clock>) -> Option<Providers> {
        match Providers::build(&config.providers, clock) {
            Ok(providers) => Some(providers),
            Err(found) => {
                for (field, message) in found {
                    self.error(&format!("providers.{field}"), message);
                }
                None
            }
        }
    }

    fn policy(&mut self, config: &Config) -> Option<Policy> {
        let settings = PolicySettings { rules: config.rules.clone(), guardrails: config.guardrails.clone() };
        match Policy::new(&settings, &known_providers(&config.providers)) {
            Ok(policy) => Some(policy),
            Err(found) => {
                for (path, message) in found {
                    self.error(&path, message);
                }
                None
            }
        }
    }

    /// Outer `None`: wrong. Inner `None`: there is no operator API.
    fn tokens(&mut self, config: &Config) -> Option<Option<Tokens>> {
        let Some(admin) = &config.admin else { return Some(None) };
        match Tokens::new(admin) {
            Ok(tokens) => Some(Some(tokens)),
            Err(found) => {
                for (path, message) in found {
                    self.error(&path, message);
                }
                None
            }
        }
    }

    fn store(&mut self, settings: &StoreSettings) -> Option<StoreUrl> {
        match settings.locate() {
            Ok(url) => {
                let StoreUrl::Postgres(inner) = &url else { return Some(url) };
                if matches!(settings, StoreSettings::Url(_)) && inner.has_password() {
                    self.warn("store", "the URL holds a password; write `store: {url: {env: NAME}}` and keep it there");
                }
                Some(url)
            }
            Err(message) => {
                self.error("store", message);
                None
            }
        }
    }

    fn targets(&mut self, config: &Config) -> Vec<Target> {
        let mut targets = Vec::new();
        for (name, settings) in &config.notify {
            match Target::new(name, settings) {
                Ok(target) => targets.push(target),
                Err(found) => {
                    for (key, message) in found {
                        let dot = if key.is_empty() { "" } else { "." };
                        self.error(&format!("notify.{name}{dot}{key}"), message);
                    }
                }
            }
        }
        targets
    }

    fn routes(&mut self, config: &Config) -> Routes {
        let sources = config.sources.iter().map(|(name, source)| (format!("sources.{name}"), &source.notify));
        let rules = config.rules.iter().enumerate().map(|(at, rule)| (format!("rules[{at}]"), &rule.notify));
        for (place, names) in sources.chain(rules) {
            for (position, name) in names.iter().flatten().enumerate() {
                if !config.notify.contains_key(name) {
                    let known: Vec<_> = config.notify.keys().map(TargetName::as_str).collect();
                    let message = format!("there is no {name} under `notify`; it has: {}", known.join(", "));
                    self.error(&format!("{place}.notify[{position}]"), message);
                }
            }
        }
        let set = |names: &Vec<TargetName>| names.iter().cloned().collect();
        let by_source = config.sources.iter().filter_map(|(name, it)| Some((name.clone(), set(it.notify.as_ref()?))));
        let by_rule = config.rules.iter().filter_map(|it| Some((it.name.clone(), set(it.notify.as_ref()?))));
        Routes {
            targets: config.notify.iter().map(|(name, it)| (name.clone(), it.kinds())).collect(),
            by_source: by_source.collect(),
            by_rule: by_rule.collect(),
        }
    }

    fn audit(&mut self, config: &Config) -> Option<AuditKeys> {
        if config.audit.signing_key.is_none() {
            let message = "there is no `signing_key`: the record is not sealed, so that cutting it off or making it anew \
                           would not show, and it grows for ever; make one with `openssl genpkey -algorithm ed25519`";
            self.warn("audit", message);
        }
        if config.retention.audit < config.retention.jobs {
            let message = "keep the record for at least as long as `jobs`, whose attempts are told there alone";
            self.error("retention.audit", message);
        }
        config.audit.keys().map_err(|found| found.into_iter().for_each(|(path, it)| self.error(&path, it))).ok()
    }

    fn collector(&mut self, config: &Config) -> Option<Collector> {
        let otlp = config.telemetry.otlp.as_ref()?;
        if cfg!(not(feature = "otel")) {
            let message = "this build of sever records no traces; build it with `--features otel`, or remove the key";
            self.error("telemetry.otlp", message);
        }
        if let Some(message) = otlp.warning() {
            self.warn("telemetry.otlp.headers", message);
        }
        let told = |found: Vec<(String, String)>| {
            found.into_iter().for_each(|(key, message)| self.error(&format!("telemetry.otlp.{key}"), message));
        };
        otlp.collector().map_err(told).ok()
    }

    fn doors(&mut self, config: &Config, clock: &Arc<dyn Clock>) -> Doors {
        let listen = config.listen.detailed();
        let admin = config.admin.as_ref().and_then(|admin| admin.tls.as_ref());
        let metrics = config.metrics.as_ref().and_then(|metrics| metrics.tls.as_ref());
        Doors {
            alerts: self.door("listen", listen.tls.as_ref(), ClientAuth::Optional, clock),
            admin: self.door("admin", admin, ClientAuth::Required, clock),
            metrics: self.door("metrics", metrics, ClientAuth::Required, clock),
        }
    }

    fn door(
        &mut self,
        key: &'static str,
        settings: Option<&TlsSettings>,
        auth: ClientAuth,
        clock: &Arc<dyn Clock>,
    ) -> Option<Arc<ServerTls>> {
        match ServerTls::new(key, settings?, auth, clock.now()) {
            Ok((tls, warnings)) => {
                warnings.into_iter().for_each(|(field, message)| self.warn(&format!("{key}.tls.{field}"), message));
                Some(Arc::new(tls))
            }
            Err(found) => {
                found.into_iter().for_each(|(field, message)| self.error(&format!("{key}.tls.{field}"), message));
                None
            }
        }
    }

    /// What no part can see alone.
    fn relations(&mut self, config: &Config) {
        for (name, provider) in &config.providers {
            // A lease is renewed at a third of it, so two thirds are left at any time.
            let most = LEASE * 2 / 3 - LEASE_MARGIN;
            if provider.common().timeout.0 > most {
                let message = format!("a call must end well within its lease of {LEASE:?}: use at most {most:?}");
                self.error(&format!("providers.{name}.timeout"), message);
            }
        }
        for (name, source) in &config.sources {
            let door = if source.amqp.is_some() { "amqp" } else { "webhook" };
            if source.max_body() > LARGEST_BODY {
                self.error(&format!("sources.{name}.{door}.max_body"), format!("use at most {LARGEST_BODY}"));
            }
        }
        self.client_subjects(config);
        self.queues(config);
        self.guards_outlive_alerts(config);
        self.shared_secrets(config);
        self.budgets_of_sources(config);
    }

    /// A budget of a source that is not there would bound nothing.
    fn budgets_of_sources(&mut self, config: &Config) {
        for (position, budget) in config.guardrails.budgets.iter().enumerate() {
            let Some(source) = &budget.source else { continue };
            if source.as_str() != OPERATOR_SOURCE && !config.sources.contains_key(source) {
                let known: Vec<_> = config.sources.keys().map(SourceName::as_str).chain([OPERATOR_SOURCE]).collect();
                let message = format!("there is no such source; {}", nearest(source.as_str(), &known));
                self.error(&format!("guardrails.budgets[{position}].source"), message);
            }
        }
    }

    /// Whoever is to be known by a certificate has to be asked for it.
    fn client_subjects(&mut self, config: &Config) {
        let asks = config.listen.detailed().tls.is_some_and(|tls| tls.client_ca.is_some());
        let mut is_used = false;
        for (name, source) in &config.sources {
            let Some(subjects) = &source.client_subjects else { continue };
            is_used = true;
            let place = format!("sources.{name}.client_subjects");
            if subjects.is_empty() {
                self.error(&place, "names nobody, so nobody could deliver; name a subject, or remove the key");
            }
            if !source.takes_webhooks() {
                self.error(&place, "is for webhooks; who may publish to a queue is the broker's to say");
            } else if !asks {
                self.error(&place, "nobody is asked for a certificate; set `listen.tls.client_ca`");
            }
        }
        if asks && !is_used {
            let message =
                "has no effect yet: no source has `client_subjects`, so whoever shows no certificate is let in";
            self.warn("listen.tls.client_ca", message);
        }
    }

    /// Queues, each by itself and against the others.
    fn queues(&mut self, config: &Config) {
        let mut known: HashMap<(String, u16, String, &str), &SourceName> = HashMap::new();
        for (name, source) in &config.sources {
            let Some(amqp) = &source.amqp else { continue };
            let place = format!("sources.{name}.amqp");
            if source.webhook.is_some() {
                self.error(&place, "a source has `webhook` or `amqp`; make two, which share `issuer` and secret");
            }
            for (key, message) in amqp.problems() {
                self.error(&format!("{place}.{key}"), message);
            }
            for (key, message) in amqp.warnings() {
                self.warn(&format!("{place}.{key}"), message);
            }
            self.settings_without_effect(name, source);
            for (_, address) in amqp.addresses() {
                let queue =
                    (address.host().to_lowercase(), address.port(), address.vhost().to_owned(), amqp.queue.as_str());
                if let Some(other) = known.insert(queue, name).filter(|other| *other != name) {
                    let message = format!("is also the queue of {other}; each message would go to only one of them");
                    self.error(&format!("{place}.queue"), message);
                    break;
                }
            }
        }
    }

    /// What means something to webhooks alone, or should be otherwise for a queue.
    fn settings_without_effect(&mut self, name: &SourceName, source: &SourceSettings) {
        if source.limit.is_some() {
            self.warn(&format!("sources.{name}.limit"), "has no effect on a queue; `prefetch` bounds it");
        }
        if source.on_undecodable.is_some() {
            self.warn(&format!("sources.{name}.on_undecodable"), "has no effect on a queue, which gets no answer");
        }
        if source.verify.tolerance.is_none() {
            let message = "no `tolerance` is set: whatever waits in the queue for more than 5m goes to quarantine; \
                           24h suits a queue";
            self.warn(&format!("sources.{name}.verify"), message);
        }
    }

    /// An alert is known as long as its jobs are kept; a repeat of its delivery may pass for twice the tolerance.
    fn guards_outlive_alerts(&mut self, config: &Config) {
        let longest = config.sources.values().filter_map(|source| source.verify.tolerance).max();
        if longest.is_some_and(|tolerance| config.retention.jobs.0 < tolerance.0 * 2) {
            self.error("retention.jobs", "keep jobs for at least twice the longest `tolerance` of the sources");
        }
    }

    /// Whoever knows one source's secret could sign for the other.
    fn shared_secrets(&mut self, config: &Config) {
        let mut known: HashMap<[u8; 32], &SourceName> = HashMap::new();
        for (name, source) in &config.sources {
            for (position, reference) in source.verify.secrets.iter().enumerate() {
                let Ok(secret) = reference.resolve() else { continue };
                let others: Vec<_> =
                    secret_marks(secret.expose()).into_iter().filter_map(|mark| known.insert(mark, name)).collect();
                if let Some(other) = others.into_iter().find(|other| *other != name && !may_share(config, name, other))
                {
                    let message = format!(
                        "is also a secret of {other}; give each source its own, or the same `issuer` and scheme"
                    );
                    self.error(&format!("sources.{name}.verify.secrets[{position}]"), message);
                }
            }
        }
    }

    fn advice(&mut self, config: &Config) {
        if config.admin.is_none() {
            self.warn("", "there is no `admin`: nobody can look in, approve or replay");
        }
        for (key, empty) in [
            ("sources", config.sources.is_empty()),
            ("providers", config.providers.is_empty()),
            ("rules", config.rules.is_empty()),
        ] {
            if empty {
                self.warn(key, format!("there are no `{key}`: no session will ever end"));
            }
        }
        if config.guardrails.budgets.is_empty() {
            let message =
                "is empty: one wrong rule or sender may sign everybody out; bound it, as in [{users: 100, per: 10m}]";
            self.warn("guardrails.budgets", message);
        }
        if config.guardrails.four_eyes && config.admin.as_ref().is_some_and(|admin| operators(admin) < 2) {
            let message = "asks for two operators, and `admin.tokens` has fewer: nobody can approve what one asked for";
            self.warn("guardrails.four_eyes", message);
        }
        for path in secrets_in_the_open(&self.document.value()) {
            self.warn(&path, "the secret stands in the file; use {env: NAME} or {file: PATH}");
        }
    }
}

fn operators(admin: &AdminSettings) -> usize {
    admin.tokens.iter().filter(|token| token.role == Role::Operator).count()
}

fn may_share(config: &Config, one: &SourceName, other: &SourceName) -> bool {
    match (config.sources.get(one), config.sources.get(other)) {
        (Some(one), Some(other)) => {
            one.issuer.is_some() && one.issuer == other.issuer && one.verify.scheme == other.verify.scheme
        }
        _ => true,
    }
}

/// The scopes that each configured provider has.
#[must_use]
pub fn known_providers(providers: &BTreeMap<ProviderName, ProviderSettings>) -> KnownProviders {
    let scopes = [ScopeKind::All, ScopeKind::Web, ScopeKind::Mobile, ScopeKind::Sessions];
    let supported =
        |settings: &ProviderSettings| scopes.into_iter().filter(|scope| settings.kind().supports(*scope)).collect();
    providers.iter().map(|(name, settings)| (name.clone(), supported(settings))).collect()
}

/// Places that hold `{value: ...}`.
fn secrets_in_the_open(value: &serde_json::Value) -> Vec<String> {
    fn walk(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                if map.len() == 1 && serde_json::from_value::<SecretRef>(value.clone()).is_ok_and(is_open) {
                    found.push(path.to_owned());
                }
                for (key, value) in map {
                    let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(value, &inner, found);
                }
            }
            serde_json::Value::Array(items) => {
                for (position, item) in items.iter().enumerate() {
                    walk(item, &format!("{path}[{position}]"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

fn is_open(reference: SecretRef) -> bool {
    matches!(reference, SecretRef::Value(_))
}
