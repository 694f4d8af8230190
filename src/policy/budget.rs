//! Budgets as the config has them, checked.

use std::collections::HashMap;

use super::guardrail::nearest_provider;
use super::settings::{BudgetSettings, PolicySettings};
use super::{KnownProviders, Problem};
use crate::domain::{Budget, Reserve};
use crate::expression::nearest;

/// The budgets, or what is wrong with them. Sources are known to the config as a whole alone.
pub(super) fn checked(settings: &PolicySettings, known: &KnownProviders, problems: &mut Vec<Problem>) -> Vec<Budget> {
    let mut places: HashMap<i64, usize> = HashMap::new();
    let mut budgets = Vec::new();
    for (position, given) in settings.guardrails.budgets.iter().enumerate() {
        let path = format!("guardrails.budgets[{position}]");
        check_sizes(&path, given, problems);
        check_names(&path, given, settings, known, problems);
        let budget = budget(given);
        if let Some(other) = places.insert(budget.key(), position) {
            let message = format!("counts the same as guardrails.budgets[{other}]; keep the smaller one");
            problems.push((path, message));
        }
        budgets.push(budget);
    }
    budgets
}

fn budget(given: &BudgetSettings) -> Budget {
    Budget {
        users: given.users,
        per: given.per.0,
        source: given.source.clone(),
        provider: given.provider.clone(),
        rule: given.rule.clone(),
        reserve: given.reserve.map(|reserve| Reserve { severity: reserve.severity, users: reserve.users }),
    }
}

fn check_sizes(path: &str, given: &BudgetSettings, problems: &mut Vec<Problem>) {
    if given.users == 0 {
        let message = "is 0, so every job would wait; to act on nobody, set guardrails.dry_run".to_owned();
        problems.push((format!("{path}.users"), message));
    }
    if given.per.0.is_zero() {
        problems.push((format!("{path}.per"), "is 0, so nothing would ever be counted; give it a length".to_owned()));
    }
    let Some(reserve) = given.reserve else { return };
    if reserve.users == 0 {
        problems.push((format!("{path}.reserve.users"), "is 0, so nothing is kept; leave `reserve` out".to_owned()));
    } else if reserve.users >= given.users && given.users > 0 {
        let (kept, all) = (reserve.users, given.users);
        let message = format!("keeps {kept} of {all}, so nothing is left for others; keep fewer than {all}");
        problems.push((format!("{path}.reserve.users"), message));
    }
}

fn check_names(
    path: &str,
    given: &BudgetSettings,
    settings: &PolicySettings,
    known: &KnownProviders,
    problems: &mut Vec<Problem>,
) {
    if let Some(provider) = given.provider.as_ref().filter(|name| !known.contains_key(*name)) {
        let hint = nearest_provider(provider, known);
        problems.push((format!("{path}.provider"), format!("{:?} is not configured{hint}", provider.as_str())));
    }
    if let Some(rule) = given.rule.as_ref().filter(|name| settings.rules.iter().all(|rule| rule.name != **name)) {
        let hint = nearest(rule, settings.rules.iter().map(|rule| rule.name.as_str()));
        problems.push((format!("{path}.rule"), format!("there is no rule {rule:?}{hint}")));
    }
}
