//! The chart's values and their schema say the same, and everything about each.

use std::process::Command;

use serde_json::{Map, Value};

use crate::service::python;
use crate::support::tools::{read, repository, run};

fn schema() -> Value {
    serde_json::from_str(&read("helm/sever/values.schema.json")).expect("JSON")
}

fn resolved<'s>(schema: &'s Value, whole: &'s Value) -> &'s Value {
    let name = schema["$ref"].as_str().and_then(|to| to.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &whole["$defs"][name])
}

/// Every value that the chart itself reads has a description and a type; and nothing else is allowed beside them.
fn look(path: &str, properties: &Map<String, Value>, whole: &Value, faults: &mut Vec<String>) {
    for (key, given) in properties.iter().filter(|(key, _)| !(path.is_empty() && *key == "config")) {
        let (path, schema) = (format!("{path}.{key}"), resolved(given, whole));
        if given["description"].as_str().is_none_or(str::is_empty) {
            faults.push(format!("{path} is not described"));
        }
        if schema["type"].is_null() && schema["enum"].is_null() && schema["const"].is_null() {
            faults.push(format!("{path} has no type"));
        }
        if let Some(inner) = schema["properties"].as_object() {
            let is_open = schema["additionalProperties"].is_null() && path != ".tests.body";
            faults.extend(is_open.then(|| format!("{path} takes anything")));
            look(&path, inner, whole, faults);
        }
    }
}

#[test]
fn every_value_is_described_and_typed() {
    let schema = schema();
    let mut faults = Vec::new();
    look("", schema["properties"].as_object().expect("properties"), &schema, &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Keys that the schema knows and the defaults lack are written there too, as far as the defaults are mappings.
fn compare(path: &str, values: &Value, schema: &Value, whole: &Value, faults: &mut Vec<String>) {
    let (Some(values), Some(known)) = (values.as_object(), resolved(schema, whole)["properties"].as_object()) else {
        return;
    };
    for (key, schema) in known {
        match values.get(key) {
            None => faults.push(format!("{path}.{key} has no default")),
            Some(value) => compare(&format!("{path}.{key}"), value, schema, whole, faults),
        }
    }
}

#[test]
fn every_value_of_the_schema_has_its_default() {
    let (values, schema): (Value, _) =
        (serde_saphyr::from_str(&read("helm/sever/values.yaml")).expect("YAML"), schema());
    let mut faults = Vec::new();
    compare("", &values, &schema, &schema, &mut faults);
    // The config has its own defaults, a parent chart may set `global`, a role has the resources of all, and probes
    // need not be delayed.
    let meant = |fault: &String| {
        let exempt = [".config.", ".global ", ".resources.", "initialDelaySeconds", "successThreshold"];
        !exempt.iter().any(|part| fault.contains(part))
    };
    let faults: Vec<_> = faults.into_iter().filter(meant).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_schema_of_the_values_has_todays_schema_of_the_config() {
    run(Command::new(python()).arg(repository("helm/sync")).arg("--check")).expect("helm/sync --check");
}
