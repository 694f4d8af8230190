//! One claim, free of the store: whom it means, whether that person may be touched, and what the provider said.

use std::time::Duration;

use jiff::Timestamp;

use super::circuit::Sign;
use super::proof::{self, Before, ProofPolicy};
use super::retry::RetryPolicy;
use super::traced::asked;
use crate::domain::{
    Absence, Account, Attempt, AttemptClass, Claim, DeadReason, Disposition, HoldReason, Look, Next, Outcome, Proof,
    Revocation, RevokeRequest, Settlement, Subject,
};
use crate::policy::{Guardrails, Verdict};
use crate::provider::{CallReport, Provider, ProviderError};

/// A job whose call is refused as if it were our credential's fault, while that works, is tried so often before it waits
/// for a person.
const TRIES_BEFORE_HELD: u32 = 3;

/// What an attempt needs to know besides the claim.
pub(super) struct Context<'a> {
    /// The provider.
    pub(super) provider: &'a dyn Provider,
    /// Who must not be touched.
    pub(super) guardrails: &'a Guardrails,
    /// When to try again.
    pub(super) retry: &'a RetryPolicy,
    /// How often and when it is looked whether sessions are gone.
    pub(super) proof: ProofPolicy,
    /// Sends nothing, whatever the job says.
    pub(super) dry_run: bool,
}

/// How an attempt ends, before its times are known.
#[derive(Debug)]
pub(super) struct Ending {
    next: Next,
    class: AttemptClass,
    report: CallReport,
    account: Option<Account>,
    revocation: Option<Revocation>,
    answer_unknown: bool,
    proof: Option<Proof>,
    /// The provider's yes is not believed: the job calls again.
    anew: bool,
}

/// A call that may be made, once the store knows of it.
#[derive(Debug)]
pub(super) struct Call {
    /// Whose sessions.
    pub(super) account: Account,
    /// Which.
    pub(super) request: RevokeRequest,
    /// What a look showed just now.
    pub(super) seen: Option<Look>,
    /// What the call has to end; `None` where there is no way to look.
    pub(super) proof: Option<Proof>,
}

impl Ending {
    fn new(next: Next, class: AttemptClass, message: impl Into<String>) -> Self {
        let report = CallReport { message: message.into(), ..CallReport::default() };
        let (account, revocation, proof) = (None, None, None);
        Self { next, class, report, account, revocation, answer_unknown: false, proof, anew: false }
    }

    /// Given back before any call that changes something.
    pub(super) fn released(message: &str) -> Self {
        Self::new(Next::Release, AttemptClass::Released, message)
    }

    /// Too little of the lease is left for a call and for writing down its answer.
    pub(super) fn too_late() -> Self {
        Self::released("too little of the lease was left for the call")
    }

    /// A bug of ours ended it.
    pub(super) fn panicked(next: Next) -> Self {
        let message = "this attempt met a bug in sever; the log has the place";
        Self { answer_unknown: true, ..Self::new(next, AttemptClass::Unavailable, message) }
    }

    /// Cut off while a revoking call was on its way.
    pub(super) fn cut_off() -> Self {
        let message = "cut off by the shutdown while the provider was being called; it may have worked";
        Self { answer_unknown: true, ..Self::new(Next::Release, AttemptClass::Released, message) }
    }

    fn with(self, account: Account) -> Self {
        Self { account: Some(account), ..self }
    }

    /// Held back by ourselves, without a call.
    pub(super) fn was_held_back(&self) -> bool {
        self.class == AttemptClass::Throttled && self.report.status.is_none()
    }

    /// Whether the provider did what was asked.
    pub(super) fn went_well(&self) -> bool {
        matches!(self.next, Next::Done(_) | Next::Prove { .. })
    }

    /// Whether the provider works, as far as this attempt can tell, and what went wrong.
    pub(super) fn sign(&self) -> (Sign, String) {
        // A bug of ours is none of the provider's.
        let asked = !self.report.operation.is_empty();
        if self.class == AttemptClass::Unavailable && asked {
            return (Sign::Failed, self.report.message.clone());
        }
        let answered = self.report.status.is_some() || self.account.is_some() || self.went_well();
        (if answered { Sign::Answered } else { Sign::None }, String::new())
    }

    /// Whether only looks are left after it. A job that proves goes on proving until a look says otherwise.
    fn leaves_looks(&self, claim: &Claim) -> bool {
        match self.next {
            Next::Prove { .. } => true,
            Next::Retry { .. } | Next::LookAgain { .. } | Next::Release | Next::CloseGate(_) => {
                claim.proving && !self.anew
            }
            Next::Done(_) | Next::Dead(_) | Next::Held(_) => false,
        }
    }

