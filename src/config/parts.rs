//! Each part of a config by itself: built, or every problem that it has.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::load::{Builder, Doors};
use super::{Config, StoreSettings};
use crate::admin::Tokens;
use crate::audit::AuditKeys;
use crate::clock::Clock;
use crate::decode::Decoder;
use crate::domain::{ProviderName, ScopeKind, SourceName, TargetName};
use crate::ingest::OPERATOR_SOURCE;
use crate::notify::Target;
use crate::policy::{KnownProviders, Policy, PolicySettings};
use crate::provider::{ProviderSettings, Providers};
use crate::settings::ByteSize;
use crate::store::{Routes, StoreUrl};
use crate::telemetry::trace::Collector;
use crate::tls::{ClientAuth, ServerTls, TlsSettings};
use crate::verify::Verifier;

impl Builder<'_> {
    pub(super) fn verifiers(&mut self, config: &Config) -> Option<BTreeMap<SourceName, Verifier>> {
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

    pub(super) fn decoders(&mut self, config: &Config) -> Option<BTreeMap<SourceName, Decoder>> {
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

    pub(super) fn providers(&mut self, config: &Config, clock: &Arc<dyn Clock>) -> Option<Providers> {
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

    pub(super) fn policy(&mut self, config: &Config) -> Option<Policy> {
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
    pub(super) fn tokens(&mut self, config: &Config) -> Option<Option<Tokens>> {
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

    pub(super) fn store(&mut self, settings: &StoreSettings) -> Option<StoreUrl> {
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

    pub(super) fn targets(&mut self, config: &Config) -> Vec<Target> {
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

    pub(super) fn routes(&mut self, config: &Config) -> Routes {
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

    pub(super) fn audit(&mut self, config: &Config) -> Option<AuditKeys> {
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

    pub(super) fn collector(&mut self, config: &Config) -> Option<Collector> {
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

    pub(super) fn doors(&mut self, config: &Config, clock: &Arc<dyn Clock>) -> Doors {
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
}

/// The scopes that each configured provider has.
#[must_use]
pub fn known_providers(providers: &BTreeMap<ProviderName, ProviderSettings>) -> KnownProviders {
    let scopes = [ScopeKind::All, ScopeKind::Web, ScopeKind::Mobile, ScopeKind::Sessions];
    let supported =
        |settings: &ProviderSettings| scopes.into_iter().filter(|scope| settings.kind().supports(*scope)).collect();
    providers.iter().map(|(name, settings)| (name.clone(), supported(settings))).collect()
}
