//! The tree of a document: values as written, each with its place.

use std::sync::Arc;

use serde_json::{Number, Value};

use super::path::{Path, Step};

/// A place in the file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A value.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) content: Content,
    /// Values in it, itself included, aliases counted in full.
    pub(super) size: usize,
    /// Levels in it, itself included.
    pub(super) height: usize,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Content {
    /// Quoted, or tagged `!!str`: text whatever it looks like.
    Text(String),
    /// Written without quotes, with what that means.
    Plain(String, Meaning),
    List(Vec<Arc<Node>>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) value: Arc<Node>,
}

/// What a plain scalar means in the core schema of YAML 1.2.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning {
    Null,
    Bool(bool),
    Number(Number),
    Text,
    /// Text to one reader of YAML and something else to another: `no`, `0123`, `0x1f`, `1_000`.
    Ambiguous,
}

impl Meaning {
    pub(super) fn of(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            _ if is_word_for_bool(text) || is_special_number(text) => Self::Ambiguous,
            _ => {
                exact_number(text).map_or(if looks_numeric(text) { Self::Ambiguous } else { Self::Text }, Self::Number)
            }
        }
    }
}

/// The booleans of YAML 1.1 that 1.2 reads as text.
fn is_word_for_bool(text: &str) -> bool {
    ["yes", "no", "on", "off", "y", "n"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn is_special_number(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['-', '+']);
    unsigned.eq_ignore_ascii_case(".inf") || unsigned.eq_ignore_ascii_case(".nan")
}

/// A number that JSON spells the same way. Excludes leading zeros, other bases and what would lose digits.
fn exact_number(text: &str) -> Option<Number> {
    let number: Number = serde_json::from_str(text).ok()?;
    let is_whole = !text.contains(['.', 'e', 'E']);
    if is_whole && !(number.is_u64() || number.is_i64()) { None } else { Some(number) }
}

/// What YAML 1.1 or 1.2 might take as a number: a digit first, then only what numbers are made of.
fn looks_numeric(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_based = ["0x", "0X", "0o", "0O", "0b", "0B"].iter().any(|base| unsigned.starts_with(base));
    if is_based {
        return unsigned.len() > 2 && unsigned[2..].chars().all(|c| c.is_ascii_hexdigit() || c == '_');
    }
    let starts_with_digit = unsigned.strip_prefix('.').unwrap_or(unsigned).starts_with(|c: char| c.is_ascii_digit());
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-' | '_');
    starts_with_digit && unsigned.chars().all(is_part) && !is_date_or_address(unsigned)
}

/// Versions, addresses and dates have digits and dots, and no reader takes them for a number.
fn is_date_or_address(text: &str) -> bool {
    let dashes = text.matches('-').count();
    text.matches('.').count() > 1 || (dashes > 0 && !text.contains(['e', 'E']))
}

impl Node {
    pub(super) fn scalar(mark: Mark, content: Content) -> Self {
        Self { mark, content, size: 1, height: 1 }
    }

    pub(super) fn list(mark: Mark, items: Vec<Arc<Node>>) -> Self {
        let (size, height) = measure(items.iter());
        Self { mark, content: Content::List(items), size, height }
    }

    pub(super) fn map(mark: Mark, entries: Vec<Entry>) -> Self {
        let (size, height) = measure(entries.iter().map(|entry| &entry.value));
        Self { mark, content: Content::Map(entries), size, height }
    }

    /// The text of a scalar as written, without its quotes.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) | Content::Plain(text, _) => Some(text),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// One step down, with the place to show for it: the key, or the list's item.
    pub(super) fn child(&self, step: &Step) -> Option<(Mark, &Node)> {
        match (&self.content, step) {
            (Content::List(items), Step::Index(index)) => items.get(*index).map(|item| (item.mark, item.as_ref())),
            (Content::Map(entries), Step::Key(key)) => {
                let entry = entries.iter().find(|entry| entry.key == *key)?;
                Some((entry.mark, &entry.value))
            }
            _ => None,
        }
    }

    /// The value at `path`.
    pub(super) fn at(&self, path: &Path) -> Option<&Node> {
        path.steps().iter().try_fold(self, |node, step| node.child(step).map(|(_, child)| child))
    }

    /// The place of `path`, or of its nearest ancestor that exists. `None` for the root.
    pub(super) fn locate(&self, path: &Path) -> Option<Mark> {
        let mut node = self;
        let mut nearest = None;
        for step in path.steps() {
            let Some((mark, child)) = node.child(step) else { break };
            (nearest, node) = (Some(mark), child);
        }
        nearest
    }

    /// As JSON, without the places for which `skip` says so.
    pub(super) fn value(&self, path: &Path, skip: &dyn Fn(&Path) -> bool) -> Value {
        match &self.content {
            Content::Text(text) => Value::String(text.clone()),
            Content::Plain(text, meaning) => plain_value(text, meaning),
            Content::List(items) => {
                let kept = items.iter().enumerate().map(|(index, item)| (path.index(index), item));
                kept.filter(|(place, _)| !skip(place)).map(|(place, item)| item.value(&place, skip)).collect()
            }
            Content::Map(entries) => {
                let kept = entries.iter().map(|entry| (path.key(&entry.key), entry)).filter(|(place, _)| !skip(place));
                Value::Object(kept.map(|(place, entry)| (entry.key.clone(), entry.value.value(&place, skip))).collect())
            }
        }
    }
}

fn plain_value(text: &str, meaning: &Meaning) -> Value {
    match meaning {
        Meaning::Null => Value::Null,
        Meaning::Bool(flag) => Value::Bool(*flag),
        Meaning::Number(number) => Value::Number(number.clone()),
        Meaning::Text | Meaning::Ambiguous => Value::String(text.to_owned()),
    }
}

fn measure<'a>(children: impl Iterator<Item = &'a Arc<Node>>) -> (usize, usize) {
    children.fold((1, 1), |(size, height), child| (size + child.size, height.max(child.height + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_every_reader_agrees_on() {
        for text in
            ["no", "Yes", "on", "0123", "0x1f", "0o17", "1_000", "1.", ".5", "+1", "99999999999999999999", ".inf"]
        {
            assert_eq!(Meaning::of(text), Meaning::Ambiguous, "{text}");
        }
        for text in ["1e3", "0", "-1", "0.5", "18446744073709551615"] {
            assert!(matches!(Meaning::of(text), Meaning::Number(_)), "{text}");
        }
        for text in [
            "5m",
            "1MiB",
            "600/1m",
            "00u1abc",
            "d-1234567890",
            "2026-11-21",
            "10.0.0.1",
            "0.0.0.0:80",
            "north",
            "-",
            "e5",
            "+",
        ] {
            assert_eq!(Meaning::of(text), Meaning::Text, "{text}");
        }
    }
}
