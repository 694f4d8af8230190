//! One decision about many jobs, and who may not make it.

use sever::audit::Actor;
use sever::domain::{DeadReason, HoldReason, JobId, JobState, Next, Origin, Subject};
use sever::store::{BulkDone, BulkOrder, Consent, Decision, JobFilter, StoreError};

use crate::support::store::{Bench, Changed, LEASE, Mail, account, at, contract_tests, name, okta, operator};

fn order(decision: Decision, filter: JobFilter, expect_count: u64) -> BulkOrder {
    BulkOrder { decision, filter, expect_count, actor: operator(), reason: "drill".to_owned(), four_eyes: false }
}

fn held_for(reason: HoldReason) -> JobFilter {
    JobFilter { hold_reason: Some(reason), ..JobFilter::default() }
}

fn in_state(state: JobState) -> JobFilter {
    JobFilter { state: Some(state), ..JobFilter::default() }
}

async fn decide(bench: &Bench, order: BulkOrder) -> BulkDone {
    bench.ops().decide(order).await.expect("decided")
}

fn waiting(email: &str, reason: HoldReason) -> sever::domain::NewJob {
    okta(email).origin(Origin::Held(reason, "waits".to_owned()))
}

/// So many jobs that wait for consent, and one that waits for something else.
async fn with_waiting(bench: &Bench, count: usize) -> Vec<JobId> {
    let waiting = |number: usize| waiting(&format!("p{number}@x"), HoldReason::Approval);
    let receipt = bench.admit(&Mail::new("d").alert("a", (0..count).map(waiting))).await;
    bench.job("other", self::waiting("other@x", HoldReason::Account)).await;
    receipt.alerts[0].jobs.iter().map(|job| job.id).collect()
}

async fn all_that_a_filter_picks_go_on_each_with_its_row(bench: Bench) {
    let jobs = with_waiting(&bench, 5).await;
    let done = decide(&bench, order(Decision::Approve, held_for(HoldReason::Approval), 5)).await;
    assert_eq!(done, BulkDone { changed: 5, left_count: 0, left: Vec::new() });
    let rows: Vec<_> = bench.audit().await.into_iter().filter(|row| row.event == "approved").collect();
    assert_eq!(rows.iter().filter_map(|row| row.job).collect::<Vec<_>>(), jobs);
    assert!(rows.iter().all(|row| row.actor == "operator:oncall" && row.detail["reason"] == "drill"), "{rows:?}");
    assert_eq!(bench.claim("okta", 10).await.len(), 5);
    assert_eq!(bench.list(held_for(HoldReason::Account)).await.len(), 1, "nobody else");
}

async fn another_number_changes_nothing_and_is_told(bench: Bench) {
    let jobs = with_waiting(&bench, 3).await;
    for (decision, expect) in [(Decision::Approve, 0), (Decision::Approve, 4), (Decision::Cancel, 2)] {
        let answer = bench.ops().decide(order(decision, held_for(HoldReason::Approval), expect)).await;
        assert!(matches!(answer, Err(StoreError::Miscounted(3))), "{answer:?}");
    }
    for job in jobs {
        assert_eq!(bench.state(job).await, JobState::Held);
        assert!(bench.story(job).await.is_empty());
    }
}

async fn a_repeat_does_nothing(bench: Bench) {
    with_waiting(&bench, 3).await;
    decide(&bench, order(Decision::Approve, held_for(HoldReason::Approval), 3)).await;
    let again = bench.ops().decide(order(Decision::Approve, held_for(HoldReason::Approval), 3)).await;
    assert!(matches!(again, Err(StoreError::Miscounted(0))), "{again:?}");
    let none = decide(&bench, order(Decision::Approve, held_for(HoldReason::Approval), 0)).await;
    assert_eq!(none.changed, 0);
}

