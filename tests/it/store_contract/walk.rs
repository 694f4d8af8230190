//! Random lives of many jobs: whatever happens, no job vanishes, each is in one state, and the counts are true.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use sever::domain::{Absence, Budget, Claim, DeadReason, HoldReason, JobId, JobState, Next, Outcome, ProviderName};
use sever::store::{Bound, Consent};

use crate::support::store::{
    Bench, Changed, LEASE, Mail, SECOND, contract_tests, first_break, name, okta, okta_id, operator, settlement,
};

/// The generator of Steele, Lea and Flood (splitmix64): the same walk for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let len = from.len() as u64;
        (len > 0).then(|| from[self.roll(len) as usize])
    }
}

struct Walk {
    bench: Bench,
    dice: Dice,
    known: BTreeSet<JobId>,
    held: Vec<Claim>,
    /// Accounts that are being called, by the job that calls.
    calling: HashMap<JobId, (String, u32)>,
    /// When each account was last counted by the budget.
    counted: HashMap<String, Timestamp>,
    deliveries: u64,
}

/// Few enough that some jobs find no room.
fn budget() -> Budget {
    let per = SECOND * 120;
    Budget { users: 3, per, source: None, provider: None, rule: None, reserve: None }
}

impl Walk {
    async fn step(&mut self) {
        match self.dice.roll(12) {
            0..=2 => self.admit().await,
            3 | 4 => self.claim().await,
            5 => self.bind().await,
            6 | 7 => self.settle().await,
            8 => self.operate().await,
            9 => self.bench.advance(SECOND * (self.dice.roll(100) as u32)),
            10 => self.gate().await,
            _ => self.bench.reopen_sometimes(&mut self.dice),
        }
    }

    async fn admit(&mut self) {
        self.deliveries += 1;
        let person = self.dice.roll(6);
        let job = if self.dice.roll(2) == 0 { okta(&format!("p{person}@x")) } else { okta_id(&format!("00u{person}")) };
        let job = if self.dice.roll(5) == 0 { job.dry() } else { job };
        let alert = format!("a{}", self.dice.roll(40));
        let receipt = self.bench.admit(&Mail::new(&self.deliveries.to_string()).alert(&alert, [job])).await;
        self.known.extend(receipt.alerts[0].jobs.iter().map(|job| job.id));
    }

    async fn claim(&mut self) {
        let limit = self.dice.roll(4) as u32;
        for claim in self.bench.claim("okta", limit).await {
            self.held.retain(|older| older.job != claim.job);
            self.calling.remove(&claim.job);
            self.held.push(claim);
        }
    }

    async fn bind(&mut self) {
        let Some(claim) = self.take() else { return };
        let account = match (&claim.subject.id, &claim.subject.email) {
            (Some(id), _) => id.clone(),
            (_, Some(email)) => email.replace('p', "00u").replace("@x", ""),
            _ => unreachable!("every job here has a name"),
        };
        match self.bench.jobs().bind(&claim, &crate::support::store::account(&account), None, &[budget()]).await {
            Ok(Bound::Proceed) => {
                let kind = format!("{account}/{}", claim.dry_run);
                let others: Vec<_> =
                    self.calling.iter().filter(|(job, (at, _))| *at == kind && **job != claim.job).collect();
                assert!(others.is_empty(), "two calls for {kind}: {others:?}");
                self.calling.insert(claim.job, (kind, claim.attempt));
                if !claim.counted {
                    self.counted.insert(account, self.bench.now());
                }
                self.held.push(claim);
            }
            // It is not worked on any more, also where it was bound before.
            Ok(Bound::Merged(into)) => {
                assert!(self.known.contains(&into));
                self.calling.remove(&claim.job);
            }
            Ok(Bound::Busy) => {
                self.calling.remove(&claim.job);
            }
            Ok(Bound::Held(_)) => {
                assert!(!claim.past_budget, "a person let it go on");
                assert!(self.in_budget() >= 3, "there was room");
                self.calling.remove(&claim.job);
            }
            // Its lease is over, or the job was settled by a later attempt.
            Err(_) => {}
        }
    }

    fn in_budget(&self) -> usize {
        let since = self.bench.now() - budget().per;
        self.counted.values().filter(|at| **at > since).count()
    }

