//! Providers that fail: for how long they are left alone, who may try them, and what a restart keeps.

use std::time::Duration;

use sever::domain::CircuitState;
use sever::store::{CircuitTrial, CircuitWait};

use crate::support::store::{Bench, LEASE, SECOND, contract_tests, name};

const WAIT: CircuitWait = CircuitWait { first: Duration::from_secs(5), longest: Duration::from_secs(12) };

impl Bench {
    /// By somebody who knows of no open circuit.
    async fn open_circuit(&self, provider: &str) -> Duration {
        self.open_after(provider, None).await.expect("it is open")
    }

    /// Because this trial failed.
    async fn open_after(&self, provider: &str, trial: Option<CircuitTrial>) -> Option<Duration> {
        self.jobs().open_circuit(&name(provider), trial, "503".to_owned(), WAIT).await.expect("an answer")
    }

    async fn try_circuit(&self, provider: &str) -> Option<CircuitTrial> {
        self.jobs().try_circuit(&name(provider), LEASE).await.expect("an answer")
    }

    async fn may_try(&self, provider: &str) -> CircuitTrial {
        self.try_circuit(provider).await.expect("it may be tried")
    }

    async fn circuit_states(&self) -> Vec<(String, CircuitState)> {
        let circuits = self.jobs().circuits().await.expect("circuits");
        circuits.into_iter().map(|it| (it.provider.to_string(), it.state)).collect()
    }
}

async fn each_trial_that_fails_doubles_the_wait_up_to_the_longest(bench: Bench) {
    let mut waits = bench.open_circuit("okta").await;
    assert_eq!(waits, WAIT.first);
    for seconds in [10, 12, 12] {
        bench.advance(waits);
        let trial = bench.may_try("okta").await;
        waits = bench.open_after("okta", Some(trial)).await.expect("it is open");
        assert_eq!(waits, Duration::from_secs(seconds));
    }
    bench.jobs().close_circuit(&name("okta")).await.expect("closed");
    assert_eq!(bench.open_circuit("okta").await, WAIT.first, "a new trouble");
}

async fn one_trouble_that_several_see_counts_once(bench: Bench) {
    let openings = futures_util::future::join_all((0..5).map(|_| bench.open_circuit("okta"))).await;
    assert_eq!(openings, [WAIT.first; 5], "all of them trip over the same trouble");
    bench.advance(SECOND);
    assert_eq!(bench.open_circuit("okta").await, WAIT.first - SECOND, "one that saw it late has less to wait");
    bench.advance(WAIT.first);
    assert_eq!(bench.open_circuit("okta").await, Duration::ZERO, "it may be tried");

    let trial = bench.may_try("okta").await;
    assert_eq!(bench.open_circuit("okta").await, LEASE, "somebody tries it");
    assert_eq!(bench.open_after("okta", Some(trial)).await, Some(2 * WAIT.first));
    assert_eq!(bench.open_after("okta", Some(trial)).await, Some(2 * WAIT.first), "told again");
    assert_eq!(bench.circuit_states().await, [("okta".to_owned(), CircuitState::Open)]);
}

async fn a_trial_that_lasted_too_long_opens_nothing(bench: Bench) {
    bench.open_circuit("okta").await;
    bench.advance(WAIT.first);
    let stale = bench.may_try("okta").await;
    bench.advance(LEASE);
    let fresh = bench.may_try("okta").await;
    assert_eq!(bench.open_after("okta", Some(stale)).await, Some(LEASE), "another one tries it");
    assert_eq!(bench.circuit_states().await, [("okta".to_owned(), CircuitState::HalfOpen)]);
    assert_eq!(bench.open_after("okta", Some(fresh)).await, Some(2 * WAIT.first));

    bench.jobs().close_circuit(&name("okta")).await.expect("closed");
    assert_eq!(bench.open_after("okta", Some(fresh)).await, None, "it has answered since");
    assert_eq!(bench.circuit_states().await, []);
    bench.open_circuit("okta").await;
    bench.advance(WAIT.first);
    bench.may_try("okta").await;
    assert_eq!(bench.open_after("okta", Some(fresh)).await, Some(LEASE), "that was another trouble");
}

async fn one_may_try_once_it_is_time_and_another_if_nothing_came_of_it(bench: Bench) {
    assert_eq!(bench.try_circuit("okta").await, None, "it is closed");
    bench.open_circuit("okta").await;
    assert_eq!(bench.try_circuit("okta").await, None);
    bench.advance(WAIT.first);
    bench.may_try("okta").await;
    assert_eq!(bench.try_circuit("okta").await, None, "somebody tries it");
    assert_eq!(bench.circuit_states().await, [("okta".to_owned(), CircuitState::HalfOpen)]);
    bench.advance(LEASE);
    let trial = bench.may_try("okta").await;
    assert_eq!(bench.open_after("okta", Some(trial)).await, Some(2 * WAIT.first));
    assert_eq!(bench.circuit_states().await, [("okta".to_owned(), CircuitState::Open)]);
}

async fn circuits_are_shown_recorded_and_apart(bench: Bench) {
    bench.open_circuit("okta").await;
    bench.open_circuit("okta").await;
    bench.advance(SECOND);
    bench.open_circuit("slack").await;
    let status = bench.ops().status().await.expect("a status");
    let shown: Vec<_> = status.circuits.iter().map(|it| (it.provider.as_str(), it.note.as_str(), it.since)).collect();
    assert_eq!(shown, [("okta", "503", bench.now() - SECOND), ("slack", "503", bench.now())]);
    assert_eq!(status.circuit(&name("chat")), CircuitState::Closed);

    bench.jobs().close_circuit(&name("okta")).await.expect("closed");
    bench.jobs().close_circuit(&name("okta")).await.expect("closed already");
    assert_eq!(bench.circuit_states().await, [("slack".to_owned(), CircuitState::Open)]);
    let page = bench.ops().audit(None, 100).await.expect("the record");
    let events: Vec<_> = page.items.iter().map(|row| row.event.as_str()).collect();
    assert_eq!(events, ["circuit_opened", "circuit_opened", "circuit_closed"]);
}

async fn many_at_once_and_one_may_try(bench: Bench) {
    bench.open_circuit("okta").await;
    bench.advance(WAIT.first);
    let tries = futures_util::future::join_all((0..20).map(|_| bench.try_circuit("okta"))).await;
    assert_eq!(tries.into_iter().flatten().count(), 1);
}

contract_tests!(
    each_trial_that_fails_doubles_the_wait_up_to_the_longest,
    one_trouble_that_several_see_counts_once,
    a_trial_that_lasted_too_long_opens_nothing,
    one_may_try_once_it_is_time_and_another_if_nothing_came_of_it,
    circuits_are_shown_recorded_and_apart,
    many_at_once_and_one_may_try,
);
