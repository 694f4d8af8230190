//! What no part of a config can see alone: where two parts do not fit together.

use std::collections::HashMap;

use super::Config;
use super::check::nearest;
use super::load::Builder;
use crate::domain::SourceName;
use crate::ingest::{OPERATOR_SOURCE, SourceSettings};
use crate::settings::ByteSize;
use crate::verify::secret_marks;
use crate::worker::{LEASE, LEASE_MARGIN};

/// The largest body that a source may allow: it is held in memory, once for each request under way.
const LARGEST_BODY: ByteSize = ByteSize(64 << 20);

impl Builder<'_> {
    /// What no part can see alone.
    pub(super) fn relations(&mut self, config: &Config) {
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
}

fn may_share(config: &Config, one: &SourceName, other: &SourceName) -> bool {
    match (config.sources.get(one), config.sources.get(other)) {
        (Some(one), Some(other)) => {
            one.issuer.is_some() && one.issuer == other.issuer && one.verify.scheme == other.verify.scheme
        }
        _ => true,
    }
}
