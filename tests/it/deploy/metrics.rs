//! Rules and dashboard: `promtool` reads them, and every metric in them is one that the program has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use sever::domain::{AttemptClass, HoldReason, JobState, Outcome};
use sever::telemetry::{Metrics, ProviderOnly, ProviderReason, ProviderState, SourceOnly};

use crate::support::tools::{read, repository, run, tool};

const RULES: &str = "deploy/prometheus/rules.yaml";
const DASHBOARD: &str = "deploy/grafana/sever.json";

/// Labels that Prometheus puts on whatever it reads, and the one of histograms.
const FOREIGN_LABELS: [&str; 4] = ["namespace", "job", "instance", "le"];

/// Every sample that the program can tell, with the names of its labels.
fn samples() -> BTreeMap<String, BTreeSet<String>> {
    let metrics = Metrics::new();
    let (provider, source) = ("okta".parse().expect("a name"), "edr".parse().expect("a name"));
    let (name, second) = ("okta".to_owned(), Duration::from_secs(1));
    metrics.delivery(&source, "accepted");
    metrics.attempt(&provider, AttemptClass::Ok);
    metrics.revoked(&provider, second);
    metrics.done(&provider, Outcome::Verified, second, second);
    metrics.commit(second, 1);
    metrics.notified("soc", "delivered");
    metrics.jobs.get_or_create(&ProviderState { provider: name.clone(), state: "queued" }).set(1);
    metrics.held.get_or_create(&ProviderReason { provider: name.clone(), reason: "budget" }).set(1);
    metrics.oldest_due.get_or_create(&ProviderOnly { provider: name }).set(1.0);
    metrics.quarantine.get_or_create(&SourceOnly { source: "edr".to_owned() }).set(1);
    metrics.amqp_connected.get_or_create(&SourceOnly { source: "edr".to_owned() }).set(1);
    let mut samples: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for used in used_in(&metrics.render()) {
        samples.entry(used.name).or_default().extend(used.matchers.into_iter().map(|(label, _)| label));
    }
    samples
}

/// Names under which the program registers metrics, among them those that no call above sets.
fn registered() -> String {
    read("src/telemetry.rs").split_whitespace().collect()
}

/// A metric where it is used, with its matchers.
#[derive(Debug)]
struct Used {
    name: String,
    matchers: Vec<(String, String)>,
}

fn used_in(text: &str) -> Vec<Used> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in text.match_indices("sever_") {
        if text[..at].ends_with(|c| is_part(c) || matches!(c, '-' | '/' | ':')) {
            continue;
        }
        let name: String = text[at..].chars().take_while(|c| is_part(*c)).collect();
        let rest = &text[at + name.len()..];
        let inside = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
        let pair = |one: &str| {
            let (label, value) = one.split_once('=')?;
            let plain = |text: &str| text.trim_matches(|c: char| " !~\"\\".contains(c)).to_owned();
            Some((plain(label), plain(value)))
        };
        found.push(Used { name, matchers: inside.split(',').filter_map(pair).collect() });
    }
    found
}

/// Everything that asks for metrics.
fn asked() -> Vec<(String, Used)> {
    let templates = std::fs::read_dir(repository("helm/sever/templates")).expect("the folder");
    let templates = templates.map(|file| file.expect("a file").path()).filter(|path| path.is_file());
    let files = [RULES, DASHBOARD, "deploy/prometheus/rules_test.yaml"].map(repository).into_iter().chain(templates);
    let read = |path: &Path| std::fs::read_to_string(path).expect("a file");
    files
        .flat_map(|path| {
            let name = path.display().to_string();
            used_in(&read(&path)).into_iter().map(move |used| (name.clone(), used))
        })
        .collect()
}

