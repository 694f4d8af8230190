//! Messages that are to leave: made in the transaction of the change that they tell of, and kept until they were taken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::domain::{NoticeKind, SourceName, TargetName};

/// What whoever delivers messages needs of the store.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Says who is told of what, from now on. Messages for those who are not among them any more are given up, and what
    /// an earlier process left half done is due.
    async fn set_routes(&self, routes: Routes) -> Result<(), StoreError>;

    /// Leases messages that are due for a target, oldest first, raising the attempt number of each.
    async fn claim_messages(
        &self,
        target: &TargetName,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<Message>, StoreError>;

    /// Ends an attempt. [`StoreError::LeaseLost`] when a later one exists.
    async fn settle_message(&self, message: &Message, end: MessageEnd) -> Result<(), StoreError>;
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its row.
    pub seq: i64,
    /// The same in every attempt, so that a receiver knows a repeat.
    pub id: String,
    /// Of what kind it is.
    pub kind: NoticeKind,
    /// JSON.
    pub body: String,
    /// How many times it was claimed, this one among them.
    pub attempt: u32,
    /// When it was made, by the steady clock.
    pub made_at: Timestamp,
}

/// How an attempt to deliver a message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageEnd {
    /// It was taken.
    Delivered,
    /// Once more, at this time of the steady clock.
    Retry {
        /// When.
        due_at: Timestamp,
        /// What went wrong.
        note: String,
    },
    /// Never again.
    Dead {
        /// What went wrong.
        note: String,
    },
}

/// Who is told of what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// Every target, with the kinds that it takes.
    pub targets: BTreeMap<TargetName, BTreeSet<NoticeKind>>,
    /// Who is told of alerts of a source, where the source says so.
    pub by_source: BTreeMap<SourceName, BTreeSet<TargetName>>,
    /// Who is told of jobs of a rule, where the rule says so.
    pub by_rule: BTreeMap<String, BTreeSet<TargetName>>,
}

impl Routes {
    /// Whether nobody is told of anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Everyone who takes this kind.
    #[must_use]
    pub fn all(&self, kind: NoticeKind) -> BTreeSet<TargetName> {
        self.taking(kind, self.targets.keys())
    }

    /// Who is told about a job: those whom its source and its rules name, or everyone where neither says anything.
    #[must_use]
    pub fn of_job(&self, kind: NoticeKind, source: &SourceName, rules: &[String]) -> BTreeSet<TargetName> {
        let of_rules = rules.iter().filter_map(|rule| self.by_rule.get(rule));
        let named: Vec<_> = self.by_source.get(source).into_iter().chain(of_rules).collect();
        if named.is_empty() { self.all(kind) } else { self.taking(kind, named.into_iter().flatten()) }
    }

    fn taking<'t>(&self, kind: NoticeKind, names: impl Iterator<Item = &'t TargetName>) -> BTreeSet<TargetName> {
        let takes = |name: &&TargetName| self.targets.get(*name).is_some_and(|kinds| kinds.contains(&kind));
        names.filter(takes).cloned().collect()
    }
}

/// How the messages for one target stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutboxView {
    /// Messages that were not taken yet.
    pub waiting: u64,
    /// Messages that were given up.
    pub dead: u64,
    /// Since when the oldest of those that wait does.
    #[schemars(with = "Option<String>")]
    pub waiting_since: Option<Timestamp>,
    /// What went wrong last.
    pub note: Option<String>,
}
