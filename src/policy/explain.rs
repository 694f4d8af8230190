//! Why a plan came out as it did, for `sever plan`. Made from the same evaluations as the plan.

use cel::Context;
use serde::Serialize;

use super::Met;
use super::expression::Evaluation;
use super::plan::{Plan, RuleError, Skipped};
use crate::domain::{DeadReason, HoldReason, JobState, NewJob, Origin, ProviderName, RevokeRequest, Severity, Subject};

/// A plan, with the reasons.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Every rule with every subject.
    pub rules: Vec<RuleTrace>,
    /// The jobs that would be stored.
    pub jobs: Vec<PlannedJob>,
    /// As the receipt tells it.
    pub skipped: Vec<Skipped>,
    /// Rules that could not be evaluated.
    pub errors: Vec<RuleError>,
}

/// One rule with one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleTrace {
    /// The rule's name.
    pub rule: String,
    /// The subject's position in the alert, from 0.
    pub subject: usize,
    /// What came of it.
    #[serde(flatten)]
    pub seen: Seen,
}

/// What came of a rule and a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Seen {
    /// It matched.
    Matched,
    /// It did not.
    NotMatched {
        /// The first part of its `&&` chain that was false, as the config writes it.
        because: String,
        /// The fields that this part looks at, with what they hold, as JSON.
        values: Vec<(String, String)>,
    },
    /// It could not be evaluated.
    Failed {
        /// What went wrong.
        message: String,
    },
}

/// A job that would be stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedJob {
    /// Where.
    pub provider: ProviderName,
    /// Whose sessions.
    pub subject: Subject,
    /// Which of them.
    pub request: RevokeRequest,
    /// Its severity.
    pub severity: Severity,
    /// Whether it sends nothing.
    pub dry_run: bool,
    /// The rules that ask for it.
    pub rules: Vec<String>,
    /// How it would begin.
    pub state: JobState,
    /// What it would wait for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_reason: Option<HoldReason>,
    /// Why it would be dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_reason: Option<DeadReason>,
    /// The same in words, with the guardrail that was hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The budgets that have to have room for it before the provider is called, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<String>,
}

impl Explanation {
    pub(super) fn new(rules: Vec<RuleTrace>, plan: Plan, counted_by: impl Fn(&NewJob) -> Vec<String>) -> Self {
        let planned = |job: NewJob| {
            let budgets = if matches!(job.origin, Origin::Dead(..)) { Vec::new() } else { counted_by(&job) };
            PlannedJob { budgets, ..job.into() }
        };
        let jobs = plan.jobs.into_iter().map(planned).collect();
        Self { rules, jobs, skipped: plan.skipped, errors: plan.errors }
    }
}

impl From<NewJob> for PlannedJob {
    fn from(job: NewJob) -> Self {
        let (state, hold_reason, dead_reason, why) = match job.origin {
            Origin::Due => (JobState::Queued, None, None, None),
            Origin::Held(reason, why) => (JobState::Held, Some(reason), None, Some(why)),
            Origin::Dead(reason, why) => (JobState::Dead, None, Some(reason), Some(why)),
        };
        Self {
            provider: job.provider,
            subject: job.subject,
            request: job.request,
            severity: job.severity,
            dry_run: job.dry_run,
            rules: job.rules,
            state,
            hold_reason,
            dead_reason,
            why,
            budgets: Vec::new(),
        }
    }
}

pub(super) fn trace(root: &Context<'static, 'static>, met: &Met<'_, '_>) -> RuleTrace {
    let seen = match &met.evaluation {
        Evaluation::Match => Seen::Matched,
        Evaluation::NoMatch(position) => {
            let part = met.rule.when.part(*position);
            Seen::NotMatched {
                because: part.map(|part| part.text.clone()).unwrap_or_default(),
                values: part.map(|part| part.values(root, met.facts)).unwrap_or_default(),
            }
        }
        Evaluation::Failed(message) => Seen::Failed { message: message.clone() },
    };
    RuleTrace { rule: met.rule.name.clone(), subject: met.subject_position, seen }
}
