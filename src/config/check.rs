//! A document against the schema of its type: every unknown key, missing key and value of the wrong kind at once.
//!
//! Values are not shown, since any of them may be a secret in the wrong place; only names of a closed set are.

use serde_json::Value;

use super::node::{Content, Entry, Mark, Meaning, Node};
use super::parse::Fault;
use super::path::Path;
use super::shape::{Shape, shapes};
use crate::settings::{ByteSize, Duration, Rate};

/// Names listed in one message.
const MAX_LISTED: usize = 16;
/// Letters shown of a name that is not known: enough for a typing error, too little for a secret.
const MAX_SHOWN: usize = 40;

/// Everything in `root` that `schema` does not allow.
pub(super) fn check(root: &Node, schema: &Value) -> Vec<Fault> {
    let mut checker = Checker { schema, faults: Vec::new() };
    checker.value(root, &[schema], &Path::default());
    checker.faults
}

struct Checker<'s> {
    schema: &'s Value,
    faults: Vec<Fault>,
}

impl<'s> Checker<'s> {
    /// `node` has to fit one of `schemas`.
    fn value(&mut self, node: &Node, schemas: &[&'s Value], path: &Path) {
        let all: Vec<_> = schemas.iter().flat_map(|schema| shapes(schema, self.schema)).collect();
        let fitting: Vec<_> = all.iter().filter(|shape| fits(shape, node)).cloned().collect();
        if fitting.is_empty() {
            return self.add(path, node.mark, wrong_kind(node, &all));
        }
        match &node.content {
            Content::Map(entries) => self.map(node, entries, &fitting, path),
            Content::List(items) => {
                let schemas: Vec<_> = fitting.iter().filter_map(|shape| shape.items).collect();
                for (index, item) in items.iter().enumerate().filter(|_| !schemas.is_empty()) {
                    self.value(item, &schemas, &path.index(index));
                }
            }
            Content::Text(text) | Content::Plain(text, Meaning::Text | Meaning::Ambiguous) => {
                if let Some(message) = wrong_text(text, &fitting) {
                    self.add(path, node.mark, message);
                }
            }
            Content::Plain(..) => {}
        }
    }

    fn map(&mut self, node: &Node, entries: &[Entry], fitting: &[Shape<'s>], path: &Path) {
        let chosen = match self.choose(entries, fitting) {
            Ok(chosen) => chosen,
            Err((key, message)) => {
                let tag = entries.iter().find(|entry| entry.key == key);
                let (place, mark) = tag.map_or((path.clone(), node.mark), |tag| (path.key(key), tag.mark));
                return self.add(&place, mark, message);
            }
        };
        let unknown: Vec<_> = entries.iter().filter(|entry| !self.entry(entry, &chosen, path)).collect();
        let known = known_keys(&chosen);
        for entry in &unknown {
            self.add(&path.key(&entry.key), entry.mark, format!("unknown key; {}", nearest(&entry.key, &known)));
        }
        // What an unknown key was probably meant to be was told with that key.
        let guessed: Vec<_> = unknown.iter().filter_map(|entry| meant(&entry.key, &known)).collect();
        let is_absent = |key: &str| !guessed.contains(&key) && !entries.iter().any(|entry| entry.key == key);
        if let Some(message) = missing(is_absent, &chosen) {
            self.add(path, node.mark, message);
        }
    }

    /// The alternatives that the tags and the keys given leave open; or the tag at fault and what is wrong with it.
    fn choose<'f>(&self, entries: &[Entry], fitting: &'f [Shape<'s>]) -> Result<Vec<&'f Shape<'s>>, (&'s str, String)> {
        let given = |key: &str| entries.iter().find(|entry| entry.key == key);
        let text = |key: &str| given(key).and_then(|entry| entry.value.text());
        let tags: Vec<_> = fitting.iter().map(|shape| shape.tags(self.schema)).collect();
        let agrees = |tags: &[(&str, &str)]| tags.iter().all(|(key, value)| text(key) == Some(value));
        let chosen: Vec<_> =
            fitting.iter().zip(&tags).filter(|(_, tags)| agrees(tags)).map(|(shape, _)| shape).collect();
        if chosen.is_empty() {
            return Err(wrong_tag(&tags.concat(), given));
        }
        let has_all = |shape: &&Shape<'s>| shape.required.iter().all(|key| given(key).is_some());
        let complete: Vec<_> = chosen.iter().copied().filter(has_all).collect();
        Ok(if complete.is_empty() { chosen } else { complete })
    }

    /// Checks the value of a known key; `false` for an unknown one.
    fn entry(&mut self, entry: &Entry, chosen: &[&Shape<'s>], path: &Path) -> bool {
        let known = chosen.iter().filter_map(|shape| shape.properties.get(entry.key.as_str())).flatten().copied();
        let mut schemas: Vec<_> = known.collect();
        if schemas.is_empty() {
            schemas.extend(chosen.iter().filter_map(|shape| shape.others));
        }
        if !schemas.is_empty() {
            self.value(&entry.value, &schemas, &path.key(&entry.key));
            return true;
        }
        chosen.iter().any(|shape| shape.is_open())
    }

    fn add(&mut self, path: &Path, mark: Mark, message: String) {
        self.faults.push(Fault { path: path.clone(), mark: Some(mark), message });
    }
}

fn fits(shape: &Shape<'_>, node: &Node) -> bool {
    match &node.content {
        Content::Map(_) => shape.takes("object"),
        Content::List(_) => shape.takes("array"),
        Content::Text(_) | Content::Plain(_, Meaning::Text) => shape.takes("string"),
        Content::Plain(_, Meaning::Null) => shape.takes("null"),
        Content::Plain(_, Meaning::Bool(_)) => shape.takes("boolean"),
        Content::Plain(_, Meaning::Number(number)) => shape.takes(if number.is_f64() { "number" } else { "integer" }),
        // Only where anything may stand, or where a closed set of names holds exactly this one.
        Content::Plain(text, Meaning::Ambiguous) => {
            shape.types.is_none() && shape.takes("string")
                || shape.values.as_ref().is_some_and(|values| values.contains(&text.as_str()))
        }
    }
}

fn wrong_kind(node: &Node, shapes: &[Shape<'_>]) -> String {
    let takes = |kind: &str| shapes.iter().any(|shape| shape.takes(kind));
    let expected = expected(shapes);
    match &node.content {
        Content::Plain(_, Meaning::Null) => format!("nothing is given here; give {expected} or remove the key"),
        Content::Plain(text, Meaning::Ambiguous) if takes("boolean") && text.chars().all(char::is_alphabetic) => {
            "write true or false".to_owned()
        }
        Content::Plain(_, Meaning::Ambiguous) if takes("integer") || takes("number") => {
            "write a plain decimal number, without leading zeros, underscores or another base".to_owned()
        }
        Content::Plain(text, _) if takes("string") => {
            let unit = shapes.iter().find_map(|shape| wrong_unit(shape.name?, text));
            unit.unwrap_or_else(|| "text is expected here; quote it, for YAML reads it as something else".to_owned())
        }
        _ => format!("{expected} is expected here, and {} is given", found(node)),
    }
}

fn expected(shapes: &[Shape<'_>]) -> String {
    let types = shapes.iter().flat_map(|shape| shape.types.clone().unwrap_or_else(|| vec!["object"]));
    let words = distinct(types.filter(|kind| *kind != "null").map(|kind| match kind {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        _ => "a mapping",
    }));
    if words.is_empty() { "nothing".to_owned() } else { words.join(" or ") }
}

fn found(node: &Node) -> &'static str {
    match &node.content {
        Content::Map(_) => "a mapping",
        Content::List(_) => "a list",
        Content::Plain(_, Meaning::Bool(_)) => "true or false",
        Content::Plain(_, Meaning::Number(_)) => "a number",
        Content::Plain(_, Meaning::Null) => "nothing",
        Content::Text(_) | Content::Plain(_, Meaning::Text | Meaning::Ambiguous) => "text",
    }
}

/// A text that no alternative takes: not of the closed set, or not a unit.
fn wrong_text(text: &str, fitting: &[Shape<'_>]) -> Option<String> {
    if fitting.iter().all(|shape| shape.values.is_some()) {
        let known = distinct(fitting.iter().filter_map(|shape| shape.values.as_ref()).flatten().copied());
        return (!known.contains(&text)).then(|| unknown_name(text, &known));
    }
    let faults: Vec<_> = fitting.iter().map(|shape| shape.name.and_then(|name| wrong_unit(name, text))).collect();
    // An alternative without a fault is one that takes it.
    faults.into_iter().collect::<Option<Vec<_>>>()?.into_iter().next()
}

/// Units are checked here as well, since typed decoding stops at the first and loses the line inside tagged enums.
fn wrong_unit(name: &str, text: &str) -> Option<String> {
    match name {
        "Duration" => text.parse::<Duration>().err(),
        "ByteSize" => text.parse::<ByteSize>().err(),
        "Rate" => text.parse::<Rate>().err(),
        _ => None,
    }
}

fn wrong_tag<'s, 'e>(tags: &[(&'s str, &str)], given: impl Fn(&str) -> Option<&'e Entry>) -> (&'s str, String) {
    let key = tags.first().map_or("", |(key, _)| key);
    let known = distinct(tags.iter().filter(|(other, _)| *other == key).map(|(_, value)| *value));
    let message = match given(key).map(|entry| entry.value.text()) {
        None => format!("`{key}` is missing; {}", one_of(&known)),
        Some(None) => one_of(&known),
        Some(Some(text)) => unknown_name(text, &known),
    };
    (key, message)
}

fn missing(is_absent: impl Fn(&str) -> bool, chosen: &[&Shape<'_>]) -> Option<String> {
    let lacks = |shape: &&Shape<'_>| shape.required.iter().any(|key| is_absent(key));
    if !chosen.iter().all(lacks) {
        return None;
    }
    let required =
        distinct(chosen.iter().flat_map(|shape| shape.required.iter().copied()).filter(|key| is_absent(key)));
    let everywhere = |key: &&str| chosen.iter().all(|shape| shape.required.contains(key));
    match required.iter().copied().filter(everywhere).collect::<Vec<_>>().as_slice() {
        [] => Some(format!("a key is missing; {}", one_of(&required))),
        [one] => Some(format!("`{one}` is missing")),
        many => Some(format!("{} are missing", quoted(many))),
    }
}

fn known_keys<'s>(chosen: &[&Shape<'s>]) -> Vec<&'s str> {
    distinct(chosen.iter().flat_map(|shape| shape.properties.keys().copied()))
}

fn unknown_name(text: &str, known: &[&str]) -> String {
    let shown: String = text.chars().take(MAX_SHOWN).collect();
    format!("`{}` is not known; {}", shown.escape_debug(), nearest(text, known))
}

/// What was probably meant, or what there is.
pub(super) fn nearest(given: &str, known: &[&str]) -> String {
    meant(given, known).map_or_else(|| one_of(known), |name| format!("did you mean `{name}`?"))
}

/// The known name that was probably meant.
fn meant<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
    let given = plain(&given.chars().take(MAX_SHOWN).collect::<String>());
    let distance = |name: &&str| strsim::damerau_levenshtein(&plain(name), &given);
    // A third of the letters wrong is a typing error; more is another word.
    let bound = given.chars().count().div_ceil(3);
    known.iter().copied().min_by_key(distance).filter(|name| distance(name) <= bound)
}

fn one_of(known: &[&str]) -> String {
    match known {
        [] => "no key is known here".to_owned(),
        [only] => format!("give `{only}`"),
        _ if known.len() > MAX_LISTED => format!("give one of {} and others", quoted(&known[..MAX_LISTED])),
        _ => format!("give one of {}", quoted(known)),
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names.fold(Vec::new(), |mut seen, name| {
        if !seen.contains(&name) {
            seen.push(name);
        }
        seen
    })
}
