//! What operators may do to a job in each state, and how gates and holds show.

use std::time::Duration;

use sever::domain::{DeadReason, HoldReason, JobId, JobState, Next, Origin, Outcome, Revocation, Settlement};
use sever::store::{Consent, JobFilter, StoreError};

use crate::support::store::{
    Bench, Changed, HOUR, Mail, SECOND, contract_tests, name, okta, okta_id, operator, settlement,
};

/// A job in the wanted state.
async fn job_in(bench: &Bench, number: usize, state: JobState) -> JobId {
    let job = bench.job(&format!("a{number}"), okta(&format!("p{number}@x"))).await;
    if state == JobState::Cancelled {
        bench.ops().cancel(job, operator(), "no".to_owned()).await.expect("cancelled");
    }
    if matches!(state, JobState::Queued | JobState::Proving | JobState::Cancelled) {
        return job;
    }
    let claim = bench.claim_one("okta").await;
    match state {
        JobState::Held => bench.settle(&claim, Next::Held(HoldReason::Account)).await,
        JobState::Done => bench.settle(&claim, Next::Done(Outcome::Confirmed)).await,
        JobState::Dead => bench.settle(&claim, Next::Dead(DeadReason::Refused)).await,
        JobState::Leased | JobState::Queued | JobState::Proving | JobState::Cancelled => {}
    }
    job
}

const STATES: [JobState; 6] =
    [JobState::Leased, JobState::Held, JobState::Done, JobState::Dead, JobState::Cancelled, JobState::Queued];

fn conflict(answer: Result<(), StoreError>, state: JobState) {
    match answer {
        Err(StoreError::Conflict(message)) => assert!(message.contains(state.as_str()), "{message}"),
        other => panic!("{state}: {other:?}"),
    }
}

async fn requeue_is_for_what_rests(bench: Bench) {
    for (number, state) in STATES.into_iter().enumerate() {
        let job = job_in(&bench, number, state).await;
        let answer = bench.ops().requeue(job, operator(), "again".to_owned()).await;
        if matches!(state, JobState::Leased | JobState::Queued) {
            conflict(answer, state);
            continue;
        }
        answer.unwrap_or_else(|error| panic!("{state}: {error}"));
        let view = bench.view(job).await;
        assert_eq!((view.state, view.due_at), (JobState::Queued, Some(bench.now())), "{state}");
        assert_eq!((view.outcome, view.hold_reason, view.dead_reason, view.finished_at), (None, None, None, None));
        bench.claim_one("okta").await;
    }
}

async fn cancel_is_for_what_nobody_works_on(bench: Bench) {
    for (number, state) in STATES.into_iter().enumerate() {
        let job = job_in(&bench, number, state).await;
        let answer = bench.ops().cancel(job, operator(), "a mistake".to_owned()).await;
        if !matches!(state, JobState::Held | JobState::Queued) {
            conflict(answer, state);
            continue;
        }
        answer.unwrap_or_else(|error| panic!("{state}: {error}"));
        let view = bench.view(job).await;
        assert_eq!((view.state, view.due_at, view.hold_reason), (JobState::Cancelled, None, None));
        assert!(view.note.is_some_and(|note| note.contains("a mistake")) && view.finished_at.is_some());
        assert!(bench.claim("okta", 10).await.is_empty());
    }
}

async fn approve_is_for_what_is_held(bench: Bench) {
    for (number, state) in STATES.into_iter().enumerate() {
        let job = job_in(&bench, number, state).await;
        let answer =
            bench.ops().approve(job, operator(), Consent { reason: "fine".to_owned(), ..Consent::default() }).await;
        if state != JobState::Held {
            conflict(answer, state);
            continue;
        }
        answer.unwrap_or_else(|error| panic!("{state}: {error}"));
        let claim = bench.claim_one("okta").await;
        assert_eq!((claim.job, claim.approved, claim.account_id), (job, true, None));
    }
}

async fn an_approval_may_name_the_account(bench: Bench) {
    let job = job_in(&bench, 0, JobState::Held).await;
    bench
        .ops()
        .approve(
            job,
            operator(),
            Consent { account_id: Some("00u7".to_owned()), reason: "her".to_owned(), ..Consent::default() },
        )
        .await
        .expect("approved");
    let claim = bench.claim_one("okta").await;
    assert_eq!((claim.job, claim.account_id.as_deref()), (job, Some("00u7")));
}

