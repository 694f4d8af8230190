//! The end of an attempt: what each kind of end leaves, and that only the latest attempt may end it.

use sever::domain::{Absence, DeadReason, HoldReason, JobState, Next, Outcome, Revocation, Settlement};
use sever::store::StoreError;

use crate::support::store::{Bench, LEASE, SECOND, account, contract_tests, okta, settlement};

async fn a_stale_end_changes_nothing(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    let stale = bench.claim_one("okta").await;
    bench.advance(LEASE);
    let current = bench.claim_one("okta").await;
    let (before, rows) = (bench.ops().job(job).await.expect("an answer"), bench.audit().await.len());
    let end = settlement(&stale, Next::Done(Outcome::Confirmed));
    assert!(matches!(bench.jobs().settle(&stale, &end).await, Err(StoreError::LeaseLost)));
    assert!(matches!(bench.jobs().bind(&stale, &account("00u1"), None, &[]).await, Err(StoreError::LeaseLost)));
    assert_eq!(bench.ops().job(job).await.expect("an answer"), before);
    assert_eq!(bench.audit().await.len(), rows);
    bench.settle(&current, Next::Done(Outcome::Confirmed)).await;
    for late in [&stale, &current] {
        let again = bench.jobs().settle(late, &settlement(late, Next::Dead(DeadReason::Refused))).await;
        assert!(matches!(again, Err(StoreError::LeaseLost)), "settled twice");
    }
    assert_eq!(bench.state(job).await, JobState::Done);
}

async fn a_late_end_counts_as_long_as_nobody_else_began(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    bench.advance(2 * LEASE);
    bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    assert_eq!(bench.state(job).await, JobState::Done);
}

async fn each_end_leaves_the_job_as_it_says(bench: Bench) {
    let due_at = bench.now() + 10 * SECOND;
    let table = [
        (Next::Done(Outcome::Verified), JobState::Done, "done"),
        (Next::Dead(DeadReason::Refused), JobState::Dead, "dead"),
        (Next::Held(HoldReason::Account), JobState::Held, "held"),
        (Next::Retry { due_at, failed: true }, JobState::Queued, "retry_scheduled"),
        (Next::LookAgain { due_at, absent: Absence::Account }, JobState::Queued, "look_scheduled"),
        (Next::Release, JobState::Queued, "released"),
    ];
    for (number, (next, state, event)) in table.into_iter().enumerate() {
        let job = bench.job(&format!("a{number}"), okta(&format!("p{number}@x"))).await;
        let mut claims = bench.claim("okta", 10).await;
        claims.retain(|claim| claim.job == job);
        bench.settle(&claims[0], next).await;
        let view = bench.view(job).await;
        assert_eq!(view.state, state, "{next:?}");
        assert_eq!(view.finished_at.is_some(), state.is_final(), "{next:?}");
        assert_eq!(view.due_at.is_some(), state == JobState::Queued, "{next:?}");
        assert_eq!(bench.story(job).await.last().map(String::as_str), Some(event));
        match next {
            Next::Done(outcome) => assert_eq!(view.outcome, Some(outcome)),
            Next::Dead(reason) => assert_eq!(view.dead_reason, Some(reason)),
            Next::Held(reason) => assert_eq!(view.hold_reason, Some(reason)),
            Next::Retry { due_at, .. } | Next::LookAgain { due_at, .. } | Next::Prove { due_at } => {
                assert_eq!(view.due_at, Some(due_at))
            }
            Next::Release | Next::CloseGate(_) => assert_eq!(view.due_at, Some(bench.now())),
        }
    }
}

