//! Attempts against a provider that says what it is told to.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::*;
use crate::domain::{AlertId, JobId, ProviderName, Scope, Session, Severity, SourceName, Traces};
use crate::policy::{Policy, PolicySettings};
use crate::provider::{CredentialReport, ListQuery, ProviderKind, SessionPage, Share};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn report(status: u16) -> CallReport {
    CallReport { operation: "call", status: Some(status), message: "no".to_owned(), ..CallReport::default() }
}

/// Refuses every call with a 403, and answers looks and `check` as told; with nothing told, looks are empty.
#[derive(Default)]
struct Told {
    check: Option<ProviderError>,
    looks: Mutex<VecDeque<Look>>,
}

#[async_trait]
impl Provider for Told {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Mattermost
    }

    async fn resolve(&self, _: &Subject) -> Result<Option<Account>, ProviderError> {
        Ok(Some(account()))
    }

    async fn sessions(&self, _: &Account) -> Result<Option<Look>, ProviderError> {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(looks.pop_front().unwrap_or_else(|| look(&[]))))
    }

    async fn list_sessions(&self, _: &Account, _: &ListQuery) -> Result<Option<SessionPage>, ProviderError> {
        Ok(None)
    }

    async fn revoke(
        &self,
        _: &Account,
        _: &RevokeRequest,
        _: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        Err(ProviderError::Forbidden(report(403)))
    }

    async fn check(&self) -> Result<CredentialReport, ProviderError> {
        let (missing, excess, unchecked) = (Vec::new(), Vec::new(), Vec::new());
        let fine = CredentialReport { identity: "us".to_owned(), missing, excess, unchecked };
        self.check.clone().map_or(Ok(fine), Err)
    }

    fn wait(&self) -> Option<Duration> {
        None
    }

    fn divide(&self, _: Share) {}
}

fn account() -> Account {
    Account::new("u1", vec!["u1".to_owned()])
}

fn look(ids: &[&str]) -> Look {
    let session = |id: &&str| Session { id: (*id).to_owned(), created_at: Some(at(10)), ..Session::default() };
    Look { sessions: ids.iter().map(session).collect(), complete: true, at: Some(at(100)) }
}

fn claim(age: Duration) -> Claim {
    Claim {
        job: JobId::new(),
        row: 1,
        provider: "chat".parse::<ProviderName>().expect("a name"),
        subject: Subject { id: Some("u1".to_owned()), ..Subject::default() },
        request: RevokeRequest::new(Scope::All),
        severity: Severity::High,
        dry_run: false,
        attempt: 9,
        failures: 8,
        absence: None,
        created_at: at(1_000_000) - age,
        held: Duration::ZERO,
        account_id: None,
        approved: false,
        alike_ok: false,
        counted: false,
        past_budget: false,
        unread_ok: false,
        call_open: false,
        was_repeated: false,
        proof: None,
        proving: false,
        lease_until: at(1_000_060),
        alert: AlertId::new(),
        source: "edr".parse::<SourceName>().expect("a name"),
        received_at: at(0),
        occurred_at: at(0),
        traces: Traces::default(),
    }
}

const NOW: fn() -> Timestamp = || at(1_000_000);

const RETRY: RetryPolicy = RetryPolicy {
    first: Duration::from_secs(1),
    factor: 2.0,
    longest: Duration::from_secs(300),
    spread: 0.0,
    give_up_after: DAY,
};

/// What becomes of `claim` at this provider: a look where it proves, otherwise a plan and a call.
async fn attempt(provider: &Told, claim: &Claim, dry_run: bool) -> Ending {
    let known = [(claim.provider.clone(), Vec::new())].into();
    let policy = Policy::new(&PolicySettings::default(), &known).expect("a policy");
    let proof = ProofPolicy { after: Duration::from_secs(2), times: 1 };
    let context = Context { provider, guardrails: policy.guardrails(), retry: &RETRY, proof, dry_run };
    if let Some(proof) = claim.proof.as_ref().filter(|_| claim.proving) {
        return context.prove(claim, proof, NOW()).await;
    }
    let account = match context.find_account(claim, NOW()).await {
        Ok(account) => account,
        Err(end) => return *end,
    };
    match context.plan(claim, account, Now { steady: NOW(), wall: NOW() }).await {
        Ok(call) => context.revoke(claim, call, NOW()).await,
        Err(end) => *end,
    }
}

