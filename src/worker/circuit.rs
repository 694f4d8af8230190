//! A provider that fails again and again is left alone for a while, and then tried by one job.
//!
//! What is decided here is about claiming alone: a job that waits for it is neither failed nor held. The store knows
//! which circuits are open, so that replicas and a restarted process leave the provider alone as well, and one of them
//! tries it. Only failures to answer count: whoever refuses a job works.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::{LEASE, Shared};
use crate::domain::{Claim, ProviderName};
use crate::store::{CircuitTrial, CircuitView, CircuitWait, StoreError};

/// So many attempts in a row, none of which got an answer, open the circuit.
const FAILURES: u32 = 5;

/// They have to be of so many jobs: one that the provider chokes on says nothing about the others.
const JOBS: usize = 3;

/// A provider may be back within seconds, and every second of a wait is the attacker's: the first is short.
const WAIT: CircuitWait = CircuitWait { first: Duration::from_secs(5), longest: Duration::from_secs(60) };

/// What an attempt says about whether its provider works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answered, whatever it said.
    Answered,
    /// It did not answer, or with nothing that makes sense.
    Failed,
    /// It was not asked.
    None,
}

/// How many jobs may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// As many as there is room for.
    All,
    /// One, to try the provider.
    One,
    /// One, if the store says that nobody else tries it.
    OneIfFree,
    /// None.
    None,
}

/// What the store has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// With the trial that failed, where the store knows of one.
    Open(Option<CircuitTrial>),
    Close,
}

#[derive(Debug)]
enum Circuit {
    /// Failures in a row, and the rows of the first few jobs that had them.
    Closed { failures: u32, jobs: Vec<i64> },
    /// `stored`: the store knows of it.
    Open { until: Timestamp, stored: bool },
    /// By us; `job`: the row of the one that does; `trial`: as which the store knows it.
    HalfOpen { job: Option<i64>, trial: Option<CircuitTrial> },
}

impl Circuit {
    const fn closed() -> Self {
        Self::Closed { failures: 0, jobs: Vec::new() }
    }

    fn record(&mut self, row: i64, sign: Sign) -> Option<Change> {
        match self {
            Self::Closed { failures, jobs } => match sign {
                Sign::Answered => {
                    *failures = 0;
                    jobs.clear();
                    None
                }
                Sign::Failed => {
                    *failures = failures.saturating_add(1);
                    if jobs.len() < JOBS && !jobs.contains(&row) {
                        jobs.push(row);
                    }
                    (*failures >= FAILURES && jobs.len() >= JOBS).then_some(Change::Open(None))
                }
                Sign::None => None,
            },
            // Begun before it opened: what it says is old.
            Self::Open { .. } => None,
            Self::HalfOpen { job, trial } if *job == Some(row) => {
                *job = None;
                match sign {
                    Sign::Answered => Some(Change::Close),
                    Sign::Failed => Some(Change::Open(*trial)),
                    Sign::None => None,
                }
            }
            Self::HalfOpen { .. } => None,
        }
    }
}

/// The circuits as this process sees them. A provider that is not in here has a closed one.
#[derive(Debug, Default)]
pub(super) struct Circuits(Mutex<HashMap<ProviderName, Circuit>>);

impl Circuits {
    /// How many of a provider's jobs may be claimed now.
    pub(super) fn allowed(&self, provider: &ProviderName, now: Timestamp) -> Allowed {
        match self.lock().get(provider) {
            None | Some(Circuit::Closed { .. }) => Allowed::All,
            Some(Circuit::Open { until, .. }) if now < *until => Allowed::None,
            Some(Circuit::Open { stored: true, .. }) => Allowed::OneIfFree,
            Some(Circuit::Open { stored: false, .. } | Circuit::HalfOpen { job: None, .. }) => Allowed::One,
            Some(Circuit::HalfOpen { job: Some(_), .. }) => Allowed::None,
        }
    }

    /// This job was claimed while `allowed` said one.
    fn tries(&self, provider: &ProviderName, row: i64) {
        let mut circuits = self.lock();
        let circuit = circuits.entry(provider.clone()).or_insert(Circuit::closed());
        let trial = if let Circuit::HalfOpen { trial, .. } = circuit { *trial } else { None };
        *circuit = Circuit::HalfOpen { job: Some(row), trial };
    }

