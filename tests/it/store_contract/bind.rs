//! Jobs that turn out to be about one account: one call at a time, and one call per alert.

use sever::domain::{
    DeadReason, HoldReason, JobId, JobState, NewJob, Next, Outcome, Scope, ScopeKind, Settlement, Severity, Subject,
};
use sever::store::{Bound, Consent, StoreError};

use crate::support::store::{
    Bench, Changed, HOUR, LEASE, Mail, SECOND, account, at, contract_tests, okta, okta_id, operator, sessions,
    settlement,
};

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

async fn a_done_job_that_sent_nothing_stands_for_nothing(bench: Bench) {
    bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    let dry = Settlement { account: Some(account("00u1")), ..settlement(&claim, Next::Done(Outcome::DryRun)) };
    bench.jobs().settle(&claim, &dry).await.expect("settled");
    bench.admit(&Mail::new("e").alert("a", [okta_id("00u1")])).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&claim, "00u1").await, Bound::Proceed, "a dry run was taken for a revocation");
}

async fn a_job_that_leaves_tokens_alive_does_not_cover_one_that_ends_them(bench: Bench) {
    let with_tokens = |mut job: NewJob| {
        job.request.oauth_tokens = Some(true);
        job
    };
    bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com"), with_tokens(okta_id("00u1"))])).await;
    let claims = bench.claim("okta", 2).await;
    assert_eq!(bench.bind(&claims[0], "00u1").await, Bound::Proceed);
    assert_eq!(bench.bind(&claims[1], "00u1").await, Bound::Busy, "the tokens would have stayed");
    bench.settle(&claims[0], Next::Done(Outcome::Confirmed)).await;
    bench.advance(SECOND);
    let claim = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&claim, "00u1").await, Bound::Proceed);
}

async fn merging_into_a_waiting_job_makes_it_due_now(bench: Bench) {
    bench
        .admit(&Mail::new("d").alert("a", [okta("ana@example.com"), okta_id("00u1").severity(Severity::Critical)]))
        .await;
    let claims = bench.claim("okta", 2).await;
    let (grave, mild) = (&claims[0], &claims[1]);
    bench.bind(mild, "00u1").await;
    bench.settle(mild, Next::Retry { due_at: bench.now() + HOUR, failed: true }).await;
    assert_eq!(bench.bind(grave, "00u1").await, Bound::Merged(mild.job));
    let view = bench.view(mild.job).await;
    assert_eq!((view.due_at, view.severity), (Some(bench.now()), Severity::Critical), "one that could call now waits");
    assert_eq!(bench.story(mild.job).await.last().map(String::as_str), Some("absorbed"));
}

async fn nothing_merges_into_a_job_that_was_given_another_account(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    let held = Settlement { account: Some(account("00u1")), ..settlement(&claim, Next::Held(HoldReason::Approval)) };
    bench.jobs().settle(&claim, &held).await.expect("settled");
    bench
        .ops()
        .approve(job, operator(), Consent { account_id: Some("00u2".to_owned()), ..Consent::default() })
        .await
        .expect("approved");
    bench.job("b", okta_id("00u1").severity(Severity::Critical)).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&claim, "00u1").await, Bound::Proceed, "the job it would join acts on another account");
}

async fn a_requeued_job_is_not_taken_for_done(bench: Bench) {
    bench.job("a", okta("ana@example.com").scope(Scope::Web)).await;
    let claim = bench.claim_one("okta").await;
    bench.bind(&claim, "00u1").await;
    bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    bench.admit(&Mail::new("e").alert("a", [okta("ana@example.com")])).await;
    let all = bench.claim_one("okta").await;
    bench.bind(&all, "00u1").await;
    bench.settle(&all, Next::Done(Outcome::Confirmed)).await;
    bench.ops().requeue(claim.job, operator(), "they are back".to_owned()).await.expect("requeued");
    let claim = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&claim, "00u1").await, Bound::Proceed, "an operator asked for it again");
}

async fn no_call_begins_under_a_lease_that_is_over(bench: Bench) {
    bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    bench.advance(LEASE);
    assert!(matches!(bench.jobs().bind(&claim, &account("00u1"), None, &[]).await, Err(StoreError::LeaseLost)));
}

async fn a_call_in_flight_is_found_behind_any_number_of_finished_jobs(bench: Bench) {
    bench.job("long", okta("ana@example.com")).await;
    let long = bench.claim_one("okta").await;
    bench.bind(&long, "00u1").await;
    bench.admit(&Mail::new("d").alert("d", (0..1001).map(|number| okta(&format!("p{number}@x"))))).await;
    for claim in bench.claim("okta", 2000).await {
        let end = Settlement { account: Some(account("00u1")), ..settlement(&claim, Next::Done(Outcome::Confirmed)) };
        bench.jobs().settle(&claim, &end).await.expect("settled");
    }
    bench.job("e", okta_id("00u1")).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&claim, "00u1").await, Bound::Busy);
}

/// A job by e-mail that waits, and one by id that was merged into it, both about one account.
async fn merged_pair(bench: &Bench) -> (JobId, JobId) {
    let waiting = bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    bench.bind(&claim, "00u1").await;
    bench.settle(&claim, Next::Retry { due_at: bench.now() + HOUR, failed: true }).await;
    let merged = bench.job("b", okta_id("00u1")).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&claim, "00u1").await, Bound::Merged(waiting));
    (waiting, merged)
}

async fn a_merged_job_acts_for_itself_once_the_other_means_somebody_else(bench: Bench) {
    let (waiting, merged) = merged_pair(&bench).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(claim.job, waiting);
    assert_eq!(bench.bind(&claim, "00u2").await, Bound::Proceed);
    let view = bench.view(merged).await;
    assert_eq!((view.state, view.merged_into), (JobState::Queued, None), "nobody would act on its account");
    assert_eq!(view.alert_ids.len(), 1);
    assert_eq!(bench.story(merged).await.last().map(String::as_str), Some("requeued"));
    let claim = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&claim, "00u1").await, Bound::Proceed);
    let counted: u64 = bench.jobs().backlog().await.expect("a backlog").jobs.iter().map(|(.., count)| count).sum();
    assert_eq!(counted, 2);
}

async fn a_merged_job_acts_for_itself_once_the_other_finds_nobody(bench: Bench) {
    let (_, merged) = merged_pair(&bench).await;
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Done(Outcome::UnknownAccount)).await;
    assert_eq!(bench.state(merged).await, JobState::Queued);
}

contract_tests!(
    a_merged_job_acts_for_itself_once_the_other_means_somebody_else,
    a_merged_job_acts_for_itself_once_the_other_finds_nobody,
    a_done_job_that_sent_nothing_stands_for_nothing,
    a_job_that_leaves_tokens_alive_does_not_cover_one_that_ends_them,
    merging_into_a_waiting_job_makes_it_due_now,
    nothing_merges_into_a_job_that_was_given_another_account,
    a_requeued_job_is_not_taken_for_done,
    no_call_begins_under_a_lease_that_is_over,
    a_call_in_flight_is_found_behind_any_number_of_finished_jobs,
    one_call_per_account_is_in_flight,
    an_account_whose_caller_lost_its_lease_is_still_busy,
    other_accounts_providers_and_dry_runs_do_not_wait,
    one_alert_under_two_names_costs_one_call,
    what_was_done_for_an_alert_is_not_done_under_its_other_name,
    less_than_what_is_asked_is_not_the_same,
    a_dead_job_stands_for_nothing,
    a_queued_job_takes_over_alerts_scope_and_severity,
);
