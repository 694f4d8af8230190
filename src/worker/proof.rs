//! What looks prove, free of the store and of the provider.
//!
//! Before the first call a look says which sessions have to end; after it, looks say whether they did. Where sessions
//! have times, whatever began before the first call counts as earlier, also if a lagging list hid it then. What began
//! later is somebody who signed in again: it is told, and never ended by this job.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{
    Account, Claim, Device, Look, Outcome, Proof, Revocation, RevokeRequest, Scope, Session, SessionRef,
};

/// A provider that says yes so often, while the sessions stay, is not believed any more.
const CALLS_BEFORE_CONTRADICTED: u32 = 3;

const NOT_THEIRS: &str = "given sessions that are not listed as this account's: they are over already, or somebody else's; \
                          if they should be live, find out whose they are";
const ANSWER_LOST: &str = "what this provider leaves alive by its nature, such as tokens and the sessions of apps: its answer, \
                           which would tell, was lost";

/// How often and when sessions are looked at after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofPolicy {
    /// The wait before each look. A list or search may lag that long.
    pub after: Duration,
    /// Looks after each call.
    pub times: u32,
}

/// What is to be done about an account, once it was looked at.
#[derive(Debug, PartialEq)]
pub(super) enum Before {
    /// Make this call; the proof is to be stored first.
    Call(RevokeRequest, Option<Proof>),
    /// An earlier call has ended everything that it had to; only looks are left.
    Gone(Proof),
}

/// What a look after the call means.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// The job ends.
    Done(Outcome, Revocation),
    /// Sessions that should be gone are still listed: look again.
    LookAgain(Proof),
    /// They stay listed: call again.
    CallAgain(Proof),
    /// They stay listed whatever the provider says.
    Contradicted(Proof),
}

/// Plans the call. `look` is `None` where nobody could look just now; `now` is the wall clock.
pub(super) fn before(claim: &Claim, account: &Account, look: Option<&Look>, now: Timestamp) -> Before {
    let known = claim.proof.as_ref().filter(|proof| proof.account.id == account.id);
    let known = known.map(|proof| Proof { blind: is_blind(claim, proof), ..proof.clone() });
    match (known, look) {
        (Some(proof), look) if claim.call_open || proof.calls > 0 => match look {
            Some(look) if look.complete => repeat(claim, &proof, look),
            // What an earlier call left may be where nobody looked. Better to end too much than to leave an attacker in.
            _ => Before::Call(claim.request.clone(), Some(proof)),
        },
        (known, look) => {
            let proof = with_seen_before(first(claim, account, look, now), known.as_ref());
            Before::Call(claim.request.clone(), Some(proof))
        }
    }
}

/// The answer of a call without a whole look before it was lost, or was a failure, as a gateway's may be after the call has
/// worked.
fn is_blind(claim: &Claim, known: &Proof) -> bool {
    let may_have_worked = claim.call_open || (known.calls == 0 && claim.failures > 0);
    known.blind || ((known.earlier.is_none() || known.partial) && may_have_worked)
}

/// A call that failed may have ended some sessions all the same: what was seen before it has to be gone as well, and counts
/// as ended.
fn with_seen_before(mut proof: Proof, known: Option<&Proof>) -> Proof {
    let Some(known) = known else { return proof };
    match (&mut proof.earlier, &known.earlier) {
        (Some(earlier), Some(seen)) => earlier.extend(seen.iter().cloned()),
        // Nobody can look this time, and what was seen then need not be all that there is now.
        (None, Some(seen)) => (proof.earlier, proof.partial) = (Some(seen.clone()), true),
        (_, None) => {}
    }
    Proof { blind: known.blind, ..proof }
}

fn first(claim: &Claim, account: &Account, look: Option<&Look>, now: Timestamp) -> Proof {
    let meant = |session: &&Session| is_meant(&claim.request.scope, session);
    let earlier = look.map(|look| look.sessions.iter().filter(meant).map(Session::reference).collect());
    let called_at = look.and_then(|look| look.at).unwrap_or(now);
    let partial = look.is_some_and(|look| !look.complete);
    Proof { account: account.clone(), earlier, partial, blind: false, called_at, calls: 0, looks: 0, said: None }
}

