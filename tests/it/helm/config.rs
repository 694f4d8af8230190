//! The config that the chart renders, under the program itself; and where secrets end up.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::chart::{Manifests, list, rendered, rendered_with, sets, template, text};
use crate::process::{Server, sever};
use crate::service::client;
use crate::support::tools::run;

/// A folder that stands for what Kubernetes mounts.
struct Mounted {
    folder: tempfile::TempDir,
    config: String,
    environment: Vec<(String, String)>,
}

impl Mounted {
    fn new(manifests: &Manifests) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config: Value = serde_saphyr::from_str(manifests.config()).expect("YAML");
        let mut found = Found::default();
        found.look(&config);
        let mut written = manifests.config().to_owned();
        // The longest first: one may begin as another does.
        for path in found.files.iter().rev() {
            let here = folder.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(here.parent().expect("a folder")).expect("made");
            std::fs::write(&here, content(path)).expect("written");
            written = written.replace(path, here.to_str().expect("a path"));
        }
        let environment = found.variables.into_iter().map(|name| (name.clone(), content(&name))).collect();
        let file = folder.path().join("sever.yaml");
        std::fs::write(&file, &written).expect("written");
        Self { folder, config: file.to_str().expect("a path").to_owned(), environment }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = sever();
        command.args(args).envs(self.environment.iter().cloned());
        command
    }
}

/// What a config refers to.
#[derive(Default)]
struct Found {
    files: BTreeSet<String>,
    variables: BTreeSet<String>,
}

impl Found {
    fn look(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    match (key.as_str(), inner.as_str()) {
                        ("file" | "cert" | "key" | "client_ca", Some(path)) => drop(self.files.insert(path.to_owned())),
                        ("env", Some(name)) => drop(self.variables.insert(name.to_owned())),
                        _ => self.look(inner),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.look(item)),
            _ => {}
        }
    }
}

/// Something of the kind that belongs there, and not the same twice.
fn content(name: &str) -> String {
    let lower = name.to_lowercase();
    if lower.contains("database") {
        return "postgres://sever:secret@database:5432/sever".to_owned();
    }
    if lower.contains("amqp") {
        return "amqps://sever:secret@broker:5671".to_owned();
    }
    if lower.ends_with(".crt") || lower.ends_with(".key") {
        return pem(lower.ends_with(".key"));
    }
    let padded: String = name.chars().chain(std::iter::repeat('-')).take(40).collect();
    format!("whsec_{}", STANDARD.encode(padded))
}

/// One certificate and its key.
fn pem(is_key: bool) -> String {
    static MADE: std::sync::OnceLock<(String, String)> = std::sync::OnceLock::new();
    let (cert, key) = MADE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["hooks.acme.com".to_owned()]).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    });
    if is_key { key.clone() } else { cert.clone() }
}

#[test]
fn the_program_takes_every_config() {
    for set in sets() {
        let mounted = Mounted::new(&rendered(&set));
        let said = run(&mut mounted.command(&["check", "-c", &mounted.config]));
        assert!(said.fine, "{set}: {}", said.all());
    }
}

#[test]
fn text_numbers_and_expressions_arrive_as_they_were_given() {
    let values = r#"{"config": {"sources": {"on": {"issuer": "0123", "limit": "500/1s",
        "amqp": {"urls": [{"file": "/run/secrets/sever/amqp"}], "queue": "1e3", "prefetch": 4096},
        "verify": {"scheme": "github", "secrets": [{"file": "/run/secrets/sever/a"}]}}},
        "rules": [{"name": "yes", "when": "alert.severity >= high && \"a: b\" != \"{{ x }}\" # no comment", "revoke": []}]},
        "secrets": {"existing": [{"name": "s"}]}}"#;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), values).expect("written");
    let given: Value = serde_json::from_str(values).expect("JSON");
    let all = rendered_with("", &["--values", file.path().to_str().expect("a path")]);
    let config: Value = serde_saphyr::from_str(all.config()).expect("YAML");
    for key in ["sources", "rules"] {
        assert_eq!(config[key], given["config"][key]);
    }
}