async fn a_filter_picks_by_all_that_it_says(bench: Bench) {
    let slack = |email: &str| {
        at("slack", Subject { email: Some(email.to_owned()), ..Subject::default() })
            .origin(Origin::Held(HoldReason::Approval, "waits".to_owned()))
    };
    let jobs = [waiting("ana@x", HoldReason::Approval), slack("ana@x"), slack("bob@x")];
    bench.admit(&Mail::new("d").alert("a", jobs)).await;
    bench.admit(&Mail::new("e").through("siem").alert("b", [slack("ana@x")])).await;
    let count = async |filter: JobFilter| match bench.ops().decide(order(Decision::Approve, filter, 99)).await {
        Err(StoreError::Miscounted(count)) => count,
        other => panic!("{other:?}"),
    };
    let all = held_for(HoldReason::Approval);
    assert_eq!(count(all.clone()).await, 4);
    assert_eq!(count(JobFilter { provider: Some(name("slack")), ..all.clone() }).await, 3);
    assert_eq!(count(JobFilter { subject: Some("ANA@X".to_owned()), ..all.clone() }).await, 3);
    let siem = JobFilter { source: Some("siem".parse().expect("a name")), ..all.clone() };
    assert_eq!(count(siem.clone()).await, 1);
    assert_eq!(count(JobFilter { provider: Some(name("okta")), ..siem }).await, 0);
    assert_eq!(count(JobFilter { state: Some(JobState::Done), ..all.clone() }).await, 0);
    assert_eq!(bench.list(all).await.len(), 4, "the listing has the same");
}

async fn what_one_decision_cannot_be_made_about_is_left_and_told(bench: Bench) {
    let jobs = with_waiting(&bench, 2).await;
    let done = decide(&bench, order(Decision::Requeue, in_state(JobState::Held), 3)).await;
    assert_eq!((done.changed, done.left_count), (1, 2), "whoever waits for an account is tried again");
    assert_eq!(done.left.iter().map(|left| left.id).collect::<Vec<_>>(), jobs);
    assert!(done.left.iter().all(|left| left.reason.contains("approve it")), "{:?}", done.left);
    assert_eq!(bench.list(held_for(HoldReason::Approval)).await.len(), 2);
}

async fn what_was_given_up_is_tried_again(bench: Bench) {
    for (number, reason) in [DeadReason::Refused, DeadReason::Refused, DeadReason::Exhausted].into_iter().enumerate() {
        bench.job(&number.to_string(), okta(&format!("p{number}@x"))).await;
        let claim = bench.claim_one("okta").await;
        bench.settle(&claim, Next::Dead(reason)).await;
    }
    let refused = JobFilter { dead_reason: Some(DeadReason::Refused), ..JobFilter::default() };
    assert_eq!(bench.list(refused.clone()).await.len(), 2);
    assert_eq!(decide(&bench, order(Decision::Requeue, refused, 2)).await.changed, 2);
    assert_eq!((bench.claim("okta", 10).await.len(), bench.list(in_state(JobState::Dead)).await.len()), (2, 1));
}

async fn what_a_worker_holds_is_not_called_off(bench: Bench) {
    bench.admit(&Mail::new("d").alert("a", ["a@x", "b@x", "c@x"].map(okta))).await;
    let claim = bench.claim_one("okta").await;
    let all = JobFilter { provider: Some(name("okta")), ..JobFilter::default() };
    assert_eq!(decide(&bench, order(Decision::Cancel, all, 2)).await.changed, 2);
    assert_eq!(bench.state(claim.job).await, JobState::Leased);
    assert_eq!(bench.list(in_state(JobState::Cancelled)).await.len(), 2);
}

async fn jobs_behind_a_gate_can_be_called_off_and_not_approved(bench: Bench) {
    bench.admit(&Mail::new("d").alert("a", ["a@x", "b@x"].map(okta))).await;
    bench.job("e", waiting("c@x", HoldReason::Approval)).await;
    bench.ops().pause(Some(name("okta")), operator(), String::new()).await.expect("paused");
    assert_eq!(bench.list(held_for(HoldReason::Paused)).await.len(), 2);
    let approved = bench.ops().decide(order(Decision::Approve, in_state(JobState::Held), 3)).await;
    assert!(matches!(approved, Err(StoreError::Miscounted(1))), "{approved:?}");
    assert_eq!(decide(&bench, order(Decision::Cancel, held_for(HoldReason::Paused), 2)).await.changed, 2);
}