/// An earlier call may have worked, or said that it did: only what it left is ended.
fn repeat(claim: &Claim, proof: &Proof, look: &Look) -> Before {
    let scope = &claim.request.scope;
    let (left, _) = sort(proof, scope, look);
    if left.is_empty() {
        return Before::Gone(proof.clone());
    }
    let may_be_of_another_kind = is_by_device(scope) && left.iter().any(|session| session.device.is_none());
    let left: Vec<SessionRef> = left.into_iter().map(Session::reference).collect();
    let mut proof = proof.clone();
    // A list that lagged may have hidden some of them from the first look.
    if let Some(earlier) = &mut proof.earlier {
        earlier.extend(left.iter().cloned());
    }
    // Only the provider can tell what is of the kind that is to end, so it is asked once more for just that.
    let scope = if may_be_of_another_kind { scope.clone() } else { Scope::Sessions(left) };
    Before::Call(RevokeRequest { scope, ..claim.request.clone() }, Some(proof))
}

/// The call came back without an error. `said`: what it ended; `None`: there was nothing to end.
pub(super) fn called(mut proof: Proof, said: Option<Revocation>) -> Proof {
    proof.calls = proof.calls.saturating_add(1);
    proof.looks = 0;
    proof.said = match (proof.said.take(), said) {
        (Some(before), Some(now)) => Some(joined(before, now)),
        (before, now) => now.or(before),
    };
    proof
}

fn joined(before: Revocation, now: Revocation) -> Revocation {
    let sessions_ended = match (before.sessions_ended, now.sessions_ended) {
        (Some(before), Some(now)) => Some(before.saturating_add(now)),
        (before, now) => before.or(now),
    };
    Revocation { sessions_ended, ..before }
}

/// Judges a look after the call.
pub(super) fn after(claim: &Claim, proof: &Proof, look: &Look, policy: ProofPolicy) -> Verdict {
    let scope = &claim.request.scope;
    let (left, again) = sort(proof, scope, look);
    let proof = Proof { looks: proof.looks.saturating_add(1), ..proof.clone() };
    if left.is_empty() {
        let outcome = outcome(&proof, look, &again);
        return Verdict::Done(outcome, result(&proof, scope, outcome, again));
    }
    if proof.looks < policy.times {
        return Verdict::LookAgain(proof);
    }
    if is_by_device(scope) && left.iter().all(|session| session.device.is_none()) {
        // What is left may be of the other kind, which nobody asked to end.
        return Verdict::Done(Outcome::Accepted, result(&proof, scope, Outcome::Accepted, again));
    }
    if proof.calls < CALLS_BEFORE_CONTRADICTED { Verdict::CallAgain(proof) } else { Verdict::Contradicted(proof) }
}

/// The end of a job whose looks do not come about: no more than the provider's own word.
pub(super) fn unseen(proof: &Proof, scope: &Scope) -> Option<(Outcome, Revocation)> {
    proof.said.is_some().then(|| (Outcome::Accepted, result(proof, scope, Outcome::Accepted, Vec::new())))
}

fn outcome(proof: &Proof, look: &Look, again: &[Session]) -> Outcome {
    let ended = proof.said.as_ref().and_then(|said| said.sessions_ended).unwrap_or(0);
    // Without the provider's time, ours tells what is newer, and ours may be behind.
    let newer_by_our_clock = look.at.is_none() && again.iter().any(|session| session.created_at.is_some());
    match &proof.earlier {
        // The provider's own look found nothing either, so nothing was asked for. A call whose answer was lost is none of
        // those that came back: it may have ended what nobody had seen.
        None if proof.calls > 0 && proof.said.is_none() && !proof.blind && look.complete && again.is_empty() => {
            Outcome::NothingToRevoke
        }
        None => Outcome::Accepted,
        Some(_) if newer_by_our_clock => Outcome::Accepted,
        // A session that nobody saw before would pass for a newer one now.
        Some(_) if proof.partial || !look.complete => Outcome::Accepted,
        Some(earlier) if earlier.is_empty() && ended == 0 && again.is_empty() => {
            if proof.blind {
                Outcome::Accepted
            } else {
                Outcome::NothingToRevoke
            }
        }
        Some(_) => Outcome::Verified,
    }
}

