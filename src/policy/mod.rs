//! What is to be done about an alert: rules make jobs, guardrails stop them.
//!
//! Pure: the same alert and the same config give the same plan, apart from the jobs' fresh ids. A rule that cannot be
//! evaluated is an error in the plan and never "no match", and it keeps no other rule from acting.

mod budget;
mod explain;
mod expression;
mod facts;
mod globs;
mod guardrail;
mod language;
mod plan;
mod rule;
mod settings;

use std::collections::BTreeMap;

pub use explain::{Explanation, PlannedJob, RuleTrace, Seen};
pub use facts::Effort;
pub use guardrail::{Guardrails, Verdict};
pub use plan::{Plan, RuleError, Skipped};
pub use settings::{
    BudgetSettings, GuardrailSettings, PolicySettings, ProtectedSettings, ReserveSettings, RevokeSettings, RuleSettings,
};

use crate::domain::{Alert, AlertSubject, Budget, NewJob, ProviderName, ScopeKind, SourceName};
use expression::Evaluation;
use facts::{AlertFacts, Facts};
use plan::Draft;
use rule::Rule;

/// The configured providers, with the scopes that each supports.
pub type KnownProviders = BTreeMap<ProviderName, Vec<ScopeKind>>;

/// Something wrong in the config: its path, for example `rules[0].when`, and what it is.
pub type Problem = (String, String);

/// The rules and guardrails of one config.
pub struct Policy {
    rules: Vec<Rule>,
    guardrails: Guardrails,
    budgets: Vec<Budget>,
    four_eyes: bool,
    dry_run: bool,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("rules", &self.rules)
            .field("guardrails", &self.guardrails)
            .finish_non_exhaustive()
    }
}

impl Policy {
    /// Compiles the rules, or tells everything that is wrong with them.
    pub fn new(settings: &PolicySettings, known: &KnownProviders) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let rules = rule::compile_all(&settings.rules, known, &mut problems);
        let guardrails = Guardrails::new(&settings.guardrails, known, &mut problems);
        let budgets = budget::checked(settings, known, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let GuardrailSettings { four_eyes, dry_run, .. } = settings.guardrails;
        Ok(Self { rules, guardrails, budgets, four_eyes, dry_run })
    }

    /// What stands above every rule; asked again about the account, once it was read.
    #[must_use]
    pub fn guardrails(&self) -> &Guardrails {
        &self.guardrails
    }

    /// How many people may lose their sessions in how long; none: any number.
    #[must_use]
    pub fn budgets(&self) -> &[Budget] {
        &self.budgets
    }

    /// Whether whoever asked for a job may not approve it.
    #[must_use]
    pub fn four_eyes(&self) -> bool {
        self.four_eyes
    }

    /// Whether nothing is to be sent anywhere, as the guardrails say.
    #[must_use]
    pub fn dry_run(&self) -> bool {
        self.dry_run
    }

    /// The jobs of an alert. `forced_dry_run` is what the source says.
    #[must_use]
    pub fn plan(&self, source: &SourceName, alert: &Alert, forced_dry_run: bool) -> Plan {
        self.plan_within(source, alert, forced_dry_run, &mut Effort::default())
    }

    /// The same for one of several alerts. `effort` is what rules may still cost.
    #[must_use]
    pub fn plan_within(&self, source: &SourceName, alert: &Alert, forced_dry_run: bool, effort: &mut Effort) -> Plan {
        let mut draft = Draft::new(&self.guardrails, alert, self.is_dry(alert, forced_dry_run));
        self.evaluate(source, alert, effort, |met| draft.add(&met));
        draft.finish(&self.rules)
    }

    /// The jobs that an operator asks for: rules have no say, guardrails have. Also tells where the subject names no
    /// session although only given ones are to end.
    #[must_use]
    pub fn order(&self, alert: &Alert, targets: &[RevokeSettings]) -> (Plan, Vec<ProviderName>) {
        let mut draft = Draft::new(&self.guardrails, alert, self.is_dry(alert, false));
        let mut sessionless = Vec::new();
        for (subject, target) in alert.subjects.iter().flat_map(|subject| targets.iter().map(move |it| (subject, it))) {
            if !draft.add_order(subject, target, self.four_eyes) {
                sessionless.push(target.provider.clone());
            }
        }
        (draft.finish(&[]), sessionless)
    }

    /// The same plan, with the reasons.
    #[must_use]
    pub fn explain(&self, source: &SourceName, alert: &Alert, forced_dry_run: bool) -> Explanation {
        let mut draft = Draft::new(&self.guardrails, alert, self.is_dry(alert, forced_dry_run));
        let mut traces = Vec::new();
        self.evaluate(source, alert, &mut Effort::default(), |met| {
            traces.push(explain::trace(language::dialect().root(), &met));
            draft.add(&met);
        });
        Explanation::new(traces, draft.finish(&self.rules), |job| self.counted_by(source, job))
    }

    /// The budgets that have to have room for a job of this source, in words.
    fn counted_by(&self, source: &SourceName, job: &NewJob) -> Vec<String> {
        let counts = |budget: &&Budget| !job.dry_run && budget.counts(&job.provider, source, &job.rules);
        self.budgets.iter().filter(counts).map(ToString::to_string).collect()
    }

    fn is_dry(&self, alert: &Alert, forced: bool) -> bool {
        forced || self.dry_run || alert.dry_run
    }

    /// The one way in which rules meet alerts.
    fn evaluate(&self, source: &SourceName, alert: &Alert, effort: &mut Effort, mut visit: impl FnMut(Met<'_, '_>)) {
        let alert_facts = AlertFacts::new(alert, source.as_str());
        for (rule_position, rule) in self.rules.iter().enumerate() {
            let mut of_all = None;
            for (subject_position, subject) in alert.subjects.iter().enumerate() {
                let facts = Facts { alert: &alert_facts, subject };
                let evaluate = || rule.when.evaluate(language::dialect().root(), &facts, effort);
                let evaluation = of_all.take().unwrap_or_else(evaluate);
                of_all = (!rule.when.reads_subject).then(|| evaluation.clone());
                visit(Met { rule, rule_position, subject, subject_position, facts: &facts, evaluation });
            }
        }
    }
}

/// A rule and a subject, and what came of it.
struct Met<'m, 'd> {
    rule: &'m Rule,
    rule_position: usize,
    subject: &'d AlertSubject,
    subject_position: usize,
    facts: &'m Facts<'m, 'd>,
    evaluation: Evaluation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_shared_by_every_worker() {
        fn shared<T: Send + Sync>() {}
        shared::<Policy>();
    }
}