async fn thousands_go_at_once(bench: Bench) {
    let waiting = |number: usize| waiting(&format!("p{number}@x"), HoldReason::Approval);
    bench.admit(&Mail::new("d").alert("a", (0..3000).map(waiting))).await;
    assert_eq!(decide(&bench, order(Decision::Approve, held_for(HoldReason::Approval), 3000)).await.changed, 3000);
    assert_eq!(bench.claim("okta", 5000).await.len(), 3000);
}

async fn what_is_left_of_thousands_is_counted_and_the_first_of_it_told(bench: Bench) {
    let waiting = |number: usize| {
        let reason = if number.is_multiple_of(2) { HoldReason::Approval } else { HoldReason::Account };
        waiting(&format!("p{number}@x"), reason)
    };
    let receipt = bench.admit(&Mail::new("d").alert("a", (0..1200).map(waiting))).await;
    let done = decide(&bench, order(Decision::Requeue, in_state(JobState::Held), 1200)).await;
    assert_eq!((done.changed, done.left_count, done.left.len()), (600, 600, 100));
    let first: Vec<_> = receipt.alerts[0].jobs.iter().step_by(2).take(100).map(|job| job.id).collect();
    assert_eq!(done.left.iter().map(|left| left.id).collect::<Vec<_>>(), first);
    let wrong = bench.ops().decide(order(Decision::Approve, held_for(HoldReason::Approval), 601)).await;
    assert!(matches!(wrong, Err(StoreError::Miscounted(600))), "{wrong:?}");
    assert!(bench.audit().await.iter().all(|row| row.event != "approved"), "nobody is decided about before the count");
}

async fn whoever_moves_on_while_thousands_are_decided_about_is_left(bench: Bench) {
    bench.admit(&Mail::new("d").alert("a", (0..1200).map(|number| okta(&format!("p{number}@x"))))).await;
    let all = JobFilter { provider: Some(name("okta")), ..JobFilter::default() };
    let (claims, done) =
        tokio::join!(bench.claim("okta", 100), bench.ops().decide(order(Decision::Cancel, all.clone(), 1200)));
    let changed = match done {
        Ok(done) => {
            assert_eq!(done.changed + done.left_count, 1200, "{done:?}");
            done.changed
        }
        // Claimed before they were counted.
        Err(StoreError::Miscounted(count)) => {
            assert_eq!(count, 1200 - claims.len() as u64);
            decide(&bench, order(Decision::Cancel, all, count)).await.changed
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(changed, 1200 - claims.len() as u64);
    for claim in claims {
        assert_eq!(bench.state(claim.job).await, JobState::Leased, "a worker holds it");
    }
}

fn second() -> Actor {
    Actor::operator("second")
}

/// A job that `operator` asked for, and that waits.
async fn ordered(bench: &Bench, id: &str) -> JobId {
    let mail = Mail::new(id).through("operator").alert(id, [waiting(&format!("{id}@x"), HoldReason::Approval)]);
    match bench.ops().order(mail.admission(bench.now()), operator()).await.expect("ordered") {
        sever::store::Admitted::New(receipt) => receipt.alerts[0].jobs[0].id,
        other => panic!("{other:?}"),
    }
}

async fn whoever_asked_may_not_approve(bench: Bench) {
    let four = || Consent { four_eyes: true, ..Consent::default() };
    let job = ordered(&bench, "a").await;
    let answer = bench.ops().approve(job, operator(), four()).await;
    assert!(
        matches!(&answer, Err(StoreError::Conflict(words)) if words.contains("operator:oncall") && words.contains("another")),
        "{answer:?}"
    );
    assert_eq!(bench.state(job).await, JobState::Held);
    bench.ops().approve(job, second(), four()).await.expect("approved by another");

    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Dead(DeadReason::Refused)).await;
    bench.ops().requeue(job, second(), String::new()).await.expect("requeued");
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Held(HoldReason::Approval)).await;
    for asker in [operator(), second()] {
        assert!(matches!(bench.ops().approve(job, asker, four()).await, Err(StoreError::Conflict(_))));
    }
    bench.ops().approve(job, Actor::operator("third"), four()).await.expect("approved by a third");
    let alone = ordered(&bench, "b").await;
    bench.ops().approve(alone, operator(), Consent::default()).await.expect("without four eyes, one may");
}

