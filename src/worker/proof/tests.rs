//! Every verdict over looks, without store and provider.

use std::collections::BTreeSet;

use super::*;
use crate::domain::{AlertId, JobId, ProviderName, Severity, SourceName, Subject, TeamSession, Traces};

const POLICY: ProofPolicy = ProofPolicy { after: Duration::from_secs(2), times: 2 };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn begun(id: &str, second: i64) -> Session {
    Session { id: id.to_owned(), created_at: Some(at(second)), ..Session::default() }
}

/// As Slack lists them: without times.
fn timeless(id: &str) -> Session {
    Session { id: id.to_owned(), team_id: Some("T1".to_owned()), ..Session::default() }
}

fn look(sessions: &[Session]) -> Look {
    Look { sessions: sessions.to_vec(), complete: true, at: Some(at(100)) }
}

fn account() -> Account {
    Account::new("u1", vec!["u1".to_owned()])
}

fn claim(scope: Scope) -> Claim {
    Claim {
        job: JobId::new(),
        row: 1,
        provider: "chat".parse::<ProviderName>().expect("a name"),
        subject: Subject::default(),
        request: RevokeRequest::new(scope),
        severity: Severity::High,
        dry_run: false,
        attempt: 1,
        failures: 0,
        absence: None,
        created_at: at(0),
        held: Duration::ZERO,
        account_id: None,
        approved: false,
        unread_ok: false,
        alike_ok: false,
        counted: false,
        past_budget: false,
        call_open: false,
        was_repeated: false,
        proof: None,
        proving: false,
        lease_until: at(60),
        alert: AlertId::new(),
        source: "edr".parse::<SourceName>().expect("a name"),
        received_at: at(0),
        occurred_at: at(0),
        traces: Traces::default(),
    }
}

/// The proof of a job whose first look showed `sessions`, and whose call was answered with a yes.
fn called_after(claim: &Claim, sessions: &[Session]) -> Proof {
    let Before::Call(_, Some(proof)) = before(claim, &account(), Some(&look(sessions)), at(999)) else {
        panic!("no call");
    };
    called(proof, Some(Revocation::new(Outcome::Accepted, None, &["tokens"])))
}

fn done(verdict: Verdict) -> (Outcome, Revocation) {
    match verdict {
        Verdict::Done(outcome, revocation) => (outcome, revocation),
        other => panic!("not done: {other:?}"),
    }
}

#[test]
fn gone_is_verified_and_newer_sessions_are_told() {
    let claim = claim(Scope::All);
    let proof = called_after(&claim, &[begun("a", 10), begun("b", 20)]);
    let (outcome, revocation) = done(after(&claim, &proof, &look(&[begun("c", 101)]), POLICY));
    assert_eq!((outcome, revocation.sessions_ended), (Outcome::Verified, Some(2)));
    assert_eq!(revocation.signed_in_again, [begun("c", 101)]);
    assert_eq!(revocation.survives, ["tokens"]);
}

#[test]
fn a_session_that_stays_is_looked_at_again_then_called_for_again_then_contradicts() {
    let claim = claim(Scope::All);
    let mut proof = called_after(&claim, &[begun("a", 10)]);
    for call in 1..=3 {
        let Verdict::LookAgain(seen) = after(&claim, &proof, &look(&[begun("a", 10)]), POLICY) else {
            panic!("{call}")
        };
        match after(&claim, &seen, &look(&[begun("a", 10)]), POLICY) {
            Verdict::CallAgain(seen) if call < 3 => proof = called(seen, None),
            Verdict::Contradicted(seen) if call == 3 => assert_eq!(seen.calls, 3),
            other => panic!("call {call}: {other:?}"),
        }
    }
}

#[test]
fn a_list_that_lagged_proves_nothing() {
    let claim = claim(Scope::All);
    // Nothing was listed before; what shows up now began before the call.
    let proof = called_after(&claim, &[]);
    for late in [begun("a", 10), begun("a", 100), timeless("a")] {
        let verdict = after(&claim, &proof, &look(std::slice::from_ref(&late)), POLICY);
        assert!(matches!(verdict, Verdict::LookAgain(_)), "{late:?} gave {verdict:?}");
    }
    let (outcome, revocation) = done(after(&claim, &proof, &look(&[]), POLICY));
    assert_eq!((outcome, revocation.sessions_ended), (Outcome::NothingToRevoke, Some(0)));
}