#[tokio::test]
async fn a_check_that_is_refused_in_any_way_is_about_us_and_kills_no_job() {
    for check in [
        ProviderError::Refused(report(400)),
        ProviderError::UnknownAccount(report(404)),
        ProviderError::Unclear(report(200)),
        ProviderError::Forbidden(report(403)),
        ProviderError::Unauthorized(report(401)),
    ] {
        let told = Told { check: Some(check.clone()), ..Told::default() };
        let end = attempt(&told, &claim(Duration::ZERO), false).await;
        assert_eq!(end.next, Next::CloseGate(HoldReason::Credential), "{check:?}");
    }
    let told = Told { check: Some(ProviderError::Unavailable(report(503))), ..Told::default() };
    let end = attempt(&told, &claim(Duration::ZERO), false).await;
    assert!(matches!(end.next, Next::Retry { failed: true, .. }), "{end:?}");
    let end = attempt(&Told::default(), &claim(Duration::ZERO), false).await;
    assert_eq!(end.next, Next::Dead(DeadReason::Refused), "the credential works");
}

#[tokio::test]
async fn replicas_that_contradict_each_other_for_ever_come_to_an_end() {
    let mut claim = claim(DAY + Duration::from_secs(1));
    claim.proof = Some(Proof {
        account: account(),
        earlier: Some([crate::domain::SessionRef::Id("a".to_owned())].into()),
        partial: false,
        blind: false,
        called_at: at(100),
        calls: 1,
        looks: 0,
        said: Some(Revocation::new(Outcome::Confirmed, Some(1), &[])),
    });
    // Before a call the list is that of a replica which knows that the session is gone: no call is made.
    let end = attempt(&Told::default(), &claim, false).await;
    assert!(matches!(end.next, Next::Prove { .. }), "{end:?}");
    // After it the list is that of one which does not.
    claim.proving = true;
    let told = Told { looks: Mutex::new([look(&["a"])].into()), ..Told::default() };
    let end = attempt(&told, &claim, false).await;
    assert_eq!(end.next, Next::Dead(DeadReason::Contradicted), "{end:?}");
    claim.created_at = NOW();
    let told = Told { looks: Mutex::new([look(&["a"])].into()), ..Told::default() };
    let end = attempt(&told, &claim, false).await;
    assert!(matches!(end.next, Next::Retry { failed: true, .. }) && end.anew, "{end:?}");
}

#[tokio::test]
async fn nothing_was_sent_is_not_said_once_something_was() {
    let mut claim = claim(Duration::ZERO);
    let end = attempt(&Told::default(), &claim, true).await;
    assert_eq!(end.next, Next::Done(Outcome::DryRun));
    claim.call_open = true;
    let end = attempt(&Told::default(), &claim, true).await;
    assert_eq!(end.next, Next::Held(HoldReason::Approval), "{end:?}");
    assert!(end.report.message.contains("dry run"), "{end:?}");
}

#[test]
fn given_sessions_that_a_lost_call_may_have_ended_are_not_called_nothing() {
    let known = [("chat".parse().expect("a name"), Vec::new())].into();
    let policy = Policy::new(&PolicySettings::default(), &known).expect("a policy");
    let (proof, provider) = (ProofPolicy { after: Duration::from_secs(2), times: 1 }, Told::default());
    let (guardrails, retry) = (policy.guardrails(), &RETRY);
    let context = Context { provider: &provider, guardrails, retry, proof, dry_run: false };
    let mut claim = claim(Duration::ZERO);
    claim.absence = Some(Absence::Sessions);
    let outcome = |claim: &Claim| context.absent(claim, Absence::Sessions, NOW()).next;
    assert_eq!(outcome(&claim), Next::Done(Outcome::NothingToRevoke));
    claim.was_repeated = true;
    assert_eq!(outcome(&claim), Next::Done(Outcome::Accepted));
    assert!(context.absent(&claim, Absence::Sessions, NOW()).revocation.is_some_and(|told| !told.survives.is_empty()));
}
