//! From rules that matched to jobs: one per person and provider, whatever number of rules and names led there.

use std::collections::HashMap;

use serde::Serialize;

use super::Met;
use super::expression::Evaluation;
use super::guardrail::{Guardrails, Verdict};
use super::rule::Rule;
use super::settings::RevokeSettings;
use crate::domain::{
    Alert, AlertSubject, DeadReason, HoldReason, JobId, NewJob, Origin, ProviderName, RevokeRequest, Scope, ScopeKind,
    Subject,
};

/// What an alert comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The jobs, also those that are held or dead from the start.
    pub jobs: Vec<NewJob>,
    /// Rules that led to no job, or not to all of theirs, and why.
    pub skipped: Vec<Skipped>,
    /// Rules that could not be evaluated. The delivery belongs in quarantine under their names; the jobs act all the same.
    pub errors: Vec<RuleError>,
}

/// Why a rule led to no job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The rule's name.
    pub rule: String,
    /// Why, in words.
    pub reason: String,
}

/// A rule that is neither true nor false about an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleError {
    /// The rule's name.
    pub rule: String,
    /// What went wrong, with the first subject it went wrong for.
    pub message: String,
}

/// Jobs with equal keys become one. A subject without a name at the provider has its position in the alert instead: two
/// nameless people are not one person.
type Key = (ProviderName, Result<[u8; 16], usize>, bool);

/// Stands where a job's rules are told, if a person asked for it.
const OPERATOR: &str = "(an operator)";

/// Why an operator's revocation waits where `four_eyes` is on.
const FOUR_EYES: &str = "an operator asked for it and `four_eyes` is on; another operator has to approve it";

/// A plan in the making.
pub(super) struct Draft<'p> {
    guardrails: &'p Guardrails,
    alert: &'p Alert,
    dry_run: bool,
    jobs: Vec<DraftJob>,
    by_key: HashMap<Key, usize>,
    /// By the rule's position.
    rules: HashMap<usize, RuleNotes>,
}

/// Who asks for what, for one subject.
struct Asked<'a> {
    /// The rule's name, or the operator's word.
    name: &'a str,
    dry_run: bool,
    /// Why a person has to agree first.
    approval: Option<String>,
    subject: &'a AlertSubject,
    position: usize,
}

impl<'a, 'm: 'a, 'd: 'a> From<&Met<'m, 'd>> for Asked<'a> {
    fn from(met: &Met<'m, 'd>) -> Self {
        let Rule { name, dry_run, approval, .. } = met.rule;
        let approval = approval.then(|| format!("the rule {name:?} asks for approval"));
        Self { name, dry_run: *dry_run, approval, subject: met.subject, position: met.subject_position }
    }
}

struct DraftJob {
    provider: ProviderName,
    subject: Subject,
    request: RevokeRequest,
    dry_run: bool,
    rules: Vec<String>,
    approval: Option<String>,
    verdict: Verdict,
    /// Set where no name is of use at the provider: the names that there are.
    nameless: Option<String>,
}

/// What is remembered of a rule while its subjects pass.
#[derive(Default)]
struct RuleNotes {
    matched: bool,
    first_false: Option<String>,
    first_failure: Option<String>,
    /// Providers at which it found no session to end, each with the first subject that has none there.
    sessionless: Vec<(ProviderName, usize)>,
}

impl<'p> Draft<'p> {
    pub(super) fn new(guardrails: &'p Guardrails, alert: &'p Alert, dry_run: bool) -> Self {
        Self { guardrails, alert, dry_run, jobs: Vec::new(), by_key: HashMap::new(), rules: HashMap::new() }
    }

    pub(super) fn add(&mut self, met: &Met<'_, '_>) {
        let notes = self.rules.entry(met.rule_position).or_default();
        match &met.evaluation {
            Evaluation::Match => {
                notes.matched = true;
                met.rule.revoke.iter().for_each(|target| self.add_target(met, target));
            }
            Evaluation::NoMatch(part) => {
                let text = || met.rule.when.part(*part).map(|part| format!("{} is false", part.text));
                notes.first_false = notes.first_false.take().or_else(text);
            }
            Evaluation::Failed(message) => {
                let told = || format!("subjects[{}]: {message}", met.subject_position);
                notes.first_failure.get_or_insert_with(told);
            }
        }
    }

    fn add_target(&mut self, met: &Met<'_, '_>, target: &RevokeSettings) {
        match scope(target, met.subject) {
            Some(scope) => self.add_job(&met.into(), target, scope),
            None => {
                let sessionless = &mut self.rules.entry(met.rule_position).or_default().sessionless;
                if !sessionless.iter().any(|(provider, _)| *provider == target.provider) {
                    sessionless.push((target.provider.clone(), met.subject_position));
                }
            }
        }
    }

    /// What an operator asks for, without a rule. False where the subject names no session at that provider.
    pub(super) fn add_order(&mut self, subject: &AlertSubject, target: &RevokeSettings, four_eyes: bool) -> bool {
        let Some(scope) = scope(target, subject) else { return false };
        // What sends nothing needs nobody's consent.
        let approval = (four_eyes && !self.dry_run).then(|| FOUR_EYES.to_owned());
        let asked = Asked { name: OPERATOR, dry_run: false, approval, subject, position: 0 };
        self.add_job(&asked, target, scope);
        true
    }