#[test]
fn what_the_call_ended_was_not_nothing() {
    let claim = claim(Scope::All);
    let Before::Call(_, Some(proof)) = before(&claim, &account(), Some(&look(&[])), at(999)) else { panic!("no call") };
    let proof = called(proof, Some(Revocation::new(Outcome::Accepted, Some(2), &[])));
    let (outcome, revocation) = done(after(&claim, &proof, &look(&[]), POLICY));
    assert_eq!((outcome, revocation.sessions_ended), (Outcome::Verified, Some(2)));
}

#[test]
fn without_a_complete_look_on_both_sides_the_providers_word_is_all() {
    let claim = claim(Scope::All);
    let proof = called_after(&claim, &[timeless("a")]);
    let partial = Look { complete: false, ..look(&[]) };
    assert_eq!(done(after(&claim, &proof, &partial, POLICY)).0, Outcome::Accepted);
    let Before::Call(request, Some(blind)) = before(&claim, &account(), None, at(50)) else { panic!("no call") };
    assert_eq!((request.scope, blind.called_at), (Scope::All, at(50)));
    let blind = called(blind, Some(Revocation::new(Outcome::Accepted, None, &[])));
    assert_eq!(done(after(&claim, &blind, &look(&[]), POLICY)).0, Outcome::Accepted);
    // Blind before, but the times tell.
    assert!(matches!(after(&claim, &blind, &look(&[begun("a", 50)]), POLICY), Verdict::LookAgain(_)));
    assert_eq!(unseen(&blind, &Scope::All).expect("a yes").0, Outcome::Accepted);
}

#[test]
fn a_repeat_ends_only_what_an_earlier_call_left() {
    let mut claim = claim(Scope::All);
    let Before::Call(_, first) = before(&claim, &account(), Some(&look(&[begun("a", 10), begun("b", 20)])), at(999))
    else {
        panic!("no call");
    };
    claim.proof = first;
    claim.call_open = true;
    let now = look(&[begun("b", 20), begun("new", 150), begun("hidden", 30)]);
    let Before::Call(request, Some(proof)) = before(&claim, &account(), Some(&now), at(999)) else { panic!("no call") };
    let left = ["b", "hidden"].map(|id| SessionRef::Id(id.to_owned()));
    assert_eq!(request.scope, Scope::Sessions(left.to_vec()));
    assert!(left.iter().all(|left| proof.earlier.as_ref().is_some_and(|earlier| earlier.contains(left))));
    let gone = before(&claim, &account(), Some(&look(&[begun("new", 150)])), at(999));
    assert!(matches!(gone, Before::Gone(_)), "{gone:?}");
    // Nobody can look: everything is ended once more.
    let Before::Call(request, _) = before(&claim, &account(), None, at(999)) else { panic!("no call") };
    assert_eq!(request.scope, Scope::All);
}

#[test]
fn a_look_that_leaves_places_out_neither_verifies_nor_narrows_a_repeat() {
    let mut claim = claim(Scope::All);
    let partial = Look { complete: false, ..look(&[timeless("a")]) };
    let Before::Call(_, Some(proof)) = before(&claim, &account(), Some(&partial), at(999)) else { panic!("no call") };
    let proof = called(proof, Some(Revocation::new(Outcome::Accepted, None, &[])));
    // It was alive all the time, where nobody had looked.
    assert_eq!(done(after(&claim, &proof, &look(&[timeless("b")]), POLICY)).0, Outcome::Accepted);
    claim.proof = Some(proof);
    claim.call_open = true;
    for sessions in [&[][..], &[timeless("a")]] {
        let now = Look { complete: false, ..look(sessions) };
        let Before::Call(request, Some(proof)) = before(&claim, &account(), Some(&now), at(999)) else {
            panic!("no call")
        };
        assert_eq!((request.scope, proof.calls), (Scope::All, 1));
    }
}

