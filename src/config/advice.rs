//! What works and should be better, in the config as a whole.

use super::Config;
use super::load::Builder;
use crate::admin::{AdminSettings, Role};
use crate::settings::SecretRef;

impl Builder<'_> {
    pub(super) fn advice(&mut self, config: &Config) {
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