fn result(proof: &Proof, scope: &Scope, outcome: Outcome, signed_in_again: Vec<Session>) -> Revocation {
    let unsaid = || Revocation::new(outcome, None, unsaid(scope, outcome));
    let said = proof.said.clone().unwrap_or_else(unsaid);
    let seen = proof.earlier.as_ref().filter(|_| matches!(outcome, Outcome::Verified | Outcome::NothingToRevoke));
    // The last call's own count leaves out what calls before it ended whose answers were none.
    let sessions_ended = said.sessions_ended.max(seen.map(|earlier| earlier.len() as u64));
    Revocation { outcome, sessions_ended, signed_in_again, ..said }
}

/// What may live on where the provider's yes, which would tell, did not come.
fn unsaid(scope: &Scope, outcome: Outcome) -> &'static [&'static str] {
    match (outcome, scope) {
        (Outcome::NothingToRevoke, Scope::Sessions(_)) => &[NOT_THEIRS],
        (Outcome::NothingToRevoke, _) => &[],
        _ => &[ANSWER_LOST],
    }
}

/// What is listed although it should be gone, and what began since.
fn sort<'l>(proof: &Proof, scope: &Scope, look: &'l Look) -> (Vec<&'l Session>, Vec<Session>) {
    let (mut left, mut again) = (Vec::new(), Vec::new());
    for session in &look.sessions {
        if is_earlier(proof, scope, session) {
            left.push(session);
        } else if is_newer(proof, scope, session) {
            again.push(session.clone());
        }
    }
    (left, again)
}

fn is_earlier(proof: &Proof, scope: &Scope, session: &Session) -> bool {
    if !is_meant(scope, session) {
        return false;
    }
    let listed = proof.earlier.as_ref().is_some_and(|earlier| earlier.iter().any(|known| is_same(known, session)));
    // Given sessions are meant by their ids, whenever they began.
    let given = matches!(scope, Scope::Sessions(_));
    let began_before = session.created_at.is_some_and(|began| began <= proof.called_at);
    // Without times, one that shows up after a first look that saw nothing may have been hidden by a lagging list.
    let may_have_been_hidden =
        session.created_at.is_none() && proof.earlier.as_ref().is_some_and(std::collections::BTreeSet::is_empty);
    listed || given || began_before || may_have_been_hidden
}

/// Begun after the first call. A session without a time is newer if a first look did not list it; where that look was
/// for given sessions alone, nothing is known about others.
fn is_newer(proof: &Proof, scope: &Scope, session: &Session) -> bool {
    match session.created_at {
        Some(began) => began > proof.called_at,
        None => !matches!(scope, Scope::Sessions(_)) && is_meant(scope, session) && proof.earlier.is_some(),
    }
}

/// Whether a scope goes by what a session runs on.
fn is_by_device(scope: &Scope) -> bool {
    matches!(scope, Scope::Web | Scope::Mobile)
}

/// Whether the scope covers a session. One whose device is not known may be of either kind.
fn is_meant(scope: &Scope, session: &Session) -> bool {
    match scope {
        Scope::All => true,
        Scope::Web => session.device != Some(Device::Mobile),
        Scope::Mobile => session.device != Some(Device::Web),
        Scope::Sessions(given) => given.iter().any(|given| is_same(given, session)),
    }
}

fn is_same(reference: &SessionRef, session: &Session) -> bool {
    let team_id = match reference {
        SessionRef::Id(_) => None,
        SessionRef::InTeam(session) => Some(&session.team_id),
    };
    reference.id() == session.id
        && match (team_id, &session.team_id) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, _) | (_, None) => true,
        }
}

#[cfg(test)]
mod tests;
