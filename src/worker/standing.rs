//! Where a process stands among those who share the work, and what part of the limits follows. Pure.

use std::num::NonZeroU32;

use jiff::Timestamp;

use crate::provider::Share;
use crate::store::{LIVE_FOR, Peer, Pulse};

/// A part smaller than this is none: a call would take too long to grow.
const SMALLEST: f64 = 1.0 / 1000.0;

/// Whether all is known that is to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulsing {
    /// The next beat has time.
    Steady,
    /// Somebody waits for the next one: we to be counted, or others to hear that they are.
    Soon,
}

/// What is known of the others, and what they were told.
#[derive(Debug)]
pub(super) struct Standing {
    works: bool,
    joined: Option<i64>,
    /// Whom the next beat says that we count: those whom the last one saw.
    counts: Vec<i64>,
    /// All others once said that they count us. Whoever comes later counts us from the start.
    is_counted: bool,
    has_part: bool,
    term: u64,
}

impl Standing {
    pub(super) fn new(works: bool) -> Self {
        Self { works, joined: None, counts: Vec::new(), is_counted: false, has_part: false, term: 0 }
    }

    /// What the next beat says. We never go by fewer.
    pub(super) fn counts(&self) -> &[i64] {
        &self.counts
    }

    /// `sent`: the steady clock before the store was asked.
    pub(super) fn take(&mut self, pulse: &Pulse, sent: Timestamp) -> (Share, Pulsing) {
        let Pulse::Shared { joined, workers } = pulse else { return (Share::WHOLE, Pulsing::Steady) };
        let is_first = self.joined.is_none();
        if self.joined.replace(*joined) != Some(*joined) {
            (self.is_counted, self.has_part) = (false, false);
        }
        let (knowing, unknowing): (Vec<&Peer>, Vec<&Peer>) =
            workers.iter().filter(|peer| peer.joined != *joined).partition(|peer| peer.counts.contains(joined));
        self.is_counted |= !self.works || unknowing.is_empty();

        let seen: Vec<i64> = workers.iter().map(|peer| peer.joined).collect();
        let has_news = seen != self.counts;
        let said = std::mem::replace(&mut self.counts, seen);
        // Who left is counted until it has been said that it is not, because others take what we leave by what we say.
        let all = said.len().max(workers.len()).max(1);
        let divided = if self.is_counted { Some(all) } else { left(&knowing, &unknowing).map(|by| by.max(all)) };
        let Some(by) = divided else {
            self.has_part = false;
            return (Share::NONE, Pulsing::Soon);
        };
        if !std::mem::replace(&mut self.has_part, true) {
            // Who comes first, and alone, has all that is saved up.
            self.term += u64::from(!is_first || workers.len() > 1);
        }
        let by = u32::try_from(by).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
        let until = sent.saturating_add(LIVE_FOR).unwrap_or(Timestamp::MAX);
        let share = Share { workers: by, until, term: self.term, is_counted: self.is_counted };
        (share, if has_news || !self.is_counted { Pulsing::Soon } else { Pulsing::Steady })
    }
}

/// By how much the limits are divided for one whom only the `knowing` count; `None`: nothing is left.
///
/// Each of the others has at most what it said. Whoever counts us may grow once others are gone, and then divides by all who
/// are left: us, the knowing, and as many of the unknowing. One of these may have died with its part, or be about to count us
/// and belong to the knowing. Whatever becomes of them, the worst of it is left out.
fn left(knowing: &[&Peer], unknowing: &[&Peer]) -> Option<usize> {
    let mut held: Vec<f64> = unknowing.iter().map(|peer| said(peer)).collect();
    held.sort_by(|one, other| other.total_cmp(one));
    let worst = (0..=held.len()).map(|remaining| {
        let grown = part(1 + knowing.len() + remaining);
        let parts = knowing.iter().map(|peer| said(peer)).chain(held.iter().take(remaining).copied());
        parts.map(|one| one.max(grown)).sum::<f64>()
    });
    let left = 1.0 - worst.fold(0.0, f64::max);
    // Thirds do not add up to one exactly.
    (left >= SMALLEST).then(|| (1..).find(|by| part(*by) <= left + 1e-9)).flatten()
}

/// What it said that it takes at most. Who has said nothing yet may be alone for all we know.
fn said(peer: &Peer) -> f64 {
    part(peer.counts.len().max(1))
}

fn part(of: usize) -> f64 {
    1.0 / f64::from(u32::try_from(of).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
