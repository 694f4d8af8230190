//! Each preset with recorded payloads: who is meant, who is not, what never acts.

use serde_json::{Value, json};
use sever::decode::AlertFormat;
use sever::domain::{Alert, Severity};

use super::{alerts, decoder, problem, sample, sample_text};

/// Whom an alert names.
fn users(alert: &Alert) -> Vec<String> {
    alert.subjects.iter().flat_map(|subject| subject.identifiers().map(|(_, name)| name.to_owned())).collect()
}

/// The alerts of a body, in a line each.
fn told(format: &str, body: &str) -> Vec<String> {
    let line = |alert: &Alert| {
        let (severity, users) = (alert.severity.as_str(), users(alert).join(" "));
        format!("{} | {} | {severity} | {} | {users}", alert.id, alert.kind, alert.occurred_at)
    };
    alerts(&decoder(format), body).iter().map(line).collect()
}

/// The sample with a value replaced (or taken away) at a pointer.
fn changed(folder: &str, name: &str, changes: &[(&str, Value)]) -> String {
    let mut body = sample(folder, name);
    for (pointer, value) in changes {
        *body.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is not there")) = value.clone();
    }
    body.to_string()
}

#[test]
fn every_recorded_sample_becomes_what_it_says() {
    let table: &[(&str, &str, &[&str])] = &[
        (
            "okta",
            "report_suspicious_activity",
            &["3f0c5a10-9701-11f0-8d6e-6b1d2f7a9c44 | user.account.report_suspicious_activity_by_enduser | medium | \
               2026-09-21T14:12:55.851Z | dana.ortiz@example.com"],
        ),
        (
            "okta",
            "two_events_one_request",
            &[
                "aac560bd-9701-11f0-9caa-cd5d09945def | user.session.start | informational | 2026-09-21T14:11:02.1Z | \
                 dana.ortiz@example.com",
                "3f0c5a10-9701-11f0-8d6e-6b1d2f7a9c44 | user.account.report_suspicious_activity_by_enduser | medium | \
                 2026-09-21T14:12:55.851Z | dana.ortiz@example.com",
            ],
        ),
        (
            "splunk",
            "notable_row",
            &[
                "9F2C6E51-8C0B-4C5D-A1C3-3E7D5B0A11F4@@notable@@7c1f0f1a2b3c4d5e6f708192a3b4c5d6 | splunk_alert | high | \
               2026-09-21T14:13:20Z | dana.ortiz@example.com",
            ],
        ),
        (
            "splunk",
            "multivalue_user_and_no_name",
            &["rt_scheduler__admin__search__RMD5aa_at_1790000000_12.3@2026-09-21T14:13:20.000+00:00 | splunk_alert | \
               critical | 2026-09-21T14:13:20Z | dana.ortiz@example.com lee.park@example.com"],
        ),
        (
            "elastic",
            "flattened_kibana_keys",
            &[
                "a6c1f3f0b2d94f7c8e1d2c3b4a596877 | elastic_alert | high | 2026-09-21T14:12:55Z | dana.ortiz@example.com",
            ],
        ),
        (
            "elastic",
            "dotted_ecs_and_two_alerts",
            // The second alert is about a host, and must not be about the first one's user.
            &["11aa | elastic_alert | critical | 2026-09-21T14:13:08.214Z | dana.ortiz@example.com"],
        ),
        (
            "sentinel",
            "incident_created",
            &["22d80f17-3e6d-49a7-8cc4-ad88fc708c95 | sentinel_incident | high | 2026-09-21T14:12:38.573Z | \
               dana.ortiz@example.com"],
        ),
        (
            "wazuh",
            "sshd_bruteforce_success",
            &["wazuh-mgr-01|1790000084.1204512 | wazuh_alert | high | 2026-09-21T14:13:04.589Z | dana.ortiz"],
        ),
        (
            "wazuh",
            "windows_event",
            &["wazuh-mgr-02|1790000089.88112 | wazuh_alert | low | 2026-09-21T14:13:09.101Z | EXAMPLE\\dana.ortiz"],
        ),
        (
            "crowdstrike",
            "endpoint_detection",
            &["ldt:5f3a1c2b7d9e04c1:4294967297 | crowdstrike_detection | high | 2026-09-21T14:13:20Z | dana.ortiz"],
        ),
        (
            "grafana",
            "firing_two_alerts",
            &["fac0861a85de433a@2026-09-21T14:12:50Z | grafana_alert | critical | 2026-09-21T14:12:50Z | \
               dana.ortiz@example.com"],
        ),
        (
            "falcosidekick",
            "webhook",
            &[
                "c7f1a2de-6b0e-4a65-9d3b-52e1f0a7b6c8 | falco_event | critical | 2026-09-21T14:13:04.589793001Z | dana.ortiz",
            ],
        ),
        (
            "falcosidekick",
            "rabbitmq_output",
            &[
                "c7f1a2de-6b0e-4a65-9d3b-52e1f0a7b6c8 | falco_event | critical | 2026-09-21T14:13:04.589793001Z | dana.ortiz",
            ],
        ),
        (
            "guardduty",
            "assumed_role",
            &["90b82273685661b9318f078d0851fe9a@2026-09-21T14:13:02.100Z | guardduty_finding | high | \
               2026-09-21T14:12:40Z | dana.ortiz@example.com"],
        ),
        ("guardduty", "sample_finding", &[]),
        (
            "ocsf",
            "create",
            &["7f1c2d3e-0000-4000-8000-aaaaaaaaaaaa | detection_finding | high | 2026-09-21T14:13:20.123Z | \
               dana.ortiz@example.com"],
        ),
        (
            "ocsf",
            "authentication",
            &["auth-1 | authentication | informational | 2026-09-21T14:13:20.456Z | lee.park@example.com"],
        ),
    ];
    for (format, name, expected) in table {
        assert_eq!(told(format, &sample_text(format, name)), *expected, "{format}/{name}");
    }
    let told: Vec<_> = table.iter().map(|(format, ..)| *format).collect();
    let mapped = AlertFormat::ALL.iter().filter(|format| format.preset().is_some());
    assert!(mapped.clone().all(|format| told.contains(&format.as_str())), "a preset has no sample");
}

