//! CloudEvents 1.0 around alerts: structured, binary and batch, over HTTP and AMQP.

use serde_json::{Value, json};
use sever::decode::Fate;
use sever::domain::Alert;

use super::{alert, decoder, explain, mapped, mapping, sample, sample_text};

const STRUCTURED: [(&str, &str); 1] = [("Content-Type", "application/cloudevents+json; charset=UTF-8")];
const BATCH: [(&str, &str); 1] = [("Content-Type", "application/CloudEvents-batch+json")];

/// What the recorded events hold.
fn siem() -> sever::decode::Decoder {
    mapped(&mapping(&[
        ("id", "event.source + '|' + event.id"),
        ("occurred_at", "has(event.time) ? time(event.time) : received_at"),
        ("subjects", "[{'email': payload.subject.email}]"),
        ("reason", "payload.rule"),
    ]))
}

fn line(alert: &Alert) -> String {
    let email = alert.subjects[0].email.as_deref().unwrap_or_default();
    format!("{} {} {} {email}", alert.id, alert.severity.as_str(), alert.occurred_at)
}

fn lines(body: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let elements = explain(&siem(), body, headers).unwrap_or_else(|error| panic!("{error}"));
    elements.into_iter().filter_map(|element| alert(element.fate)).map(|alert| line(&alert)).collect()
}

#[test]
fn a_structured_event_is_opened() {
    let expected = "/siem/prod|A234-1234-1234 high 2026-09-21T14:13:20.5Z dana.ortiz@example.com";
    assert_eq!(lines(&sample_text("cloudevents", "structured"), &STRUCTURED), [expected]);
}

#[test]
fn a_batch_holds_data_of_both_kinds_and_may_be_empty() {
    let mut batch = sample("cloudevents", "batch");
    batch[1]["data_base64"] =
        json!("eyJzdWJqZWN0Ijp7ImVtYWlsIjoibGVlLnBhcmtAZXhhbXBsZS5jb20ifSwic2V2ZXJpdHkiOiJsb3ciLCJydWxlIjoieCJ9");
    let expected = [
        "/siem/prod|B1 high 2026-09-21T14:13:20Z dana.ortiz@example.com",
        "/siem/prod|B2 low 2026-09-21T14:20:00Z lee.park@example.com",
    ];
    assert_eq!(lines(&batch.to_string(), &BATCH), expected);
    assert_eq!(explain(&siem(), "[]", &BATCH), Ok(Vec::new()));
}

#[test]
fn binary_events_are_read_in_every_spelling() {
    let body = json!({"subject": {"email": "dana.ortiz@example.com"}, "severity": "high", "rule": "x"}).to_string();
    let expected = "/siem/prod|A 1 high 2026-09-21T14:13:20Z dana.ortiz@example.com";
    for (prefix, id) in [("ce-", "A%201"), ("Ce-", "A%201"), ("cloudEvents_", "A 1"), ("cloudEvents:", "A 1")] {
        let [version, kind, source, name, time] =
            ["specversion", "type", "source", "id", "time"].map(|name| format!("{prefix}{name}"));
        let headers = [
            ("content-type", "application/json; charset=utf-8"),
            (version.as_str(), "1.0"),
            (kind.as_str(), "com.example.security.alert.v1"),
            (source.as_str(), "/siem/prod"),
            (name.as_str(), id),
            (time.as_str(), "2026-09-21T14:13:20Z"),
        ];
        assert_eq!(lines(&body, &headers), [expected], "{prefix}");
    }
    assert_eq!(lines(&sample_text("cloudevents", "binary_underscore"), &amqp()).len(), 1);
}

fn amqp() -> [(&'static str, &'static str); 5] {
    [
        ("cloudEvents_specversion", "1.0"),
        ("cloudEvents_type", "com.example.security.alert.v1"),
        ("cloudEvents_source", "/siem/prod"),
        ("cloudEvents_id", "A234-1234-1235"),
        ("cloudEvents_time", "2026-09-21T14:13:20Z"),
    ]
}

#[test]
fn the_envelope_goes_around_any_format() {
    let own = json!({
        "id": "edr-1", "kind": "session_stolen", "severity": "critical", "occurred_at": "2026-11-21T22:14:07Z",
        "subjects": [{"email": "ana@example.com"}],
    });
    let event = |data: Value| json!({"specversion": "1.0", "type": "t", "source": "/s", "id": "1", "data": data});
    for (format, data, count) in [
        ("sever", own, 1),
        ("ocsf", sample("ocsf", "create"), 1),
        ("grafana", sample("grafana", "firing_two_alerts"), 2),
    ] {
        let elements = explain(&decoder(format), &event(data).to_string(), &STRUCTURED).expect("an event");
        assert_eq!(elements.len(), count, "{format}");
        assert!(matches!(elements[0].fate, Fate::Alert(_)), "{format}: {elements:?}");
    }
}

#[test]
fn what_is_no_event_is_told_with_its_place() {
    let good = json!({"specversion": "1.0", "type": "t", "source": "/s", "id": "1", "data": {}});
    let with = |key: &str, value: Value| {
        let mut event = good.clone();
        event[key] = value;
        event.to_string()
    };
    let without = |key: &str| {
        let mut event = good.clone();
        event.as_object_mut().expect("an object").remove(key);
        event.to_string()
    };
    for (body, expected) in [
        (with("specversion", json!("0.3")), "specversion is not 1.0"),
        (with("specversion", json!(1.0)), "specversion is not 1.0"),
        (with("id", json!("")), "id is not given"),
        (without("source"), "source is not given"),
        (without("type"), "type is not given"),
        (without("data"), "data is missing"),
        (with("time", json!("yesterday")), "time is not a time"),
        (with("data_base64", json!("e30=")), "data is given twice"),
        (with("datacontenttype", json!("text/plain")), "datacontenttype is not JSON"),
        (good.to_string().replace(r#""id":"#, r#""id":"2","id":"#), "has the key \"id\" twice"),
        (without("data").replace(r#""id":"#, r#""data_base64":"?","id":"#), "data_base64 is not base64"),
        ("[]".to_owned(), "an event, which is an object"),
        ("{".to_owned(), "EOF while parsing"),
    ] {
        let error = explain(&siem(), &body, &STRUCTURED).expect_err(&body).to_string();
        assert!(error.contains(expected), "{body}: {error}");
    }
    let twice = [("ce-specversion", "1.0"), ("ce-id", "1"), ("cloudEvents_id", "2")];
    assert!(explain(&siem(), "{}", &twice).expect_err("two ids").to_string().contains("is given twice"));
    let not_text = [("ce-specversion", "1.0"), ("ce-id", "%ff")];
    assert!(explain(&siem(), "{}", &not_text).expect_err("no text").to_string().contains("not UTF-8"));
}

#[test]
fn a_bad_event_of_a_batch_is_one_bad_element() {
    let mut batch = sample("cloudevents", "batch");
    batch[0]["specversion"] = json!("2.0");
    batch[1]["data_base64"] = json!("e30=");
    batch.as_array_mut().expect("a list").push(sample("cloudevents", "structured"));
    let elements = explain(&siem(), &batch.to_string(), &BATCH).expect("a batch");
    let fates: Vec<_> = elements
        .iter()
        .map(|element| match &element.fate {
            Fate::Alert(alert) => alert.id.clone(),
            Fate::Skipped => "skipped".to_owned(),
            Fate::Bad(error) => error.problems[0].path.clone(),
        })
        .collect();
    assert_eq!(fates, ["specversion", "severity", "/siem/prod|A234-1234-1234"]);
    assert_eq!(elements.iter().map(|element| element.position).collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
}