#[test]
fn after_a_call_that_was_refused_everything_alive_now_is_meant() {
    let mut claim = claim(Scope::All);
    claim.proof = Some(Proof {
        account: account(),
        earlier: Some(BTreeSet::new()),
        partial: false,
        blind: false,
        called_at: at(1),
        calls: 0,
        looks: 0,
        said: None,
    });
    let Before::Call(request, Some(proof)) = before(&claim, &account(), Some(&look(&[begun("a", 50)])), at(999)) else {
        panic!("no call");
    };
    assert_eq!((request.scope, proof.called_at), (Scope::All, at(100)));
    // Another account than before: nothing of the old proof counts.
    claim.call_open = true;
    let other = Account::new("u2", Vec::new());
    let Before::Call(_, Some(proof)) = before(&claim, &other, Some(&look(&[])), at(999)) else { panic!("no call") };
    assert_eq!(proof.account, other);
}

#[test]
fn given_sessions_are_all_that_counts() {
    let given = SessionRef::InTeam(TeamSession { id: "a".to_owned(), team_id: "T1".to_owned() });
    let claim = claim(Scope::Sessions(vec![given]));
    let proof = called_after(&claim, &[timeless("a"), timeless("b")]);
    let (outcome, revocation) = done(after(&claim, &proof, &look(&[timeless("b")]), POLICY));
    assert_eq!((outcome, revocation.signed_in_again), (Outcome::Verified, Vec::new()));
    let other_team = Session { team_id: Some("T2".to_owned()), ..timeless("a") };
    assert_eq!(done(after(&claim, &proof, &look(&[other_team]), POLICY)).0, Outcome::Verified);
    assert!(matches!(after(&claim, &proof, &look(&[timeless("a")]), POLICY), Verdict::LookAgain(_)));
    // Gone before, and still gone: there was nothing to end.
    let nothing = called_after(&claim, &[timeless("b")]);
    assert_eq!(done(after(&claim, &nothing, &look(&[timeless("b")]), POLICY)).0, Outcome::NothingToRevoke);
}

#[test]
fn of_a_scope_by_device_the_unknown_rest_is_not_contradicted() {
    let on = |id: &str, device| Session { device, ..timeless(id) };
    let claim = claim(Scope::Web);
    let (web, phone, unknown) = (on("w", Some(Device::Web)), on("m", Some(Device::Mobile)), on("u", None));
    let proof = called_after(&claim, &[web.clone(), phone.clone(), unknown.clone()]);
    let last = Proof { looks: 1, ..proof };
    assert_eq!(done(after(&claim, &last, &look(std::slice::from_ref(&phone)), POLICY)).0, Outcome::Verified);
    assert_eq!(done(after(&claim, &last, &look(&[phone.clone(), unknown]), POLICY)).0, Outcome::Accepted);
    assert!(matches!(after(&claim, &last, &look(&[phone, web]), POLICY), Verdict::CallAgain(_)));
}

#[test]
fn a_repeat_for_one_kind_of_device_does_not_end_the_other_kind() {
    for scope in [Scope::Web, Scope::Mobile] {
        let mut claim = claim(scope.clone());
        // Slack does not tell which is which.
        let listed = look(&[timeless("a"), timeless("b")]);
        let Before::Call(_, first) = before(&claim, &account(), Some(&listed), at(999)) else { panic!("no call") };
        claim.proof = first;
        claim.call_open = true;
        let Before::Call(request, Some(proof)) = before(&claim, &account(), Some(&listed), at(999)) else {
            panic!("no call")
        };
        assert_eq!(request.scope, scope, "every session that is left would be ended, whatever its kind");
        assert_eq!(proof.earlier.map(|earlier| earlier.len()), Some(2));
        assert!(matches!(before(&claim, &account(), Some(&look(&[])), at(999)), Before::Gone(_)));
    }
    let mut claim = claim(Scope::Web);
    let on = |id: &str, device| Session { device: Some(device), ..timeless(id) };
    let listed = look(&[on("w", Device::Web), on("m", Device::Mobile)]);
    let Before::Call(_, first) = before(&claim, &account(), Some(&listed), at(999)) else { panic!("no call") };
    claim.proof = first;
    claim.call_open = true;
    let Before::Call(request, _) = before(&claim, &account(), Some(&listed), at(999)) else { panic!("no call") };
    assert_eq!(
        request.scope,
        Scope::Sessions(vec![on("w", Device::Web).reference()]),
        "where the kind is told, it counts"
    );
}

