//! Takes due jobs and drives each to a recorded result.
//!
//! A permit is taken before a job is claimed, so that little is leased that cannot be worked on at once: a few jobs, as
//! many as are called while a claim takes, wait for their turn in memory, and not for a commit once it is theirs. While one
//! waits for its call or its end to be written down, it calls nobody, and another has the turn. What happens between claim
//! and settlement happens outside any transaction. A provider has its own permits: a sick one delays only itself.

mod attempt;
mod circuit;
mod heart;
mod lease;
mod probe;
mod proof;
mod retry;
mod seats;
mod standing;
mod traced;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::domain::{AttemptClass, Budget, Claim, Disposition, Next, Outcome, ProviderName, Settlement};
use crate::lifecycle::Lifecycle;
use crate::live::Live;
use crate::policy::Policy;
use crate::provider::{Provider, Share};
use crate::store::{Bound, ClaimRequest, JobStore, StoreError};
use crate::telemetry::trace::Tracer;
use crate::telemetry::{Metrics, SubjectDigest};
use attempt::{Call, Context, Ending, Now};
use circuit::{Circuits, Sign};
pub use heart::Heart;
pub use lease::{LEASE, LEASE_MARGIN};
use lease::{Lease, Leases};
use probe::Probes;
pub use proof::ProofPolicy;
pub use retry::RetryPolicy;
use seats::{Seat, Seats, Turn};
pub use standing::Pulsing;

/// Wakes up this often even if nobody said that a job is due. Retries fall due without a word.
const POLL: Duration = Duration::from_millis(100);

/// A provider and how its jobs are run.
#[derive(Clone)]
pub struct Station {
    /// The provider.
    pub provider: Arc<dyn Provider>,
    /// Attempts at once, over all processes that share the work.
    pub concurrency: u32,
    /// When to try again.
    pub retry: RetryPolicy,
    /// When it is looked whether sessions are gone, and when an absence is believed.
    pub proof: ProofPolicy,
    /// The longest that a call may take.
    pub timeout: Duration,
    /// Sends nothing.
    pub dry_run: bool,
}

/// A provider, how many may work at it, and by which guardrails. An attempt ends with those that it began with.
struct Bay {
    station: Station,
    seats: Arc<Seats>,
    policy: Arc<Policy>,
}

type Bays = BTreeMap<ProviderName, Arc<Bay>>;

/// Claims, attempts, settles.
#[derive(Clone)]
pub struct Worker(Arc<Shared>);

struct Shared {
    store: Arc<dyn JobStore>,
    bays: Live<Bays>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    tracer: Tracer,
    lifecycle: Lifecycle,
    digest: SubjectDigest,
    leases: Leases,
    probes: Probes,
    circuits: Circuits,
    freed: Notify,
    share: Mutex<Share>,
}

impl Worker {
    /// A worker for these providers.
    #[must_use]
    pub fn new(
        store: Arc<dyn JobStore>,
        stations: BTreeMap<ProviderName, Station>,
        policy: Arc<Policy>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        lifecycle: Lifecycle,
    ) -> Self {
        Self::traced(store, stations, policy, clock, metrics, lifecycle, Tracer::default())
    }

    /// The same, and records a trace of each attempt.
    #[must_use]
    pub fn traced(
        store: Arc<dyn JobStore>,
        stations: BTreeMap<ProviderName, Station>,
        policy: Arc<Policy>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        lifecycle: Lifecycle,
        tracer: Tracer,
    ) -> Self {
        Self(Arc::new(Shared {
            store,
            bays: Live::new(bays(stations, &policy, &Bays::new())),
            clock,
            metrics,
            tracer,
            lifecycle,
            digest: SubjectDigest::new(),
            leases: Leases::default(),
            probes: Probes::default(),
            circuits: Circuits::default(),
            freed: Notify::new(),
            share: Mutex::new(Share::WHOLE),
        }))
    }

    /// From now on these providers and guardrails. Attempts that are under way go on, in the seats that they have.
    pub fn replace(&self, stations: BTreeMap<ProviderName, Station>, policy: &Arc<Policy>) {
        let share = self.0.share.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.0.bays.get();
        let next = bays(stations, policy, &before);
        next.values().for_each(|bay| bay.divide(*share));
        for (name, bay) in &next {
            let is_same = before.get(name).is_some_and(|old| Arc::ptr_eq(&old.station.provider, &bay.station.provider));
            if !is_same {
                // Its gate may be closed for what was just mended.
                self.0.probes.forget(name);
            }
        }
        self.0.bays.set(next);
        self.0.freed.notify_one();
    }

