//! The image and the Compose file, as far as they can be judged without an engine.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process::sever;
use crate::service::python;
use crate::support::tools::{read, repository, run, tool};

/// What the image is built from: the sources of each COPY that takes them from the repository.
fn copied() -> Vec<String> {
    let dockerfile = read("Dockerfile");
    let copies =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|copy| !copy.contains("--from"));
    copies.flat_map(|copy| copy.rsplit_once(' ').expect("two words").0.split(' ').map(str::to_owned)).collect()
}

#[test]
fn the_dockerfile_passes_its_lint() {
    run(Command::new(tool("hadolint")).arg(repository("Dockerfile"))).expect("hadolint");
}

#[test]
fn the_image_is_built_from_all_that_the_program_needs() {
    let ignored = read(".dockerignore");
    let kept: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.lines().any(|line| line == "*"), "whatever is not named stays outside, secrets among them");
    let mut copied = copied();
    copied.sort();
    let mut wanted: Vec<String> = kept.iter().map(|name| (*name).to_owned()).collect();
    wanted.sort();
    assert_eq!(copied, wanted, "what is copied is what .dockerignore lets through");

    let folder = tempfile::tempdir().expect("a folder");
    for name in &copied {
        let from = repository(name);
        assert!(from.exists(), "{name} is not there");
        run(Command::new("cp").arg("-R").arg(from).arg(folder.path())).expect("cp");
    }
    // The flags that SQLite is built with.
    assert!(folder.path().join(".cargo/config.toml").exists());
    // Cargo.toml can be read there, and Cargo.lock has all that it asks for.
    let manifest = folder.path().join("Cargo.toml");
    // Its own workspace, whatever lies above the folder.
    let alone = format!("{}\n[workspace]\n", read("Cargo.toml"));
    std::fs::write(&manifest, alone).expect("written");
    let mut cargo = Command::new(env!("CARGO"));
    // As far as this machine needs it: what only others need was never downloaded here.
    cargo.args(["tree", "--offline", "--locked", "--manifest-path"]).arg(&manifest);
    run(&mut cargo).expect("cargo tree");
    included(&folder.path().join("src"));
}

/// Files that the source takes in as text are among what was copied.
fn included(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            included(&path);
            continue;
        }
        // Tests are not compiled in.
        if path.to_string_lossy().ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
        for named in text[..tests].split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(path.with_file_name(named).exists(), "{} takes in {named}, which is not copied", path.display());
        }
    }
}

#[test]
fn the_image_is_built_with_the_rust_that_the_program_needs_and_runs_as_the_charts_user() {
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains(&format!("FROM rust:{}-", env!("CARGO_PKG_RUST_VERSION"))), "{dockerfile}");
    let values: Value = serde_saphyr::from_str(&read("helm/sever/values.yaml")).expect("YAML");
    assert!(dockerfile.contains(&format!("USER {0}:{0}", values["podSecurityContext"]["runAsUser"])), "{dockerfile}");
    let command = dockerfile.lines().find_map(|line| line.strip_prefix("CMD ")).expect("a command");
    let command: Vec<String> = serde_json::from_str(command).expect("JSON");
    assert!(run(sever().args(command).arg("--help")).fine);
}

fn compose() -> Value {
    serde_saphyr::from_str(&read("compose.yaml")).expect("YAML")
}

/// The types of the Compose specification refuse unknown keys and wrong values.
#[test]
fn the_compose_file_fits_the_specification() {
    let judge = "import sys, compose_spec; compose_spec.PyCompose.from_yaml(open(sys.argv[1]).read())";
    let said = |file: &Path| run(Command::new(python()).args(["-c", judge]).arg(file));
    said(&repository("compose.yaml")).expect("compose.yaml");
    let wrong = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(wrong.path(), read("compose.yaml").replace("healthcheck:", "healthchek:")).expect("written");
    assert!(!said(wrong.path()).fine, "it takes anything");
}

#[test]
fn everything_that_the_compose_file_names_is_there() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    let secrets = compose["secrets"].as_object().expect("secrets");
    for (name, service) in services {
        for secret in service["secrets"].as_array().into_iter().flatten() {
            let secret = secret.as_str().or(secret["source"].as_str()).expect("a name");
            assert!(secrets.contains_key(secret), "{name}: there is no secret {secret}");
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let from = volume.as_str().and_then(|volume| volume.split(':').next()).expect("a volume");
            let known =
                if from.starts_with('.') { repository(from).exists() } else { !compose["volumes"][from].is_null() };
            assert!(known, "{name}: there is no {from}");
        }
        for other in service["depends_on"].as_object().into_iter().flat_map(|all| all.iter()) {
            let needs_health = other.1["condition"] == "service_healthy";
            assert!(
                !needs_health || services[other.0]["healthcheck"].is_object(),
                "{name} waits for {} for ever",
                other.0
            );
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().is_some_and(|port| port.starts_with("127.0.0.1:")), "{name}: {port} is open to all");
        }
    }
    for image in ["sever", "sandbox"].map(|name| &services[name]["image"]) {
        assert_eq!(*image, format!("sever:{}", env!("CARGO_PKG_VERSION")));
    }
    for arguments in [&services["sandbox"]["command"], &services["sever"]["healthcheck"]["test"]] {
        let words: Vec<_> = arguments.as_array().expect("words").iter().filter_map(Value::as_str).collect();
        let words = words.strip_prefix(&["CMD", "sever"]).unwrap_or(&words);
        assert!(run(sever().args(words).arg("--help")).fine, "{words:?}");
    }
}

/// The script in a copy of its folder: what it writes is what Compose mounts, and what the config can use.
#[test]
fn the_secrets_for_compose_fit_its_config() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(repository("deploy/compose/secrets.sh"), folder.path().join("secrets.sh")).expect("copied");
    let make = || run(Command::new("bash").arg("secrets.sh").current_dir(folder.path())).expect("secrets.sh");
    make();
    let secrets = folder.path().join("secrets");
    let content =
        |name: &str| std::fs::read_to_string(secrets.join(name)).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
    let first = content("edr");
    make();
    assert_eq!(first, content("edr"), "what is in use stays");

    let compose = compose();
    for (name, secret) in compose["secrets"].as_object().expect("secrets") {
        assert_eq!(secret["file"], format!("deploy/compose/secrets/{name}"));
        assert!(!content(name).trim().is_empty());
    }
    let token = compose["services"]["sandbox"]["command"].as_array().and_then(|words| words.last());
    assert_eq!(token.and_then(Value::as_str), Some(content("okta").trim()));

    let config = read("deploy/compose/sever.yaml").replace("/run/secrets", secrets.to_str().expect("a path"));
    let file = folder.path().join("sever.yaml");
    std::fs::write(&file, config).expect("written");
    let said = run(sever().args(["check", "-c"]).arg(&file));
    assert!(said.fine, "{}", said.all());
}
