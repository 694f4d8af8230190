//! What an evaluation costs at most, from the sizes of what it reads.
//!
//! The interpreter cannot be stopped, so that is known before it starts. Comprehensions do not nest: the rounds of one
//! times what a round reads bounds it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::value::Size;

/// The longest list or map that an expression may be evaluated over.
pub const LONGEST_LIST: usize = 10_000;

/// What evaluating one node counts, in the unit of [`Size::total`].
const NODE_WEIGHT: usize = 16;

/// A read of something whose size the sender decides on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Read {
    /// The variable, or a record's field: `payload`, `alert.attributes`.
    pub root: &'static str,
    /// The keys below it, as far as they are known.
    pub path: Vec<String>,
    /// How often it counts.
    pub weight: usize,
    /// Whether something longer may be made of it: a list of a text.
    pub grows: bool,
}

/// Sizes that are asked for again with each element or subject, and measured once.
#[derive(Debug, Default)]
pub struct Sizes(Mutex<HashMap<Read, Size>>);

impl Sizes {
    /// The size of what is read, as `measure` finds it.
    pub fn of(&self, read: &Read, measure: impl FnOnce() -> Size) -> Size {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(size) = known.get(read) {
            return *size;
        }
        let size = measure();
        known.insert(read.clone(), size);
        size
    }
}

/// What an expression does that costs.
#[derive(Debug, Clone, Default)]
pub struct Work {
    pub(super) nodes: usize,
    pub(super) reads: Vec<Read>,
    pub(super) loops: Vec<Loop>,
}

/// A comprehension.
#[derive(Debug, Clone, Default)]
pub(super) struct Loop {
    /// What it goes over.
    pub(super) ranges: Vec<Read>,
    /// The length of a list that is written out, and of those that are always short.
    pub(super) least: usize,
    /// Nodes evaluated in each round.
    pub(super) nodes: usize,
    /// Read in each round.
    pub(super) reads: Vec<Read>,
    /// How often its own variable occurs.
    pub(super) own: usize,
}

impl Work {
    /// The most that an evaluation costs, if `size` tells how large what is read is; or why it may not begin.
    pub fn cost(&self, mut size: impl FnMut(&Read) -> Size) -> Result<usize, String> {
        let mut cost = self.nodes.saturating_mul(NODE_WEIGHT);
        for read in &self.reads {
            cost = cost.saturating_add(read_cost(read, &mut size)?.0);
        }
        for each in &self.loops {
            cost = cost.saturating_add(each.cost(&mut size)?);
        }
        Ok(cost)
    }

    /// Whether the expression reads `root`.
    #[must_use]
    pub fn reads(&self, root: &str) -> bool {
        self.all_reads().any(|read| read.root == root)
    }

    fn all_reads(&self) -> impl Iterator<Item = &Read> {
        self.reads.iter().chain(self.loops.iter().flat_map(|each| each.ranges.iter().chain(&each.reads)))
    }
}

impl Loop {
    fn cost(&self, size: &mut impl FnMut(&Read) -> Size) -> Result<usize, String> {
        let (mut rounds, mut range) = (self.least, self.least);
        for read in &self.ranges {
            let (cost, longest) = read_cost(read, size)?;
            rounds = rounds.max(if read.grows { cost.min(LONGEST_LIST) } else { longest });
            range = range.saturating_add(cost);
        }
        let mut round = self.nodes.saturating_mul(NODE_WEIGHT);
        for read in &self.reads {
            round = round.saturating_add(read_cost(read, size)?.0);
        }
        Ok(rounds.saturating_mul(round).saturating_add(range.saturating_mul(self.own)))
    }
}

/// What a read costs, and its longest list.
fn read_cost(read: &Read, size: &mut impl FnMut(&Read) -> Size) -> Result<(usize, usize), String> {
    let found = size(read);
    if found.longest > LONGEST_LIST {
        let path = std::iter::once(read.root).chain(read.path.iter().map(String::as_str)).collect::<Vec<_>>();
        return Err(format!("a list in {} has more than {LONGEST_LIST} elements", path.join(".")));
    }
    Ok((found.total.saturating_mul(read.weight), found.longest))
}