#[test]
fn what_is_newer_by_our_clock_alone_is_not_verified() {
    let claim = claim(Scope::All);
    let timed = look(&[begun("a", 10)]);
    // The provider does not tell its time, and our clock is behind its own: what a lagging list hid looks newer.
    let clockless = |sessions: &[Session]| Look { at: None, ..look(sessions) };
    let Before::Call(_, Some(proof)) = before(&claim, &account(), Some(&Look { at: None, ..timed }), at(50)) else {
        panic!("no call")
    };
    let proof = called(proof, Some(Revocation::new(Outcome::Confirmed, None, &[])));
    assert_eq!(done(after(&claim, &proof, &clockless(&[begun("hidden", 60)]), POLICY)).0, Outcome::Accepted);
    assert_eq!(done(after(&claim, &proof, &clockless(&[]), POLICY)).0, Outcome::Verified);
    // Ids need no clock.
    assert_eq!(done(after(&claim, &proof, &clockless(&[timeless("new")]), POLICY)).0, Outcome::Verified);
}

#[test]
fn a_request_that_was_never_made_was_not_accepted() {
    let claim = claim(Scope::All);
    let Before::Call(_, Some(blind)) = before(&claim, &account(), None, at(50)) else { panic!("no call") };
    // The provider looked by itself, found nothing, and has no call that ends everything.
    let blind = called(blind, None);
    assert_eq!(done(after(&claim, &blind, &look(&[]), POLICY)).0, Outcome::NothingToRevoke);
    let partial = Look { complete: false, ..look(&[]) };
    assert_eq!(done(after(&claim, &blind, &partial, POLICY)).0, Outcome::Accepted);
}

#[test]
fn what_nobody_could_tell_is_said() {
    // Another person's session is listed for its owner only.
    let given = claim(Scope::Sessions(vec![SessionRef::Id("x".to_owned())]));
    let Before::Call(_, Some(proof)) = before(&given, &account(), Some(&look(&[])), at(999)) else { panic!("no call") };
    let (outcome, revocation) = done(after(&given, &called(proof, None), &look(&[]), POLICY));
    assert_eq!(outcome, Outcome::NothingToRevoke);
    assert!(revocation.survives.join(" ").contains("somebody else's"), "{revocation:?}");
    // The answer with what survives was lost.
    let mut all = claim(Scope::All);
    let Before::Call(_, first) = before(&all, &account(), Some(&look(&[begun("a", 10)])), at(999)) else {
        panic!("no call")
    };
    all.proof = first;
    all.call_open = true;
    let Before::Gone(proof) = before(&all, &account(), Some(&look(&[])), at(999)) else { panic!("not gone") };
    let (outcome, revocation) = done(after(&all, &proof, &look(&[]), POLICY));
    assert_eq!(outcome, Outcome::Verified);
    assert!(revocation.survives.join(" ").contains("answer"), "{revocation:?}");
}

#[test]
fn what_a_failed_call_ended_all_the_same_was_not_nothing() {
    // The provider answered 504 to a call that worked: not a yes, and not a lost answer either.
    let mut claim = claim(Scope::All);
    let Before::Call(_, failed) = before(&claim, &account(), Some(&look(&[begun("a", 10), begun("b", 20)])), at(999))
    else {
        panic!("no call");
    };
    claim.proof = failed;
    let now = look(&[begun("b", 20), begun("new", 90)]);
    let Before::Call(request, Some(proof)) = before(&claim, &account(), Some(&now), at(999)) else { panic!("no call") };
    assert_eq!(request.scope, Scope::All);
    for said in [None, Some(Revocation::new(Outcome::Confirmed, Some(2), &[]))] {
        let (outcome, revocation) = done(after(&claim, &called(proof.clone(), said), &look(&[]), POLICY));
        assert_eq!((outcome, revocation.sessions_ended), (Outcome::Verified, Some(3)));
    }
    let gone = before(&claim, &account(), Some(&look(&[])), at(999));
    let Before::Call(_, Some(proof)) = gone else { panic!("no call") };
    let (outcome, revocation) = done(after(&claim, &called(proof, None), &look(&[]), POLICY));
    assert_eq!((outcome, revocation.sessions_ended), (Outcome::Verified, Some(2)));
}

