//! What a rule's expression can look at. Values are borrowed from the alert and made when they are asked for, so a rule
//! pays for what it reads.

use std::sync::OnceLock;

use cel::common::types::{CelBool, CelInt, CelList, CelMap, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;

use super::language::ATTRIBUTES;
use crate::domain::{Alert, AlertSubject, SessionRef};
use crate::expression::{Read, Size, Sizes, Time, Work, json_map, text_map};

/// The most that rules may cost for one delivery, over all of its alerts and their subjects. About a tenth of a second.
const MOST_COST: usize = 100_000_000;

/// What rules may still cost for a delivery.
#[derive(Debug)]
pub struct Effort(usize);

impl Default for Effort {
    fn default() -> Self {
        Self(MOST_COST)
    }
}

impl Effort {
    /// What costs too much takes nothing: cheaper rules still have a say.
    fn take(&mut self, cost: usize) -> Result<(), String> {
        if cost > MOST_COST {
            return Err("alert.attributes is too large to be read inside all, exists, map and filter".to_owned());
        }
        let too_often =
            || "alert.attributes is read too often: the delivery has too many alerts or subjects".to_owned();
        self.0 = self.0.checked_sub(cost).ok_or_else(too_often)?;
        Ok(())
    }
}

/// An alert, with its attributes turned into CEL values at most once.
pub(super) struct AlertFacts<'d> {
    alert: &'d Alert,
    source: &'d str,
    attributes: OnceLock<CelMap<'d>>,
    sizes: Sizes,
}

impl<'d> AlertFacts<'d> {
    pub(super) fn new(alert: &'d Alert, source: &'d str) -> Self {
        Self { alert, source, attributes: OnceLock::new(), sizes: Sizes::default() }
    }

    /// Takes what an expression costs. `Err`: why it may not be evaluated.
    pub(super) fn charge(&self, work: &Work, effort: &mut Effort) -> Result<(), String> {
        if work.reads(ATTRIBUTES) { effort.take(work.cost(|read| self.size(read))?) } else { Ok(()) }
    }

    fn size(&self, read: &Read) -> Size {
        self.sizes.of(read, || Size::of_path(&self.alert.attributes, &read.path))
    }

    fn attributes(&self) -> &CelMap<'d> {
        self.attributes.get_or_init(|| json_map(&self.alert.attributes))
    }
}

/// An alert and one of its subjects.
pub(super) struct Facts<'f, 'd> {
    pub(super) alert: &'f AlertFacts<'d>,
    pub(super) subject: &'d AlertSubject,
}

impl VariableResolver for Facts<'_, '_> {
    /// Qualified names come whole, so `alert.kind` costs one borrowed string.
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let alert = self.alert.alert;
        Some(match name {
            "source" => text(self.alert.source),
            "alert.id" => text(&alert.id),
            "alert.kind" => text(&alert.kind),
            "alert.severity" => CowVal::owned(CelInt::from(i64::from(alert.severity.rank()))),
            "alert.occurred_at" => CowVal::owned(Time(alert.occurred_at)),
            "alert.reason" => text(alert.reason.as_deref().unwrap_or_default()),
            "alert.attributes" => CowVal::Borrowed(self.alert.attributes()),
            "alert.dry_run" => CowVal::owned(CelBool::from(alert.dry_run)),
            "subject.email" => text(self.subject.email.as_deref().unwrap_or_default()),
            "subject.username" => text(self.subject.username.as_deref().unwrap_or_default()),
            "subject.ids" => CowVal::owned(text_map(self.subject.ids.iter().map(|(at, id)| (at.as_str(), string(id))))),
            "subject.sessions" => CowVal::owned(text_map(
                self.subject.sessions.iter().map(|(at, sessions)| (at.as_str(), session_ids(sessions))),
            )),
            _ => return None,
        })
    }
}

fn text(text: &str) -> CowVal<'_, '_> {
    CowVal::owned(CelString::from(text))
}

fn string(text: &str) -> Box<dyn Val + '_> {
    Box::new(CelString::from(text))
}

fn session_ids(sessions: &[SessionRef]) -> Box<dyn Val + '_> {
    Box::new(CelList::from(sessions.iter().map(|session| string(session.id())).collect::<Vec<_>>()))
}