    /// The settlement, once the times are known.
    pub(super) fn at(self, claim: &Claim, started_at: Timestamp, took: Duration) -> Settlement {
        let proving = self.leaves_looks(claim);
        let report = self.report;
        let attempt = Attempt {
            number: claim.attempt,
            started_at,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            class: self.class,
            operation: (!report.operation.is_empty()).then(|| report.operation.to_owned()),
            status: report.status,
            code: report.code,
            message: report.message,
            request_id: report.request_id,
        };
        let (next, account, revocation, proof) = (self.next, self.account, self.revocation, self.proof);
        Settlement { next, attempt, account, revocation, answer_unknown: self.answer_unknown, proof, proving }
    }
}

impl Context<'_> {
    /// The account that this job may act on, or how the attempt ends without one.
    pub(super) async fn find_account(&self, claim: &Claim, now: Timestamp) -> Result<Account, Box<Ending>> {
        let subject = subject_of(claim);
        // Protected names may have been added since the job was planned.
        let named = self.guardrails.judge_subject(&claim.provider, &subject);
        judge(&named, claim.approved)?;
        let account = match asked("resolve", self.provider.resolve(&subject)).await {
            Ok(Some(account)) => account,
            Ok(None) => return Err(Box::new(self.absent(claim, Absence::Account, now))),
            Err(error) => self.unread(claim, &subject, &error, now).await?,
        };
        let verdict = self.guardrails.judge(&claim.provider, &account);
        // Whoever agreed to the names in the alert did not know the account's other names.
        let agreed = claim.approved && (claim.alike_ok || verdict == named);
        if let Err(end) = judge(&verdict, agreed) {
            return Err(Box::new(end.with(account)));
        }
        if claim.dry_run || self.dry_run {
            return Err(Box::new(dry_end(claim).with(account)));
        }
        Ok(account)
    }

    /// An account that cannot be read waits for a person, who may let it go on by its id alone.
    async fn unread(
        &self,
        claim: &Claim,
        subject: &Subject,
        error: &ProviderError,
        now: Timestamp,
    ) -> Result<Account, Box<Ending>> {
        let end = self.failed(claim, error, now).await;
        if end.next != Next::Dead(DeadReason::Refused) {
            return Err(Box::new(end));
        }
        match &subject.id {
            Some(id) if claim.unread_ok && claim.account_id.is_some() => Ok(Account::new(id.clone(), vec![id.clone()])),
            _ => {
                let mut end = Ending { next: Next::Held(HoldReason::Approval), ..end };
                end.report.message = format!(
                    "the account could not be read, so it is not known whether it is protected ({}); \
                     approve with its account_id, or cancel",
                    end.report.message
                );
                Err(Box::new(end))
            }
        }
    }

    /// Looks which sessions have to end, where that is possible, and plans the call; or tells how the attempt ends
    /// without one. A look that fails keeps nobody signed in: the call is made all the same.
    pub(super) async fn plan(&self, claim: &Claim, account: Account, now: Now) -> Result<Call, Box<Ending>> {
        let seen = match asked("look", self.provider.sessions(&account)).await {
            Ok(None) => return Ok(Call { account, request: claim.request.clone(), seen: None, proof: None }),
            Ok(Some(look)) => Some(look),
            Err(error) => {
                let report = error.report();
                tracing::info!(job.id = %claim.job, operation = report.operation, status = report.status,
                    code = report.code, "no look before the call, which is made all the same");
                None
            }
        };
        match proof::before(claim, &account, seen.as_ref(), now.wall) {
            Before::Call(request, proof) => Ok(Call { account, request, seen, proof }),
            Before::Gone(proof) => {
                let message = "what an earlier call had to end is gone; a look follows";
                let next = Next::Prove { due_at: now.steady + self.proof.after };
                let end = Ending { proof: Some(proof), ..Ending::new(next, AttemptClass::Ok, message) };
                Err(Box::new(end.with(account)))
            }
        }
    }

    /// Makes the call and says what it amounts to.
    pub(super) async fn revoke(&self, claim: &Claim, call: Call, now: Timestamp) -> Ending {
        let Call { account, request, seen, proof } = call;
        let said = asked("revoke", self.provider.revoke(&account, &request, seen.as_ref())).await;
        let end = match (said, proof) {
            (Ok(said), Some(proof)) => self.to_prove(proof::called(proof, said), now),
            (Ok(Some(revocation)), None) => {
                let next = Next::Done(revocation.outcome);
                let message = format!("the provider ended the sessions: {}", revocation.outcome);
                Ending { revocation: Some(revocation), ..Ending::new(next, AttemptClass::Ok, message) }
            }
            (Ok(None), None) => self.absent(claim, Absence::Sessions, now),
            (Err(error), _) => {
                let end = self.failed(claim, &error, now).await;
                // Without an answer the call may have worked; the next one is a repeat.
                let answer_unknown = matches!(error, ProviderError::Unavailable(_)) && end.report.status.is_none();
                Ending { answer_unknown, ..end }
            }
        };
        end.with(account)
    }

    fn to_prove(&self, proof: Proof, now: Timestamp) -> Ending {
        let message = match &proof.said {
            Some(_) => "the provider says that the sessions are ended; a look follows",
            None => "there was no session to end; a second look follows",
        };
        let next = Next::Prove { due_at: now + self.proof.after };
        let revocation = proof.said.clone();
        Ending { revocation, proof: Some(proof), ..Ending::new(next, AttemptClass::Ok, message) }
    }

    /// Looks whether the sessions are gone.
    pub(super) async fn prove(&self, claim: &Claim, known: &Proof, now: Timestamp) -> Ending {
        let end = match asked("look", self.provider.sessions(&known.account)).await {
            Ok(Some(look)) => self.judge_look(claim, proof::after(claim, known, &look, self.proof), now),
            Ok(None) => {
                let held = Next::Held(HoldReason::Approval);
                self.unseen(claim, known, Ending::new(held, AttemptClass::Unclear, "there is no way to look any more"))
            }
            Err(error) => {
                let end = self.failed(claim, &error, now).await;
                match end.next {
                    Next::Dead(_) | Next::Held(_) => self.unseen(claim, known, end),
                    _ => end,
                }
            }
        };
        end.with(known.account.clone())
    }

    /// Where no look comes about, the provider's word stands, for what it is.
    fn unseen(&self, claim: &Claim, known: &Proof, end: Ending) -> Ending {
        let Some((outcome, revocation)) = proof::unseen(known, &claim.request.scope) else { return end };
        let mut report = end.report;
        report.message = format!("the provider took the request, and no look was possible: {}", report.message);
        Ending { report, revocation: Some(revocation), ..Ending::new(Next::Done(outcome), end.class, String::new()) }
    }

    fn judge_look(&self, claim: &Claim, verdict: proof::Verdict, now: Timestamp) -> Ending {
        let listed = |next, proof, message: &str| Ending {
            proof: Some(proof),
            ..Ending::new(next, AttemptClass::Contradicted, message)
        };
        match verdict {
            proof::Verdict::Done(outcome, revocation) => {
                let message = format!("looked, and none of the earlier sessions is left to end: {outcome}");
                let end = Ending::new(Next::Done(outcome), AttemptClass::Ok, message);
                Ending { revocation: Some(revocation), ..end }
            }
            proof::Verdict::LookAgain(proof) => {
                let next = Next::Prove { due_at: now + self.proof.after };
                listed(next, proof, "sessions that should be gone are still listed; another look follows")
            }
            proof::Verdict::CallAgain(proof) => match self.retry.settle(claim, Disposition::Retry, now) {
                Some(next @ Next::Retry { .. }) => {
                    let message = "sessions stay listed although the provider said yes; it is called again";
                    Ending { anew: true, ..listed(next, proof, message) }
                }
                // Replicas that contradict each other: the sessions are gone before each call and back after it.
                _ => contradicted(proof, &listed),
            },
            proof::Verdict::Contradicted(proof) => contradicted(proof, &listed),
        }
    }

    /// Absence is believed at the second look.
    fn absent(&self, claim: &Claim, what: Absence, now: Timestamp) -> Ending {
        let (outcome, missing) = match what {
            Absence::Account => (Outcome::UnknownAccount, "no account by this name"),
            Absence::Sessions => (Outcome::NothingToRevoke, "none of the given sessions"),
        };
        if claim.absence != Some(what) {
            let next = Next::LookAgain { due_at: now + self.proof.after, absent: what };
            return Ending::new(next, AttemptClass::Absent, format!("{missing} was found; a second look follows"));
        }
        if what == Absence::Sessions && claim.answer_lost() {
            return lost_call_may_have_ended_them();
        }
        Ending::new(Next::Done(outcome), AttemptClass::Absent, format!("{missing} was found in two looks"))
    }

    async fn failed(&self, claim: &Claim, error: &ProviderError, now: Timestamp) -> Ending {
        let next = match self.retry.settle(claim, error.disposition(), now) {
            Some(next) => next,
            None => self.ask_check(claim, error.disposition(), now).await,
        };
        let mut report = error.report().clone();
        if next == Next::Dead(DeadReason::Exhausted) {
            report.message = format!("gave up after {:?}; last: {}", self.retry.give_up_after, report.message);
        }
        Ending { report, ..Ending::new(next, error.class(), String::new()) }
    }

    /// Whether an error is about this job or about us shows when the provider is asked something harmless.
    async fn ask_check(&self, claim: &Claim, disposition: Disposition, now: Timestamp) -> Next {
        match (asked("check", self.provider.check()).await, disposition) {
            // Something that every job needs may be among what is missing.
            (Ok(report), Disposition::CloseGate(reason)) if !report.missing.is_empty() => Next::CloseGate(reason),
            // It came and went, or it is about this job alone: the others must not wait for it.
            (Ok(_), Disposition::CloseGate(reason)) if claim.failures >= TRIES_BEFORE_HELD => Next::Held(reason),
            (Ok(_), Disposition::CloseGate(_)) => {
                Next::Retry { due_at: now + self.retry.delay(claim.failures), failed: true }
            }
            (Ok(_), _) => Next::Dead(DeadReason::Refused),
            (Err(_), Disposition::CloseGate(reason)) => Next::CloseGate(reason),
            (Err(error), _) => match error.disposition() {
                Disposition::CloseGate(reason) => Next::CloseGate(reason),
                // What refuses so harmless a question as well is not about this job.
                Disposition::AskCheck | Disposition::GiveUp(_) | Disposition::Hold(_) => {
                    Next::CloseGate(HoldReason::Credential)
                }
                waits @ (Disposition::Retry | Disposition::Throttle { .. }) => {
                    self.retry.settle(claim, waits, now).unwrap_or(Next::CloseGate(HoldReason::Credential))
                }
            },
        }
    }
}

