//! The rules of the cookbook: each does what its page says, for the alerts that the page shows.

use serde_json::{Value, json};
use sever::domain::ScopeKind;
use sever::policy::{KnownProviders, Policy, PolicySettings};

use super::blocks;

fn known() -> KnownProviders {
    let all = [ScopeKind::All, ScopeKind::Web, ScopeKind::Mobile, ScopeKind::Sessions];
    ["okta", "slack", "chat", "cloud", "lorawan"].map(|name| (name.parse().expect("a name"), all.to_vec())).into()
}

/// How many jobs an alert comes to.
fn jobs(policy: &Policy, alert: &Value) -> usize {
    let source = alert["source"].as_str().unwrap_or("edr").parse().expect("a source");
    let mut alert = alert.clone();
    alert.as_object_mut().expect("an alert").remove("source");
    let alert =
        sever::decode::sever::decode(alert.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {alert}"));
    let plan = policy.plan(&source, &alert, false);
    assert!(plan.errors.is_empty(), "{:?}", plan.errors);
    plan.jobs.len()
}

#[test]
fn each_rule_takes_what_its_page_says_and_nothing_else() {
    let page = include_str!("../../../docs/rules.md");
    let mut rules = 0;
    for section in page.split("\n## ").skip(1) {
        let title = section.lines().next().unwrap_or_default();
        let blocks = blocks(section);
        let Some(rule) = blocks.iter().find(|block| block.language == "yaml" && block.text.starts_with("rules:"))
        else {
            continue;
        };
        let settings: Value = serde_saphyr::from_str(&rule.text).expect("YAML");
        let settings: PolicySettings = serde_json::from_value(json!({
            "rules": settings["rules"], "guardrails": settings.get("guardrails").cloned().unwrap_or(json!({})),
        }))
        .unwrap_or_else(|error| panic!("{title}: {error}"));
        let policy = Policy::new(&settings, &known()).unwrap_or_else(|problems| panic!("{title}: {problems:?}"));
        let examples: Vec<Value> = blocks
            .iter()
            .filter(|block| block.language == "json")
            .map(|block| serde_json::from_str(&block.text).unwrap_or_else(|error| panic!("{title}: {error}")))
            .collect();
        let [taken, left] = &examples[..] else { panic!("{title}: one alert that it takes and one that it leaves") };
        assert!(jobs(&policy, taken) > 0, "{title}: the first alert comes to nothing");
        assert_eq!(jobs(&policy, left), 0, "{title}: the second alert is taken");
        rules += 1;
    }
    assert!(rules >= 10, "only {rules} rules");
}
