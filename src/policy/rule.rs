//! A rule, compiled, with its names checked against the configured providers.

use std::collections::HashSet;

use super::expression::Expression;
use super::guardrail::nearest_provider;
use super::settings::{RevokeSettings, RuleSettings};
use super::{KnownProviders, Problem};
use crate::domain::ScopeKind;

/// A rule that can be evaluated.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) when: Expression,
    pub(super) revoke: Vec<RevokeSettings>,
    pub(super) approval: bool,
    pub(super) dry_run: bool,
}

/// Compiles what can be compiled and collects what cannot.
pub(super) fn compile_all(settings: &[RuleSettings], known: &KnownProviders, problems: &mut Vec<Problem>) -> Vec<Rule> {
    let mut names = HashSet::new();
    let mut rules = Vec::new();
    for (position, rule) in settings.iter().enumerate() {
        let path = format!("rules[{position}]");
        check_name(&path, &rule.name, &mut names, problems);
        check_revoke(&path, &rule.revoke, known, problems);
        rules.extend(compile(&path, rule, problems));
    }
    rules
}

fn compile(path: &str, rule: &RuleSettings, problems: &mut Vec<Problem>) -> Option<Rule> {
    match Expression::compile(&rule.when) {
        Ok(when) => Some(Rule {
            name: rule.name.clone(),
            when,
            revoke: rule.revoke.clone(),
            approval: rule.approval,
            dry_run: rule.dry_run,
        }),
        Err(messages) => {
            problems.extend(messages.into_iter().map(|message| (format!("{path}.when"), message)));
            None
        }
    }
}

fn check_name<'s>(path: &str, name: &'s str, names: &mut HashSet<&'s str>, problems: &mut Vec<Problem>) {
    if name.trim().is_empty() {
        problems.push((format!("{path}.name"), "is empty; receipts and jobs call the rule by it".to_owned()));
    } else if !names.insert(name) {
        problems.push((format!("{path}.name"), format!("is the name of another rule too: {name:?}")));
    }
}

fn check_revoke(path: &str, revoke: &[RevokeSettings], known: &KnownProviders, problems: &mut Vec<Problem>) {
    if revoke.is_empty() {
        problems.push((format!("{path}.revoke"), "is empty, so the rule would do nothing; name a provider".to_owned()));
    }
    for (position, target) in revoke.iter().enumerate() {
        let path = format!("{path}.revoke[{position}]");
        match known.get(&target.provider) {
            None => {
                let hint = nearest_provider(&target.provider, known);
                problems.push((
                    format!("{path}.provider"),
                    format!("{:?} is not configured{hint}", target.provider.as_str()),
                ));
            }
            Some(scopes) if !scopes.contains(&target.scope) => {
                problems.push((format!("{path}.scope"), lacking(target, scopes)));
            }
            Some(_) => {}
        }
    }
}

fn lacking(target: &RevokeSettings, scopes: &[ScopeKind]) -> String {
    let words: Vec<&str> = scopes.iter().copied().map(word).collect();
    format!("{} has no scope {:?}; it has {}", target.provider, word(target.scope), words.join(", "))
}

fn word(scope: ScopeKind) -> &'static str {
    match scope {
        ScopeKind::All => "all",
        ScopeKind::Web => "web",
        ScopeKind::Mobile => "mobile",
        ScopeKind::Sessions => "sessions",
    }
}