    fn add_job(&mut self, asked: &Asked<'_>, target: &RevokeSettings, scope: Scope) {
        let job = self.draft(asked, target, scope);
        let who = if job.nameless.is_some() { Err(asked.position) } else { Ok(job.subject.key()) };
        let key = (job.provider.clone(), who, job.dry_run);
        match self.by_key.get(&key).and_then(|position| self.jobs.get_mut(*position)) {
            Some(earlier) => earlier.absorb(job),
            None => {
                self.by_key.insert(key, self.jobs.len());
                self.jobs.push(job);
            }
        }
    }

    fn draft(&self, asked: &Asked<'_>, target: &RevokeSettings, scope: Scope) -> DraftJob {
        let subject = asked.subject.at(&target.provider);
        let is_nameless = subject == Subject::default();
        DraftJob {
            provider: target.provider.clone(),
            subject,
            request: RevokeRequest { scope, oauth_tokens: target.oauth_tokens, forget_devices: target.forget_devices },
            dry_run: self.dry_run || asked.dry_run,
            rules: vec![asked.name.to_owned()],
            approval: asked.approval.clone(),
            verdict: self.guardrails.judge_person(&target.provider, asked.subject),
            nameless: is_nameless.then(|| names(asked.subject)),
        }
    }

    pub(super) fn finish(self, rules: &[Rule]) -> Plan {
        let severity = self.alert.severity;
        let jobs = self.jobs.into_iter().map(|job| job.finish(severity)).collect();
        let mut plan = Plan { jobs, ..Plan::default() };
        for (position, rule) in rules.iter().enumerate() {
            if let Some(notes) = self.rules.get(&position) {
                notes.tell(&rule.name, &mut plan);
            }
        }
        plan
    }
}

/// What `target` means for this subject; `None` if it means nothing.
fn scope(target: &RevokeSettings, subject: &AlertSubject) -> Option<Scope> {
    match target.scope {
        ScopeKind::All => Some(Scope::All),
        ScopeKind::Web => Some(Scope::Web),
        ScopeKind::Mobile => Some(Scope::Mobile),
        ScopeKind::Sessions => {
            let sessions = subject.sessions.get(&target.provider).filter(|sessions| !sessions.is_empty())?;
            // A union with nothing new sorts the list and drops repeats.
            Some(Scope::Sessions(sessions.clone()).union(Scope::Sessions(Vec::new())))
        }
    }
}

fn names(subject: &AlertSubject) -> String {
    subject.identifiers().map(|(place, name)| format!("{place} {name}")).collect::<Vec<_>>().join(", ")
}

impl DraftJob {
    fn absorb(&mut self, other: Self) {
        self.request = self.request.clone().union(other.request);
        for rule in other.rules {
            if !self.rules.contains(&rule) {
                self.rules.push(rule);
            }
        }
        self.approval = self.approval.take().or(other.approval);
        self.verdict = self.verdict.clone().max(other.verdict);
    }

    fn finish(self, severity: crate::domain::Severity) -> NewJob {
        let origin = self.origin();
        NewJob {
            id: JobId::new(),
            provider: self.provider,
            subject: self.subject,
            request: self.request,
            severity,
            dry_run: self.dry_run,
            rules: self.rules,
            origin,
        }
    }

    /// The gravest reason wins. An account that has to be named comes before an approval, because naming it is one.
    fn origin(&self) -> Origin {
        if let Verdict::Protected { pattern } = &self.verdict {
            return Origin::Dead(DeadReason::Protected, format!("protected by {pattern:?}"));
        }
        let provider = &self.provider;
        if let Some(names) = &self.nameless {
            let reason =
                format!("the alert gives {names}, which names nobody at {provider}; approve with an account_id");
            return Origin::Held(HoldReason::Account, reason);
        }
        match (&self.verdict, &self.approval) {
            (Verdict::LookAlike { pattern }, _) => Origin::Held(
                HoldReason::Approval,
                format!("looks like the protected {pattern:?}; approve if it is not"),
            ),
            (Verdict::Clear | Verdict::Protected { .. }, Some(reason)) => {
                Origin::Held(HoldReason::Approval, reason.clone())
            }
            (Verdict::Clear | Verdict::Protected { .. }, None) => Origin::Due,
        }
    }
}

impl RuleNotes {
    fn tell(&self, rule: &str, plan: &mut Plan) {
        let rule = || rule.to_owned();
        if let Some(message) = &self.first_failure {
            plan.errors.push(RuleError { rule: rule(), message: message.clone() });
        }
        for (provider, subject) in &self.sessionless {
            let reason = format!("subjects[{subject}] names no session at {provider}");
            plan.skipped.push(Skipped { rule: rule(), reason });
        }
        match &self.first_false {
            Some(reason) if !self.matched && self.first_failure.is_none() => {
                plan.skipped.push(Skipped { rule: rule(), reason: reason.clone() });
            }
            Some(_) | None => {}
        }
    }
}
