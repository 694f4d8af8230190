//! Which deliveries of a channel are answered how. Pure.
//!
//! One `basic.ack` with `multiple` answers everything below its tag, so it is used only where all of that is to be
//! acknowledged or was answered already.

use std::collections::BTreeMap;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Everything about it is on disk.
    Ack,
    /// It goes to the dead letters.
    Reject,
    /// It stays unacknowledged, and goes back to the queue when the channel ends.
    Leave,
}

/// What to tell the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// `basic.ack`
    Ack {
        /// The delivery.
        tag: u64,
        /// All before it too.
        multiple: bool,
    },
    /// `basic.reject`, without requeue
    Reject {
        /// The delivery.
        tag: u64,
    },
}

/// The open deliveries of one channel.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// `None`: not decided yet.
    open: BTreeMap<u64, Option<Verdict>>,
    undecided: usize,
}

impl Book {
    /// A delivery came.
    pub(super) fn take(&mut self, tag: u64) {
        if self.open.insert(tag, None).is_none() {
            self.undecided += 1;
        }
    }

    /// It was decided.
    pub(super) fn decide(&mut self, tag: u64, verdict: Verdict) {
        if let Some(undecided @ None) = self.open.get_mut(&tag) {
            *undecided = Some(verdict);
            self.undecided -= 1;
        }
    }

    /// Deliveries that are worked on.
    pub(super) fn undecided(&self) -> usize {
        self.undecided
    }

    /// What can be told now, in this order. Each delivery is told once.
    pub(super) fn answers(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        self.answer_the_first(&mut answers);
        self.answer_the_others(&mut answers);
        answers
    }

    /// As long as there is no gap, one acknowledgement serves many.
    fn answer_the_first(&mut self, answers: &mut Vec<Answer>) {
        let mut run: Option<(u64, bool)> = None;
        let flush = |run: &mut Option<(u64, bool)>, answers: &mut Vec<Answer>| {
            answers.extend(run.take().map(|(tag, multiple)| Answer::Ack { tag, multiple }));
        };
        while let Some(first) = self.open.first_entry() {
            let tag = *first.key();
            match *first.get() {
                Some(Verdict::Ack) => run = Some((tag, run.is_some())),
                Some(Verdict::Reject) => {
                    flush(&mut run, answers);
                    answers.push(Answer::Reject { tag });
                }
                // It stays open, and so nothing after it may be acknowledged together with what is before.
                Some(Verdict::Leave) | None => break,
            }
            first.remove();
        }
        flush(&mut run, answers);
    }

    fn answer_the_others(&mut self, answers: &mut Vec<Answer>) {
        self.open.retain(|tag, verdict| match verdict {
            Some(Verdict::Ack) => {
                answers.push(Answer::Ack { tag: *tag, multiple: false });
                false
            }
            Some(Verdict::Reject) => {
                answers.push(Answer::Reject { tag: *tag });
                false
            }
            Some(Verdict::Leave) | None => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ack(tag: u64) -> Answer {
        Answer::Ack { tag, multiple: false }
    }

    const fn all_to(tag: u64) -> Answer {
        Answer::Ack { tag, multiple: true }
    }

    fn book(verdicts: &[Option<Verdict>]) -> Book {
        let mut book = Book::default();
        for (tag, verdict) in (1..).zip(verdicts) {
            book.take(tag);
            if let Some(verdict) = verdict {
                book.decide(tag, *verdict);
            }
        }
        book
    }

    #[test]
    fn one_acknowledgement_serves_all_that_have_no_gap() {
        let (yes, no, left) = (Some(Verdict::Ack), Some(Verdict::Reject), Some(Verdict::Leave));
        let reject = |tag| Answer::Reject { tag };
        for (verdicts, answers) in [
            (vec![], vec![]),
            (vec![yes], vec![ack(1)]),
            (vec![yes, yes, yes], vec![all_to(3)]),
            (vec![None, yes, yes], vec![ack(2), ack(3)]),
            (vec![yes, yes, None, yes], vec![all_to(2), ack(4)]),
            (vec![yes, yes, no, yes, yes], vec![all_to(2), reject(3), all_to(5)]),
            (vec![left, yes, no], vec![ack(2), reject(3)]),
            (vec![no, no], vec![reject(1), reject(2)]),
        ] {
            let mut book = book(&verdicts);
            assert_eq!(book.answers(), answers, "{verdicts:?}");
            assert_eq!(book.answers(), [], "{verdicts:?}: told once");
        }
    }

    proptest! {
        /// A broker that is told answers as they come must end with exactly what was decided.
        #[test]
        fn no_message_is_answered_otherwise_than_decided(
            order in Just((1..=12_u64).collect::<Vec<_>>()).prop_shuffle(),
            verdicts in prop::collection::vec(prop::sample::select(vec![Verdict::Ack, Verdict::Reject, Verdict::Leave]), 12),
            ask in prop::collection::vec(any::<bool>(), 12),
        ) {
            let mut book = Book::default();
            (1..=12).for_each(|tag| book.take(tag));
            let mut broker: BTreeMap<u64, Option<Verdict>> = (1..=12).map(|tag| (tag, None)).collect();
            for (step, tag) in order.iter().enumerate() {
                book.decide(*tag, verdicts[step]);
                if !ask[step] && step < 11 {
                    continue;
                }
                for answer in book.answers() {
                    match answer {
                        Answer::Ack { tag, multiple } => {
                            prop_assert_eq!(broker[&tag], None, "an unknown tag closes the channel");
                            let from = if multiple { 1 } else { tag };
                            broker.range_mut(from..=tag).for_each(|(_, told)| *told = told.or(Some(Verdict::Ack)));
                        }
                        Answer::Reject { tag } => {
                            prop_assert_eq!(broker.insert(tag, Some(Verdict::Reject)), Some(None));
                        }
                    }
                }
            }
            prop_assert_eq!(book.undecided(), 0);
            for (step, tag) in order.iter().enumerate() {
                let told = Some(verdicts[step]).filter(|verdict| *verdict != Verdict::Leave);
                prop_assert_eq!(broker[tag], told, "message {}", tag);
            }
        }
    }
}
