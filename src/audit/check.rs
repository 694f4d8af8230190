//! Whether the record is what was written: nothing changed, removed or inserted, and, as far as a seal vouches, nothing cut
//! off or made anew.
//!
//! Nothing that is read is believed: each hash is computed again from the row, and seals and stubs count only where a
//! known key signed them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::{AuditRow, PublicKeys, Seal, SealFault, Signed, Stub};

/// Beyond it, findings are counted and not kept: after a wrong row there may be a million.
const MOST_FINDINGS: usize = 100;

/// The record is sealed each minute, so that rows as old as this have a seal unless somebody took it.
const SEALED_WITHIN: Duration = Duration::from_secs(600);

/// Clocks of machines that share a store differ by less.
const CLOCKS_DIFFER: Duration = Duration::from_secs(300);

/// What is wrong with the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A row is not what was written after the one before it.
    #[error("row {seq} of writer {writer} does not follow from {}: {}", told(*after), broken(*after, *seq))]
    Broken {
        /// Which chain.
        writer: String,
        /// Which row.
        seq: i64,
        /// The row before it; `None`: the beginning.
        after: Option<i64>,
    },
    /// A row that was removed is there.
    #[error("row {seq} of writer {writer} is there, though a stub says that it was removed: it was inserted")]
    Returned {
        /// Which chain.
        writer: String,
        /// Which row.
        seq: i64,
    },
    /// A row holds what was never written.
    #[error("row {seq} cannot be read ({why}): it was changed")]
    Unreadable {
        /// Which row.
        seq: i64,
        /// Why.
        why: String,
    },
    /// A writer that nobody vouches for.
    #[error("row {seq} of writer {writer} is from before seal {seal}, which knows no such writer: it was inserted")]
    Stranger {
        /// Which chain.
        writer: String,
        /// Its first row.
        seq: i64,
        /// The seal.
        seal: i64,
    },
    /// A seal is not believed.
    #[error("{name} {fault}")]
    Seal {
        /// Which.
        name: String,
        /// Why.
        fault: SealFault,
    },
    /// A stub is not believed.
    #[error("the stub of writer {writer} {fault}")]
    Stub {
        /// Which chain.
        writer: String,
        /// Why.
        fault: SealFault,
    },
    /// A seal or stub is not one.
    #[error("{name} cannot be read: it was changed")]
    Strange {
        /// Which.
        name: String,
    },
    /// The record is another than the one that was sealed.
    #[error("{name} vouches for another row {seq} of writer {writer}: the record was made anew")]
    Rewritten {
        /// The seal.
        name: String,
        /// Which chain.
        writer: String,
        /// Which row.
        seq: i64,
    },
    /// A sealed row is missing at the end.
    #[error("{name} vouches for row {seq} of writer {writer}, which is not there: the end of the record was cut off")]
    CutOff {
        /// The seal.
        name: String,
        /// Which chain.
        writer: String,
        /// Which row.
        seq: i64,
    },
    /// The record or a copy tells of a seal that the store does not have.
    #[error("seal {number} was made, and the store does not have it: the newest seals were removed")]
    SealGone {
        /// Which.
        number: i64,
    },
    /// The record tells of another seal under this number.
    #[error("seal {number} is not the one that the record tells of: one of the two was made up")]
    SealChanged {
        /// Which.
        number: i64,
    },
    /// Nothing vouches for anything.
    #[error("no seal vouches for the record, though a key is named: the seals were removed, or it was never sealed")]
    Unsealed,
}

fn told(after: Option<i64>) -> String {
    after.map_or_else(|| "the beginning".to_owned(), |seq| format!("row {seq}"))
}

fn broken(after: Option<i64>, seq: i64) -> String {
    match after {
        Some(after) if after + 1 < seq => format!("rows {} to {} were removed, or it was changed", after + 1, seq - 1),
        Some(_) => "it was changed or inserted, or the row before it was".to_owned(),
        None => "it was changed, or rows before it were removed".to_owned(),
    }
}

/// What a check comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many rows there are.
    pub rows: u64,
    /// How many rows stubs say were removed.
    pub removed: u64,
    /// How many seals are believed.
    pub seals: u64,
    /// The newest of them: its number, and when it was made.
    pub newest: Option<(i64, Timestamp)>,
    /// Rows that no seal vouches for yet, and since when.
    pub unsealed: u64,
    /// The time of the first of them.
    pub unsealed_since: Option<Timestamp>,
    /// What is wrong, in the order in which it was found.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// One writer's chain, as far as it was read.
