//! Values that make no sense are refused by Helm, with their path, before anything is installed.

use super::chart::template;

/// A set of values, what is added to it, and what the refusal says.
const WRONG: &[(&str, &str, &str)] = &[
    // More than one process on one file.
    ("sqlite", "{replicas: 2}", "replicas: 2 pods cannot share one SQLite file"),
    ("sqlite", "{autoscaling: {enabled: true}}", "autoscaling.enabled: pods cannot share one SQLite file"),
    ("sqlite", "{keda: {enabled: true}}", "keda.enabled: pods cannot share one SQLite file"),
    ("sqlite", "{roles: {split: true}}", "roles.split: two processes cannot share one SQLite file"),
    ("sqlite", "{podDisruptionBudget: {minAvailable: 1, maxUnavailable: null}}", "podDisruptionBudget.minAvailable: "),
    ("sqlite", "{config: {store: 'sqlite:///tmp/sever.db'}}", "config.store: /tmp/sever.db is not below"),
    ("sqlite", "{config: {store: 'mysql://db/sever'}}", "config.store: is neither"),
    // Values that contradict one another.
    ("postgresql", "{roles: {split: true}}", "replicas: is unused with roles.split"),
    (
        "postgresql",
        "{autoscaling: {enabled: true}, keda: {enabled: true}}",
        "autoscaling.enabled: would scale the same",
    ),
    ("postgresql", "{autoscaling: {enabled: true, minReplicas: 9}}", "autoscaling.minReplicas: is more than"),
    ("postgresql", "{keda: {enabled: true, minReplicas: 9}}", "keda.minReplicas: is more than"),
    ("postgresql", "{podDisruptionBudget: {maxUnavailable: 1}}", "podDisruptionBudget.minAvailable: Kubernetes takes"),
    ("sqlite", "{podDisruptionBudget: {maxUnavailable: null}}", "podDisruptionBudget.maxUnavailable: give it or"),
    // Listeners that nobody reaches.
    ("sqlite", "{config: {listen: '127.0.0.1:8080'}}", "config.listen: neither a Service nor a probe reaches"),
    ("sqlite", "{config: {listen: {address: '[::1]:8080'}}}", "config.listen: neither a Service nor a probe reaches"),
    ("sqlite", "{config: {metrics: {listen: '0.0.0.0:8080'}}}", "config.metrics.listen: config.listen has port 8080"),
    ("sqlite", "{serviceMonitor: {enabled: true}, config: {metrics: null}}", "serviceMonitor.enabled: Prometheus"),
    (
        "postgresql",
        "{keda: {enabled: true}, config: {metrics: {listen: '127.0.0.1:9090'}}}",
        "keda.enabled: Prometheus",
    ),
    ("sqlite", "{admin: {service: {enabled: true}}}", "admin.service.enabled: no Service reaches 127.0.0.1:8081"),
    ("sqlite", "{admin: {service: {enabled: true}}, config: {admin: null}}", "admin.service.enabled: there is no"),
    (
        "sqlite",
        "{admin: {service: {enabled: true}}, config: {admin: {listen: '0.0.0.0:8081'}}}",
        "config.admin.hosts: name sever-admin",
    ),
    ("sqlite", "{ingress: {enabled: true}}", "ingress.hosts: name a host"),
    ("sqlite", "{gateway: {enabled: true}}", "gateway.parentRefs: name a Gateway"),
    ("sqlite", "{tests: {source: siem}}", "tests.source: there is no config.sources.siem"),
    // Secrets in the open, and references that lead nowhere.
    (
        "sqlite",
        "{config: {admin: {tokens: [{name: a, role: viewer, secret: {value: n0t-f0r-y0ur-eyes}}]}}}",
        "config.admin.tokens[0].secret.value: the secret would stand in a ConfigMap",
    ),
    (
        "",
        "{config: {store: {url: {value: n0t-f0r-y0ur-eyes}}}}",
        "config.store.url.value: the secret would stand in a ConfigMap",
    ),
    (
        "scaling",
        "{config: {sources: {soc-queue: {amqp: {urls: ['amqp://me:n0t-f0r-y0ur-eyes@broker/']}}}}}",
        "config.sources.soc-queue.amqp.urls[0]: the secret would stand in a ConfigMap",
    ),
    (
        "sqlite",
        "{config: {sources: {edr: {verify: {secrets: [{file: /run/secrets/sever/edr}, {file: /run/secrets/sever/old}]}}}}}",
        "config.sources.edr.verify.secrets[1]: no file /run/secrets/sever/old",
    ),
    (
        "sqlite",
        "{config: {providers: {okta: {credentials: {api_token: {file: /var/okta}}}}}}",
        "config.providers.okta.credentials.api_token: nothing is mounted at /var/okta",
    ),
    ("listener-tls", "{extraVolumeMounts: []}", "config.listen.tls.cert: nothing is mounted at /tls/tls.crt"),
    (
        "",
        "{config: {sources: {edr: {verify: {scheme: github, secrets: [{env: EDR}]}}}}}",
        "config.sources.edr.verify.secrets[0]: no variable EDR",
    ),
    ("scaling", "{extraEnv: []}", "config.store.url: no variable DATABASE_URL"),
    ("sqlite", "{secrets: {create: {edr: another}}}", "secrets: two files are called edr"),
    // What the schema refuses, of the chart and of the config.
    ("sqlite", "{replicaz: 1}", "additional properties 'replicaz' not allowed"),
    ("sqlite", "{service: {prt: 80}}", "at '/service': additional properties 'prt' not allowed"),
    ("sqlite", "{replicas: two}", "at '/replicas': got string, want integer"),
    ("sqlite", "{reload: sometimes}", "at '/reload': value must be one of"),
    ("sqlite", "{service: {port: 70000}}", "at '/service/port'"),
    ("sqlite", "{image: {digest: 'sha256:1'}}", "at '/image/digest'"),
    ("sqlite", "{persistence: {accessModes: [ReadWriteMany]}}", "at '/persistence/accessModes/0'"),
    ("sqlite", "{tests: {body: {dry_run: false}}}", "at '/tests/body/dry_run'"),
    ("sqlite", "{config: {sourcess: {}}}", "at '/config': additional properties 'sourcess' not allowed"),
    ("sqlite", "{config: {sources: {edr: {verifi: {}}}}}", "at '/config/sources/edr': additional properties 'verifi'"),
    ("sqlite", "{config: {retention: {jobs: ninety}}}", "at '/config/retention/jobs'"),
];

#[test]
fn wrong_values_are_refused_with_their_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("values.yaml");
    let more = ["--values", file.to_str().expect("a path")];
    let mut taken = Vec::new();
    for (set, wrong, told) in WRONG {
        std::fs::write(&file, wrong).expect("written");
        let said = template(set, &more);
        if said.fine || !said.err.contains(told) {
            taken.push(format!("{set} with {wrong}: {}", said.err));
        }
        assert!(!said.all().contains("n0t-f0r-y0ur-eyes"), "{}", said.all());
    }
    assert!(taken.is_empty(), "{}", taken.join("\n"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let said = template("sqlite", &["--set", "replicas=2,roles.split=true,ingress.enabled=true"]);
    for told in ["replicas: 2", "roles.split: two", "ingress.hosts: name"] {
        assert!(said.err.contains(told), "{told:?} is not in {}", said.err);
    }
}
