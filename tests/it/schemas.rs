//! The schemas in `schemas/` are those of the types, and fit the config that `init` writes.

use crate::process::sever;

fn printed(name: &str) -> String {
    let output = sever().args(["schema", name]).output().expect("it runs");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_schemas_in_the_repository_are_those_of_the_types() {
    for (name, file) in [("alert", "alert.schema"), ("config", "config.schema"), ("openapi", "openapi")] {
        let path = format!("{}/schemas/{file}.json", env!("CARGO_MANIFEST_DIR"));
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == printed(name),
            "schemas/{file}.json has fallen behind; run: cargo run -- schema {name} > schemas/{file}.json"
        );
    }
}

#[test]
fn the_config_that_init_writes_fits_the_schema() {
    let schema = serde_json::from_str(&printed("config")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let folder = tempfile::tempdir().expect("a folder");
    assert!(sever().arg("init").arg(folder.path()).output().expect("it runs").status.success());
    let text = std::fs::read_to_string(folder.path().join("sever.yaml")).expect("the config");
    let config: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
    let faults: Vec<_> =
        validator.iter_errors(&config).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let mut wrong = config;
    wrong["sourcess"] = serde_json::json!({});
    assert!(!validator.is_valid(&wrong), "an unknown key is told by the editor too");
}
