//! The manifests: each against the schemas of Kubernetes, and all against one another.

use std::process::Command;

use serde_json::{Value, json};

use super::chart::{Manifests, list, rendered, rendered_with, selects, sets, template, text};
use crate::process::sever;
use crate::support::tools::{run, tool};

/// The oldest version that the chart takes, and the newest that the schemas are there for.
const KUBERNETES: [&str; 2] = ["1.30", "1.37"];

/// Kinds of others, whose schemas do not come with Kubernetes; read below instead.
const FOREIGN: [&str; 4] = ["ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute"];

#[test]
fn every_manifest_fits_the_schemas_of_kubernetes() {
    let folder = tempfile::tempdir().expect("a folder");
    for set in sets() {
        let file = folder.path().join("manifests.yaml");
        std::fs::write(&file, template(&set, &[]).expect(&set)).expect("written");
        for version in KUBERNETES {
            let mut validate = Command::new(tool("kubernetes-validate"));
            let said = run(validate.args(["--strict", "-k", version]).arg(&file));
            assert!(said.fine, "{set}, Kubernetes {version}: {}", said.all());
            let all = said.all();
            let unknown = all.lines().filter(|line| line.contains("find schema"));
            for line in unknown {
                assert!(FOREIGN.iter().any(|kind| line.contains(&format!("kind {kind} "))), "{set}: {line}");
            }
        }
    }
}

#[test]
fn the_validation_finds_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("manifests.yaml");
    let right = template("sqlite", &[]).expect("it renders");
    for (from, to) in [("imagePullPolicy:", "imagePullPolicee:"), ("containerPort: 8080", "containerPort: http")] {
        assert!(right.contains(from), "{from}");
        std::fs::write(&file, right.replace(from, to)).expect("written");
        assert!(!run(Command::new(tool("kubernetes-validate")).arg("--strict").arg(&file)).fine, "{to} passes");
    }
}

#[test]
fn every_service_and_budget_finds_its_pods() {
    for set in sets() {
        let all = rendered(&set);
        for service in all.of_kind("Service") {
            let selector = &service["spec"]["selector"];
            let pods: Vec<_> =
                all.pods().into_iter().filter(|pod| selects(selector, &pod["metadata"]["labels"])).collect();
            assert!(!pods.is_empty(), "{set}: nobody serves {}", service["metadata"]["name"]);
            for pod in pods {
                let ports = list(&pod["spec"]["containers"][0]["ports"]);
                for port in list(&service["spec"]["ports"]) {
                    assert!(ports.iter().any(|own| own["name"] == port["targetPort"]), "{set}: {port} in {ports:?}");
                }
            }
        }
        for (kind, path) in
            [("PodDisruptionBudget", "/spec/selector/matchLabels"), ("NetworkPolicy", "/spec/podSelector/matchLabels")]
        {
            for one in all.of_kind(kind) {
                let selector = one.pointer(path).expect(path);
                let chosen = |pods: Vec<&Value>| {
                    pods.into_iter().filter(|pod| selects(selector, &pod["metadata"]["labels"])).count()
                };
                assert!(chosen(all.serving()) > 0, "{set}: {kind} is about nobody");
                assert_eq!(chosen(all.serving()), chosen(all.pods()), "{set}: {kind} holds the test's pod");
            }
        }
    }
}

#[test]
fn every_pod_is_restricted() {
    for set in sets() {
        for pod in rendered(&set).pods() {
            let spec = &pod["spec"];
            assert_eq!(spec["automountServiceAccountToken"], false, "{set}");
            assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{set}");
            assert_eq!(spec["securityContext"]["runAsUser"], 65532, "{set}: the user of the image");
            assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{set}");
            for container in list(&spec["containers"]) {
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false, "{set}");
                assert_eq!(context["readOnlyRootFilesystem"], true, "{set}");
                assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}), "{set}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{set}");
                assert!(container["resources"]["requests"]["memory"].is_string(), "{set}");
                mounts_are_there(spec, container, &set);
            }
        }
    }
}

/// Every mount has its volume or claim, and what is written to is a volume.
fn mounts_are_there(spec: &Value, container: &Value, set: &str) {
    let volumes = list(&spec["volumes"]);
    for mount in list(&container["volumeMounts"]) {
        let known = volumes.iter().any(|volume| volume["name"] == mount["name"]);
        assert!(known || mount["name"] == "state", "{set}: {mount} has no volume");
        assert!(mount["subPath"].is_null(), "{set}: {mount} would never change");
    }
    assert!(list(&container["volumeMounts"]).iter().any(|mount| mount["mountPath"] == "/tmp"), "{set}");
}

