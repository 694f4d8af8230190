//! Providers that fail: for how long they are left alone, who may try them, and what a restart keeps.

use std::time::Duration;

use sever::domain::CircuitState;
use sever::store::CircuitWait;

use crate::support::store::{Bench, LEASE, SECOND, contract_tests, name};

const WAIT: CircuitWait = CircuitWait { first: Duration::from_secs(5), longest: Duration::from_secs(12) };

impl Bench {
    async fn open_circuit(&self, provider: &str) -> Duration {
        self.jobs().open_circuit(&name(provider), "503".to_owned(), WAIT).await.expect("opened")
    }

    async fn try_circuit(&self, provider: &str) -> bool {
        self.jobs().try_circuit(&name(provider), LEASE).await.expect("an answer")
    }

    async fn circuit_states(&self) -> Vec<(String, CircuitState)> {
        let circuits = self.jobs().circuits().await.expect("circuits");
        circuits.into_iter().map(|it| (it.provider.to_string(), it.state)).collect()
    }
}

async fn each_opening_in_a_row_waits_twice_as_long_up_to_the_longest(bench: Bench) {
    for seconds in [5, 10, 12, 12] {
        assert_eq!(bench.open_circuit("okta").await, Duration::from_secs(seconds));
    }
    bench.jobs().close_circuit(&name("okta")).await.expect("closed");
    assert_eq!(bench.open_circuit("okta").await, WAIT.first, "a new trouble");
}

async fn one_may_try_once_it_is_time_and_another_if_nothing_came_of_it(bench: Bench) {
    assert!(!bench.try_circuit("okta").await, "it is closed");
    bench.open_circuit("okta").await;
    assert!(!bench.try_circuit("okta").await);
    bench.advance(WAIT.first);
    assert!(bench.try_circuit("okta").await);
    assert!(!bench.try_circuit("okta").await, "somebody tries it");
    assert_eq!(bench.circuit_states().await, [("okta".to_owned(), CircuitState::HalfOpen)]);
    bench.advance(LEASE);
    assert!(bench.try_circuit("okta").await, "whoever tried it is gone");
    assert_eq!(bench.open_circuit("okta").await, 2 * WAIT.first);
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
    assert_eq!(tries.into_iter().filter(|may| *may).count(), 1);
}

contract_tests!(
    each_opening_in_a_row_waits_twice_as_long_up_to_the_longest,
    one_may_try_once_it_is_time_and_another_if_nothing_came_of_it,
    circuits_are_shown_recorded_and_apart,
    many_at_once_and_one_may_try,
);
