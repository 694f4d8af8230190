//! What is done in one transaction, kind by kind: those who asked wait for the same commit, so their order is free.

use std::collections::HashSet;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::admit::Admit;
use super::bind::Intent;
use super::bulk::Picked;
use super::circuit::{Opening, Trial};
use super::claim::Request;
use super::fault::Fault;
use super::flight::{Answers, Flight};
use super::lane::Parts;
use super::opening::Needs;
use super::operate::Act;
use super::settle::Ended;
use super::tx::Tx;
use super::{admit, bind, bulk, circuit, claim, operate, outbox, seals, settle, upkeep};
use crate::audit::{Actor, Seal, Signed, Stub};
use crate::domain::Claim;
use crate::store::{
    Admission, Admitted, Bound, BulkDone, CircuitTrial, Message, Receipt, Retention, Routes, StoreError,
};

/// Something that somebody waits for.
pub(super) struct Asked<T, R> {
    pub(super) what: T,
    pub(super) result: Option<Result<R, StoreError>>,
    pub(super) reply: oneshot::Sender<Result<R, StoreError>>,
}

impl<T, R> Asked<T, R> {
    fn answer(self, failed: Option<&StoreError>) {
        let skipped = || Err(StoreError::Unavailable("the writer skipped a change".to_owned()));
        let result = failed.map_or_else(|| self.result.unwrap_or_else(skipped), |error| Err(error.clone()));
        // Whoever asked may have gone away; the change stands all the same.
        let _ = self.reply.send(result);
    }

    /// Keeps what came of it. What ended the transaction ends it for everyone.
    pub(super) fn keep(&mut self, result: Result<R, Fault>) -> Result<(), Fault> {
        self.result = Some(match result {
            Ok(value) => Ok(value),
            Err(Fault::Said(error)) => Err(error),
            Err(fault) => return Err(fault),
        });
        Ok(())
    }
}

/// A kept delivery, and what it says now.
pub(super) struct Replay {
    pub(super) delivery: i64,
    pub(super) admission: Admission,
    pub(super) actor: Actor,
}

/// Leases to extend.
pub(super) struct Renewal {
    pub(super) claims: Vec<(i64, u32)>,
    pub(super) lease: std::time::Duration,
}

/// Declares the kinds of changes, each with what it answers, in the order in which they are applied.
macro_rules! kinds {
    ($($field:ident: $variant:ident($what:ty) -> $answer:ty;)+) => {
        /// A change on its way to a lane.
        pub(super) enum Change {
            $($variant(Asked<$what, $answer>),)+
        }

        /// Changes that share a transaction.
        #[derive(Default)]
        pub(super) struct Batch {
            $($field: Vec<Asked<$what, $answer>>,)+
        }

        impl Batch {
            pub(super) fn add(&mut self, change: Change) {
                match change { $(Change::$variant(asked) => self.$field.push(asked),)+ }
            }

            pub(super) fn len(&self) -> usize {
                [$(self.$field.len()),+].iter().sum()
            }

            /// Each by itself.
            pub(super) fn split(self) -> Vec<Self> {
                let mut singles = Vec::new();
                $(singles.extend(self.$field.into_iter().map(|asked| Self { $field: vec![asked], ..Self::default() }));)+
                singles
            }

            /// Tells everyone. `failed`: the commit did not happen, or we do not know.
            pub(super) fn answer(self, failed: Option<&StoreError>) {
                $(self.$field.into_iter().for_each(|asked| asked.answer(failed));)+
            }
        }
    };
}

kinds! {
    claims: Claim(Request) -> Vec<Claim>;
    renewals: Renew(Renewal) -> Vec<bool>;
    settlements: Settle(Ended) -> ();
    binds: Bind(Intent) -> Bound;
    admissions: Admit(Admit) -> Admitted;
    acts: Act((Act, Actor)) -> ();
    decisions: Decide(Picked) -> BulkDone;
    openings: OpenCircuit(Opening) -> Option<std::time::Duration>;
    trials: TryCircuit(Trial) -> Option<CircuitTrial>;
    replays: Replay(Replay) -> Receipt;
    prunings: Prune((Retention, i64)) -> (u64, Option<i64>);
    seals: Seal(Signed<Seal>) -> ();
    shortenings: Shorten(Vec<Signed<Stub>>) -> u64;
    thinnings: Thin(Timestamp) -> u64;
    routings: Route(Routes) -> ();
    messages: Message(outbox::Wanted) -> Vec<Message>;
    deliveries: Deliver(outbox::Told) -> ();
}

/// What is asked while the transaction opens, kind by kind.
#[derive(Default)]
pub(super) struct Looks {
    claims: Vec<Option<claim::Look>>,
    binds: Option<bind::Look>,
    admissions: Option<admit::Look>,
    /// In place of the server's time.
    now: Option<i64>,
}

