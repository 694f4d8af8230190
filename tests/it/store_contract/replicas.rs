//! Processes that say that they live: who is shown, and for how long.

use sever::store::{Beat, Pulse, Replica, ReplicaRole};

use crate::support::store::{Bench, SECOND, contract_tests};

pub(crate) fn replica(id: &str, roles: &[ReplicaRole]) -> Replica {
    let started_at = crate::support::store::start();
    Replica { id: id.to_owned(), roles: roles.to_vec(), version: "1.2.3".to_owned(), started_at }
}

const BOTH: [ReplicaRole; 2] = [ReplicaRole::Intake, ReplicaRole::Worker];

impl Bench {
    async fn beat(&self, id: &str) -> Pulse {
        let beat = Beat { replica: replica(id, &BOTH), counts: Vec::new() };
        self.jobs().beat(beat).await.expect("a pulse")
    }

    async fn alive(&self) -> Vec<String> {
        let status = self.ops().status().await.expect("a status");
        assert!(status.replicas.iter().all(|it| it.roles == BOTH && it.version == "1.2.3"));
        status.replicas.into_iter().map(|it| it.id).collect()
    }
}

async fn a_process_that_lives_is_shown_until_it_leaves(bench: Bench) {
    assert_eq!(bench.alive().await, [""; 0]);
    assert_eq!(bench.ops().status().await.expect("a status").workers(), 1, "who is to come");
    bench.beat("one").await;
    assert_eq!(bench.alive().await, ["one"]);
    bench.advance(SECOND);
    bench.beat("one").await;
    let status = bench.ops().status().await.expect("a status");
    assert_eq!(status.replicas[0].seen_at, bench.now());
    assert_eq!(status.replicas[0].started_at, bench.now() - SECOND);
    assert_eq!(status.workers(), 1);
    bench.jobs().leave("one").await.expect("gone");
    bench.jobs().leave("one").await.expect("gone already");
    assert_eq!(bench.alive().await, [""; 0]);
}

async fn one_process_alone_counts_nobody_else(bench: Bench) {
    match bench.beat("one").await {
        Pulse::Alone => {}
        Pulse::Shared { joined, workers } => {
            let numbers: Vec<_> = workers.iter().map(|peer| peer.joined).collect();
            assert_eq!(numbers, [joined]);
        }
    }
}

contract_tests!(a_process_that_lives_is_shown_until_it_leaves, one_process_alone_counts_nobody_else);