async fn there_is_nothing_to_do_about_an_unknown_job(bench: Bench) {
    let job = JobId::new();
    for answer in [
        bench.ops().requeue(job, operator(), String::new()).await,
        bench.ops().cancel(job, operator(), String::new()).await,
        bench.ops().approve(job, operator(), Consent::default()).await,
    ] {
        assert!(matches!(answer, Err(StoreError::NotFound("job"))));
    }
    assert!(bench.audit().await.is_empty());
}

async fn held_time_does_not_count(bench: Bench) {
    let origin = Origin::Held(HoldReason::Approval, "a rule asks".to_owned());
    let job = bench.job("a", okta("ana@example.com").origin(origin)).await;
    bench.advance(HOUR);
    bench.ops().approve(job, operator(), Consent::default()).await.expect("approved");
    bench.advance(SECOND);
    let claim = bench.claim_one("okta").await;
    assert_eq!((claim.held, claim.created_at + HOUR + SECOND), (HOUR, bench.now()));
    bench.settle(&claim, Next::Held(HoldReason::Budget)).await;
    bench.advance(HOUR);
    bench.ops().approve(job, operator(), Consent::default()).await.expect("approved");
    assert_eq!(bench.claim_one("okta").await.held, 2 * HOUR);
}

async fn time_behind_a_gate_does_not_count(bench: Bench) {
    bench.job("a", okta("ana@example.com")).await;
    bench.advance(SECOND);
    bench.ops().pause(Some(name("okta")), operator(), String::new()).await.expect("paused");
    bench.advance(HOUR);
    bench.job("b", okta("ben@example.com")).await;
    bench.advance(HOUR);
    bench.ops().resume(Some(name("okta")), operator()).await.expect("resumed");
    bench.advance(HOUR);
    let held: Vec<Duration> = bench.claim("okta", 2).await.iter().map(|claim| claim.held).collect();
    assert_eq!(held, [2 * HOUR, HOUR]);
}

async fn gates_show_in_views_status_and_filters(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    let held = job_in(&bench, 1, JobState::Queued).await;
    bench.ops().cancel(held, operator(), String::new()).await.expect("cancelled");
    let filter = |state| JobFilter { state: Some(state), ..JobFilter::default() };
    assert_eq!(bench.list(filter(JobState::Queued)).await.len(), 1);
    bench.ops().pause(Some(name("okta")), operator(), "change freeze".to_owned()).await.expect("paused");
    let view = bench.view(job).await;
    assert_eq!((view.state, view.hold_reason), (JobState::Held, Some(HoldReason::Paused)));
    assert_eq!(view.note.as_deref(), Some("change freeze"));
    let status = bench.ops().status().await.expect("a status");
    assert_eq!(status.jobs[&name("okta")].get(&JobState::Held), Some(&1));
    assert_eq!(status.jobs[&name("okta")].get(&JobState::Queued), None);
    assert_eq!(status.held[&name("okta")][&HoldReason::Paused], 1);
    assert_eq!(status.gates.len(), 1);
    assert!(bench.list(filter(JobState::Queued)).await.is_empty());
    assert_eq!(bench.list(filter(JobState::Held)).await.iter().map(|job| job.id).collect::<Vec<_>>(), [job]);
    let answer = bench.ops().approve(job, operator(), Consent::default()).await;
    assert!(matches!(answer, Err(StoreError::Conflict(message)) if message.contains("resume")));
    bench.ops().pause(None, operator(), "everything".to_owned()).await.expect("paused");
    bench.ops().resume(Some(name("okta")), operator()).await.expect("resumed");
    assert_eq!(bench.list(filter(JobState::Held)).await.len(), 1);
    bench.ops().resume(None, operator()).await.expect("resumed");
    assert!(bench.list(filter(JobState::Held)).await.is_empty());
    assert_eq!(bench.state(job).await, JobState::Queued);
}

