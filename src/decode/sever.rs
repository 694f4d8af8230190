//! Our own format: one JSON object, one alert. `schemas/alert.schema.json` is generated from the types below.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::Deserialize;

use super::error::{DecodeError, Problems};
use super::strict::{Session, Text, UniqueMap, UniqueObject};
use super::time::rfc3339;
use crate::domain::{Alert, AlertSubject, ProviderName, SessionRef, Severity, check_identifier};

/// What identifies the schema, wherever a copy of it lies.
pub const SCHEMA_ID: &str = "urn:sever:schema:alert";

const LONGEST_ID_CHARS: usize = 256;
const LONGEST_KIND_BYTES: usize = 64;
const LONGEST_REASON_BYTES: usize = 4096;

/// One alert names the people of one incident; more is a directory, which nobody means to log out.
const MOST_SUBJECTS: usize = 1000;

/// More than a person can have open anywhere.
const MOST_SESSIONS: usize = 1000;

/// A security alert: whose sessions may be in wrong hands, and how bad it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "sever alert", rename = "Alert")]
struct WireAlert {
    /// The sender's id of the alert: 1 to 256 characters, none of them a control character. The same id never costs a
    /// second revocation.
    #[schemars(with = "String", length(min = 1, max = 256))]
    id: Text,
    /// What happened, as a word: 1 to 64 of `a-z`, `0-9`, `_`, `.` and `-`, for example `session_stolen`.
    #[schemars(with = "String", regex(pattern = "^[a-z0-9_.-]{1,64}$"))]
    kind: Text,
    /// How bad it is.
    severity: Severity,
    /// When it happened, as RFC 3339, for example `2026-11-21T22:14:07Z`.
    #[schemars(with = "String", extend("format" = "date-time"), regex(pattern =
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"))]
    occurred_at: Text,
    /// Whose sessions it is about: 1 to 1000 people.
    #[schemars(length(min = 1, max = 1000))]
    subjects: Vec<WireSubject>,
    /// For people to read, at most 4096 bytes.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(max = 4096))]
    reason: Option<Text>,
    /// Anything else that rules may look at.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    attributes: Option<UniqueObject>,
    /// `true` plans and resolves, and sends nothing. `false` is the same as leaving it out: an alert may only weaken.
    #[serde(default)]
    dry_run: Option<bool>,
}

/// A person, by the names that the sender knows: at least one of `email`, `username` and `ids`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Subject", transform = needs_a_name)]
struct WireSubject {
    /// The e-mail address, at most 512 bytes.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(min = 3, max = 512))]
    email: Option<Text>,
    /// The user name or login, at most 512 bytes.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(min = 1, max = 512))]
    username: Option<Text>,
    /// The account's id by provider name, each at most 512 bytes.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, String>>", transform = keyed_by_provider)]
    ids: Option<UniqueMap<ProviderName, Text>>,
    /// Sessions known to be in wrong hands, by provider name, at most 1000 each. Used by rules with `scope: sessions`.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, Vec<Session>>>", transform = keyed_by_provider)]
    sessions: Option<UniqueMap<ProviderName, Vec<Session>>>,
}

/// Reads one alert.
pub fn decode(body: &[u8]) -> Result<Alert, DecodeError> {
    match serde_json::from_slice(body) {
        Ok(wire) => alert(wire),
        Err(_) => Err(locate(body)),
    }
}

/// Reads an alert from fields that somebody else took from a body.
pub(super) fn from_fields(fields: serde_json::Value) -> Result<Alert, DecodeError> {
    match serde_path_to_error::deserialize::<_, WireAlert>(fields) {
        Ok(wire) => alert(wire),
        Err(error) => Err(DecodeError::of(error.path(), error.inner())),
    }
}

/// Reads again what could not be read, this time with the path. Only refused bodies pay for it.
fn locate(body: &[u8]) -> DecodeError {
    let mut problems = Problems::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, WireAlert>(&mut deserializer) {
        // A body that ends early has no path beyond its beginning.
        Err(error) if error.path().to_string() == "?" => problems.add(".", error.inner()),
        Err(error) => problems.add(error.path(), error.inner()),
        Ok(_) => problems.add(".", "has something after the alert"),
    }
    problems.into_error()
}

fn alert(wire: WireAlert) -> Result<Alert, DecodeError> {
    let mut problems = Problems::default();
    check_words(&wire, &mut problems);
    let occurred_at = timestamp(&wire.occurred_at.0, &mut problems);
    let subjects = subjects(wire.subjects, &mut problems);
    problems.into_result(Alert {
        id: wire.id.0,
        kind: wire.kind.0,
        severity: wire.severity,
        occurred_at,
        subjects,
        reason: wire.reason.map(|Text(reason)| reason),
        attributes: wire.attributes.unwrap_or_default().0,
        dry_run: wire.dry_run.unwrap_or(false),
    })
}