impl Batch {
    /// What has to be locked first.
    pub(super) fn needs(&self) -> Needs {
        let renewed = self.renewals.iter().flat_map(|asked| asked.what.claims.iter().map(|(row, _)| *row));
        let settled = self.settlements.iter().map(|asked| asked.what.end.row);
        let bound = self.binds.iter().map(|asked| asked.what.row);
        let mut accounts: Vec<i64> = self.binds.iter().map(|asked| asked.what.lock).collect();
        let decided = self.decisions.iter().flat_map(|asked| asked.what.rows.iter().copied());
        let is_counted = self.binds.iter().any(|asked| asked.what.is_uncounted());
        let admitted = self.admissions.iter().map(|asked| &asked.what.admission);
        let replayed = self.replays.iter().map(|asked| &asked.what.admission);
        accounts.sort_unstable();
        accounts.dedup();
        Needs {
            // Retention removes whom nobody counts any more.
            budgets: is_counted || !self.prunings.is_empty(),
            accounts,
            account_ids: self.binds.iter().map(|asked| asked.what.account.clone()).collect(),
            jobs: renewed.chain(settled).chain(bound).chain(decided).collect(),
            new_jobs: admitted.chain(replayed).flat_map(|it| &it.alerts).map(|alert| alert.jobs.len()).sum(),
            new_people: self.binds.iter().filter(|asked| asked.what.may_count()).count(),
        }
    }

    /// What nearly every change of these kinds has to know before it can write anything.
    pub(super) async fn look(&self, flight: &mut Flight<'_>, now: Option<i64>) -> Result<Looks, Fault> {
        let mut looks = Looks { now, ..Looks::default() };
        let mut providers = HashSet::new();
        for Asked { what, .. } in &self.claims {
            // Another one would find the same jobs.
            let is_first = providers.insert(&what.wanted.provider);
            looks.claims.push(if is_first { Some(claim::look(flight, what, now).await?) } else { None });
        }
        if !self.binds.is_empty() {
            looks.binds = Some(bind::look(flight, &self.binds).await?);
        }
        if !self.admissions.is_empty() {
            looks.admissions = Some(admit::look(flight, &self.admissions).await?);
        }
        Ok(looks)
    }

    pub(super) async fn apply(
        &mut self,
        tx: &mut Tx<'_>,
        looks: Looks,
        answers: &mut Answers,
        parts: &Parts,
    ) -> Result<(), Fault> {
        for (asked, look) in self.claims.iter_mut().zip(&looks.claims) {
            let seen = match look {
                Some(look) => look.seen(answers),
                None => claim::look_again(tx, &asked.what, looks.now).await?,
            };
            let result = claim::claim(tx, &asked.what, seen).await;
            asked.keep(result)?;
        }
        for asked in &mut self.renewals {
            let result = claim::renew(tx, &asked.what).await;
            asked.keep(result)?;
        }
        settle::settle(tx, &mut self.settlements).await?;
        if let Some(look) = &looks.binds {
            let ends = self.settlements.iter().filter_map(|asked| asked.what.end.account.as_deref());
            bind::bind(tx, &mut self.binds, (look, answers), &ends.collect()).await?;
        }
        if let Some(look) = looks.admissions {
            admit::admit(tx, &mut self.admissions, (look, answers), parts.cap).await?;
        }
        for asked in &mut self.acts {
            let (act, actor) = &asked.what;
            let result = operate::act(tx, act, actor).await;
            asked.keep(result)?;
        }
        for asked in &mut self.decisions {
            let result = bulk::decide(tx, &asked.what).await;
            asked.keep(result)?;
        }
        for asked in &mut self.openings {
            let result = circuit::open(tx, &asked.what).await;
            asked.keep(result)?;
        }
        for asked in &mut self.trials {
            let result = circuit::try_again(tx, &asked.what).await;
            asked.keep(result)?;
        }
        for asked in &mut self.replays {
            let result = admit::replay(tx, &asked.what, parts.cap).await;
            asked.keep(result)?;
        }
        for asked in &mut self.prunings {
            let result = upkeep::prune(tx, &asked.what.0, asked.what.1, &parts.timing).await;
            asked.keep(result)?;
        }
        for asked in &mut self.seals {
            let result = seals::keep(tx, &asked.what).await;
            asked.keep(result)?;
        }
        for asked in &mut self.shortenings {
            let result = seals::prune(tx, &asked.what).await;
            asked.keep(result)?;
        }
        for asked in &mut self.thinnings {
            let result = seals::thin(tx, asked.what).await;
            asked.keep(result)?;
        }
        self.apply_messages(tx).await
    }

    async fn apply_messages(&mut self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        for asked in &mut self.routings {
            let result = outbox::begin(tx, &asked.what).await;
            asked.keep(result)?;
        }
        for asked in &mut self.deliveries {
            let result = outbox::settle(tx, &asked.what).await;
            asked.keep(result)?;
        }
        for asked in &mut self.messages {
            let result = outbox::claim(tx, &asked.what).await;
            asked.keep(result)?;
        }
        Ok(())
    }
}
