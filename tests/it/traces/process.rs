//! The real binary: its last spans leave before it does, and its log stays as it was.

use std::collections::BTreeMap;

use serde_json::Value;
use sever::sandbox::okta::Person;

use crate::service::Setup;
use crate::support::collector::Collector;
use crate::testapp::by_email;

/// The log of one alert: the keys of each kind of line, and its text.
async fn log_of(telemetry: &str) -> (BTreeMap<String, Vec<String>>, String) {
    let setup = Setup::new().await;
    let file = setup.config();
    let text = std::fs::read_to_string(&file).expect("the config");
    std::fs::write(&file, format!("{telemetry}{text}")).expect("written");
    let ana = Person::new("ana@example.com");
    setup.sandbox.okta().add_person(ana.clone());
    setup.sandbox.okta().sign_in(&ana.id);
    let server = setup.serve(&[]);
    assert_eq!(setup.deliver(&server, &by_email("edr-1", "ana@example.com")).await.0, 202);
    setup.wait_until("her session ends", |world| world.okta().sessions_of(&ana.id) == 0).await;
    let log = server.log_handle();
    let (status, _) = tokio::task::spawn_blocking(|| server.terminate()).await.expect("ended");
    assert_eq!(status, Some(0));
    let lines = log.lock().expect("the log").clone();
    let keys = lines.iter().map(|line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let keys = line.as_object().expect("an object").keys().cloned().collect();
        (line["message"].as_str().unwrap_or_default().to_owned(), keys)
    });
    (keys.collect(), lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_leave_before_the_process_does_and_the_log_stays_as_it_was() {
    let collector = Collector::start().await;
    let (traced, text) = log_of(&collector.config("")).await;
    let (plain, _) = log_of("").await;
    for message in ["listening", "attempt ended", "stopped"] {
        assert!(traced.contains_key(message), "{text}");
        assert_eq!(traced.get(message), plain.get(message), "{text}");
    }
    for word in ["span", "otlp", "collector"] {
        assert!(!text.contains(word), "{text}");
    }
    let attempt = collector.only("attempt okta");
    assert_eq!(attempt.parent, collector.only("POST /v1/alerts/{source}").id);
    assert!(!attempt.took.is_zero());
    for part in ["resolve", "look", "revoke"] {
        assert_eq!(collector.only(part).parent, attempt.id);
    }
}
