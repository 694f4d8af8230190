//! Jobs that the provider said yes to, and that are looked at until the sessions are seen to be gone.

use std::collections::BTreeSet;

use sever::domain::{
    Claim, HoldReason, JobState, Next, Outcome, Proof, Revocation, Session, SessionRef, Settlement, Severity,
};
use sever::store::Bound;

use crate::support::store::{Bench, LEASE, SECOND, account, contract_tests, okta, operator, settlement};

fn proof(bench: &Bench, ids: &[&str]) -> Proof {
    let earlier: BTreeSet<_> = ids.iter().map(|id| SessionRef::Id((*id).to_owned())).collect();
    let (account, called_at) = (account("00u1"), bench.now());
    Proof { account, earlier: Some(earlier), partial: false, blind: false, called_at, calls: 0, looks: 0, said: None }
}

fn yes() -> Revocation {
    Revocation::new(Outcome::Accepted, Some(2), &["tokens"])
}

fn looks_left(claim: &Claim, bench: &Bench, next: Next) -> Settlement {
    let proof = Proof { calls: 1, said: Some(yes()), ..proof(bench, &["a", "b"]) };
    Settlement { proof: Some(proof), proving: true, ..settlement(claim, next) }
}

/// A job whose call was answered with a yes, and whose look is due in two seconds.
async fn proving(bench: &Bench, name: &str) -> (sever::domain::JobId, Claim) {
    let job = bench.job(name, okta(&format!("{name}@x"))).await;
    let claim = bench.claim_one("okta").await;
    let bound = bench.jobs().bind(&claim, &account("00u1"), Some(proof(bench, &["a", "b"])), &[]).await;
    assert_eq!(bound.expect("bound"), Bound::Proceed);
    let next = Next::Prove { due_at: bench.now() + 2 * SECOND };
    let end = Settlement { revocation: Some(yes()), ..looks_left(&claim, bench, next) };
    bench.jobs().settle(&claim, &end).await.expect("settled");
    (job, claim)
}

async fn a_yes_is_proven_by_a_later_look(bench: Bench) {
    let (job, _) = proving(&bench, "ana").await;
    let view = bench.view(job).await;
    assert_eq!((view.state, view.outcome, view.sessions_ended), (JobState::Proving, None, Some(2)));
    assert_eq!(bench.story(job).await.last().map(String::as_str), Some("revoked"));
    assert!(bench.claim("okta", 9).await.is_empty(), "the look is not due yet");
    bench.advance(2 * SECOND);
    let claim = bench.claim_one("okta").await;
    assert!(claim.proving && !claim.call_open);
    let known = claim.proof.clone().expect("what was known before the call");
    assert_eq!((known.calls, known.earlier.map(|ids| ids.len())), (1, Some(2)));
    let again = Session { id: "c".to_owned(), ip: Some("203.0.113.9".to_owned()), ..Session::default() };
    let seen = Revocation { outcome: Outcome::Verified, signed_in_again: vec![again.clone()], ..yes() };
    let end = Settlement { revocation: Some(seen), ..settlement(&claim, Next::Done(Outcome::Verified)) };
    bench.jobs().settle(&claim, &end).await.expect("settled");
    let view = bench.view(job).await;
    assert_eq!((view.state, view.outcome), (JobState::Done, Some(Outcome::Verified)));
    assert_eq!((view.signed_in_again, view.survives), (vec![again], vec!["tokens".to_owned()]));
}

async fn whatever_delays_a_look_leaves_it_a_look(bench: Bench) {
    let (job, _) = proving(&bench, "ana").await;
    let due_at = bench.now() + 2 * SECOND;
    let delays = [Next::Retry { due_at, failed: true }, Next::Release, Next::CloseGate(HoldReason::Credential)];
    for delay in delays {
        bench.advance(3 * SECOND);
        let claim = bench.claim_one("okta").await;
        assert!(claim.proving, "{delay:?}");
        bench.jobs().settle(&claim, &looks_left(&claim, &bench, delay)).await.expect("settled");
        assert_eq!(bench.view(job).await.state, JobState::Proving, "{delay:?}");
    }
    bench.jobs().open_gate(&"okta".parse().expect("a name"), HoldReason::Credential).await.expect("opened");
    // A process that ends while it looks.
    assert!(bench.claim_one("okta").await.proving);
    bench.advance(LEASE);
    let taken_over = bench.claim_one("okta").await;
    assert!(taken_over.proving && taken_over.proof.is_some());
    assert_eq!(bench.view(job).await.repeated, 0, "a look repeats nothing");
}

async fn a_yes_that_is_not_believed_calls_again(bench: Bench) {
    let (job, _) = proving(&bench, "ana").await;
    bench.advance(2 * SECOND);
    let claim = bench.claim_one("okta").await;
    let next = Next::Retry { due_at: bench.now(), failed: true };
    let end = Settlement { proving: false, ..looks_left(&claim, &bench, next) };
    bench.jobs().settle(&claim, &end).await.expect("settled");
    assert_eq!(bench.view(job).await.state, JobState::Queued);
    let claim = bench.claim_one("okta").await;
    assert!(!claim.proving && claim.proof.is_some_and(|proof| proof.calls == 1));
}

async fn revocations_go_before_looks_but_not_for_ever(bench: Bench) {
    let (look, _) = proving(&bench, "ana").await;
    bench.advance(10 * SECOND);
    let mut low = okta("bo@x");
    low.severity = Severity::Critical;
    let revocation = bench.job("b", low.clone()).await;
    assert_eq!(bench.claim_one("okta").await.job, revocation);
    bench.advance(LEASE / 2 * 3);
    low.subject.email = Some("cy@x".to_owned());
    bench.job("c", low).await;
    let order: Vec<_> = bench.claim("okta", 3).await.into_iter().map(|claim| claim.job).collect();
    assert!(order.contains(&look));
    assert_eq!(order.iter().position(|job| *job == look), Some(2), "{order:?}");
}

async fn another_alert_forgets_what_an_earlier_call_had_to_end(bench: Bench) {
    let (job, _) = proving(&bench, "ana").await;
    bench.advance(2 * SECOND);
    let claim = bench.claim_one("okta").await;
    let next = Next::Retry { due_at: bench.now() + SECOND, failed: true };
    let end = Settlement { proving: false, ..looks_left(&claim, &bench, next) };
    bench.jobs().settle(&claim, &end).await.expect("settled");
    let absorbed = bench.job("a later alert", okta("ana@x")).await;
    assert_eq!(absorbed, job);
    bench.advance(SECOND);
    assert_eq!(bench.claim_one("okta").await.proof, None, "sessions since the first call are to end as well");
}

async fn an_operator_ends_or_restarts_it(bench: Bench) {
    let (job, _) = proving(&bench, "ana").await;
    assert!(bench.ops().requeue(job, operator(), String::new()).await.is_err(), "it goes on by itself");
    bench.ops().cancel(job, operator(), String::new()).await.expect("cancelled");
    bench.ops().requeue(job, operator(), String::new()).await.expect("requeued");
    let claim = bench.claim_one("okta").await;
    assert!(!claim.proving && claim.proof.is_none(), "as if new");
}

contract_tests!(
    a_yes_is_proven_by_a_later_look,
    whatever_delays_a_look_leaves_it_a_look,
    a_yes_that_is_not_believed_calls_again,
    revocations_go_before_looks_but_not_for_ever,
    another_alert_forgets_what_an_earlier_call_had_to_end,
    an_operator_ends_or_restarts_it,
);
