//! Budgets: who a call counts as, and whether there is room for one more. Pure.
//!
//! Always holds: a person has at most one account at each provider. So whatever names accounts share, no more accounts
//! are acted on at a provider than its budgets have people.

use std::sync::{Arc, Mutex, PoisonError};

use super::accounts::Accounts;
use super::keys::micros;
use crate::domain::{Account, Budget, Claim, ProviderName, Severity, SourceName, account_mark, person_marks};

/// Other sources of a job that are asked whether they have room.
pub(super) const MOST_SOURCES: u32 = 20;

/// A name of a person in a budget.
pub(super) type Mark = [u8; 16];

/// Budgets, each with its key.
pub(super) type Keyed = Vec<(i64, Budget)>;

/// The budgets that were asked for last. Their keys are digests, and the same ones come with every call.
#[derive(Debug, Default)]
pub(super) struct Keys(Mutex<Arc<Keyed>>);

impl Keys {
    /// These budgets with their keys.
    pub(super) fn of(&self, budgets: &[Budget]) -> Arc<Keyed> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.iter().map(|(_, budget)| budget).eq(budgets) {
            *last = Arc::new(budgets.iter().map(|budget| (budget.key(), budget.clone())).collect());
        }
        Arc::clone(&last)
    }
}

/// What the budgets have to know of a call.
pub(super) struct Count {
    pub(super) provider: ProviderName,
    pub(super) account: String,
    pub(super) source: SourceName,
    severity: Severity,
    past_budget: bool,
    budgets: Arc<Keyed>,
    marks: Vec<Mark>,
}

impl Count {
    /// `None`: no budget counts it.
    pub(super) fn new(claim: &Claim, account: &Account, budgets: Arc<Keyed>) -> Option<Self> {
        let concerned = budgets.iter().any(|(_, budget)| concerns(budget, &claim.provider));
        concerned.then(|| Self {
            provider: claim.provider.clone(),
            account: account.id.clone(),
            source: claim.source.clone(),
            severity: claim.severity,
            past_budget: claim.past_budget,
            budgets,
            marks: person_marks(account),
        })
    }

    fn concerned(&self) -> impl Iterator<Item = &(i64, Budget)> {
        self.budgets.iter().filter(|(_, budget)| concerns(budget, &self.provider))
    }

    /// Whether the rules of the job decide.
    pub(super) fn names_rules(&self) -> bool {
        self.concerned().any(|(_, budget)| budget.rule.is_some())
    }

    /// The keys of the budgets, each with how many people there may be.
    pub(super) fn limits(&self) -> impl Iterator<Item = (i64, i64)> {
        self.concerned().map(|(key, budget)| (*key, i64::from(budget.limit(self.severity))))
    }

    /// Every name under which its person may be known.
    pub(super) fn names(&self) -> Vec<Mark> {
        [&self.marks[..], &[account_mark(&self.provider, &self.account)]].concat()
    }
}

fn concerns(budget: &Budget, provider: &ProviderName) -> bool {
    budget.provider.as_ref().is_none_or(|name| name == provider)
}

/// Whom to count where, once the call may be made.
pub(super) struct Place {
    pub(super) person: Person,
    pub(super) uses: Vec<Use>,
}

/// A budget that counts the person.
pub(super) struct Use {
    pub(super) budget: i64,
    pub(super) until: i64,
    pub(super) is_new: bool,
}

/// Somebody whom a budget counts now.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) row: i64,
    pub(super) accounts: Accounts,
    pub(super) names: Vec<u8>,
    /// The budgets that count them.
    pub(super) counted_by: Vec<i64>,
}

/// Whose account it is.
pub(super) enum Person {
    /// Somebody who is counted with this account already.
    Same(Known),
    /// Somebody who is counted already, and had no account at this provider until now.
    Joined(Known, Vec<Mark>),
    /// Nobody who is counted.
    New(Vec<Mark>),
}

impl Person {
    fn is_counted_by(&self, budget: i64) -> bool {
        match self {
            Self::Same(known) | Self::Joined(known, _) => known.counted_by.contains(&budget),
            Self::New(_) => false,
        }
    }
}

/// A budget without room.
pub(super) struct Full {
    pub(super) names_source: bool,
    pub(super) words: String,
}

/// A place in every budget that counts the job as one of this source. `used` answers how many people a budget counts, and
/// removes whoever has had their time where that decides: where there are as many as there may be.
pub(super) fn room<E>(
    count: &Count,
    source: &SourceName,
    rules: &[String],
    person: &Person,
    now: i64,
    mut used: impl FnMut(i64, i64) -> Result<i64, E>,
) -> Result<Result<Vec<Use>, Full>, E> {
    let mut uses: Vec<Use> = Vec::with_capacity(count.budgets.len());
    for (key, budget) in count.concerned() {
        if !budget.counts(&count.provider, source, rules) {
            continue;
        }
        let (key, is_new) = (*key, !person.is_counted_by(*key));
        if is_new && !count.past_budget {
            let limit = i64::from(budget.limit(count.severity));
            let used = used(key, limit)?;
            if used >= limit {
                let words = budget.refusal(count.severity, u64::try_from(used).unwrap_or(0));
                return Ok(Err(Full { names_source: budget.source.is_some(), words }));
            }
        }
        // Budgets that differ in their size alone count together.
        if uses.iter().all(|known| known.budget != key) {
            uses.push(Use { budget: key, until: now.saturating_add(micros(budget.per)), is_new });
        }
    }
    Ok(Ok(uses))
}

/// Joined by the addresses that the provider shows, as long as that gives nobody two accounts at one provider; where in
/// doubt they are two people. `by_name` answers whom a budget counts under a name.
pub(super) fn find_person<E>(
    count: &Count,
    mut by_name: impl FnMut(Mark) -> Result<Option<Known>, E>,
) -> Result<Person, E> {
    let mut joined = None;
    let mut is_unclear = count.marks.is_empty();
    for mark in &count.marks {
        let Some(known) = by_name(*mark)? else { continue };
        match known.accounts.at(&count.provider) {
            Some(account) if account == count.account => return Ok(Person::Same(known)),
            Some(_) => is_unclear = true,
            None => joined = joined.or(Some(known)),
        }
    }
    let mut marks = count.marks.clone();
    if is_unclear {
        let mark = account_mark(&count.provider, &count.account);
        if let Some(known) = by_name(mark)? {
            return Ok(Person::Same(known));
        }
        marks.push(mark);
    }
    Ok(match joined {
        Some(known) => Person::Joined(known, marks),
        None => Person::New(marks),
    })
}
