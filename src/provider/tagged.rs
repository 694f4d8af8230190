//! Reads settings whose `kind` says what the other keys mean, straight from the file.
//!
//! Serde's own way (`#[serde(tag)]`) copies the keys aside first, and an error in them then has no line any more. Here
//! only keys that stand before `kind` are copied.

use std::fmt;
use std::vec::IntoIter;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;

use super::ProviderSettings;

impl<'de> Deserialize<'de> for ProviderSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ByKind)
    }
}

struct ByKind;

impl<'de> Visitor<'de> for ByKind {
    type Value = ProviderSettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a provider with its `kind`, for example {kind: okta, url: ..., credentials: ...}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut rest: A) -> Result<ProviderSettings, A::Error> {
        let mut before = Vec::new();
        while let Some(key) = rest.next_key::<String>()? {
            if key == "kind" {
                let kind = rest.next_value()?;
                let keys = Chained { before: before.into_iter(), value: None, rest };
                return ProviderSettings::read(kind, MapAccessDeserializer::new(keys));
            }
            before.push((key, rest.next_value()?));
        }
        Err(A::Error::missing_field("kind"))
    }
}

/// The keys that stood before `kind`, then the others.
struct Chained<A> {
    before: IntoIter<(String, Value)>,
    value: Option<Value>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Chained<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some((key, value)) = self.before.next() else { return self.rest.next_key_seed(seed) };
        self.value = Some(value);
        let key: de::value::StringDeserializer<A::Error> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(value).map_err(A::Error::custom),
            None => self.rest.next_value_seed(seed),
        }
    }
}