#[test]
fn no_secret_lands_outside_of_a_secret() {
    let all = rendered("created-secrets");
    let created = all.only("Secret");
    let decoded = |name: &str| STANDARD.decode(text(&created["data"][name])).expect("base64");
    for (name, content) in
        [("edr", "whsec_ZXhhbXBsZSBleGFtcGxlIGV4YW1wbGUgZXhhbXBsZSE="), ("oncall", "an-example-token-of-an-operator")]
    {
        assert_eq!(decoded(name), content.as_bytes());
        for one in all.0.iter().filter(|one| one["kind"] != "Secret") {
            let shown = one.to_string();
            assert!(!shown.contains(content) && !shown.contains(&STANDARD.encode(content)), "{content} in {shown}");
        }
    }
    // It is mounted where the config looks for it.
    let pod = &all.serving()[0]["spec"];
    let volume = list(&pod["volumes"]).iter().find(|volume| volume["name"] == "secrets").expect("a volume");
    assert_eq!(volume["projected"]["sources"][0]["secret"]["name"], created["metadata"]["name"]);
    for set in sets().iter().filter(|set| *set != "created-secrets") {
        assert_eq!(rendered(set).of_kind("Secret").count(), 0, "{set}");
    }
}

/// The pod of `helm test`, run here against a service with the same config.
#[tokio::test(flavor = "multi_thread")]
async fn the_charts_test_sends_an_alert_that_is_taken_and_changes_nothing() {
    let any_port = ["--set", "config.listen=0.0.0.0:0", "--set", "config.metrics=null", "--set", "config.admin=null"];
    let all = rendered_with("sqlite", &any_port);
    let mounted = Mounted::new(&all);
    let folder = mounted.folder.path();
    let config = std::fs::read_to_string(&mounted.config).expect("the config");
    let store = format!("{config}store: sqlite://{}/sever.db\n", folder.display());
    std::fs::write(&mounted.config, store).expect("written");
    let server = Server::start(Path::new(&mounted.config)).expect("it starts");
    let base = format!("http://127.0.0.1:{}", server.alerts.port());

    let probes = &all.serving()[0]["spec"]["containers"][0];
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let path = text(&probes[probe]["httpGet"]["path"]);
        let answer = client().get(format!("{base}{path}")).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
    }

    let body = all.of_kind("ConfigMap").find_map(|one| one["data"]["alert.json"].as_str()).expect("a body");
    std::fs::write(folder.join("alert.json"), body).expect("written");
    let args: Vec<String> = list(&all.only("Pod")["spec"]["containers"][0]["args"])
        .iter()
        .map(|arg| match text(arg) {
            "/etc/sever/sever.yaml" => mounted.config.clone(),
            "/etc/sever-test/alert.json" => folder.join("alert.json").to_str().expect("a path").to_owned(),
            "http://sever:80" => base.clone(),
            other => other.to_owned(),
        })
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    for _ in 0..2 {
        let said = run(&mut mounted.command(&args));
        assert!(said.fine, "{}", said.all());
    }
    // With another secret it would have failed.
    let secret = folder.join("run/secrets/sever/edr");
    std::fs::write(&secret, content("another")).expect("written");
    assert!(!run(&mut mounted.command(&args)).fine);
}

#[test]
fn the_charts_test_is_there_only_if_it_can_work() {
    for (set, source) in [("sqlite", Some("edr")), ("split-roles", Some("edr")), ("scaling", None), ("", None)] {
        let all = rendered(set);
        let pod = all.of_kind("Pod").next();
        let args = pod.map(|pod| list(&pod["spec"]["containers"][0]["args"]).iter().map(text).collect::<Vec<_>>());
        assert_eq!(args.map(|args| args[4]), source, "{set}");
    }
    let off = template("sqlite", &["--set", "tests.enabled=false"]).expect("it renders");
    assert!(!off.contains("helm.sh/hook"));
}
