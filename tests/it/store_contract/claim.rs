//! Who gets which job, in which order, and what a lost lease leaves behind.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sever::domain::{AttemptClass, HoldReason, JobState, Next, Severity, Subject};

use crate::support::store::{Bench, Changed, HOUR, LEASE, Mail, SECOND, at, contract_tests, name, okta, operator};

async fn the_most_severe_go_first(bench: Bench) {
    for severity in Severity::ALL {
        let who = format!("{}@example.com", severity.as_str());
        bench.job(severity.as_str(), okta(&who).severity(severity)).await;
    }
    let order: Vec<Severity> = bench.claim("okta", 10).await.iter().map(|claim| claim.severity).collect();
    assert_eq!(order, Severity::ALL.into_iter().rev().collect::<Vec<_>>());
}

async fn what_has_waited_long_goes_before_what_is_severe_and_new(bench: Bench) {
    let old = bench.job("old", okta("old@example.com").severity(Severity::Low)).await;
    bench.advance(HOUR);
    for number in 0..20 {
        bench.job(&format!("n{number}"), okta(&format!("n{number}@x")).severity(Severity::Critical)).await;
    }
    assert_eq!(bench.claim_one("okta").await.job, old, "a mild job was starved");
}

async fn a_claim_keeps_to_its_limit_and_its_provider(bench: Bench) {
    for number in 0..5 {
        bench.job(&format!("a{number}"), okta(&format!("p{number}@x"))).await;
    }
    let slack = bench.job("s", at("slack", Subject { email: Some("p@x".to_owned()), ..Subject::default() })).await;
    assert!(bench.claim("okta", 0).await.is_empty());
    assert_eq!(bench.claim("okta", 3).await.len(), 3);
    assert_eq!(bench.claim("okta", 3).await.len(), 2);
    assert!(bench.claim("okta", 3).await.is_empty());
    assert_eq!(bench.claim("slack", 3).await.iter().map(|claim| claim.job).collect::<Vec<_>>(), [slack]);
    assert!(bench.claim("mattermost", 3).await.is_empty());
}

async fn only_due_jobs_are_claimed_and_each_claim_counts(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!((claim.job, claim.attempt, claim.failures), (job, 1, 0));
    assert_eq!((claim.lease_until, claim.created_at), (bench.now() + LEASE, bench.now()));
    bench.settle(&claim, Next::Retry { due_at: bench.now() + 10 * SECOND, failed: true }).await;
    bench.advance(Duration::from_millis(9_999));
    assert!(bench.claim("okta", 1).await.is_empty());
    bench.advance(Duration::from_millis(1));
    let claim = bench.claim_one("okta").await;
    assert_eq!((claim.attempt, claim.failures, claim.absence), (2, 1, None));
    assert_eq!(bench.view(job).await.attempts, 2);
}

async fn a_closed_gate_or_a_pause_lets_nothing_through(bench: Bench) {
    let (first, second) = (bench.job("a", okta("a@x")).await, bench.job("b", okta("b@x")).await);
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::CloseGate(HoldReason::Credential)).await;
    assert!(bench.claim("okta", 10).await.is_empty());
    for job in [first, second] {
        let view = bench.view(job).await;
        assert_eq!((view.state, view.hold_reason), (JobState::Held, Some(HoldReason::Credential)));
    }
    bench.ops().pause(Some(name("okta")), operator(), "drill".to_owned()).await.expect("paused");
    bench.jobs().open_gate(&name("okta"), HoldReason::Credential).await.expect("opened");
    assert!(bench.claim("okta", 10).await.is_empty(), "the pause still stands");
    bench.ops().pause(None, operator(), "drill".to_owned()).await.expect("paused");
    bench.ops().resume(Some(name("okta")), operator()).await.expect("resumed");
    assert!(bench.claim("okta", 10).await.is_empty(), "everything is paused");
    bench.ops().resume(None, operator()).await.expect("resumed");
    assert_eq!(bench.claim("okta", 10).await.len(), 2);
}

