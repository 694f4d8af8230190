//! Readers for JSON that take one meaning only: a key given twice is refused, and an id written as a number too.
//!
//! Parsers disagree on which of two equal keys counts, so such a body may mean one person here and another at the sender.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::domain::{SessionRef, TeamSession};

/// A text, and no number: ids above 2^53 lose digits in many senders.
#[derive(Debug)]
pub(super) struct Text(pub(super) String);

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Text, E> {
        Err(E::custom("is a number; write it as a string, in quotes"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Text, E> {
        Err(E::custom("is a number; write it as a string, in quotes"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Text, E> {
        Err(E::custom("is a number; write it as a string, in quotes"))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

/// A session: its id, or its id and its workspace.
#[derive(Debug)]
pub(super) struct Session(pub(super) SessionRef);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WireTeamSession {
    #[schemars(with = "String")]
    id: Text,
    #[schemars(with = "String")]
    team_id: Text,
}

struct SessionVisitor;

impl<'de> Visitor<'de> for SessionVisitor {
    type Value = Session;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session id, or an object with id and team_id")
    }

    fn visit_str<E: Error>(self, id: &str) -> Result<Session, E> {
        Ok(Session(SessionRef::Id(id.to_owned())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Session, E> {
        TextVisitor.visit_u64(number).map(|Text(id)| Session(SessionRef::Id(id)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Session, A::Error> {
        let session = WireTeamSession::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(Session(SessionRef::InTeam(TeamSession { id: session.id.0, team_id: session.team_id.0 })))
    }
}

impl<'de> Deserialize<'de> for Session {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SessionVisitor)
    }
}

impl JsonSchema for Session {
    fn schema_name() -> Cow<'static, str> {
        "Session".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json_schema!({"type": "string", "minLength": 1, "maxLength": 512});
        json_schema!({
            "description": "A session: its id at the provider, or (Slack) its id and the workspace it belongs to.",
            "anyOf": [
                text,
                {
                    "type": "object",
                    "properties": {"id": text, "team_id": text},
                    "required": ["id", "team_id"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// A map in which every key occurs once.
#[derive(Debug)]
pub(super) struct UniqueMap<K, V>(pub(super) BTreeMap<K, V>);

impl<K, V> Default for UniqueMap<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

struct UniqueMapVisitor<K, V>(PhantomData<(K, V)>);

impl<'de, K: Deserialize<'de> + Ord + fmt::Display, V: Deserialize<'de>> Visitor<'de> for UniqueMapVisitor<K, V> {
    type Value = UniqueMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = entries.next_key::<K>()? {
            if map.contains_key(&key) {
                return Err(given_twice(&key));
            }
            map.insert(key, entries.next_value()?);
        }
        Ok(UniqueMap(map))
    }
}

impl<'de, K: Deserialize<'de> + Ord + fmt::Display, V: Deserialize<'de>> Deserialize<'de> for UniqueMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueMapVisitor(PhantomData))
    }
}

fn given_twice<E: Error>(key: &impl fmt::Display) -> E {
    E::custom(format_args!("has the key {:?} twice", key.to_string()))
}

/// A JSON object of any content in which every key occurs once, at every level.
#[derive(Debug, Default)]
pub(super) struct UniqueObject(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = UniqueObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<UniqueObject, A::Error> {
                read_object(entries).map(UniqueObject)
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// A JSON text of any content in which every key occurs once, at every level.
pub(super) fn read_json(text: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = UniqueValue.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

fn read_object<'de, A: MapAccess<'de>>(mut entries: A) -> Result<Map<String, Value>, A::Error> {
    let mut object = Map::new();
    while let Some(key) = entries.next_key::<String>()? {
        if object.contains_key(&key) {
            return Err(given_twice(&key));
        }
        object.insert(key, entries.next_value_seed(UniqueValue)?);
    }
    Ok(object)
}

pub(super) struct UniqueValue;

impl<'de> DeserializeSeed<'de> for UniqueValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(UniqueValue)? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Value, A::Error> {
        read_object(entries).map(Value::Object)
    }
}