#[test]
fn every_metric_that_is_asked_for_is_one_that_the_program_tells() {
    let (samples, source) = (samples(), registered());
    let asked = asked();
    assert!(asked.len() > 50, "{asked:?}");
    let mut unknown = BTreeSet::new();
    for (file, used) in asked {
        let is_set_elsewhere = || {
            let name = used.name.trim_start_matches("sever_");
            let in_seconds = name.strip_suffix("_seconds").map(|name| format!("register_with_unit(\"{name}\""));
            source.contains(&format!("register(\"{name}\"")) || in_seconds.is_some_and(|call| source.contains(&call))
        };
        match samples.get(&used.name) {
            None => {
                if !is_set_elsewhere() {
                    unknown.insert(format!("{file}: the program tells no {}", used.name));
                }
            }
            Some(labels) => {
                for (label, _) in used.matchers {
                    let known = labels.contains(&label) || FOREIGN_LABELS.contains(&label.as_str());
                    if !known {
                        unknown.insert(format!("{file}: {} has no label {label}, but {labels:?}", used.name));
                    }
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_word_that_is_asked_for_is_one_that_the_program_says() {
    for (file, used) in asked() {
        for (label, words) in &used.matchers {
            for word in words.split('|').filter(|word| !word.starts_with('$') && *word != "%s") {
                let known = match (used.name.as_str(), label.as_str()) {
                    ("sever_jobs", "state") => word.parse::<JobState>().is_ok(),
                    ("sever_held_jobs", "reason") => word.parse::<HoldReason>().is_ok(),
                    _ => true,
                };
                assert!(known, "{file}: {} has no {label} {word:?}", used.name);
            }
        }
    }
}

#[test]
fn the_objective_stands_at_a_bound_of_the_histogram() {
    let metrics = Metrics::new();
    metrics.revoked(&"okta".parse().expect("a name"), Duration::from_secs(1));
    let text = metrics.render();
    let bounds: BTreeSet<_> = used_in(&read(RULES))
        .into_iter()
        .flat_map(|used| used.matchers)
        .filter(|(label, _)| label == "le")
        .map(|(_, bound)| bound)
        .collect();
    assert_eq!(bounds.len(), 1);
    for bound in bounds {
        assert!(text.contains(&format!("le=\"{bound}\"")), "{bound} is no bound: {text}");
    }
}

#[test]
fn the_rules_do_what_their_tests_say() {
    let check = |args: &[&str], file: &str| run(Command::new(tool("promtool")).args(args).arg(repository(file)));
    check(&["check", "rules"], RULES).expect("promtool check rules");
    check(&["test", "rules"], "deploy/prometheus/rules_test.yaml").expect("promtool test rules");
}

#[test]
fn every_alert_is_seen_to_fire_and_says_what_to_do() {
    let tests = read("deploy/prometheus/rules_test.yaml");
    let tests: Value = serde_saphyr::from_str(&tests).expect("YAML");
    let cases = |key: &'static str| {
        let groups = tests["tests"].as_array().expect("tests").iter();
        groups.flat_map(move |group| group[key].as_array().cloned().unwrap_or_default())
    };
    let fires = |alert: &Value| {
        cases("alert_rule_test").any(|case| case["alertname"] == *alert && case["exp_alerts"] != Value::Array(vec![]))
    };
    let rules: Value = serde_saphyr::from_str(&read(RULES)).expect("YAML");
    let groups = rules["groups"].as_array().expect("groups");
    let alerts = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules"));
    for rule in alerts.filter(|rule| rule["alert"].is_string()) {
        assert!(fires(&rule["alert"]), "no test sees {} fire", rule["alert"]);
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("critical" | "warning")), "{rule}");
        for words in ["summary", "description", "action"] {
            assert!(rule["annotations"][words].is_string(), "{} has no {words}", rule["alert"]);
        }
    }
}

#[test]
fn every_expression_of_the_dashboard_can_be_read() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let rule = |(number, target): (usize, Value)| {
        // Variables of Grafana, filled in as it would.
        let query = target["expr"].as_str().expect("a query").replace("$__rate_interval", "1m");
        serde_json::json!({"record": format!("panel:{number}"), "expr": query})
    };
    let rules: Vec<_> = targets.enumerate().map(rule).collect();
    assert!(rules.len() > 15);
    let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    let all = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(file.path(), all.to_string()).expect("written");
    run(Command::new(tool("promtool")).args(["check", "rules"]).arg(file.path())).expect("promtool");
}

#[test]
fn the_dashboards_panels_do_not_overlap_and_are_described() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64()), "{} has another's id", panel["title"]);
        assert!(panel["type"] == "row" || panel["description"].is_string(), "{} is not described", panel["title"]);
        let at = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && taken.insert((x, y)), "{} lies over another", panel["title"]);
            }
        }
    }
}
