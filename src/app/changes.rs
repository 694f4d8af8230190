//! What differs between two configs, and which of it a running process can take on. Pure.
//!
//! What is not named here as taken on needs a restart, so a new key is never half in use.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::config::{Config, Loaded};

/// Keys that are taken on as a whole.
const TAKEN_ON: [&str; 3] = ["rules", "guardrails", "retention"];

/// Keys of which each entry is taken on by itself.
const BY_ENTRY: [&str; 2] = ["sources", "providers"];

/// Keys below others that are taken on.
const TAKEN_ON_BELOW: [&str; 2] = ["admin.tokens", "admin.hosts"];

/// A config as far as it is compared. Holds whatever the file holds, so it is never shown.
pub(super) struct Summary {
    settings: Map<String, Value>,
    marks: BTreeMap<String, [u8; 32]>,
}

/// The paths of what differs; no value is among them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// What is taken on.
    pub(super) live: BTreeSet<String>,
    /// What needs a restart.
    pub(super) fixed: BTreeSet<String>,
}

impl Summary {
    pub(super) fn of(loaded: &Loaded) -> Self {
        Self { settings: settings(&loaded.config), marks: loaded.marks.clone() }
    }
}

/// An address alone and one with limits are the same setting in two spellings.
fn settings(config: &Config) -> Map<String, Value> {
    let mut settings = object(serde_json::to_value(config).unwrap_or_default());
    let listen = serde_json::to_value(config.listen.detailed()).unwrap_or_default();
    settings.insert("listen".to_owned(), listen);
    settings
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

impl Changes {
    pub(super) fn between(before: &Summary, after: &Summary) -> Self {
        let mut changes = Self::default();
        for key in differing(&before.settings, &after.settings) {
            let (old, new) = (before.settings.get(key), after.settings.get(key));
            if TAKEN_ON.contains(&key.as_str()) {
                changes.live.insert(key.clone());
            } else {
                changes.below(key, old, new);
            }
        }
        changes.live.extend(differing(&before.marks, &after.marks).into_iter().cloned());
        changes
    }

    fn below(&mut self, key: &str, old: Option<&Value>, new: Option<&Value>) {
        let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new) else {
            self.fixed.insert(key.to_owned());
            return;
        };
        for inner in differing(old, new) {
            let path = format!("{key}.{inner}");
            let is_live = BY_ENTRY.contains(&key) || TAKEN_ON_BELOW.contains(&path.as_str());
            if is_live { &mut self.live } else { &mut self.fixed }.insert(path);
        }
    }

    pub(super) fn concern(&self, path: &str) -> bool {
        self.live.contains(path)
    }
}

/// The keys of both whose values differ.
fn differing<'a, M, V: PartialEq + 'a>(before: &'a M, after: &'a M) -> BTreeSet<&'a String>
where
    &'a M: IntoIterator<Item = (&'a String, &'a V)>,
{
    let pairs = |map: &'a M| map.into_iter().collect::<BTreeMap<_, _>>();
    let (before, after) = (pairs(before), pairs(after));
    before.keys().chain(after.keys()).copied().filter(|key| before.get(key) != after.get(key)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary(settings: Value) -> Summary {
        Summary { settings: object(settings), marks: BTreeMap::new() }
    }

    #[test]
    fn what_is_not_known_to_be_taken_on_needs_a_restart() {
        let before = json!({"listen": {"address": "a", "tls": null}, "admin": {"listen": "a", "tokens": [1]}, "store": "a",
            "rules": [1], "sources": {"a": 1, "b": 1}, "novelty": 1, "metrics": null});
        let after = json!({"listen": {"address": "b", "tls": null}, "admin": {"listen": "a", "tokens": [2]}, "store": "b",
            "rules": [2], "sources": {"b": 2, "c": 1}, "novelty": 2, "metrics": {"listen": "a"}});
        let changes = Changes::between(&summary(before.clone()), &summary(after));
        let live: Vec<_> = changes.live.iter().map(String::as_str).collect();
        assert_eq!(live, ["admin.tokens", "rules", "sources.a", "sources.b", "sources.c"]);
        let fixed: Vec<_> = changes.fixed.iter().map(String::as_str).collect();
        assert_eq!(fixed, ["listen.address", "metrics", "novelty", "store"]);
        assert_eq!(Changes::between(&summary(before.clone()), &summary(before)), Changes::default());
    }

    #[test]
    fn a_changed_secret_is_a_change_of_its_part() {
        let marked = |byte: u8| Summary {
            marks: BTreeMap::from([("providers.okta".to_owned(), [byte; 32])]),
            ..summary(json!({"providers": {"okta": 1}}))
        };
        let changes = Changes::between(&marked(1), &marked(2));
        assert!(changes.concern("providers.okta") && changes.fixed.is_empty());
    }
}
