//! What the documentation shows works as it says, and the commands about formats print what is used.

use serde_json::Value;
use sever::decode::{AlertFormat, Decoder, MappingSettings, preset_mapping};

use super::{alerts, mapped};
use crate::process::sever;

/// The texts of the fenced blocks with this heading, such as `yaml source`.
fn blocks(page: &str, heading: &str) -> Vec<String> {
    let path = format!("{}/docs/sources/{page}.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let begin = format!("```{heading}\n");
    text.split(&begin).skip(1).filter_map(|rest| rest.split("\n```").next()).map(str::to_owned).collect()
}

fn custom() -> (String, String) {
    let [source] = blocks("custom", "yaml source").try_into().expect("one source");
    let [payload] = blocks("custom", "json payload").try_into().expect("one payload");
    (source, payload)
}

/// A config around the documented source.
fn config(source: &str) -> String {
    format!(
        "store: sqlite:///tmp/never-opened.db\n{source}\nproviders:\n  okta: {{kind: okta, url: 'https://acme.okta.com', \
         credentials: {{api_token: {{env: NOT_SET}}}}}}\nrules:\n  - {{name: stolen session, when: alert.severity >= high, \
         revoke: [{{provider: okta}}]}}\n"
    )
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = sever().args(args).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_documented_mapping_reads_the_documented_payload() {
    let (source, payload) = custom();
    let config: Value = serde_saphyr::from_str(&source).expect("YAML");
    let mapping: MappingSettings =
        serde_json::from_value(config["sources"]["acme-shield"]["alert"].clone()).expect("a mapping");
    let found = alerts(&mapped(&mapping), &payload);
    assert_eq!(found.len(), 1, "the closed one never acts");
    assert_eq!((found[0].id.as_str(), found[0].severity.as_str()), ("acme/9007199254740993", "critical"));
    assert_eq!(found[0].subjects[0].email.as_deref(), Some("ana@example.com"));
    assert_eq!(found[0].attributes["ip"], "203.0.113.9");
}

#[test]
fn plan_shows_each_field_and_the_expression_it_came_from() {
    let (source, payload) = custom();
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("a path").to_owned()
    };
    let (file, body) = (put("sever.yaml", &config(&source)), put("payload.json", &payload));
    let (status, out, err) = run(&["plan", "-c", &file, "--source", "acme-shield", &body]);
    assert_eq!(status, Some(0), "{err}");
    for expected in [
        "Alert acme/9007199254740993 from acme-shield: session_stolen, critical",
        "severity is \"critical\"",
        "from item.score >= 90 ? critical : item.score >= 70 ? high : low",
        "Element 1 is left out, for skip_when is true",
        "from item.state != \"open\"",
        "rule \"stolen session\": matched",
    ] {
        assert!(out.contains(expected), "{expected:?} is not in:\n{out}");
    }
    let (_, out, _) = run(&["plan", "--json", "-c", &file, "--source", "acme-shield", &body]);
    let planned: Value = serde_json::from_str(&out).expect("JSON");
    let fields = planned["alerts"][0]["fields"].as_array().expect("fields");
    let id = fields.iter().find(|field| field["field"] == "id").expect("the id");
    assert_eq!(id["expression"], "payload.tenant + \"/\" + string(item.ref)");
    assert_eq!(id["came"]["value"], "\"acme/9007199254740993\"");
    assert_eq!(planned["skipped"][0]["element"], 1);

    let bad = put("bad.json", &payload.replace("\"score\": 92", "\"score\": \"P1\""));
    let (status, out, err) = run(&["plan", "-c", &file, "--source", "acme-shield", &bad]);
    assert_eq!(status, Some(1), "{err}");
    assert!(out.contains("Element 0 would be kept in quarantine:") && out.contains("severity FAILED:"), "{out}");
    let (status, _, err) =
        run(&["check", "-c", &put("slip.yaml", &config(&source).replace("item.score >= 90", "itme.score >= 90"))]);
    assert_eq!(status, Some(2));
    assert!(err.contains("sources.acme-shield.alert.severity: column 1: unknown variable \"itme\""), "{err}");
}

#[test]
fn an_envelope_is_told_by_a_header_of_plan() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = "sources:\n  siem:\n    format: grafana\n    verify: {scheme: github, secrets: [{env: NOT_SET}]}";
    let file = folder.path().join("sever.yaml");
    std::fs::write(&file, config(source)).expect("written");
    let event = serde_json::json!({
        "specversion": "1.0", "type": "t", "source": "/s", "id": "1", "data": super::sample("grafana", "firing_two_alerts"),
    });
    let body = folder.path().join("event.json");
    std::fs::write(&body, event.to_string()).expect("written");
    let (file, body) = (file.to_str().expect("a path"), body.to_str().expect("a path"));
    let kind = "Content-Type: application/cloudevents+json";
    let (status, out, err) = run(&["plan", "-c", file, "--header", kind, body]);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("Alert fac0861a85de433a@2026-09-21T14:12:50Z"), "{out}");
    assert_eq!(run(&["plan", "-c", file, "--header", "nonsense", body]).0, Some(2));
}

#[test]
fn the_documented_spellings_compile() {
    for page in ["custom", "products"] {
        for block in blocks(page, "yaml expressions") {
            let list: Vec<String> = serde_saphyr::from_str(&block).expect("a list of texts");
            for expression in list {
                let with_item = super::batch_mapping(&[("attributes", &format!("{{'x': {expression}}}"))]);
                assert!(
                    Decoder::new(None, Some(&with_item)).is_ok(),
                    "{expression}: {:?}",
                    Decoder::new(None, Some(&with_item))
                );
            }
        }
    }
}

#[test]
fn every_format_is_listed_shown_and_documented() {
    let (status, out, _) = run(&["formats", "list"]);
    assert_eq!(status, Some(0));
    let page = include_str!("../../../docs/sources/products.md");
    for format in AlertFormat::ALL {
        let name = format.as_str();
        assert!(out.contains(name) && page.contains(&format!("| `{name}` |")), "{name}");
        let (status, shown, _) = run(&["formats", "show", name]);
        assert_eq!(status, Some(0), "{name}");
        let Some(preset) = format.preset() else { continue };
        assert_eq!(shown.trim_end(), preset.trim_end());
        assert!(preset.starts_with("# "), "{name} does not open with what it is for");
        // Pasted under a source, it is the same.
        let mapping = preset_mapping(&shown).expect("a mapping");
        assert!(Decoder::new(None, Some(&mapping)).is_ok(), "{name}");
    }
    let (status, _, err) = run(&["formats", "show", "nonsense"]);
    assert_eq!(status, Some(2));
    assert!(err.contains("is no format; there are sever, ocsf, okta"), "{err}");
}

#[test]
fn a_format_and_a_mapping_exclude_each_other() {
    let mapping = super::mapping(&[]);
    let problems = Decoder::new(Some(AlertFormat::Okta), Some(&mapping)).expect_err("both");
    assert!(problems[0].1.contains("exclude each other"), "{problems:?}");
}