#[test]
fn a_pod_is_given_the_time_that_it_takes_to_end() {
    for set in sets() {
        for pod in rendered(&set).serving() {
            let grace = pod["spec"]["terminationGracePeriodSeconds"].as_i64().expect("a number");
            let hook = &pod["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
            // sever promises to end within 25 s.
            assert!(grace - hook.as_i64().unwrap_or(0) >= 30, "{set}: {grace} s with a hook of {hook}");
        }
    }
}

#[test]
fn the_program_takes_the_arguments_of_every_container() {
    for set in sets() {
        for pod in rendered(&set).pods() {
            let container = &pod["spec"]["containers"][0];
            assert!(container["command"].is_null(), "the image's own entry point is sever");
            let args = list(&container["args"]).iter().map(text);
            let said = run(sever().args(args.clone()).arg("--help"));
            assert!(said.fine, "{set}: {:?}: {}", args.collect::<Vec<_>>(), said.err);
        }
    }
}

#[test]
fn sqlite_has_one_pod_with_its_volume_and_postgresql_has_deployments() {
    for set in sets() {
        let all = rendered(&set);
        let is_sqlite = !all.config().contains("url:\n") && !all.config().contains("store:\n  url:");
        let (stateful, deployments) = (all.of_kind("StatefulSet").count(), all.of_kind("Deployment").count());
        if deployments == 0 {
            let one = all.only("StatefulSet");
            assert_eq!(one["spec"]["replicas"], 1, "{set}");
            let mounts = list(&one["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]).iter();
            assert!(mounts.clone().any(|mount| mount["name"] == "state"), "{set}");
            let claims = list(&one["spec"]["volumeClaimTemplates"]);
            let volumes = list(&one["spec"]["template"]["spec"]["volumes"]);
            let given = claims.iter().map(|claim| &claim["metadata"]).chain(volumes);
            assert_eq!(given.filter(|volume| volume["name"] == "state").count(), 1, "{set}");
        } else {
            assert!(!is_sqlite && stateful == 0, "{set}");
        }
    }
}

#[test]
fn roles_are_split_and_scaled_apart() {
    let all = rendered("scaling");
    let names: Vec<_> = all.of_kind("Deployment").map(|one| text(&one["metadata"]["name"])).collect();
    assert_eq!(names, ["sever-intake", "sever-worker"]);
    for one in all.of_kind("Deployment") {
        assert!(one["spec"]["replicas"].is_null(), "the scaler's number would be undone by each upgrade");
    }
    let hpa = all.only("HorizontalPodAutoscaler");
    assert_eq!(hpa["spec"]["scaleTargetRef"]["name"], "sever-intake");
    let keda = &all.only("ScaledObject")["spec"];
    assert_eq!(keda["scaleTargetRef"]["name"], "sever-worker");
    let trigger = &keda["triggers"][0];
    assert_eq!(trigger["type"], "prometheus");
    for key in ["serverAddress", "query", "threshold"] {
        assert!(trigger["metadata"][key].is_string(), "KEDA takes text: {trigger}");
    }
    let query = text(&trigger["metadata"]["query"]);
    assert!(query.contains(r#"sever_oldest_due_seconds{namespace="security",job="sever-metrics"}"#), "{query}");
    let split = rendered("split-roles");
    let replicas: Vec<_> = split.of_kind("Deployment").map(|one| one["spec"]["replicas"].as_i64()).collect();
    assert_eq!(replicas, [Some(3), Some(2)]);
    let alerts = split.of_kind("Service").find(|one| one["metadata"]["name"] == "sever").expect("a service");
    assert_eq!(alerts["spec"]["selector"]["app.kubernetes.io/component"], "intake");
}

#[test]
fn only_the_listener_for_alerts_can_be_reached_from_outside() {
    let ingress = rendered("ingress");
    for rule in list(&ingress.only("Ingress")["spec"]["rules"]) {
        for path in list(&rule["http"]["paths"]) {
            assert!(text(&path["path"]).starts_with("/v1/alerts"), "{path}");
            assert_eq!(path["backend"]["service"], json!({"name": "alerts", "port": {"name": "alerts"}}));
        }
    }
    let gateway = rendered("gateway");
    let route = &gateway.only("HTTPRoute")["spec"];
    assert_eq!(route["parentRefs"][0]["name"], "public");
    let rule = &route["rules"][0];
    assert_eq!(rule["matches"][0]["path"], json!({"type": "PathPrefix", "value": "/v1/alerts"}));
    assert_eq!(rule["backendRefs"][0], json!({"name": "sever", "port": 8443}));
    for all in sets().iter().map(|set| rendered(set)) {
        for service in all.of_kind("Service").filter(|one| one["spec"]["type"] == "LoadBalancer") {
            let ports = list(&service["spec"]["ports"]);
            assert!(ports.iter().all(|port| port["targetPort"] == "alerts"), "{ports:?}");
        }
    }
}

#[test]
fn the_network_policy_lets_in_and_out_only_who_is_meant() {
    let all = rendered("observed");
    let spec = &all.only("NetworkPolicy")["spec"];
    let ports = |rules: &Value| -> Vec<Value> {
        list(rules).iter().flat_map(|rule| list(&rule["ports"])).map(|port| port["port"].clone()).collect()
    };
    assert_eq!(ports(&spec["ingress"]), [json!("alerts"), json!("metrics"), json!("admin")]);
    assert_eq!(ports(&spec["egress"]), [53, 53, 443, 5432, 5671, 8065].map(|port| json!(port)));
    let everyone = |rule: &&Value| rule["from"].is_null();
    assert_eq!(list(&spec["ingress"]).iter().filter(everyone).count(), 0);
    // The test's pod is among those who may send.
    let test = all.only("Pod");
    let may = list(&spec["ingress"][0]["from"])
        .iter()
        .filter(|peer| peer["podSelector"].is_object())
        .any(|peer| selects(&peer["podSelector"]["matchLabels"], &test["metadata"]["labels"]));
    assert!(may, "{spec}");

    let bare = rendered_with("sqlite", &["--set", "networkPolicy.enabled=true"]);
    let spec = &bare.only("NetworkPolicy")["spec"];
    assert_eq!(ports(&spec["ingress"]), [json!("alerts"), json!("metrics")], "nobody uses the operator API");
    assert_eq!(ports(&spec["egress"]), [53, 53, 443].map(|port| json!(port)), "neither database nor broker is used");

    let endpoint = "config.telemetry.otlp.endpoint=http://otel-collector:4318";
    let traced = rendered_with("sqlite", &["--set", "networkPolicy.enabled=true", "--set", endpoint]);
    assert_eq!(ports(&traced.only("NetworkPolicy")["spec"]["egress"]), [53, 53, 443, 4318].map(|port| json!(port)));
}

#[test]
fn what_is_watched_is_there() {
    let all = rendered("observed");
    let monitor = &all.only("ServiceMonitor")["spec"];
    let selector = &monitor["selector"]["matchLabels"];
    let watched: Vec<_> = all.of_kind("Service").filter(|one| selects(selector, &one["metadata"]["labels"])).collect();
    assert_eq!(watched.len(), 1, "each pod is to be read once");
    assert_eq!(watched[0]["spec"]["ports"][0]["name"], monitor["endpoints"][0]["port"]);
    let rules: Value =
        serde_saphyr::from_str(&crate::support::tools::read("deploy/prometheus/rules.yaml")).expect("YAML");
    assert_eq!(all.only("PrometheusRule")["spec"]["groups"], rules["groups"], "with nothing templated away");
    let dashboard = all.of_kind("ConfigMap").find(|one| one["metadata"]["labels"]["grafana_dashboard"] == "1");
    let dashboard = text(&dashboard.expect("a dashboard")["data"]["sever.json"]);
    let dashboard: Value = serde_json::from_str(dashboard).expect("JSON");
    assert_eq!(dashboard["uid"], "sever");
}

#[test]
fn a_changed_config_replaces_the_pods_unless_it_is_to_be_noticed() {
    let key = "checksum/config";
    let sum = |more: &[&str]| -> Value {
        let all: Manifests = rendered_with("sqlite", more);
        all.serving()[0]["metadata"]["annotations"][key].clone()
    };
    assert!(sum(&[]).is_string());
    assert_eq!(sum(&[]), sum(&["--set", "podLabels.a=b"]));
    assert_ne!(sum(&[]), sum(&["--set", "config.guardrails.dry_run=true"]));
    assert!(sum(&["--set", "reload=inPlace"]).is_null());
}
