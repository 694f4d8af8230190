//! One claim, free of the store: whom it means, whether that person may be touched, and what the provider said.

use std::time::Duration;

use jiff::Timestamp;

use super::retry::RetryPolicy;
use crate::domain::{
    Absence, Account, Attempt, AttemptClass, Claim, DeadReason, Disposition, HoldReason, Next, Outcome, Revocation,
    Settlement, Subject,
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
    /// How long a provider's search may lag behind.
    pub(super) look_after: Duration,
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
}

impl Ending {
    fn new(next: Next, class: AttemptClass, message: impl Into<String>) -> Self {
        let report = CallReport { message: message.into(), ..CallReport::default() };
        Self { next, class, report, account: None, revocation: None, answer_unknown: false }
    }

    /// Given back before any call that changes something.
    pub(super) fn released(message: &str) -> Self {
        Self::new(Next::Release, AttemptClass::Released, message)
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

    fn with(self, account: &Account) -> Self {
        Self { account: Some(account.clone()), ..self }
    }

    /// Held back by ourselves, without a call.
    pub(super) fn was_held_back(&self) -> bool {
        self.class == AttemptClass::Throttled && self.report.status.is_none()
    }

    /// Whether the job has come to its end.
    pub(super) fn went_well(&self) -> bool {
        matches!(self.next, Next::Done(_))
    }

    /// The settlement, once the times are known.
    pub(super) fn at(self, number: u32, started_at: Timestamp, took: Duration) -> Settlement {
        let report = self.report;
        let attempt = Attempt {
            number,
            started_at,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            class: self.class,
            operation: (!report.operation.is_empty()).then(|| report.operation.to_owned()),
            status: report.status,
            code: report.code,
            message: report.message,
            request_id: report.request_id,
        };
        let (next, account, revocation) = (self.next, self.account, self.revocation);
        Settlement { next, attempt, account, revocation, answer_unknown: self.answer_unknown }
    }
}

impl Context<'_> {
    /// The account that this job may act on, or how the attempt ends without one.
    pub(super) async fn find_account(&self, claim: &Claim, now: Timestamp) -> Result<Account, Box<Ending>> {
        let subject = subject_of(claim);
        // Protected names may have been added since the job was planned.
        self.judge(claim, self.guardrails.judge_subject(&claim.provider, &subject))?;
        let account = match self.provider.resolve(&subject).await {
            Ok(Some(account)) => account,
            Ok(None) => return Err(Box::new(self.absent(claim, Absence::Account, now))),
            Err(error) => self.unread(claim, &subject, &error, now).await?,
        };
        self.judge(claim, self.guardrails.judge(&claim.provider, &account))
            .map_err(|end| Box::new(end.with(&account)))?;
        if claim.dry_run || self.dry_run {
            let message = "dry run: the account was found and may be acted on; nothing was sent";
            let end = Ending::new(Next::Done(Outcome::DryRun), AttemptClass::DryRun, message);
            return Err(Box::new(end.with(&account)));
        }
        Ok(account)
    }

    fn judge(&self, claim: &Claim, verdict: Verdict) -> Result<(), Box<Ending>> {
        match verdict {
            Verdict::Clear => Ok(()),
            Verdict::Protected { pattern } => {
                let message = format!("the account is protected by {pattern}; nothing was sent");
                Err(Box::new(Ending::new(Next::Dead(DeadReason::Protected), AttemptClass::Guarded, message)))
            }
            Verdict::LookAlike { .. } if claim.approved => Ok(()),
            Verdict::LookAlike { pattern } => {
                let message =
                    format!("a name of the account looks like {pattern}, which is protected; approve or cancel");
                Err(Box::new(Ending::new(Next::Held(HoldReason::Approval), AttemptClass::Guarded, message)))
            }
        }
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
            Some(id) if claim.unread_ok && claim.account_id.is_some() => {
                Ok(Account { id: id.clone(), identifiers: vec![id.clone()] })
            }
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

    /// Makes the call and says what it amounts to.
    pub(super) async fn revoke(&self, claim: &Claim, account: &Account, now: Timestamp) -> Ending {
        let end = match self.provider.revoke(account, &claim.request).await {
            Ok(Some(revocation)) => {
                let next = Next::Done(revocation.outcome);
                let message = format!("the provider ended the sessions: {}", revocation.outcome);
                Ending { revocation: Some(revocation), ..Ending::new(next, AttemptClass::Ok, message) }
            }
            Ok(None) => self.absent(claim, Absence::Sessions, now),
            Err(error) => {
                let end = self.failed(claim, &error, now).await;
                // Without an answer the call may have worked; the next one is a repeat.
                let answer_unknown = matches!(error, ProviderError::Unavailable(_)) && end.report.status.is_none();
                Ending { answer_unknown, ..end }
            }
        };
        end.with(account)
    }

    /// Absence is believed at the second look.
    fn absent(&self, claim: &Claim, what: Absence, now: Timestamp) -> Ending {
        let (outcome, missing) = match what {
            Absence::Account => (Outcome::UnknownAccount, "no account by this name"),
            Absence::Sessions => (Outcome::NothingToRevoke, "none of the given sessions"),
        };
        if claim.absence != Some(what) {
            let next = Next::LookAgain { due_at: now + self.look_after, absent: what };
            return Ending::new(next, AttemptClass::Absent, format!("{missing} was found; a second look follows"));
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
        match (self.provider.check().await, disposition) {
            // Something that every job needs may be among what is missing.
            (Ok(report), Disposition::CloseGate(reason)) if !report.missing.is_empty() => Next::CloseGate(reason),
            // It came and went, or it is about this job alone: the others must not wait for it.
            (Ok(_), Disposition::CloseGate(reason)) if claim.failures >= TRIES_BEFORE_HELD => Next::Held(reason),
            (Ok(_), Disposition::CloseGate(_)) => {
                Next::Retry { due_at: now + self.retry.delay(claim.failures), failed: true }
            }
            (Ok(_), _) => Next::Dead(DeadReason::Refused),
            (Err(_), Disposition::CloseGate(reason)) => Next::CloseGate(reason),
            (Err(ProviderError::Forbidden(_)), _) => Next::CloseGate(HoldReason::Credential),
            (Err(error), _) => match error.disposition() {
                Disposition::CloseGate(reason) => Next::CloseGate(reason),
                other => self.retry.settle(claim, other, now).unwrap_or(Next::CloseGate(HoldReason::Credential)),
            },
        }
    }
}

/// The account that an operator chose wins over what the alert said.
fn subject_of(claim: &Claim) -> Subject {
    match &claim.account_id {
        Some(id) => Subject { id: Some(id.clone()), ..Subject::default() },
        None => claim.subject.clone(),
    }
}