    fn take(&mut self) -> Option<Claim> {
        let len = self.held.len() as u64;
        (len > 0).then(|| self.held.swap_remove(self.dice.roll(len) as usize))
    }

    async fn settle(&mut self) {
        let Some(claim) = self.take() else { return };
        let due_at = self.bench.now() + SECOND * (self.dice.roll(50) as u32);
        let next = match self.dice.roll(8) {
            0..=2 => Next::Done(Outcome::Confirmed),
            3 => Next::Dead(DeadReason::Refused),
            4 => Next::Held(HoldReason::Account),
            5 => Next::Retry { due_at, failed: true },
            6 => Next::LookAgain { due_at, absent: Absence::Account },
            _ => Next::Release,
        };
        if self.bench.jobs().settle(&claim, &settlement(&claim, next)).await.is_ok() {
            self.calling.remove(&claim.job);
        }
    }

    async fn operate(&mut self) {
        let known: Vec<JobId> = self.known.iter().copied().collect();
        let Some(job) = self.dice.pick(&known) else { return };
        // Whether the state allows it is the store's to say.
        let _ = match self.dice.roll(3) {
            0 => self.bench.ops().requeue(job, operator(), String::new()).await,
            1 => self.bench.ops().cancel(job, operator(), String::new()).await,
            _ => self.bench.ops().approve(job, operator(), Consent::default()).await,
        };
    }

    async fn gate(&mut self) {
        let ops = self.bench.ops();
        match self.dice.roll(3) {
            0 => ops.pause(Some(name("okta")), operator(), String::new()).await.expect("paused"),
            _ => ops.resume(Some(name("okta")), operator()).await.expect("resumed"),
        }
    }

    async fn check(&self) {
        let jobs = self.bench.all_jobs().await;
        let listed: BTreeSet<JobId> = jobs.iter().map(|job| job.id).collect();
        assert_eq!(listed, self.known, "a job vanished, or came from nowhere");
        assert_eq!(listed.len(), jobs.len());
        let mut recount: BTreeMap<ProviderName, BTreeMap<JobState, u64>> = BTreeMap::new();
        for job in &jobs {
            *recount.entry(job.provider.clone()).or_default().entry(job.state).or_default() += 1;
            assert!(!job.alert_ids.is_empty() || job.merged_into.is_some(), "no alert is left of {job:?}");
            assert_eq!(job.state.is_final(), job.finished_at.is_some(), "{job:?}");
            assert_eq!(job.state == JobState::Done, job.outcome.is_some(), "{job:?}");
        }
        let used = self.bench.ops().budget_use(&[budget()]).await.expect("an answer");
        assert_eq!(used, [self.in_budget() as u64], "{:?}", self.counted);
        let status = self.bench.ops().status().await.expect("a status");
        assert_eq!(status.jobs, recount);
        let held: u64 = status.held.values().flat_map(BTreeMap::values).sum();
        assert_eq!(held, jobs.iter().filter(|job| job.state == JobState::Held).count() as u64);
    }

    /// Work always ends.
    async fn drain(&mut self) {
        self.bench.ops().resume(Some(name("okta")), operator()).await.expect("resumed");
        for _ in 0..1000 {
            self.bench.advance(LEASE);
            let claims = self.bench.claim("okta", 100).await;
            if claims.is_empty() {
                break;
            }
            for claim in claims {
                self.bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
            }
        }
        for job in self.bench.all_jobs().await {
            assert!(job.state.is_final() || job.state == JobState::Held, "{job:?}");
        }
    }
}

impl Bench {
    fn reopen_sometimes(&mut self, dice: &mut Dice) {
        if dice.roll(10) == 0 {
            self.reopen();
        }
    }
}

async fn no_life_of_jobs_breaks_the_books(bench: Bench) {
    let dice = Dice(0x005e_0e12);
    let mut walk = Walk {
        bench,
        dice,
        known: BTreeSet::new(),
        held: Vec::new(),
        calling: HashMap::new(),
        counted: HashMap::new(),
        deliveries: 0,
    };
    for number in 0..1500 {
        walk.step().await;
        if number % 25 == 0 {
            walk.check().await;
        }
    }
    walk.check().await;
    walk.drain().await;
    walk.check().await;
    assert_eq!(first_break(&walk.bench.audit().await), None);
}

contract_tests!(no_life_of_jobs_breaks_the_books);