#[derive(Debug, Default)]
struct Tail {
    /// The last row, or the last that was removed.
    seq: Option<i64>,
    /// Its hash; `None`: it could not be read.
    hash: Option<[u8; 32]>,
    /// The last row that was removed.
    removed_to: Option<i64>,
    /// The first row that is there, and its time.
    first: Option<(i64, i64)>,
    /// What seals say of its rows: by number, the hash and the name of the seal.
    vouched: BTreeMap<i64, Vec<(String, String)>>,
    /// Up to which row the newest seal vouches.
    sealed_to: Option<i64>,
}

/// A check in progress: first stubs and seals, then every row in order, then the report.
pub struct Check<'k> {
    keys: &'k PublicKeys,
    tails: BTreeMap<String, Tail>,
    believed: Vec<Signed<Seal>>,
    /// The digest of each seal that the store has, by its number.
    stored: BTreeMap<i64, String>,
    /// The digest of each seal that the record tells of, by its number.
    told: BTreeMap<i64, String>,
    copies: BTreeSet<i64>,
    report: Report,
}

impl<'k> Check<'k> {
    /// Believes what these keys signed. Without a key, no seal and no stub is.
    #[must_use]
    pub fn new(keys: &'k PublicKeys) -> Self {
        let (tails, told, stored) = Default::default();
        Self { keys, tails, believed: Vec::new(), stored, told, copies: BTreeSet::new(), report: Report::default() }
    }

    /// What stands for removed rows.
    pub fn stub(&mut self, stub: &Signed<Stub>) {
        let Stub { writer, seq, hash, removed, .. } = &stub.statement;
        if let Err(fault) = self.keys.verify(stub) {
            return self.report.add(Finding::Stub { writer: writer.clone(), fault });
        }
        self.report.removed += removed;
        let tail = self.tails.entry(writer.clone()).or_default();
        tail.seq = Some(*seq);
        tail.hash = bytes(hash);
        tail.removed_to = Some(*seq);
    }

    /// A seal that the store has.
    pub fn seal(&mut self, seal: Signed<Seal>) {
        let number = seal.statement.number;
        self.stored.insert(number, seal.digest());
        self.believe(seal, format!("seal {number}"));
    }

    /// A seal that was kept elsewhere.
    pub fn copy(&mut self, seal: Signed<Seal>, name: &str) {
        let number = seal.statement.number;
        if self.believe(seal, format!("the seal of {name}")) {
            self.copies.insert(number);
        }
    }

    /// Something in the place of a seal or stub.
    pub fn strange(&mut self, name: String) {
        self.report.add(Finding::Strange { name });
    }

    /// A seal that was made after the check began: it is only known to be there.
    pub fn later_seal(&mut self, seal: &Signed<Seal>) {
        if self.keys.verify(seal).is_ok() {
            self.stored.insert(seal.statement.number, seal.digest());
        }
    }

    fn believe(&mut self, seal: Signed<Seal>, name: String) -> bool {
        if let Err(fault) = self.keys.verify(&seal) {
            self.report.add(Finding::Seal { name, fault });
            return false;
        }
        for head in &seal.statement.heads {
            let tail = self.tails.entry(head.writer.clone()).or_default();
            tail.vouched.entry(head.seq).or_default().push((head.hash.clone(), name.clone()));
            tail.sealed_to = tail.sealed_to.max(Some(head.seq));
        }
        self.report.seals += 1;
        let this = (seal.statement.number, seal.statement.at);
        self.report.newest = self.report.newest.max(Some(this));
        self.believed.push(seal);
        true
    }

    /// A row that cannot be read.
    pub fn unreadable(&mut self, seq: i64, why: &str) {
        self.report.rows += 1;
        self.report.add(Finding::Unreadable { seq, why: why.to_owned() });
        // Which chain it was in is not known: the next row of each has nothing to follow from.
        self.tails.values_mut().for_each(|tail| tail.hash = None);
    }