/// The end of a dry run. Where an earlier attempt was none, it cannot be said that nothing was sent.
fn dry_end(claim: &Claim) -> Ending {
    if claim.call_open || claim.proof.as_ref().is_some_and(|proof| proof.calls > 0) {
        let message = "a dry run is asked for now, and an earlier attempt has called the provider, with what result is not \
                       known; end the dry run and approve, or cancel";
        return Ending::new(Next::Held(HoldReason::Approval), AttemptClass::Guarded, message);
    }
    let message = "dry run: the account was found and may be acted on; nothing was sent";
    Ending::new(Next::Done(Outcome::DryRun), AttemptClass::DryRun, message)
}

/// The provider does not know the given sessions, and an earlier call was never answered.
fn lost_call_may_have_ended_them() -> Ending {
    let message = "none of the given sessions was found in two looks; a call whose answer was lost may have ended them";
    let survives =
        ["given sessions that were never this account's, if any; the provider does not tell them from ended ones"];
    let revocation = Revocation::new(Outcome::Accepted, None, &survives);
    let end = Ending::new(Next::Done(Outcome::Accepted), AttemptClass::Absent, message);
    Ending { revocation: Some(revocation), ..end }
}

fn contradicted(proof: Proof, listed: &impl Fn(Next, Proof, &str) -> Ending) -> Ending {
    let message = format!(
        "the provider said yes {} times and the sessions are still listed; end them there by hand",
        proof.calls
    );
    listed(Next::Dead(DeadReason::Contradicted), proof, &message)
}