async fn cancelling_is_no_way_around_four_eyes(bench: Bench) {
    let job = bench.job("a", waiting("ana@x", HoldReason::Approval)).await;
    bench.ops().cancel(job, operator(), String::new()).await.expect("cancelled");
    bench.ops().requeue(job, operator(), String::new()).await.expect("requeued");
    let four = Consent { four_eyes: true, ..Consent::default() };
    assert!(matches!(bench.ops().approve(job, operator(), four.clone()).await, Err(StoreError::Conflict(_))));
    bench.ops().approve(job, second(), four).await.expect("approved");
}

async fn in_bulk_what_somebody_asked_for_is_left_to_others(mut bench: Bench) {
    let own = ordered(&bench, "a").await;
    let others = with_waiting(&bench, 2).await;
    bench.reopen();
    let filter = held_for(HoldReason::Approval);
    let done = decide(&bench, BulkOrder { four_eyes: true, ..order(Decision::Approve, filter.clone(), 3) }).await;
    assert_eq!((done.changed, done.left_count, done.left[0].id), (2, 1, own));
    assert!(done.left[0].reason.contains("four_eyes"), "{}", done.left[0].reason);
    assert_eq!((bench.state(own).await, bench.state(others[0]).await), (JobState::Held, JobState::Queued));
    let another = BulkOrder { four_eyes: true, actor: second(), ..order(Decision::Approve, filter, 1) };
    assert_eq!(decide(&bench, another).await.changed, 1);
}

async fn consent_to_a_look_alike_is_given_after_the_account_was_seen(bench: Bench) {
    let job = bench.job("a", waiting("ana@x", HoldReason::Approval)).await;
    bench.ops().approve(job, operator(), Consent::default()).await.expect("approved");
    let claim = bench.claim_one("okta").await;
    assert!(claim.approved && !claim.alike_ok);
    let guarded = |claim: &sever::domain::Claim| {
        let mut end = crate::support::store::settlement(claim, Next::Held(HoldReason::Approval));
        end.attempt.class = sever::domain::AttemptClass::Guarded;
        end.account = Some(account("00u1"));
        end
    };
    bench.jobs().settle(&claim, &guarded(&claim)).await.expect("settled");
    bench.ops().approve(job, operator(), Consent::default()).await.expect("approved");
    let claim = bench.claim_one("okta").await;
    assert!(claim.alike_ok);
    bench.jobs().settle(&claim, &guarded(&claim)).await.expect("settled");
    let another = Consent { account_id: Some("00u2".to_owned()), ..Consent::default() };
    bench.ops().approve(job, operator(), another).await.expect("approved");
    let claim = bench.claim_one("okta").await;
    assert!(!claim.alike_ok, "another account was not seen");
    bench.advance(LEASE);
}

contract_tests!(
    all_that_a_filter_picks_go_on_each_with_its_row,
    another_number_changes_nothing_and_is_told,
    a_repeat_does_nothing,
    a_filter_picks_by_all_that_it_says,
    what_one_decision_cannot_be_made_about_is_left_and_told,
    what_was_given_up_is_tried_again,
    what_a_worker_holds_is_not_called_off,
    jobs_behind_a_gate_can_be_called_off_and_not_approved,
    thousands_go_at_once,
    what_is_left_of_thousands_is_counted_and_the_first_of_it_told,
    whoever_moves_on_while_thousands_are_decided_about_is_left,
    whoever_asked_may_not_approve,
    cancelling_is_no_way_around_four_eyes,
    in_bulk_what_somebody_asked_for_is_left_to_others,
    consent_to_a_look_alike_is_given_after_the_account_was_seen,
);