    /// The next row.
    pub fn row(&mut self, row: &AuditRow) {
        self.report.rows += 1;
        if !self.tails.contains_key(&row.writer) {
            self.tails.insert(row.writer.clone(), Tail::default());
        }
        let Some(tail) = self.tails.get_mut(&row.writer) else { return };
        if tail.removed_to.is_some_and(|removed| row.seq <= removed) {
            return self.report.add(Finding::Returned { writer: row.writer.clone(), seq: row.seq });
        }
        // A chain begins from nothing; after a row that could not be read there is nothing to compare with.
        let is_first = tail.seq.is_none();
        let follows = match (tail.hash, is_first) {
            (Some(hash), _) => row.follows(&hash),
            (None, true) => row.follows(&[0; 32]),
            (None, false) => true,
        };
        if !follows {
            self.report.add(Finding::Broken { writer: row.writer.clone(), seq: row.seq, after: tail.seq });
        }
        tail.first = tail.first.or(Some((row.seq, row.at)));
        tail.seq = Some(row.seq);
        tail.hash = Some(row.hash);
        self.compare(row);
        self.remember(row);
    }

    /// With what seals say of this row.
    fn compare(&mut self, row: &AuditRow) {
        let Some(tail) = self.tails.get_mut(&row.writer) else { return };
        for (hash, name) in tail.vouched.remove(&row.seq).unwrap_or_default() {
            if bytes(&hash) != Some(row.hash) {
                self.report.add(Finding::Rewritten { name, writer: row.writer.clone(), seq: row.seq });
            }
        }
        if tail.sealed_to.is_none_or(|sealed| sealed < row.seq) && row.event != "sealed" {
            self.report.unsealed += 1;
            let at = Timestamp::from_microsecond(row.at).ok();
            self.report.unsealed_since = self.report.unsealed_since.or(at);
        }
    }

    /// That a seal was made.
    fn remember(&mut self, row: &AuditRow) {
        if row.event != "sealed" {
            return;
        }
        let detail: serde_json::Value = serde_json::from_str(&row.detail).unwrap_or_default();
        if let (Some(number), Some(digest)) = (detail["seal"].as_i64(), detail["digest"].as_str()) {
            self.told.insert(number, digest.to_owned());
        }
    }

    /// What it comes to, at this time.
    #[must_use]
    pub fn finish(mut self, now: Timestamp) -> Report {
        self.find_cut_ends();
        self.find_strangers();
        self.find_lost_seals();
        let oldest = self.tails.values().filter_map(|tail| tail.first).map(|(_, at)| at).min();
        let oldest = oldest.and_then(|at| Timestamp::from_microsecond(at).ok());
        let is_old = oldest.is_some_and(|at| at.saturating_add(SEALED_WITHIN).is_ok_and(|due| due < now));
        if !self.keys.is_empty() && self.believed.is_empty() && is_old {
            self.report.add(Finding::Unsealed);
        }
        self.report
    }

    /// Rows that a seal vouches for and that were not there. Those behind a stub were removed in good order.
    fn find_cut_ends(&mut self) {
        for (writer, tail) in &mut self.tails {
            for (seq, vouched) in std::mem::take(&mut tail.vouched) {
                if tail.removed_to.is_some_and(|removed| seq <= removed) {
                    continue;
                }
                for (_, name) in vouched {
                    self.report.add(Finding::CutOff { name, writer: writer.clone(), seq });
                }
            }
        }
    }

    /// A chain that claims to be from before a seal which does not know it.
    fn find_strangers(&mut self) {
        for (writer, tail) in &self.tails {
            let Some((seq, at)) = tail.first else { continue };
            let Ok(at) = Timestamp::from_microsecond(at) else { continue };
            let knew_it = |seal: &&Signed<Seal>| {
                let last = seal.statement.heads.iter().map(|head| head.seq).max();
                let is_later = at.saturating_add(CLOCKS_DIFFER).is_ok_and(|at| at < seal.statement.at);
                seal.head(writer).is_none() && is_later && last.is_some_and(|last| seq < last)
            };
            if let Some(seal) = self.believed.iter().find(knew_it) {
                self.report.add(Finding::Stranger { writer: writer.clone(), seq, seal: seal.statement.number });
            }
        }
    }

    /// Old seals are thinned out; the newest never go.
    fn find_lost_seals(&mut self) {
        let newest = self.stored.keys().next_back().copied().unwrap_or_default();
        let made: BTreeSet<i64> = self.told.keys().chain(&self.copies).copied().filter(|it| *it > newest).collect();
        made.into_iter().for_each(|number| self.report.add(Finding::SealGone { number }));
        for (number, digest) in &self.told {
            if self.stored.get(number).is_some_and(|stored| stored != digest) {
                self.report.add(Finding::SealChanged { number: *number });
            }
        }
    }
}

fn bytes(hash: &str) -> Option<[u8; 32]> {
    hex::decode(hash).ok()?.try_into().ok()
}