/// Whether the account may be acted on. `agreed`: an operator knows that a name of it looks like a protected one.
fn judge(verdict: &Verdict, agreed: bool) -> Result<(), Box<Ending>> {
    match verdict {
        Verdict::Clear => Ok(()),
        Verdict::Protected { pattern } => {
            let message = format!("the account is protected by {pattern}; nothing was sent");
            Err(Box::new(Ending::new(Next::Dead(DeadReason::Protected), AttemptClass::Guarded, message)))
        }
        Verdict::LookAlike { .. } if agreed => Ok(()),
        Verdict::LookAlike { pattern } => {
            let message = format!("a name of the account looks like {pattern}, which is protected; approve or cancel");
            Err(Box::new(Ending::new(Next::Held(HoldReason::Approval), AttemptClass::Guarded, message)))
        }
    }
}

/// One moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// Never jumps: due times.
    pub(super) steady: Timestamp,
    /// What the world's clocks show.
    pub(super) wall: Timestamp,
}

/// The account that an operator chose wins over what the alert said.
fn subject_of(claim: &Claim) -> Subject {
    match &claim.account_id {
        Some(id) => Subject { id: Some(id.clone()), ..Subject::default() },
        None => claim.subject.clone(),
    }
}

#[cfg(test)]
mod tests;