async fn a_closing_gate_keeps_its_job_due_and_writes_one_row(bench: Bench) {
    let jobs = [bench.job("a", okta("a@x")).await, bench.job("b", okta("b@x")).await];
    for claim in bench.claim("okta", 2).await {
        bench.settle(&claim, Next::CloseGate(HoldReason::Misconfigured)).await;
    }
    assert_eq!(bench.jobs().gates().await.expect("gates").len(), 1);
    let closings = bench.audit().await.iter().filter(|row| row.event == "gate_closed").count();
    assert_eq!(closings, 1);
    for job in jobs {
        assert_eq!(bench.view(job).await.hold_reason, Some(HoldReason::Misconfigured));
    }
}

async fn the_result_and_the_attempts_are_kept(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Release).await;
    let claim = bench.claim_one("okta").await;
    let revocation = Revocation::new(Outcome::Confirmed, Some(3), &["tokens"]);
    let end = Settlement {
        revocation: Some(revocation),
        account: Some(account("00u1")),
        ..settlement(&claim, Next::Done(Outcome::Confirmed))
    };
    bench.jobs().settle(&claim, &end).await.expect("settled");
    let detail = bench.ops().job(job).await.expect("an answer").expect("the job");
    assert_eq!((detail.job.sessions_ended, detail.job.account_id.as_deref()), (Some(3), Some("00u1")));
    assert_eq!(detail.job.survives, ["tokens"]);
    assert_eq!(detail.history.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2]);
}

async fn a_call_lost_with_its_lease_shows_as_a_repeat(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    assert!(!claim.call_open && !claim.was_repeated);
    bench.bind(&claim, "00u1").await;
    assert_eq!(bench.view(job).await.repeated, 0);
    bench.advance(LEASE);
    let claim = bench.claim_one("okta").await;
    assert!(claim.call_open, "the next attempt must know");
    bench.bind(&claim, "00u1").await;
    assert_eq!(bench.view(job).await.repeated, 1);
    bench.settle(&claim, Next::Retry { due_at: bench.now(), failed: true }).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(
        (claim.call_open, claim.was_repeated),
        (false, true),
        "that call was answered, and an earlier one never"
    );
    bench.bind(&claim, "00u1").await;
    assert_eq!(bench.view(job).await.repeated, 1);
}

async fn a_call_without_an_answer_survives_a_crash(mut bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    bench.bind(&claim, "00u1").await;
    bench.reopen();
    bench.advance(LEASE);
    let claim = bench.claim_one("okta").await;
    assert_eq!((claim.job, claim.attempt, claim.call_open), (job, 2, true));
    let cut_off = Settlement { answer_unknown: true, ..settlement(&claim, Next::Release) };
    bench.bind(&claim, "00u1").await;
    bench.jobs().settle(&claim, &cut_off).await.expect("settled");
    bench.reopen();
    let claim = bench.claim_one("okta").await;
    assert!(claim.call_open);
    bench.bind(&claim, "00u1").await;
    assert_eq!(bench.view(job).await.repeated, 2);
}

async fn a_call_without_an_answer_is_not_forgotten_by_an_attempt_that_made_none(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    bench.bind(&claim, "00u1").await;
    let unknown = Next::Retry { due_at: bench.now(), failed: true };
    let end = Settlement { answer_unknown: true, ..settlement(&claim, unknown) };
    bench.jobs().settle(&claim, &end).await.expect("settled");
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Release).await;
    let claim = bench.claim_one("okta").await;
    assert!(claim.call_open);
    bench.bind(&claim, "00u1").await;
    assert_eq!(bench.view(job).await.repeated, 1, "a repeat that nobody is told of");
}

contract_tests!(
    a_call_without_an_answer_is_not_forgotten_by_an_attempt_that_made_none,
    a_stale_end_changes_nothing,
    a_late_end_counts_as_long_as_nobody_else_began,
    each_end_leaves_the_job_as_it_says,
    a_closing_gate_keeps_its_job_due_and_writes_one_row,
    the_result_and_the_attempts_are_kept,
    a_call_lost_with_its_lease_shows_as_a_repeat,
    a_call_without_an_answer_survives_a_crash,
);