#[test]
fn a_call_whose_answer_was_lost_may_have_ended_what_nobody_saw() {
    let mut claim = claim(Scope::All);
    let Before::Call(_, Some(blind)) = before(&claim, &account(), None, at(50)) else { panic!("no call") };
    (claim.call_open, claim.proof) = (true, Some(blind));
    let Before::Gone(gone) = before(&claim, &account(), Some(&look(&[])), at(120)) else { panic!("not gone") };
    let (outcome, revocation) = done(after(&claim, &gone, &look(&[]), POLICY));
    assert_eq!((outcome, revocation.survives), (Outcome::Accepted, vec![ANSWER_LOST.to_owned()]));
}

#[test]
fn a_repeat_that_finds_nothing_does_not_forget_the_call_whose_answer_was_lost() {
    let mut claim = claim(Scope::All);
    let Before::Call(_, Some(lost)) = before(&claim, &account(), None, at(50)) else { panic!("no call") };
    (claim.call_open, claim.proof) = (true, Some(lost));
    // Nobody can look before the repeat either, whose own look finds nothing.
    let Before::Call(_, Some(repeated)) = before(&claim, &account(), None, at(120)) else { panic!("no call") };
    let (outcome, _) = done(after(&claim, &called(repeated.clone(), None), &look(&[]), POLICY));
    assert_eq!(outcome, Outcome::Accepted, "the lost call may have ended them");
    // The repeat was throttled; the next attempt begins with a look.
    (claim.call_open, claim.proof) = (false, Some(repeated));
    let Before::Call(_, Some(third)) = before(&claim, &account(), Some(&look(&[])), at(180)) else { panic!("no call") };
    let (outcome, _) = done(after(&claim, &called(third, None), &look(&[]), POLICY));
    assert_eq!(outcome, Outcome::Accepted, "it still may");
}

#[test]
fn what_was_seen_before_a_lost_call_outlasts_attempts_in_which_nobody_could_look() {
    let mut claim = claim(Scope::All);
    let first = before(&claim, &account(), Some(&look(&[begun("a", 10)])), at(20));
    let Before::Call(_, Some(lost)) = first else { panic!("no call") };
    // It is over, and nobody knows. Two repeats are throttled, without a look before them.
    (claim.call_open, claim.was_repeated, claim.proof) = (true, true, Some(lost));
    for _ in 0..2 {
        let Before::Call(_, Some(throttled)) = before(&claim, &account(), None, at(30)) else { panic!("no call") };
        (claim.call_open, claim.proof) = (false, Some(throttled));
    }
    let unseen = called(claim.proof.clone().expect("a proof"), None);
    assert_eq!(
        done(after(&claim, &unseen, &look(&[]), POLICY)).0,
        Outcome::Accepted,
        "others may have been there as well"
    );
    let Before::Call(_, Some(last)) = before(&claim, &account(), Some(&look(&[])), at(40)) else { panic!("no call") };
    assert_eq!(done(after(&claim, &called(last, None), &look(&[]), POLICY)).0, Outcome::Verified);
}

#[test]
fn a_call_whose_answer_was_lost_may_have_ended_what_the_look_before_it_left_out() {
    let mut claim = claim(Scope::All);
    let partial = Look { complete: false, ..look(&[]) };
    let Before::Call(_, Some(lost)) = before(&claim, &account(), Some(&partial), at(20)) else { panic!("no call") };
    (claim.call_open, claim.proof) = (true, Some(lost));
    let Before::Call(_, Some(throttled)) = before(&claim, &account(), None, at(30)) else { panic!("no call") };
    (claim.call_open, claim.proof) = (false, Some(throttled));
    let Before::Call(_, Some(last)) = before(&claim, &account(), Some(&look(&[])), at(40)) else { panic!("no call") };
    assert_eq!(done(after(&claim, &called(last, None), &look(&[]), POLICY)).0, Outcome::Accepted);
}

#[test]
fn a_call_that_failed_before_anybody_looked_may_have_worked_and_a_throttled_one_has_not() {
    for (failures, expected) in [(1, Outcome::Accepted), (0, Outcome::NothingToRevoke)] {
        let mut claim = claim(Scope::All);
        let Before::Call(_, failed) = before(&claim, &account(), None, at(50)) else { panic!("no call") };
        (claim.failures, claim.proof) = (failures, failed);
        let Before::Call(_, Some(proof)) = before(&claim, &account(), Some(&look(&[])), at(120)) else {
            panic!("no call");
        };
        assert_eq!(done(after(&claim, &called(proof, None), &look(&[]), POLICY)).0, expected);
    }
}