async fn a_gate_stops_its_own_provider_alone(bench: Bench) {
    bench.job("a", okta("a@x")).await;
    bench.job("s", at("slack", Subject { email: Some("a@x".to_owned()), ..Subject::default() })).await;
    bench.ops().pause(Some(name("okta")), operator(), String::new()).await.expect("paused");
    assert_eq!(bench.claim("slack", 10).await.len(), 1);
}

async fn a_lost_lease_is_claimed_again_and_told(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    bench.claim_one("okta").await;
    bench.advance(LEASE - SECOND);
    assert!(bench.claim("okta", 1).await.is_empty());
    bench.advance(SECOND);
    let claim = bench.claim_one("okta").await;
    assert_eq!((claim.job, claim.attempt), (job, 2));
    let detail = bench.ops().job(job).await.expect("an answer").expect("the job");
    assert_eq!(detail.history.iter().map(|a| (a.number, a.class)).collect::<Vec<_>>(), [(1, AttemptClass::Lost)]);
    assert_eq!(bench.story(job).await, ["claimed", "lease_lost", "claimed"]);
}

async fn fifty_claimers_at_once_share_no_job(bench: Bench) {
    let bench = Arc::new(bench);
    let jobs = (0..120).map(|number| okta(&format!("p{number}@x")));
    bench.admit(&Mail::new("d").alert("a", jobs)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let bench = Arc::clone(&bench);
        tasks.spawn(async move { bench.claim("okta", 3).await });
    }
    let claims: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let distinct: HashSet<_> = claims.iter().map(|claim| claim.job).collect();
    assert_eq!((claims.len(), distinct.len()), (120, 120));
}

async fn a_renewed_lease_lasts_and_a_lost_one_cannot_be_renewed(bench: Bench) {
    bench.job("a", okta("a@x")).await;
    bench.job("b", okta("b@x")).await;
    let first = bench.claim("okta", 2).await;
    bench.advance(LEASE / 2);
    let kept = vec![(first[0].row, first[0].attempt)];
    assert_eq!(bench.jobs().renew(kept, LEASE).await.expect("renewed"), [true]);
    bench.advance(LEASE / 2);
    let again = bench.claim("okta", 10).await;
    assert_eq!(again.iter().map(|claim| claim.job).collect::<Vec<_>>(), [first[1].job]);
    let both =
        vec![(first[1].row, first[1].attempt), (first[0].row, first[0].attempt), (again[0].row, again[0].attempt)];
    assert_eq!(bench.jobs().renew(both, LEASE).await.expect("renewed"), [false, true, true]);
}

async fn the_wall_clock_may_jump_and_moves_no_due_time(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    let due_at = bench.now() + 10 * SECOND;
    bench.settle(&claim, Next::Retry { due_at, failed: true }).await;
    for jump in [3600, -3600] {
        bench.clock.set_wall(bench.now() + jiff::SignedDuration::from_secs(jump));
        assert!(bench.claim("okta", 1).await.is_empty());
        assert_eq!(bench.view(job).await.due_at, Some(due_at));
        bench.job(&format!("b{jump}"), okta(&format!("b{jump}@x"))).await;
        assert_eq!(bench.claim("okta", 1).await.len(), 1, "a new job is due at once");
    }
    bench.advance(10 * SECOND);
    assert_eq!(bench.claim_one("okta").await.job, job);
}

async fn a_waiting_worker_is_woken_by_a_new_job(bench: Bench) {
    bench.job("a", okta("a@x")).await;
    let woken = tokio::time::timeout(5 * SECOND, bench.jobs().wait_for_due(HOUR)).await;
    assert!(woken.is_ok(), "the signal came before the call and was missed");
}

contract_tests!(
    the_most_severe_go_first,
    what_has_waited_long_goes_before_what_is_severe_and_new,
    a_claim_keeps_to_its_limit_and_its_provider,
    only_due_jobs_are_claimed_and_each_claim_counts,
    a_closed_gate_or_a_pause_lets_nothing_through,
    a_gate_stops_its_own_provider_alone,
    a_lost_lease_is_claimed_again_and_told,
    fifty_claimers_at_once_share_no_job,
    a_renewed_lease_lasts_and_a_lost_one_cannot_be_renewed,
    the_wall_clock_may_jump_and_moves_no_due_time,
    a_waiting_worker_is_woken_by_a_new_job,
);