fn check_words(wire: &WireAlert, problems: &mut Problems) {
    let id = &wire.id.0;
    if id.is_empty() || id.chars().count() > LONGEST_ID_CHARS || id.chars().any(char::is_control) {
        problems.add("id", "is not an id: use 1 to 256 characters, none of them a control character");
    }
    let kind = &wire.kind.0;
    let is_word = kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-'));
    if !is_word || kind.is_empty() || kind.len() > LONGEST_KIND_BYTES {
        problems.add("kind", "is not a word: use 1 to 64 of a-z, 0-9, '_', '.' and '-'");
    }
    if let Some(Text(reason)) = &wire.reason {
        if reason.len() > LONGEST_REASON_BYTES {
            problems.add("reason", "is longer than 4096 bytes");
        }
        if reason.contains('\0') {
            problems.add("reason", "has a NUL character, which PostgreSQL cannot keep");
        }
    }
}

fn timestamp(text: &str, problems: &mut Problems) -> Timestamp {
    rfc3339(text).unwrap_or_else(|| {
        problems.add("occurred_at", "is not a time: write RFC 3339 with an offset, for example 2026-11-21T22:14:07Z");
        Timestamp::UNIX_EPOCH
    })
}

fn subjects(wire: Vec<WireSubject>, problems: &mut Problems) -> Vec<AlertSubject> {
    if wire.is_empty() || wire.len() > MOST_SUBJECTS {
        problems.add("subjects", format_args!("has {} entries; name 1 to 1000 people", wire.len()));
        return Vec::new();
    }
    wire.into_iter().enumerate().map(|(position, wire)| subject(position, wire, problems)).collect()
}

fn subject(position: usize, wire: WireSubject, problems: &mut Problems) -> AlertSubject {
    let subject = AlertSubject {
        email: wire.email.map(|Text(email)| email),
        username: wire.username.map(|Text(name)| name),
        ids: wire.ids.unwrap_or_default().0.into_iter().map(|(provider, Text(id))| (provider, id)).collect(),
        sessions: wire.sessions.unwrap_or_default().0.into_iter().map(plain_sessions).collect(),
    };
    check_names(position, &subject, problems);
    for (provider, sessions) in &subject.sessions {
        check_sessions(position, provider, sessions, problems);
    }
    subject
}

fn plain_sessions((provider, sessions): (ProviderName, Vec<Session>)) -> (ProviderName, Vec<SessionRef>) {
    (provider, sessions.into_iter().map(|Session(session)| session).collect())
}

fn check_names(position: usize, subject: &AlertSubject, problems: &mut Problems) {
    if subject.email.is_none() && subject.username.is_none() && subject.ids.is_empty() {
        problems.add(format_args!("subjects[{position}]"), "names nobody: give email, username or ids");
    }
    check(format_args!("subjects[{position}].email"), subject.email.as_deref(), problems);
    check(format_args!("subjects[{position}].username"), subject.username.as_deref(), problems);
    for (provider, id) in &subject.ids {
        check(format_args!("subjects[{position}].ids.{provider}"), Some(id), problems);
    }
    if subject.email.as_deref().is_some_and(|email| !is_email(email)) {
        problems.add(format_args!("subjects[{position}].email"), "is not an e-mail address: name@domain, no blanks");
    }
}

fn check(path: std::fmt::Arguments<'_>, text: Option<&str>, problems: &mut Problems) {
    if let Some(Err(error)) = text.map(check_identifier) {
        problems.add(path, error);
    }
}

fn is_email(text: &str) -> bool {
    let two_sides = text.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty());
    two_sides && text.matches('@').count() == 1 && !text.chars().any(char::is_whitespace)
}

fn check_sessions(position: usize, provider: &ProviderName, sessions: &[SessionRef], problems: &mut Problems) {
    if sessions.len() > MOST_SESSIONS {
        problems.add(format_args!("subjects[{position}].sessions.{provider}"), "has more than 1000 entries");
        return;
    }
    for (at, session) in sessions.iter().enumerate() {
        check(format_args!("subjects[{position}].sessions.{provider}[{at}]"), Some(session.id()), problems);
        match session {
            SessionRef::Id(_) => {}
            SessionRef::InTeam(session) => {
                let path = format_args!("subjects[{position}].sessions.{provider}[{at}].team_id");
                check(path, Some(&session.team_id), problems);
            }
        }
    }
}

/// The JSON schema of the format: takes whatever [`decode`] takes, and refuses the same shapes.
#[must_use]
pub fn schema() -> Schema {
    let generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let mut schema = generator.into_root_schema_for::<WireAlert>();
    schema.insert("$id".to_owned(), SCHEMA_ID.into());
    schema
}

fn needs_a_name(schema: &mut Schema) {
    schema.insert(
        "anyOf".to_owned(),
        serde_json::json!([
            {"required": ["email"], "properties": {"email": {"type": "string"}}},
            {"required": ["username"], "properties": {"username": {"type": "string"}}},
            {"required": ["ids"], "properties": {"ids": {"type": "object", "minProperties": 1}}},
        ]),
    );
}

fn keyed_by_provider(schema: &mut Schema) {
    schema.insert("propertyNames".to_owned(), serde_json::json!({"pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"}));
    if let Some(values) = schema.get_mut("additionalProperties").and_then(serde_json::Value::as_object_mut) {
        let limits = match values.get("type").and_then(serde_json::Value::as_str) {
            Some("array") => [("minItems", 0), ("maxItems", MOST_SESSIONS)],
            _ => [("minLength", 1), ("maxLength", 512)],
        };
        values.extend(limits.map(|(key, limit)| (key.to_owned(), limit.into())));
    }
}

#[cfg(test)]
#[path = "sever_tests.rs"]
mod tests;