    fn set(&self, provider: &ProviderName, circuit: Circuit) {
        self.lock().insert(provider.clone(), circuit);
    }

    fn record(&self, provider: &ProviderName, row: i64, sign: Sign) -> Option<Change> {
        let mut circuits = self.lock();
        match circuits.get_mut(provider) {
            Some(circuit) => circuit.record(row, sign),
            None if sign == Sign::Failed => {
                circuits.entry(provider.clone()).or_insert(Circuit::closed()).record(row, sign)
            }
            None => None,
        }
    }

    /// Takes over what others did.
    fn adopt(&self, stored: &[CircuitView]) {
        let mut circuits = self.lock();
        for (provider, circuit) in circuits.iter_mut() {
            let known_elsewhere = matches!(circuit, Circuit::Open { stored: true, .. } | Circuit::HalfOpen { .. });
            if known_elsewhere && !stored.iter().any(|view| view.provider == *provider) {
                *circuit = Circuit::closed();
            }
        }
        for view in stored {
            let circuit = circuits.entry(view.provider.clone()).or_insert(Circuit::closed());
            if !matches!(circuit, Circuit::HalfOpen { .. }) {
                *circuit = Circuit::Open { until: view.until, stored: true };
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProviderName, Circuit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// How many jobs of a provider may be claimed: `None`: none.
    pub(super) async fn claimable(&self, provider: &ProviderName) -> Option<usize> {
        match self.circuits.allowed(provider, self.clock.steady()) {
            Allowed::All => Some(usize::MAX),
            Allowed::One => Some(1),
            Allowed::OneIfFree => self.may_try(provider).await.then_some(1),
            Allowed::None => None,
        }
    }

    async fn may_try(&self, provider: &ProviderName) -> bool {
        match self.store.try_circuit(provider, LEASE).await {
            Ok(Some(trial)) => {
                self.circuits.set(provider, Circuit::HalfOpen { job: None, trial: Some(trial) });
                true
            }
            // Somebody else tries it, or it is closed already: the next reading of the store tells.
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(provider.name = %provider, error = %error, "the circuit could not be read");
                false
            }
        }
    }

    /// Notes which job tries a provider whose circuit is not closed.
    pub(super) fn note_trial(&self, provider: &ProviderName, claims: &[Claim]) {
        if let ([claim], Allowed::One) = (claims, self.circuits.allowed(provider, self.clock.steady())) {
            self.circuits.tries(provider, claim.row);
        }
    }

    /// What an attempt that has ended says about its provider.
    pub(super) async fn judge_provider(&self, claim: &Claim, sign: Sign, note: &str) {
        let provider = &claim.provider;
        match self.circuits.record(provider, claim.row, sign) {
            Some(Change::Open(trial)) => self.open_circuit(provider, trial, note).await,
            Some(Change::Close) => self.close_circuit(provider).await,
            None => {}
        }
    }

    async fn open_circuit(&self, provider: &ProviderName, trial: Option<CircuitTrial>, note: &str) {
        // No further job is claimed while the store is written to.
        let until = self.clock.steady() + WAIT.first;
        self.circuits.set(provider, Circuit::Open { until, stored: false });
        match self.store.open_circuit(provider, trial, note.to_owned(), WAIT).await {
            Ok(Some(wait)) => {
                let until = self.clock.steady() + wait;
                self.circuits.set(provider, Circuit::Open { until, stored: true });
                tracing::error!(provider.name = %provider, wait_s = wait.as_secs(), cause = note,
                    "fails again and again: left alone for a while, its jobs wait");
            }
            // It has answered somebody else.
            Ok(None) => self.circuits.set(provider, Circuit::closed()),
            Err(error) => tracing::warn!(provider.name = %provider, error = %error, "the circuit could not be stored"),
        }
    }

    async fn close_circuit(&self, provider: &ProviderName) {
        match self.store.close_circuit(provider).await {
            Ok(()) => {
                self.circuits.set(provider, Circuit::closed());
                tracing::info!(provider.name = %provider, "answers again: its jobs go on");
            }
            // It stays half open, and the next job that gets an answer closes it.
            Err(error) => tracing::warn!(provider.name = %provider, error = %error, "the circuit could not be closed"),
        }
    }

    /// Reads what other replicas, or this process before a restart, found out.
    pub(super) async fn adopt_circuits(&self) {
        match self.store.circuits().await {
            Ok(stored) => self.circuits.adopt(&stored),
            Err(StoreError::Unavailable(error)) => tracing::warn!(error, "the circuits could not be read"),
            Err(error) => tracing::warn!(error = %error, "the circuits could not be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CircuitState;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn okta() -> ProviderName {
        "okta".parse().expect("a name")
    }

    fn fail(circuits: &Circuits, rows: impl IntoIterator<Item = i64>) -> Option<Change> {
        rows.into_iter().filter_map(|row| circuits.record(&okta(), row, Sign::Failed)).last()
    }

    fn view(state: CircuitState, until: Timestamp) -> CircuitView {
        CircuitView { provider: okta(), state, note: String::new(), since: NOW, until }
    }

    #[test]
    fn failures_of_several_jobs_in_a_row_open_it() {
        let circuits = Circuits::default();
        assert_eq!(fail(&circuits, [1, 2, 3, 1]), None);
        assert_eq!(fail(&circuits, [2]), Some(Change::Open(None)));
    }

    #[test]
    fn one_job_that_always_fails_does_not() {
        let circuits = Circuits::default();
        assert_eq!(fail(&circuits, [1, 2].into_iter().cycle().take(100)), None);
        assert_eq!(circuits.allowed(&okta(), NOW), Allowed::All);
    }

    #[test]
    fn an_answer_between_them_begins_anew() {
        let circuits = Circuits::default();
        for sign in [Sign::Answered, Sign::None] {
            assert_eq!(fail(&circuits, [1, 2, 3, 4]), None);
            assert_eq!(circuits.record(&okta(), 9, sign), None);
        }
        assert_eq!(fail(&circuits, [5]), Some(Change::Open(None)), "what was not asked is no answer");
    }

    #[test]
    fn once_it_is_time_one_job_tries_it_and_only_its_end_counts() {
        let circuits = Circuits::default();
        circuits.set(&okta(), Circuit::Open { until: NOW + WAIT.first, stored: false });
        assert_eq!(circuits.allowed(&okta(), NOW), Allowed::None);
        assert_eq!(circuits.record(&okta(), 1, Sign::Answered), None, "begun before it opened");
        let later = NOW + WAIT.first;
        assert_eq!(circuits.allowed(&okta(), later), Allowed::One);
        circuits.tries(&okta(), 7);
        assert_eq!(circuits.allowed(&okta(), later), Allowed::None);
        assert_eq!(circuits.record(&okta(), 1, Sign::Answered), None);
        assert_eq!(circuits.record(&okta(), 7, Sign::None), None);
        assert_eq!(circuits.allowed(&okta(), later), Allowed::One, "it was not asked: the next one tries");
        circuits.tries(&okta(), 8);
        assert_eq!(circuits.record(&okta(), 8, Sign::Answered), Some(Change::Close));
    }

    #[test]
    fn a_trial_that_fails_is_told_as_the_one_that_it_is() {
        let circuits = Circuits::default();
        let trial = CircuitTrial(uuid::Uuid::now_v7());
        circuits.set(&okta(), Circuit::HalfOpen { job: None, trial: Some(trial) });
        circuits.tries(&okta(), 7);
        assert_eq!(circuits.record(&okta(), 7, Sign::None), None, "it was not asked");
        circuits.tries(&okta(), 8);
        assert_eq!(circuits.record(&okta(), 8, Sign::Failed), Some(Change::Open(Some(trial))));
    }

    #[test]
    fn what_others_found_out_is_taken_over() {
        let circuits = Circuits::default();
        circuits.adopt(&[view(CircuitState::Open, NOW + LEASE)]);
        assert_eq!(circuits.allowed(&okta(), NOW), Allowed::None);
        assert_eq!(circuits.allowed(&okta(), NOW + LEASE), Allowed::OneIfFree);
        circuits.adopt(&[]);
        assert_eq!(circuits.allowed(&okta(), NOW), Allowed::All);

        circuits.tries(&okta(), 7);
        circuits.adopt(&[view(CircuitState::HalfOpen, NOW + LEASE)]);
        assert_eq!(circuits.record(&okta(), 7, Sign::Answered), Some(Change::Close), "ours stays ours");

        circuits.set(&okta(), Circuit::Open { until: NOW + LEASE, stored: false });
        circuits.adopt(&[]);
        assert_eq!(circuits.allowed(&okta(), NOW), Allowed::None, "the store does not know of it yet");
    }
}