/// The recorded finding, changed inside its envelope.
fn finding(change: impl Fn(&mut Value)) -> String {
    let mut body = sample("guardduty", "assumed_role");
    let mut finding: Value = serde_json::from_str(body["Message"].as_str().expect("a text")).expect("JSON");
    change(&mut finding["detail"]);
    body["Message"] = Value::from(finding.to_string());
    body.to_string()
}

/// The finding about somebody else.
fn finding_about(key: &Value) -> String {
    finding(|detail| {
        let details = detail["resource"]["accessKeyDetails"].as_object_mut().expect("details");
        details.extend(key.as_object().expect("an object").clone());
    })
}

#[test]
fn a_name_that_whoever_assumes_a_role_chooses_is_nobodys() {
    for key in [
        json!({"userName": "deploy", "principalId": "AROAEXAMPLEID:ceo@example.com"}),
        json!({"userName": "deploy", "principalId": "AROAEXAMPLEID:i-0abc"}),
        json!({"userName": "my-AWSReservedSSO_Admin", "principalId": "AROAEXAMPLEID:ceo@example.com"}),
        json!({"userType": "FederatedUser", "userName": "ceo", "principalId": "111122223333:ceo"}),
        json!({"userType": "FederatedUser", "userName": "AWSReservedSSO_x", "principalId": "111122223333:ceo@example.com"}),
    ] {
        let problem = problem(&decoder("guardduty"), &finding_about(&key));
        assert!(problem.starts_with("subjects has 0 entries"), "{key}: {problem}");
    }
    let user = json!({"userType": "IAMUser", "userName": "dana", "principalId": "AIDAEXAMPLEID"});
    assert_eq!(users(&alerts(&decoder("guardduty"), &finding_about(&user))[0]), ["dana"]);
    // IAM Identity Center names the session after the person, also where that is no address.
    let named = json!({"principalId": "AROAEXAMPLEID:i-ana"});
    assert_eq!(users(&alerts(&decoder("guardduty"), &finding_about(&named))[0]), ["i-ana"]);
}

#[test]
fn an_attack_sequence_waits_for_a_person() {
    let sequence = finding(|detail| {
        detail["type"] = json!("AttackSequence:IAM/CompromisedCredentials");
        detail["resource"] = json!({"resourceType": "AttackSequence"});
        detail["service"]["detection"] =
            json!({"sequence": {"actors": [{"id": "a", "user": {"name": "dana", "type": "IAMUser"}}]}});
    });
    let problem = problem(&decoder("guardduty"), &sequence);
    assert!(problem.starts_with("subjects: No such key: accessKeyDetails"), "{problem}");
    let machine = finding(|detail| detail["resource"] = json!({"resourceType": "Instance", "instanceDetails": {}}));
    assert_eq!(told("guardduty", &machine), [""; 0]);
}