    /// From now on this part of every limit. What is under way is not cut off.
    pub fn divide(&self, share: Share) {
        let mut held = self.0.share.lock().unwrap_or_else(PoisonError::into_inner);
        *held = share;
        self.0.bays.get().values().for_each(|bay| bay.divide(share));
        self.0.freed.notify_one();
    }

    /// Works until the drain begins. What runs then is finished by the lifecycle's tracker.
    pub async fn run(&self) {
        let shared = &self.0;
        let (renewer, prober) = (self.clone(), self.clone());
        shared.lifecycle.spawn(async move { renewer.renew_leases().await });
        shared.lifecycle.spawn_vital("gate prober", async move { prober.probe_gates_forever().await });
        while !shared.lifecycle.is_draining() {
            self.step().await;
            tokio::select! {
                () = shared.lifecycle.draining() => {}
                () = shared.freed.notified() => {}
                () = shared.store.wait_for_due(POLL) => {}
            }
        }
    }

    /// One round: claims for every provider what there are permits for, and starts the attempts.
    pub async fn step(&self) -> Vec<JoinHandle<()>> {
        let mut started = Vec::new();
        if !self.0.has_share() {
            return started;
        }
        for (name, bay) in self.0.bays.get().iter() {
            if bay.station.provider.wait().is_some() || bay.seats.is_resting(self.0.clock.steady()) {
                continue;
            }
            let room = bay.station.provider.room().saturating_sub(bay.seats.busy());
            if room == 0 {
                continue;
            }
            let Some(most) = self.0.claimable(name).await else { continue };
            let taken = bay.seats.take(most.min(room));
            if taken.is_empty() {
                continue;
            }
            started.extend(self.start(name, bay, taken).await);
        }
        started
    }

    async fn start(&self, name: &ProviderName, bay: &Arc<Bay>, mut seats: Vec<Seat>) -> Vec<JoinHandle<()>> {
        let limit = u32::try_from(seats.len()).unwrap_or(u32::MAX);
        let request = ClaimRequest { provider: name.clone(), limit, lease: LEASE };
        let before = bay.seats.given_up();
        let claims = self.0.store.claim(request).await;
        bay.seats.claimed(before);
        let claims = match claims {
            Ok(claims) => claims,
            Err(error) => {
                tracing::error!(provider.name = %name, error = %error, "jobs could not be claimed; will try again");
                return Vec::new();
            }
        };
        self.0.note_trial(name, &claims);
        claims
            .into_iter()
            .filter_map(|claim| Some((claim, seats.pop()?)))
            .map(|(claim, seat)| {
                // On its way to the runtime it is moved several times, and it is large.
                let work = Box::pin(Arc::clone(&self.0).work(Arc::clone(bay), claim, seat));
                self.0.lifecycle.spawn(work)
            })
            .collect()
    }

    /// Asks providers whose gate is closed whether they take us again, where it is time to.
    pub async fn probe_gates(&self) {
        self.0.probe_gates().await;
    }

