//! What states and outcomes mean, in words that an analyst can act on.

use crate::domain::{DeadReason, HoldReason, JobState, Outcome};
use crate::store::{BudgetView, GateView, JobView};

/// The state with what belongs to it: `done: verified`, `held: approval`.
#[must_use]
pub(super) fn standing(job: &JobView) -> String {
    match result(job) {
        "" => job.state.to_string(),
        result => format!("{}: {result}", job.state),
    }
}

/// What a job came to, or waits for, in one word.
#[must_use]
pub(super) fn result(job: &JobView) -> &'static str {
    match job.state {
        JobState::Done => job.outcome.map_or("", Outcome::as_str),
        JobState::Held => job.hold_reason.map_or("", HoldReason::as_str),
        JobState::Dead => job.dead_reason.map_or("", DeadReason::as_str),
        JobState::Cancelled if job.merged_into.is_some() => "merged",
        JobState::Queued | JobState::Leased | JobState::Proving | JobState::Cancelled => "",
    }
}

/// Whether the person's sessions are dealt with. Nobody found is not that: the person may have another name there.
#[must_use]
pub(super) fn is_success(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Verified | Outcome::Confirmed | Outcome::Accepted | Outcome::NothingToRevoke | Outcome::DryRun => true,
        Outcome::UnknownAccount => false,
    }
}

/// How a job stands, in a sentence, with what to do about it.
#[must_use]
pub(super) fn meaning(job: &JobView) -> String {
    let id = job.id;
    match job.state {
        JobState::Queued => "waits for its turn".to_owned(),
        JobState::Leased => "an attempt is running".to_owned(),
        JobState::Proving => "revoked; will look whether it holds".to_owned(),
        JobState::Held => job.hold_reason.map(|reason| held(reason, &id.to_string())).unwrap_or_default(),
        JobState::Done => job.outcome.map(seen).unwrap_or_default().to_owned(),
        JobState::Dead => {
            let why = job.dead_reason.map(dead).unwrap_or_default();
            format!("{why}; after mending, `sever jobs requeue {id}`")
        }
        JobState::Cancelled => match job.merged_into {
            Some(other) => format!("another job does this: `sever jobs show {other}`"),
            None => "an operator called it off".to_owned(),
        },
    }
}

fn seen(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Verified => "looked again: none of the earlier sessions is left",
        Outcome::Confirmed => "the provider says that the sessions are ended; it offers no way to look",
        Outcome::Accepted => "the provider took the request and may still be working; a full look was not possible",
        Outcome::NothingToRevoke => "there was no session, in two looks",
        Outcome::UnknownAccount => "NOBODY WAS FOUND under this name, twice; check that the name is right there",
        Outcome::DryRun => "a dry run: account found, guardrails applied, nothing sent",
    }
}

/// What a budget counts: `in 10m, from edr`.
#[must_use]
pub(super) fn budget(budget: &BudgetView) -> String {
    let source = budget.source.as_ref().map(|name| format!(", from {name}")).unwrap_or_default();
    let provider = budget.provider.as_ref().map(|name| format!(", at {name}")).unwrap_or_default();
    let rule = budget.rule.as_ref().map(|name| format!(", by the rule {name:?}")).unwrap_or_default();
    format!("in {}{source}{provider}{rule}", budget.per)
}

fn held(reason: HoldReason, id: &str) -> String {
    match reason {
        HoldReason::Credential => "the provider refuses our credential; renew it, then it goes on by itself".to_owned(),
        HoldReason::Misconfigured => "our settings for the provider are wrong; mend the config".to_owned(),
        HoldReason::Budget => format!("a budget is used up; release it with `sever approve {id}`"),
        HoldReason::Approval => format!("waits for a person; release it with `sever approve {id}`"),
        HoldReason::Account => {
            format!("the account is not clear; name it with `sever approve {id} --account-id ACCOUNT`")
        }
        HoldReason::Paused => "somebody paused it; `sever resume` lets it go on".to_owned(),
    }
}

fn dead(reason: DeadReason) -> &'static str {
    match reason {
        DeadReason::Refused => "the provider refused it for good",
        DeadReason::Exhausted => "gave up after too long",
        DeadReason::UnknownAccount => "the given id is not known there: a mapping is wrong",
        DeadReason::Contradicted => "sessions were still there although the provider said they were ended",
        DeadReason::Protected => "a protected account: never touched",
    }
}

/// Why a provider is not called.
#[must_use]
pub(super) fn gate(gate: &GateView) -> String {
    match gate.note.as_str() {
        "" => gate.reason.to_string(),
        note => format!("{}: {note}", gate.reason),
    }
}