#[test]
fn of_evidence_the_target_and_the_source_are_meant() {
    let with = |evidences: Value| changed("ocsf", "create", &[("/evidences", evidences)]);
    let user = |name: &str| json!({"name": name, "email_addr": format!("{name}@example.com")});
    let table = [
        (json!([{"user": user("ana")}]), "ana@example.com"),
        (json!([{"user": user("ana"), "actor": {"user": user("mallory")}}]), "ana@example.com mallory@example.com"),
        (json!([{"user": user("ana")}, {"actor": {"user": {"name": "ben"}}}]), "ana@example.com ben"),
        // False positive, benign and test.
        (json!([{"user": user("ana"), "verdict_id": 2}, {"user": user("ben"), "verdict_id": 1}]), "ana@example.com"),
        (json!([{"user": user("ana")}, {"actor": {"user": user("ben")}, "verdict_id": 5}]), "ana@example.com"),
    ];
    for (evidences, expected) in table {
        let found = alerts(&decoder("ocsf"), &with(evidences.clone()));
        assert_eq!(users(&found[0]).join(" "), expected, "{evidences}");
    }
    for verdict in [1, 5, 6] {
        let body = with(json!([{"user": user("ana"), "verdict_id": verdict}]));
        assert_eq!(told("ocsf", &body), [""; 0], "{verdict}");
    }
}

#[test]
fn what_is_over_or_a_test_never_acts() {
    let archived = finding(|detail| detail["service"]["archived"] = json!(true));
    let (alert, props) = ("/alerts/0", "/object/properties");
    let grafana =
        |path: &str, value: Value| changed("grafana", "firing_two_alerts", &[(&format!("{alert}{path}"), value)]);
    let elastic = |path: &str, word: &str| {
        changed("elastic", "flattened_kibana_keys", &[(&format!("{alert}/{path}"), json!(word))])
    };
    let ocsf = |path: &str, value: Value| changed("ocsf", "create", &[(path, value)]);
    let table = [
        ("grafana", grafana("/status", json!("resolved"))),
        ("grafana", grafana("/labels/alertname", json!("TestAlert"))),
        ("elastic", elastic("kibana.alert.workflow_status", "closed")),
        ("elastic", elastic("kibana.alert.status", "recovered")),
        ("sentinel", changed("sentinel", "incident_created", &[(&format!("{props}/status"), json!("Closed"))])),
        ("guardduty", archived),
        ("ocsf", ocsf("/activity_id", json!(3))),
        ("ocsf", ocsf("/status_id", json!(4))),
        ("ocsf", ocsf("/status_id", json!(6))),
        ("falcosidekick", changed("falcosidekick", "webhook", &[("/rule", json!("Test rule"))])),
    ];
    for (format, body) in table {
        assert_eq!(told(format, &body), [""; 0], "{format}: {body}");
    }
}

#[test]
fn whoever_is_no_person_is_not_acted_on() {
    let falco = |name: &str| changed("falcosidekick", "webhook", &[("/output_fields/user.name", json!(name))]);
    let windows =
        |name: &str| changed("wazuh", "windows_event", &[("/data/win/eventdata/targetUserName", json!(name))]);
    let splunk = |name: Value| changed("splunk", "notable_row", &[("/result/user", name)]);
    let event = "/data/events/0";
    let okta = changed(
        "okta",
        "report_suspicious_activity",
        &[(&format!("{event}/target"), Value::Null), (&format!("{event}/actor/type"), json!("SystemPrincipal"))],
    );
    let kind = "/object/properties/relatedEntities/0/kind";
    let table = [
        ("falcosidekick", falco("root")),
        ("falcosidekick", falco("<NA>")),
        ("wazuh", windows("WKS-0423$")),
        ("wazuh", windows("SYSTEM")),
        ("splunk", splunk(json!("unknown"))),
        ("splunk", splunk(json!(["-", ""]))),
        ("okta", okta),
        ("sentinel", changed("sentinel", "incident_created", &[(kind, json!("Host"))])),
        ("ocsf", changed("ocsf", "create", &[("/evidences/0/actor", json!({}))])),
    ];
    for (format, body) in table {
        assert_eq!(told(format, &body), [""; 0], "{format}: {body}");
    }
}

