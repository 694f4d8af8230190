//! A checked tree into its type, going on after an error so that later ones are told as well.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::node::{Content, Node};
use super::parse::Fault;
use super::path::{Path, Step};

/// Errors told in one go. Each costs one more decoding of the whole.
const MAX_ROUNDS: usize = 50;

/// `root` as a `T`, or what is wrong with it in addition to `faults`.
///
/// What is at fault is taken out and the rest decoded again. A parent that then misses what was taken out says nothing
/// new, so it is taken out in turn without a word.
pub(super) fn decode<T: DeserializeOwned>(root: &Node, mut faults: Vec<Fault>) -> Result<T, Vec<Fault>> {
    let mut skipped: HashSet<Path> = faults.iter().map(|fault| fault.path.clone()).collect();
    for _ in 0..MAX_ROUNDS {
        if skipped.contains(&Path::default()) {
            break;
        }
        let value = root.value(&Path::default(), &|path| skipped.contains(path));
        let error = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(decoded) if faults.is_empty() => return Ok(decoded),
            Ok(_) => break,
            Err(error) => error,
        };
        let path = original(root, &Path::from(error.path()), &skipped);
        if !skipped.iter().any(|gone| path.holds(gone)) {
            faults.push(fault(root, &path, &error.into_inner().to_string()));
        }
        skipped.insert(path);
    }
    Err(faults)
}

/// The path in the tree of a path in the value that was decoded, where list items taken out are not counted.
fn original(root: &Node, path: &Path, skipped: &HashSet<Path>) -> Path {
    let mut place = Path::default();
    let mut node = root;
    for step in path.steps() {
        let step = match (&node.content, step) {
            (Content::List(items), Step::Index(nth)) => {
                let kept = (0..items.len()).filter(|index| !skipped.contains(&place.index(*index))).nth(*nth);
                Step::Index(kept.unwrap_or(items.len()))
            }
            _ => step.clone(),
        };
        let Some((_, child)) = node.child(&step) else { break };
        node = child;
        place = match &step {
            Step::Key(key) => place.key(key),
            Step::Index(index) => place.index(*index),
        };
    }
    place
}

fn fault(root: &Node, path: &Path, message: &str) -> Fault {
    let mut leaves = Vec::new();
    if let Some(node) = root.at(path) {
        collect(node, path, &mut leaves);
    }
    leaves.retain(|(_, text)| !text.is_empty());
    let tells_secret = leaves.iter().any(|(leaf, text)| is_secret(leaf) && message.contains(text));
    let path = quoted_leaf(&leaves, message).unwrap_or(path).clone();
    let message = if tells_secret { "this secret has the wrong form" } else { message };
    Fault { mark: root.locate(&path), message: message.to_owned(), path }
}

/// A tagged enum is buffered while its tag is looked for, and its errors come without the path inside. Where exactly one
/// value below is quoted by the message, that is the one.
fn quoted_leaf<'l>(leaves: &'l [(Path, &str)], message: &str) -> Option<&'l Path> {
    let names = |text: &str| message.contains(&format!("{text:?}")) || message.contains(&format!("`{text}`"));
    let mut quoted = leaves.iter().filter(|(_, text)| names(text));
    quoted.next().filter(|_| quoted.next().is_none()).map(|(path, _)| path)
}

fn collect<'n>(node: &'n Node, path: &Path, leaves: &mut Vec<(Path, &'n str)>) {
    match &node.content {
        Content::Text(text) | Content::Plain(text, _) => leaves.push((path.clone(), text)),
        Content::List(items) => {
            items.iter().enumerate().for_each(|(index, item)| collect(item, &path.index(index), leaves));
        }
        Content::Map(entries) => {
            entries.iter().for_each(|entry| collect(&entry.value, &path.key(&entry.key), leaves));
        }
    }
}

/// `{value: ...}` is how a secret is written out, and an error may quote what it did not like.
fn is_secret(path: &Path) -> bool {
    path.steps().last() == Some(&Step::Key("value".to_owned()))
}

/// The whole tree as JSON.
pub(super) fn value(root: &Node) -> Value {
    root.value(&Path::default(), &|_| false)
}
