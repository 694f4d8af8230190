//! Where in a document something stands: `sources.edr.verify.secrets[0]`.

use std::fmt;

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// Steps from the root; empty for the document itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Path(Vec<Step>);

impl Path {
    pub(super) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether `other` is this place or lies below it.
    pub(super) fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Reads what [`Display`](fmt::Display) writes. Anything else is taken as the key that it looks like.
    pub(super) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (step, after) = next_step(rest);
            steps.push(step);
            rest = after.strip_prefix('.').unwrap_or(after);
        }
        Self(steps)
    }
}

fn next_step(text: &str) -> (Step, &str) {
    let bracketed = text.strip_prefix('[').and_then(|inside| inside.split_once(']'));
    if let Some((index, rest)) = bracketed
        && let Ok(index) = index.parse()
    {
        return (Step::Index(index), rest);
    }
    if let Some((key, rest)) = text.strip_prefix("[\"").and_then(|inside| inside.split_once("\"]")) {
        return (Step::Key(key.to_owned()), rest);
    }
    // From the second character on, so that a stray bracket at the start still makes progress.
    let first = text.chars().next().map_or(0, char::len_utf8);
    let end = text[first..].find(['.', '[']).map_or(text.len(), |at| at + first);
    (Step::Key(text[..end].to_owned()), &text[end..])
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if key.is_empty() || key.contains(['.', '[']) => write!(f, "[\"{key}\"]")?,
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

impl From<&serde_path_to_error::Path> for Path {
    /// Steps into an enum's variant are not steps in the document, save where they are keys as well.
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        let step = |segment: &Segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { variant } => Some(Step::Key(variant.clone())),
            Segment::Unknown => None,
        };
        Self(path.iter().map_while(step).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_back_as_written() {
        for text in ["", "listen", "sources.edr.verify.secrets[0]", "rules[2].revoke[0].provider", "headers[\"a.b\"].c"]
        {
            assert_eq!(Path::parse(text).to_string(), text);
        }
        assert!(Path::parse("a.b").holds(&Path::parse("a.b[0].c")));
        assert!(!Path::parse("a.b").holds(&Path::parse("a.bc")));
    }

    #[test]
    fn a_strange_path_is_read_without_panic() {
        for text in [".", "[", "[x", "]", "a..b", "[\"", "é[", "a[1]b"] {
            let _ = Path::parse(text);
        }
    }
}