async fn the_age_of_the_oldest_due_job_is_told(bench: Bench) {
    bench.job("a", okta("ana@example.com")).await;
    bench.advance(HOUR);
    bench.job("b", okta("ben@example.com")).await;
    assert_eq!(bench.jobs().backlog().await.expect("a backlog").oldest_due, [(name("okta"), HOUR)]);
}

async fn jobs_are_listed_by_provider_subject_and_state(bench: Bench) {
    let ana = bench.job("a", okta("Ana@Example.com")).await;
    bench.job("b", okta("ben@example.com")).await;
    let by = |subject: &str| JobFilter { subject: Some(subject.to_owned()), ..JobFilter::default() };
    for written in ["ana@example.com", "ANA@example.COM"] {
        let found: Vec<JobId> = bench.list(by(written)).await.iter().map(|job| job.id).collect();
        assert_eq!(found, [ana], "{written}");
    }
    assert!(bench.list(by("nobody@example.com")).await.is_empty());
    let mueller = bench.job("m", okta("MÜLLER@example.com")).await;
    assert_eq!(bench.list(by("müller@example.com")).await.iter().map(|job| job.id).collect::<Vec<_>>(), [mueller]);
    bench.ops().cancel(mueller, operator(), String::new()).await.expect("cancelled");
    let provider = |text| JobFilter { provider: Some(name(text)), ..JobFilter::default() };
    assert_eq!(bench.list(provider("okta")).await.len(), 3);
    assert!(bench.list(provider("slack")).await.is_empty());
    let claim = bench.claim_one("okta").await;
    bench.bind(&claim, "00u1").await;
    assert_eq!(bench.list(by("00u1")).await.len(), 1);
}

async fn every_listing_pages_without_gaps_or_repeats(bench: Bench) {
    for number in 0..23 {
        bench.job(&format!("a{number}"), okta(&format!("p{number}@x"))).await;
    }
    let whole: Vec<JobId> = bench.all_jobs().await.iter().map(|job| job.id).collect();
    assert_eq!(whole.len(), 23);
    for limit in [1, 5, 22, 23, 24] {
        let paged: Vec<JobId> =
            bench.list(JobFilter { limit, ..JobFilter::default() }).await.iter().map(|job| job.id).collect();
        assert_eq!(paged, whole, "by {limit}");
    }
    let (mut alerts, mut cursor) = (Vec::new(), None);
    loop {
        let page = bench.ops().alerts(cursor, 4).await.expect("a page");
        alerts.extend(page.items.into_iter().map(|alert| alert.external_id));
        match page.next_cursor {
            Some(next) => cursor = Some(next.parse().expect("a cursor")),
            None => break,
        }
    }
    assert_eq!(alerts, (0..23).rev().map(|number| format!("a{number}")).collect::<Vec<_>>());
    assert_eq!(bench.audit().await.len(), 23);
}

async fn quarantine_pages_without_gaps_or_repeats(bench: Bench) {
    for source in ["s1", "s2", "s3"] {
        for id in ["1", "2", "3"] {
            bench.admit(&Mail::new(id).through(source).quarantined("no")).await;
        }
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = bench.ops().quarantine(cursor, 2).await.expect("a page");
        seen.extend(page.items.into_iter().map(|entry| entry.id));
        match page.next_cursor {
            Some(next) => cursor = Some(next.parse().expect("a cursor")),
            None => break,
        }
    }
    assert_eq!(seen.len(), 9);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "newest first: {seen:?}");
}

async fn requeueing_is_no_way_around_an_approval(bench: Bench) {
    for (number, reason) in [HoldReason::Approval, HoldReason::Budget].into_iter().enumerate() {
        let origin = Origin::Held(reason, "a rule asks".to_owned());
        let job = bench.job(&format!("a{number}"), okta(&format!("p{number}@x")).origin(origin)).await;
        let answer = bench.ops().requeue(job, operator(), String::new()).await;
        assert!(matches!(answer, Err(StoreError::Conflict(message)) if message.contains("approve")));
        bench.ops().cancel(job, operator(), String::new()).await.expect("cancelled");
        assert_eq!(bench.view(job).await.hold_reason, None);
        bench.ops().requeue(job, operator(), String::new()).await.expect("requeued");
        let view = bench.view(job).await;
        assert_eq!(
            (view.state, view.hold_reason),
            (JobState::Held, Some(reason)),
            "cancelled and requeued past consent"
        );
        assert!(bench.claim("okta", 10).await.is_empty());
        bench.ops().approve(job, operator(), Consent::default()).await.expect("approved");
        assert_eq!(bench.claim_one("okta").await.job, job);
    }
}