    async fn probe_gates_forever(&self) {
        while !self.0.lifecycle.is_draining() {
            self.0.adopt_circuits().await;
            for gate in self.0.gates_due().await {
                let shared = Arc::clone(&self.0);
                // One that does not answer keeps neither the others nor the shutdown waiting.
                self.0.lifecycle.spawn(async move {
                    tokio::select! {
                        () = shared.lifecycle.draining() => {}
                        () = shared.probe(&gate) => {}
                    }
                });
            }
            tokio::select! {
                () = self.0.lifecycle.draining() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Stops with the drain: what is left of a lease then is longer than the drain may take.
    async fn renew_leases(&self) {
        loop {
            tokio::select! {
                () = self.0.lifecycle.draining() => return,
                () = tokio::time::sleep(LEASE / 3) => {}
            }
            self.0.leases.renew(self.0.store.as_ref(), self.0.clock.steady()).await;
        }
    }
}

/// As many may work at a provider as before still share its seats.
fn bays(stations: BTreeMap<ProviderName, Station>, policy: &Arc<Policy>, before: &Bays) -> Bays {
    let bay = |(name, station): (ProviderName, Station)| {
        let same = before.get(&name).filter(|before| before.station.concurrency == station.concurrency);
        let seats = same.map_or_else(|| Arc::new(Seats::new(station.concurrency)), |before| Arc::clone(&before.seats));
        (name, Arc::new(Bay { station, seats, policy: Arc::clone(policy) }))
    };
    stations.into_iter().map(bay).collect()
}

/// The attempt counts as failed, and how far it got is not known.
fn panicked(station: &Station, claim: &Claim, now: Timestamp) -> Ending {
    let next = station.retry.settle(claim, Disposition::Retry, now);
    Ending::panicked(next.unwrap_or(Next::Release))
}

impl Bay {
    fn divide(&self, share: Share) {
        self.station.provider.divide(share);
        self.seats.resize(share.left_of(self.station.concurrency));
    }
}

impl Shared {
    fn has_share(&self) -> bool {
        self.share.lock().unwrap_or_else(PoisonError::into_inner).holds(self.clock.steady())
    }

    /// One claim from start to settlement. The seat goes back however this ends.
    async fn work(self: Arc<Self>, bay: Arc<Bay>, claim: Claim, seat: Seat) {
        let lease = self.leases.hold(&claim);
        let Seat { mut turn, job } = seat;
        turn.take().await;
        let (started_at, started) = (self.clock.now(), self.clock.steady());
        let span = traced::attempt(&self.tracer, &claim, started_at);
        // A bug that strikes one job must not make it wait out its lease again and again, for ever.
        let end = span.scope(AssertUnwindSafe(self.attempt(&bay, &claim, &lease, &mut turn)).catch_unwind()).await;
        let end = end.unwrap_or_else(|_| Some(panicked(&bay.station, &claim, self.clock.steady())));
        // After a failure nothing new begins before it is written down: it may close the gate.
        let turn = Some(turn).filter(|_| !end.as_ref().is_some_and(Ending::went_well));
        if end.as_ref().is_some_and(Ending::was_held_back) {
            bay.seats.rest(self.clock.steady());
        }
        let (sign, note) = end.as_ref().map_or((Sign::Answered, String::new()), Ending::sign);
        let took = Duration::try_from(self.clock.steady() - started).unwrap_or_default();
        let settlement = end.map(|end| end.at(&claim, started_at, took));
        traced::ended(span, settlement.as_ref());
        if let Some(settlement) = settlement {
            self.freed.notify_one();
            self.settle(&claim, settlement).await;
        }
        self.judge_provider(&claim, sign, &note).await;
        drop((lease, turn, job));
        self.freed.notify_one();
    }

    /// `None`: the store has settled it already.
    async fn attempt(&self, bay: &Bay, claim: &Claim, lease: &Lease, turn: &mut Turn) -> Option<Ending> {
        let Bay { station, policy, .. } = bay;
        let context = Context {
            provider: station.provider.as_ref(),
            guardrails: policy.guardrails(),
            retry: &station.retry,
            proof: station.proof,
            dry_run: station.dry_run || policy.dry_run(),
        };
        if let Some(proof) = claim.proof.as_ref().filter(|_| claim.proving) {
            return tokio::select! {
                () = self.lifecycle.aborting() => Some(Ending::released("given back by the shutdown")),
                end = context.prove(claim, proof, self.clock.steady()) => Some(end),
            };
        }
        let call = tokio::select! {
            () = self.lifecycle.aborting() => return Some(Ending::released("given back by the shutdown")),
            planned = self.plan(&context, claim) => match planned {
                Ok(call) => call,
                Err(end) => return Some(*end),
            }
        };
        if !lease.has_room(self.clock.steady(), station.timeout) {
            return Some(Ending::too_late());
        }
        // The provider is not called while this is stored.
        turn.lend();
        if let Some(end) = self.bind(claim, &call, bay.policy.budgets()).await {
            return end;
        }
        tokio::select! {
            () = self.lifecycle.aborting() => return Some(Ending::released("given back by the shutdown")),
            () = turn.take() => {}
        }
        if !lease.has_room(self.clock.steady(), station.timeout) {
            return Some(Ending::too_late());
        }
        tokio::select! {
            () = self.lifecycle.aborting() => Some(Ending::cut_off()),
            end = context.revoke(claim, call, self.clock.steady()) => Some(end),
        }
    }

    /// Everything before the first call that changes something.
    async fn plan(&self, context: &Context<'_>, claim: &Claim) -> Result<Call, Box<Ending>> {
        let account = context.find_account(claim, self.clock.steady()).await?;
        context.plan(claim, account, Now { steady: self.clock.steady(), wall: self.clock.now() }).await
    }

    /// `None`: the call may be made. Otherwise how the attempt ends; inner `None` where the store has settled it.
    async fn bind(&self, claim: &Claim, call: &Call, budgets: &[Budget]) -> Option<Option<Ending>> {
        match self.store.bind(claim, &call.account, call.proof.clone(), budgets).await {
            Ok(Bound::Proceed) => None,
            Ok(Bound::Merged(into)) => {
                tracing::info!(job.id = %claim.job, merged_into = %into, "merged: the same account");
                Some(None)
            }
            Ok(Bound::Busy) => Some(None),
            Ok(Bound::Held(reason)) => {
                self.metrics.attempt(&claim.provider, AttemptClass::Guarded);
                tracing::warn!(job.id = %claim.job, job.attempt = claim.attempt, source.name = %claim.source,
                    provider.name = %claim.provider, reason, "held: a budget has no room");
                Some(None)
            }
            Err(StoreError::LeaseLost) => {
                tracing::warn!(job.id = %claim.job, job.attempt = claim.attempt, "lost the lease before the call");
                Some(None)
            }
            Err(error) => Some(Some(Ending::released(&error.to_string()))),
        }
    }

    /// Writes the end down. The provider has answered by now, so this is tried until the lease is over.
    async fn settle(&self, claim: &Claim, settlement: Settlement) {
        let mut wait = Duration::from_millis(50);
        loop {
            match self.store.settle(claim, &settlement).await {
                Ok(()) => return self.tell(claim, &settlement),
                Err(StoreError::Unavailable(error)) => {
                    tracing::error!(job.id = %claim.job, error = %error, "the end of an attempt could not be stored");
                }
                Err(error) => {
                    tracing::warn!(job.id = %claim.job, job.attempt = claim.attempt, error = %error, "not settled");
                    return;
                }
            }
            tokio::select! {
                () = self.lifecycle.aborting() => return,
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(Duration::from_secs(2)),
            }
        }
    }

    fn tell(&self, claim: &Claim, settlement: &Settlement) {
        let attempt = &settlement.attempt;
        self.metrics.attempt(&claim.provider, attempt.class);
        tracing::info!(
            job.id = %claim.job,
            job.attempt = attempt.number,
            alert.id = %claim.alert,
            source.name = claim.source.as_str(),
            provider.name = claim.provider.as_str(),
            subject = self.digest.of(&claim.subject),
            class = attempt.class.as_str(),
            operation = attempt.operation,
            status = attempt.status,
            code = attempt.code,
            duration_ms = attempt.duration_ms,
            next = ?settlement.next,
            "attempt ended"
        );
        match settlement.next {
            Next::Done(outcome) => self.measure(claim, outcome),
            Next::Prove { .. } if settlement.revocation.is_some() => self.measure_yes(claim),
            _ => {}
        }
    }

    fn measure(&self, claim: &Claim, outcome: Outcome) {
        let now = self.clock.now();
        let since = |then: Timestamp| Duration::try_from(now - then).unwrap_or_default();
        self.metrics.done(&claim.provider, outcome, since(claim.received_at), since(claim.occurred_at));
        match outcome {
            Outcome::Verified | Outcome::Confirmed | Outcome::Accepted if !claim.proving => self.measure_yes(claim),
            Outcome::Verified | Outcome::Confirmed | Outcome::Accepted => {}
            Outcome::NothingToRevoke | Outcome::UnknownAccount | Outcome::DryRun => {}
        }
    }

    /// The provider said yes to a call, just now.
    fn measure_yes(&self, claim: &Claim) {
        let since = Duration::try_from(self.clock.now() - claim.received_at).unwrap_or_default();
        self.metrics.revoked(&claim.provider, since);
        self.probes.forget(&claim.provider);
    }
}