#[test]
fn in_an_event_about_somebody_the_actor_is_not_meant() {
    let actor = [("/data/events/0/actor/alternateId", json!("admin@example.com"))];
    let body = changed("okta", "report_suspicious_activity", &actor);
    let found = alerts(&decoder("okta"), &body);
    assert_eq!(users(&found[0]), ["dana.ortiz@example.com"]);
    // Nobody of those who are not the user is in any sample's alerts.
    for (folder, name, word) in [
        ("sentinel", "incident_created", "analyst.kim"),
        ("splunk", "notable_row", "svc_splunk"),
        ("splunk", "multivalue_user_and_no_name", "admin"),
        ("wazuh", "windows_event", "WKS-0423$"),
        ("guardduty", "assumed_role", "AWSReservedSSO"),
        ("ocsf", "authentication", "idp-service"),
    ] {
        let all: Vec<_> = alerts(&decoder(folder), &sample_text(folder, name)).iter().flat_map(users).collect();
        assert!(!all.is_empty() && !all.iter().any(|user| user.contains(word)), "{folder}/{name}: {all:?}");
    }
}

#[test]
fn a_severity_that_is_not_known_is_never_the_least() {
    let word = |format: &str, name: &str, path: &str, value: Value| {
        (format.to_owned(), changed(format, name, &[(path, value)]))
    };
    for (format, body) in [
        word("splunk", "notable_row", "/result/urgency", json!("sev1")),
        word("crowdstrike", "endpoint_detection", "/data/detections.severity", json!("P1")),
        word("falcosidekick", "webhook", "/priority", json!("Urgent")),
        word("ocsf", "create", "/severity_id", json!(7)),
        word("sentinel", "incident_created", "/object/properties/severity", json!("Severe")),
    ] {
        let problem = problem(&decoder(&format), &body);
        assert!(problem.starts_with("severity: No such key"), "{format}: {problem}");
    }
    let middling = [
        word("splunk", "notable_row", "/result/urgency", json!("unknown")),
        word("ocsf", "create", "/severity_id", json!(0)),
        word("ocsf", "create", "/severity_id", json!(99)),
        word("grafana", "firing_two_alerts", "/alerts/0/labels/severity", json!("")),
    ];
    for (format, body) in middling {
        assert_eq!(alerts(&decoder(&format), &body)[0].severity, Severity::Medium, "{format}");
    }
    for (level, expected) in [(0, "low"), (7, "medium"), (12, "high"), (15, "critical"), (16, "critical")] {
        let body = changed("wazuh", "sshd_bruteforce_success", &[("/rule/level", json!(level))]);
        assert_eq!(alerts(&decoder("wazuh"), &body)[0].severity.as_str(), expected, "{level}");
    }
}

#[test]
fn a_payload_without_what_is_needed_is_no_alert() {
    for (format, name, gone, expected) in [
        ("splunk", "notable_row", "/result/user", "skip_when: No such key: user"),
        ("grafana", "firing_two_alerts", "/alerts/0/labels/user", "subjects: No such key: user"),
        ("crowdstrike", "endpoint_detection", "/data/detections.id", "id: No such key: detections.id"),
        ("wazuh", "sshd_bruteforce_success", "/manager/name", "id: No such key: name"),
    ] {
        let mut body = sample(format, name);
        let (parent, key) = gone.rsplit_once('/').expect("a pointer");
        body.pointer_mut(parent).and_then(Value::as_object_mut).and_then(|object| object.remove(key)).expect("there");
        if format == "grafana" {
            body["alerts"].as_array_mut().expect("a list").truncate(1);
        }
        let problem = problem(&decoder(format), &body.to_string());
        assert!(problem.starts_with(expected), "{format}: {problem}");
    }
}

#[test]
fn numbers_beyond_2_to_the_53_are_not_rounded() {
    let found = alerts(&decoder("falcosidekick"), &sample_text("falcosidekick", "webhook"));
    assert_eq!(found[0].attributes["rule"], "Terminal shell in container");
    let found = alerts(
        &super::mapped(&super::mapping(&[
            ("id", "string(payload.output_fields['evt.time'])"),
            ("severity", "critical"),
            ("subjects", "[{'username': key(payload.output_fields, 'user.name')}]"),
        ])),
        &sample_text("falcosidekick", "webhook"),
    );
    assert_eq!(found[0].id, "1790000184589793001");
}

#[test]
fn a_finding_comes_with_and_without_the_envelope_of_sns() {
    let body = sample("guardduty", "assumed_role");
    let bare = body["Message"].as_str().expect("a text");
    assert_eq!(told("guardduty", bare), told("guardduty", &body.to_string()));
}

#[test]
fn a_list_of_events_is_as_good_as_one() {
    let both = json!([sample("ocsf", "create"), sample("ocsf", "authentication")]).to_string();
    assert_eq!(told("ocsf", &both).len(), 2);
}
