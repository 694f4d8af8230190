//! Jobs that turn out to be about one account: one call at a time, and one call per alert.

use sever::domain::{DeadReason, JobState, Next, Outcome, Scope, ScopeKind, Severity, Subject};
use sever::store::Bound;

use crate::support::store::{Bench, Changed, LEASE, Mail, SECOND, at, contract_tests, okta, okta_id, sessions};

async fn one_call_per_account_is_in_flight(bench: Bench) {
    let (first, second) = (bench.job("a", okta("ana@example.com")).await, bench.job("b", okta_id("00u1")).await);
    let claims = bench.claim("okta", 2).await;
    assert_eq!(claims.iter().map(|claim| claim.job).collect::<Vec<_>>(), [first, second]);
    assert_eq!(bench.bind(&claims[0], "00u1").await, Bound::Proceed);
    assert_eq!(bench.bind(&claims[1], "00u1").await, Bound::Busy);
    let view = bench.view(second).await;
    assert_eq!((view.state, view.due_at), (JobState::Queued, Some(bench.now() + SECOND)));
    assert_eq!(bench.story(second).await, ["claimed", "released"]);
    bench.settle(&claims[0], Next::Done(Outcome::Confirmed)).await;
    bench.advance(SECOND);
    let claim = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&claim, "00u1").await, Bound::Proceed, "another alert has its own revocation");
}

async fn an_account_whose_caller_lost_its_lease_is_still_busy(bench: Bench) {
    bench.job("a", okta("ana@example.com")).await;
    let lost = bench.claim_one("okta").await;
    bench.bind(&lost, "00u1").await;
    bench.advance(LEASE);
    bench.job("b", okta_id("00u1")).await;
    let claims = bench.claim("okta", 2).await;
    let other = claims.iter().find(|claim| claim.job != lost.job).expect("the other");
    assert_eq!(bench.bind(other, "00u1").await, Bound::Busy);
}

async fn other_accounts_providers_and_dry_runs_do_not_wait(bench: Bench) {
    let slack = at("slack", Subject { email: Some("ana@example.com".to_owned()), ..Subject::default() });
    let mail = Mail::new("d").alert("a", [okta("ana@example.com"), okta("ben@example.com"), okta("a@x").dry(), slack]);
    bench.admit(&mail).await;
    let accounts = |email: Option<&str>| if email == Some("ben@example.com") { "00u2" } else { "00u1" };
    for claim in bench.claim("okta", 3).await.iter().chain(&bench.claim("slack", 1).await) {
        let id = accounts(claim.subject.email.as_deref());
        assert_eq!(bench.bind(claim, id).await, Bound::Proceed, "{claim:?}");
    }
}

async fn one_alert_under_two_names_costs_one_call(bench: Bench) {
    bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com"), okta_id("00u1")])).await;
    let claims = bench.claim("okta", 2).await;
    assert_eq!(bench.bind(&claims[0], "00u1").await, Bound::Proceed);
    assert_eq!(bench.bind(&claims[1], "00u1").await, Bound::Merged(claims[0].job));
    let view = bench.view(claims[1].job).await;
    assert_eq!((view.state, view.merged_into), (JobState::Cancelled, Some(claims[0].job)));
    assert_eq!(view.account_id.as_deref(), Some("00u1"));
    assert_eq!(bench.story(claims[1].job).await, ["claimed", "cancelled"]);
}

async fn what_was_done_for_an_alert_is_not_done_under_its_other_name(bench: Bench) {
    let first = bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    bench.bind(&claim, "00u1").await;
    bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    bench.admit(&Mail::new("e").through("soc-queue").alert("a", [okta_id("00u1")])).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&claim, "00u1").await, Bound::Merged(first));
}

async fn less_than_what_is_asked_is_not_the_same(bench: Bench) {
    bench.job("a", okta("ana@example.com").scope(Scope::Web)).await;
    let claim = bench.claim_one("okta").await;
    bench.bind(&claim, "00u1").await;
    bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    bench.admit(&Mail::new("e").alert("a", [okta_id("00u1")])).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&claim, "00u1").await, Bound::Proceed);
}

async fn a_dead_job_stands_for_nothing(bench: Bench) {
    bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    bench.bind(&claim, "00u1").await;
    bench.settle(&claim, Next::Dead(DeadReason::Refused)).await;
    bench.admit(&Mail::new("e").alert("a", [okta_id("00u1")])).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&claim, "00u1").await, Bound::Proceed);
}

async fn a_queued_job_takes_over_alerts_scope_and_severity(bench: Bench) {
    let mild = okta("ana@example.com").severity(Severity::Low).scope(sessions(&["s1"]));
    let waiting = bench.job("a", mild).await;
    let claim = bench.claim_one("okta").await;
    bench.bind(&claim, "00u1").await;
    bench.settle(&claim, Next::Retry { due_at: bench.now() + 100 * SECOND, failed: true }).await;
    let grave = okta_id("00u1").severity(Severity::Critical);
    let receipt = bench.admit(&Mail::new("b").alert("b", [grave])).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&claim, "00u1").await, Bound::Merged(waiting));
    let view = bench.view(waiting).await;
    assert_eq!((view.severity, view.scope, view.due_at), (Severity::Critical, ScopeKind::All, Some(bench.now())));
    assert_eq!(view.alert_ids.len(), 2);
    let alert = bench.ops().alert(receipt.alerts[0].id).await.expect("an answer").expect("the alert");
    assert_eq!(alert.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [waiting], "the alert shows who works for it");
    assert_eq!(bench.claim("okta", 10).await.len(), 1);
}

contract_tests!(
    one_call_per_account_is_in_flight,
    an_account_whose_caller_lost_its_lease_is_still_busy,
    other_accounts_providers_and_dry_runs_do_not_wait,
    one_alert_under_two_names_costs_one_call,
    what_was_done_for_an_alert_is_not_done_under_its_other_name,
    less_than_what_is_asked_is_not_the_same,
    a_dead_job_stands_for_nothing,
    a_queued_job_takes_over_alerts_scope_and_severity,
);
