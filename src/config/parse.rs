//! YAML to a tree. One document, no tags, no merge keys, keys given once, aliases within bounds.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_saphyr::granit_parser::{self, Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::node::{Content, Entry, Mark, Meaning, Node};
use super::path::Path;

/// Values in a document, with every alias written out. A config of a thousand sources has a tenth of it.
const MAX_NODES: usize = 100_000;
/// Levels of nesting. The settings need about ten; recursion over the tree is bounded by it.
const MAX_DEPTH: usize = 64;

/// Something that is wrong at a place.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) path: Path,
    pub(super) mark: Option<Mark>,
    pub(super) message: String,
}

/// The tree of `text`, or everything that is wrong with it as YAML.
pub(super) fn parse(text: &str) -> Result<Arc<Node>, Vec<Fault>> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.disallow_directives = true;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder { parser, anchors: HashMap::new(), nodes: 0, faults: Vec::new() };
    match builder.document() {
        Ok(root) if builder.faults.is_empty() => Ok(root),
        Ok(_) => Err(builder.faults),
        Err(fault) => Err(builder.faults.into_iter().chain([fault]).collect()),
    }
}

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Arc<Node>>,
    nodes: usize,
    /// What does not keep the rest from being read.
    faults: Vec<Fault>,
}

impl<'t> Builder<'t> {
    fn document(&mut self) -> Result<Arc<Node>, Fault> {
        loop {
            match self.next(&Path::default())? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd, _) => return Err(empty_file()),
                (event, mark) => {
                    let root = self.node(event, mark, &Path::default())?;
                    return self.end(root);
                }
            }
        }
    }

    fn end(&mut self, root: Arc<Node>) -> Result<Arc<Node>, Fault> {
        loop {
            match self.next(&Path::default())? {
                (Event::StreamEnd, _) if matches!(root.content, Content::Plain(_, Meaning::Null)) => {
                    return Err(empty_file());
                }
                (Event::StreamEnd, _) => return Ok(root),
                (Event::DocumentStart(..), mark) => {
                    return Err(fault(&Path::default(), mark, "a second document starts here; keep one in the file"));
                }
                _ => {}
            }
        }
    }

    fn next(&mut self, path: &Path) -> Result<(Event<'t>, Mark), Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, mark_of(&span.start))),
            Some(Err(error)) => Err(syntax(&error)),
            None => Err(fault(path, Mark { line: 1, column: 1 }, "the file ends in the middle of a value")),
        }
    }

    fn node(&mut self, event: Event<'t>, mark: Mark, path: &Path) -> Result<Arc<Node>, Fault> {
        let (node, anchor) = match event {
            Event::Alias(id) => return self.alias(id, mark, path),
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = style != ScalarStyle::Plain || self.is_text(tag.as_deref(), mark, path);
                (Node::scalar(mark, scalar(text.into_owned(), is_text)), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.is_text(tag.as_deref(), mark, path);
                (self.list(mark, path)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.is_text(tag.as_deref(), mark, path);
                (self.map(mark, path)?, anchor)
            }
            _ => return Err(fault(path, mark, "a value is expected here")),
        };
        self.count(1, node.height, mark, path)?;
        let node = Arc::new(node);
        // An anchor is known once its value is complete, so an alias cannot be part of itself.
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, mark: Mark, path: &Path) -> Result<Arc<Node>, Fault> {
        let node = self.anchors.get(&id).cloned();
        let node = node.ok_or_else(|| fault(path, mark, "an alias cannot stand inside its own anchor"))?;
        self.count(node.size, node.height, mark, path)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, height: usize, mark: Mark, path: &Path) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(fault(
                path,
                mark,
                &format!("the file holds more than {MAX_NODES} values, aliases counted in full"),
            ));
        }
        if height > MAX_DEPTH {
            return Err(fault(path, mark, &format!("values are nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(())
    }

    fn list(&mut self, mark: Mark, path: &Path) -> Result<Node, Fault> {
        let mut items = Vec::new();
        loop {
            let place = path.index(items.len());
            match self.next(&place)? {
                (Event::SequenceEnd, _) => return Ok(Node::list(mark, items)),
                (event, at) => items.push(self.node(event, at, &place)?),
            }
        }
    }

    fn map(&mut self, mark: Mark, path: &Path) -> Result<Node, Fault> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let (key, at) = match self.next(path)? {
                (Event::MappingEnd, _) => return Ok(Node::map(mark, entries)),
                (Event::Scalar(key, ..), at) => (key.into_owned(), at),
                (_, at) => return Err(fault(path, at, "a key is plain text; quote it if it starts with [, {, & or *")),
            };
            let place = path.key(&key);
            let (event, value_at) = self.next(&place)?;
            let value = self.node(event, value_at, &place)?;
            if self.is_fresh(&key, &mut seen, at, &place) {
                entries.push(Entry { key, mark: at, value });
            }
        }
    }

    fn is_fresh(&mut self, key: &str, seen: &mut HashSet<String>, mark: Mark, place: &Path) -> bool {
        let is_new = seen.insert(key.to_owned());
        if key == "<<" {
            self.faults.push(fault(place, mark, "merge keys are not supported; write the keys out"));
        } else if !is_new {
            self.faults.push(fault(place, mark, &format!("`{key}` is given twice; keep one of them")));
        }
        is_new && key != "<<"
    }

    /// Whether the tag makes text of the value. Every other tag is refused: no setting has one.
    fn is_text(&mut self, tag: Option<&Tag>, mark: Mark, path: &Path) -> bool {
        let Some(tag) = tag else { return false };
        let is_text = tag.core_suffix() == Some("str");
        if !is_text {
            self.faults.push(fault(path, mark, "tags are not supported; remove the word that starts with `!`"));
        }
        is_text
    }
}

fn scalar(text: String, is_text: bool) -> Content {
    if is_text {
        return Content::Text(text);
    }
    let meaning = Meaning::of(&text);
    Content::Plain(text, meaning)
}

fn empty_file() -> Fault {
    Fault { path: Path::default(), mark: None, message: "the file is empty".to_owned() }
}

fn fault(path: &Path, mark: Mark, message: &str) -> Fault {
    Fault { path: path.clone(), mark: Some(mark), message: message.to_owned() }
}

fn syntax(error: &ScanError) -> Fault {
    let hint = if error.info().contains("tab") { "; indent with spaces" } else { "" };
    fault(&Path::default(), mark_of(error.marker()), &format!("this is not YAML: {}{hint}", error.info()))
}

fn mark_of(marker: &Marker) -> Mark {
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    // Columns are counted from 0 there.
    Mark { line: narrow(marker.line()), column: narrow(marker.col().saturating_add(1)) }
}