async fn a_merged_job_names_the_one_to_requeue(bench: Bench) {
    bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com"), okta_id("00u1")])).await;
    let claims = bench.claim("okta", 2).await;
    bench.bind(&claims[0], "00u1").await;
    bench.bind(&claims[1], "00u1").await;
    let answer = bench.ops().requeue(claims[1].job, operator(), String::new()).await;
    let into = claims[0].job.to_string();
    assert!(matches!(answer, Err(StoreError::Conflict(message)) if message.contains(&into)));
}

async fn a_requeued_job_shows_no_result_of_its_former_life(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    let revocation = Revocation::new(Outcome::Confirmed, Some(3), &[]);
    let end = Settlement { revocation: Some(revocation), ..settlement(&claim, Next::Done(Outcome::Confirmed)) };
    bench.jobs().settle(&claim, &end).await.expect("settled");
    bench.ops().requeue(job, operator(), String::new()).await.expect("requeued");
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Dead(DeadReason::Refused)).await;
    assert_eq!(bench.view(job).await.sessions_ended, None);
}

async fn an_account_that_is_nobodys_is_not_approved(bench: Bench) {
    let job = job_in(&bench, 0, JobState::Held).await;
    for nobody in ["", "..", "me"] {
        let answer = bench
            .ops()
            .approve(job, operator(), Consent { account_id: Some(nobody.to_owned()), ..Consent::default() })
            .await;
        assert!(matches!(answer, Err(StoreError::Conflict(_))), "{nobody:?}");
    }
    assert_eq!(bench.state(job).await, JobState::Held);
}

async fn a_gated_job_that_is_requeued_says_what_it_waits_for(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    bench.ops().pause(Some(name("okta")), operator(), String::new()).await.expect("paused");
    let answer = bench.ops().requeue(job, operator(), String::new()).await;
    assert!(matches!(answer, Err(StoreError::Conflict(message)) if message.contains("provider wait")));
}

async fn an_hour_behind_two_gates_and_in_a_hold_is_one_hour(bench: Bench) {
    let origin = Origin::Held(HoldReason::Approval, "a rule asks".to_owned());
    let job = bench.job("a", okta("ana@example.com").origin(origin)).await;
    bench.ops().pause(None, operator(), String::new()).await.expect("paused");
    bench.ops().pause(Some(name("okta")), operator(), String::new()).await.expect("paused");
    bench.advance(HOUR);
    bench.ops().approve(job, operator(), Consent::default()).await.expect("approved");
    bench.ops().resume(None, operator()).await.expect("resumed");
    bench.ops().resume(Some(name("okta")), operator()).await.expect("resumed");
    bench.advance(HOUR);
    assert_eq!(bench.claim_one("okta").await.held, HOUR);
}

contract_tests!(
    an_hour_behind_two_gates_and_in_a_hold_is_one_hour,
    requeueing_is_no_way_around_an_approval,
    a_merged_job_names_the_one_to_requeue,
    a_requeued_job_shows_no_result_of_its_former_life,
    an_account_that_is_nobodys_is_not_approved,
    a_gated_job_that_is_requeued_says_what_it_waits_for,
    requeue_is_for_what_rests,
    cancel_is_for_what_nobody_works_on,
    approve_is_for_what_is_held,
    an_approval_may_name_the_account,
    there_is_nothing_to_do_about_an_unknown_job,
    held_time_does_not_count,
    time_behind_a_gate_does_not_count,
    gates_show_in_views_status_and_filters,
    the_age_of_the_oldest_due_job_is_told,
    jobs_are_listed_by_provider_subject_and_state,
    every_listing_pages_without_gaps_or_repeats,
    quarantine_pages_without_gaps_or_repeats,
);
