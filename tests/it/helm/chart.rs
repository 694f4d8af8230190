//! Renders the chart.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::tools::{Said, read, repository, run, tool};

/// Every set of values, by name; the first is the chart's own defaults.
pub(super) fn sets() -> Vec<String> {
    let files = std::fs::read_dir(repository("helm/sever/ci")).expect("the folder");
    let names = files.map(|file| file.expect("a file").file_name().to_string_lossy().replace(".yaml", ""));
    let mut names: Vec<String> = names.collect();
    names.sort();
    [vec![String::new()], names].concat()
}

fn file_of(set: &str) -> Option<PathBuf> {
    (!set.is_empty()).then(|| repository(&format!("helm/sever/ci/{set}.yaml")))
}

/// `helm`, with nothing of the user's own.
pub(super) fn helm(args: &[&str]) -> Said {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(tool("helm"));
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, home.path());
    }
    run(command.args(args).env_remove("KUBECONFIG"))
}

/// `helm template` with a set of values and further arguments.
pub(super) fn template(set: &str, more: &[&str]) -> Said {
    let (chart, file) = (repository("helm/sever"), file_of(set));
    let mut args = vec!["template", "sever", chart.to_str().expect("a path"), "--namespace", "security"];
    let file = file.as_ref().map(|file| file.to_str().expect("a path"));
    args.extend(file.into_iter().flat_map(|file| ["--values", file]));
    args.extend(more);
    helm(&args)
}

/// The manifests that a set of values makes.
pub(super) fn rendered(set: &str) -> Manifests {
    rendered_with(set, &[])
}

pub(super) fn rendered_with(set: &str, more: &[&str]) -> Manifests {
    Manifests::read(&template(set, more).expect(set))
}

/// Everything that one release consists of.
pub(super) struct Manifests(pub(super) Vec<Value>);

impl Manifests {
    fn read(text: &str) -> Self {
        let documents = text.split("\n---\n").map(|one| one.trim_start_matches("---\n")).filter(|one| {
            // Templates that make nothing leave comments alone.
            one.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#'))
        });
        let parse = |one| serde_saphyr::from_str(one).unwrap_or_else(|wrong| panic!("{wrong}:\n{one}"));
        Self(documents.map(parse).collect())
    }

    pub(super) fn of_kind<'m>(&'m self, kind: &str) -> impl Iterator<Item = &'m Value> + use<'m> {
        let kind = kind.to_owned();
        self.0.iter().filter(move |one| one["kind"] == kind.as_str())
    }

    pub(super) fn only(&self, kind: &str) -> &Value {
        let mut found = self.of_kind(kind);
        let one = found.next().unwrap_or_else(|| panic!("there is no {kind}"));
        assert!(found.next().is_none(), "there are several of {kind}");
        one
    }

    /// The workload's pod templates, and the pods themselves.
    pub(super) fn pods(&self) -> Vec<&Value> {
        let templates = self.0.iter().filter(|one| one["spec"]["template"]["spec"].is_object());
        templates.map(|one| &one["spec"]["template"]).chain(self.of_kind("Pod")).collect()
    }

    /// The pods that serve.
    pub(super) fn serving(&self) -> Vec<&Value> {
        self.pods().into_iter().filter(|pod| pod["kind"].is_null()).collect()
    }

    /// The config as the pods see it.
    pub(super) fn config(&self) -> &str {
        let holds = |one: &&Value| one["data"]["sever.yaml"].is_string();
        self.of_kind("ConfigMap").find(holds).expect("a config")["data"]["sever.yaml"].as_str().expect("text")
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Whether `labels` has everything that `selector` asks for, and that is something.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().expect("a selector");
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels[key] == *value)
}

#[test]
fn the_chart_passes_its_lint_with_every_set() {
    let chart = repository("helm/sever");
    for set in sets() {
        let file = file_of(&set);
        let mut args = vec!["lint", "--strict", chart.to_str().expect("a path")];
        args.extend(file.iter().flat_map(|file| ["--values", file.to_str().expect("a path")]));
        helm(&args).expect(&set);
    }
}

#[test]
fn the_charts_versions_are_those_of_the_program() {
    let chart: Value = serde_saphyr::from_str(&read("helm/sever/Chart.yaml")).expect("YAML");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn two_renderings_are_the_same() {
    for set in sets() {
        assert_eq!(template(&set, &[]).expect(&set), template(&set, &[]).expect(&set), "{set}");
    }
}

#[test]
fn every_example_of_the_charts_readme_renders() {
    let readme = read("helm/sever/README.md");
    let examples = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut seen = 0;
    for example in examples {
        std::fs::write(file.path(), example).expect("written");
        template("", &["--values", file.path().to_str().expect("a path")]).expect(example);
        seen += 1;
    }
    assert!(seen >= 3, "the README lost its examples");
}
