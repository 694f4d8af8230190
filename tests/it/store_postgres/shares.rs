//! Limits of a provider that several processes share: whatever befalls them, all together call no faster than one would.

mod scene;

use std::time::Duration;

use sever::provider::Provider;
use sever::store::{Beat, JobStore, LIVE_FOR, Operations, Peer, PostgresStore, Pulse, Replica, ReplicaRole};
use sever::worker::Pulsing;

use super::Pair;
use crate::support::postgres::connect;
use crate::support::store::{HOUR, SECOND, start};
use scene::{ENDED, PER_WORKER_OF_THREE, Scene, TICK};

fn replica(id: &str, role: ReplicaRole) -> Replica {
    Replica { id: id.to_owned(), roles: vec![role], version: "1.2.3".to_owned(), started_at: start() }
}

async fn beat(store: &PostgresStore, id: &str, role: ReplicaRole, counts: &[i64]) -> (i64, Vec<Peer>) {
    let beat = Beat { replica: replica(id, role), counts: counts.to_vec() };
    match store.beat(beat).await.expect("a pulse") {
        Pulse::Shared { joined, workers } => (joined, workers),
        Pulse::Alone => panic!("the database is for several"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_live_see_each_other_and_whom_each_counts() {
    let (pair, worker) = (Pair::new(), ReplicaRole::Worker);
    let (one, seen) = beat(&pair.one, "one", worker, &[]).await;
    assert_eq!(seen, [Peer { joined: one, counts: vec![] }]);
    let (two, seen) = beat(&pair.other, "two", worker, &[]).await;
    assert_eq!(seen, [Peer { joined: one, counts: vec![] }, Peer { joined: two, counts: vec![] }]);
    beat(&pair.one, "intake", ReplicaRole::Intake, &[]).await;
    let (again, _) = beat(&pair.one, "one", worker, &[one, two]).await;
    assert_eq!(again, one, "the same, as long as it lives");
    let (_, seen) = beat(&pair.other, "two", worker, &[two]).await;
    assert_eq!(seen, [Peer { joined: one, counts: vec![one, two] }, Peer { joined: two, counts: vec![two] }]);
    let status = pair.other.status().await.expect("a status");
    assert_eq!((status.replicas.len(), status.workers()), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_silent_comes_back_as_somebody_new_before_others_leave_it_out() {
    let (pair, worker) = (Pair::new(), ReplicaRole::Worker);
    let (one, _) = beat(&pair.one, "one", worker, &[]).await;
    let (mut latest, mut silence) = (one, SECOND);
    // The longest silence after which it is still the same.
    while latest == one {
        silence += SECOND;
        pair.clock.advance(silence);
        latest = beat(&pair.one, "one", worker, &[one]).await.0;
    }
    assert!(silence + Duration::from_secs(5) < LIVE_FOR, "a statement may take 5 s: {silence:?}");
    pair.clock.advance(LIVE_FOR - SECOND);
    assert_eq!(beat(&pair.other, "two", worker, &[]).await.1.len(), 2, "until then it is counted");
    pair.clock.advance(SECOND);
    assert_eq!(beat(&pair.other, "two", worker, &[]).await.1.len(), 1);
    assert_eq!(pair.other.status().await.expect("a status").replicas.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_the_dead_goes_when_somebody_comes() {
    let (pair, worker) = (Pair::new(), ReplicaRole::Worker);
    beat(&pair.one, "one", worker, &[]).await;
    pair.clock.advance(HOUR + SECOND);
    let (two, _) = beat(&pair.other, "two", worker, &[]).await;
    beat(&pair.other, "two", worker, &[two]).await;
    let rows = connect(&pair.schema.url()).await.query("SELECT id FROM replicas", &[]).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_come_at_once_all_count_each_other_before_any_calls() {
    let scene = Scene::new().await;
    let many = scene.come(8);
    let begun = futures_util::future::join_all(many.iter().map(|it| it.heart.beat())).await;
    assert!(begun.iter().all(Result::is_ok));
    let calling = || many.iter().filter(|it| it.may_call()).count();
    assert!(calling() <= 1, "{} call before all know of each other", calling());
    // Each is told of the last, says so, hears that all said it, and says that it goes by it.
    for _ in 0..4 {
        for one in &many {
            one.beat().await;
        }
    }
    assert_eq!(calling(), many.len());
    assert!(many.iter().all(|it| it.share() == 1.0 / 8.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_call_no_faster_than_one_and_hardly_slower() {
    let scene = Scene::new().await;
    let mut workers = scene.come(1);
    scene.go_on(&workers, 12 * TICK).await;
    // The first has used the whole burst by now; what others bring must not come on top.
    workers.extend(scene.come(2));
    scene.go_on(&workers, 96 * TICK).await;
    scene.assert_within_the_limit();
    scene.assert_hardly_slower(96 * TICK);
    assert!(scene.ended() >= ENDED, "{} of {} calls ended sessions", scene.ended(), scene.times().len());
    for one in &workers {
        assert!(one.calls() >= PER_WORKER_OF_THREE, "{} of them are one worker's: {:?}", one.calls(), scene.times());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_had_comes_back_to_the_others() {
    let scene = Scene::new().await;
    let mut workers = scene.come(3);
    scene.go_on(&workers, 24 * TICK).await;
    // It goes without a word.
    workers.pop();
    scene.go_on(&workers, LIVE_FOR + 2 * TICK).await;
    assert!(workers.iter().all(|it| it.share() == 0.5));
    scene.go_on(&workers, 96 * TICK).await;
    scene.assert_within_the_limit();
    scene.assert_hardly_slower(96 * TICK);
    // One that ends in good order leaves its part at once.
    workers.pop().expect("a worker").heart.stop().await;
    scene.go_on(&workers, 2 * TICK).await;
    assert_eq!(workers[0].share(), 1.0);
    scene.go_on(&workers, 24 * TICK).await;
    scene.assert_within_the_limit();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_for_a_killed_worker_has_at_once_what_the_others_leave() {
    let scene = Scene::new().await;
    let mut workers = scene.come(3);
    scene.go_on(&workers, 24 * TICK).await;
    workers.pop();
    workers.extend(scene.come(1));
    // Each is told of the newcomer, says so, and it hears that: all that before the dead one's part is over.
    for _ in 0..3 {
        for one in &workers {
            one.beat().await;
        }
    }
    assert!(workers[2].may_call() && workers[2].share() == 1.0 / 6.0, "{}", workers[2].share());
    assert!(workers[..2].iter().all(|it| it.share() == 0.25));
    scene.go_on(&workers, LIVE_FOR + 2 * TICK).await;
    assert!(workers.iter().all(|it| it.share() == 1.0 / 3.0));
    scene.go_on(&workers, 96 * TICK).await;
    scene.assert_within_the_limit();
    scene.assert_hardly_slower(96 * TICK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_hung_calls_nobody_before_it_is_counted_again() {
    let scene = Scene::new().await;
    let mut workers = scene.come(3);
    scene.go_on(&workers, 3 * TICK).await;
    // In the middle of its work, with calls saved up.
    let hung = workers.pop().expect("a worker");
    scene.go_on(&workers, 40 * TICK).await;
    assert!(workers.iter().all(|it| it.share() == 0.5));
    let before = scene.times().len();
    assert!(hung.worker.step().await.is_empty(), "it took a job");
    hung.provider.check().await.expect_err("it called with a part that others have by now");
    assert_eq!(scene.times().len(), before);
    // It is told that others are there, and they are not told yet that it is.
    assert_eq!(hung.heart.beat().await.expect("a pulse"), Pulsing::Soon);
    hung.provider.check().await.expect_err("it called before others left it a part");
    workers.push(hung);
    scene.go_on(&workers, 24 * TICK).await;
    assert!(workers.iter().all(|it| it.share() == 1.0 / 3.0));
    scene.assert_within_the_limit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_beats_are_lost_goes_on_with_what_it_knew_and_then_stops() {
    let scene = Scene::new().await;
    let workers = scene.come(2);
    scene.go_on(&workers, 4 * TICK).await;
    let until = LIVE_FOR - TICK;
    for _ in 0..until.as_secs() / TICK.as_secs() {
        scene.advance(TICK);
        assert!(workers.iter().all(|it| it.may_call() && it.share() == 0.5), "it knows of nothing else");
    }
    scene.advance(TICK);
    assert!(workers.iter().all(|it| !it.may_call()), "others may be there by now");
}
