//! What is told, to whom, and how much of it.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sever::domain::JobState;

use super::{Receiver, SECRET, config, target, telling};
use crate::service::python;
use crate::testapp::{TOKEN, TestApp, by_email, stolen};

/// Verifies a message with the official package, at the time that it names.
const VERIFY: &str = r#"
import json, sys, time
from standardwebhooks.webhooks import Webhook
secret, body, headers = sys.argv[1:]
headers = json.loads(headers)
time.time = lambda: float(headers["webhook-timestamp"])
import datetime, standardwebhooks.webhooks as module
class At(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(float(headers["webhook-timestamp"]), tz)
for name in ("datetime",):
    if hasattr(module, name) and isinstance(getattr(module, name), type):
        setattr(module, name, At)
print(json.dumps(Webhook(secret).verify(body, headers)))
"#;

#[tokio::test]
async fn an_alert_is_told_once_each_of_its_jobs_has_ended() {
    let receiver = Receiver::start(&[]);
    let app = telling(&receiver, "").await;
    app.person("ana@example.com", 2);
    app.person("ben@example.com", 1);
    let people = json!([{"email": "ana@example.com"}, {"email": "ben@example.com"}]);
    app.deliver(stolen("edr-1", people)).await.assert_accepted();
    app.tell().await;
    assert_eq!(receiver.received().len(), 0, "nothing has ended");
    app.drain().await;
    app.tell().await;
    let messages = receiver.of_kind("alert.done");
    assert_eq!(messages.len(), 1, "{:?}", receiver.received());
    let told = messages[0].json();
    assert_eq!(told["data"]["alert"]["external_id"], "edr-1");
    assert_eq!((&told["data"]["count"], &told["data"]["totals"]), (&json!(2), &json!({"confirmed": 2})));
    // The words are those of the operator API.
    for job in told["data"]["jobs"].as_array().expect("jobs") {
        let id = job["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        let view = app.app.store.job(id).await.expect("an answer").expect("the job").job;
        assert_eq!(*job, json!(view));
    }

    let message = &messages[0];
    let header = |name: &str| message.headers[name].to_str().expect("text");
    let headers = json!({"webhook-id": header("webhook-id"), "webhook-timestamp": header("webhook-timestamp"),
        "webhook-signature": header("webhook-signature")});
    let verify = |body: &str| {
        Command::new(python()).args(["-c", VERIFY, SECRET, body, &headers.to_string()]).output().expect("it runs")
    };
    let verified = verify(&message.body);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&verified.stdout).expect("JSON"), told);
    assert!(!verify(&message.body.replace("edr-1", "edr-2")).status.success(), "an altered message was believed");
}

#[tokio::test]
async fn a_job_that_ends_again_is_told_again_under_another_id() {
    let receiver = Receiver::start(&[]);
    let app = telling(&receiver, "").await;
    app.person("ana@example.com", 1);
    let job = app.deliver(by_email("edr-1", "ana@example.com")).await.job();
    app.drain().await;
    app.tell().await;
    let operator = sever::audit::Actor::operator("oncall");
    app.app.store.requeue(job, operator, "once more".to_owned()).await.expect("requeued");
    app.drain().await;
    app.tell().await;
    let messages = receiver.of_kind("alert.done");
    assert_eq!(messages.len(), 2);
    assert_ne!(messages[0].id(), messages[1].id());
}

#[tokio::test]
async fn a_storm_of_held_jobs_is_one_message_and_the_next_waits_a_minute() {
    let receiver = Receiver::start(&[]);
    let config = config(&target("soc", &receiver, ""))
        .replace("revoke: [{provider: okta}]", "revoke: [{provider: okta}]\n    approval: true");
    let app = TestApp::with(&config).await;
    app.app.begin_telling().await.expect("begun");
    for alert in 0..10 {
        let people: Vec<_> = (0..100).map(|one| json!({"email": format!("p{alert}-{one}@example.com")})).collect();
        app.deliver(stolen(&format!("edr-{alert}"), json!(people))).await.assert_accepted();
    }
    assert_eq!(app.jobs(Some(JobState::Held)).await.len(), 1000);
    app.tell().await;
    assert_eq!(receiver.received().len(), 0, "it is still gathered");
    app.clock.advance(Duration::from_secs(3));
    app.tell().await;
    app.tell().await;
    let messages = receiver.received();
    assert_eq!(messages.len(), 1);
    let data = &messages[0].json()["data"];
    assert_eq!((&data["count"], &data["reasons"]), (&json!(1000), &json!({"approval": 1000})));
    assert_eq!(data["jobs"].as_array().map(Vec::len), Some(20));

    for alert in 0..5 {
        app.deliver(by_email(&format!("late-{alert}"), &format!("late-{alert}@example.com"))).await.assert_accepted();
        app.clock.advance(Duration::from_secs(10));
        app.tell().await;
    }
    assert_eq!(receiver.received().len(), 1, "a second message within the minute");
    app.clock.advance(Duration::from_secs(15));
    app.tell().await;
    let messages = receiver.received();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1].json()["data"]["count"], 5);
}

#[tokio::test]
async fn a_dead_job_and_a_provider_that_is_held_are_told() {
    let receiver = Receiver::start(&[]);
    let app = telling(&receiver, "").await;
    app.deliver(by_email("edr-1", "breakglass-1@example.com")).await.assert_accepted();
    app.clock.advance(Duration::from_secs(3));
    app.tell().await;
    let dead = receiver.of_kind("jobs.dead");
    assert_eq!(dead[0].json()["data"]["reasons"], json!({"protected": 1}));
    let done = receiver.of_kind("alert.done");
    assert_eq!(done[0].json()["data"]["totals"], json!({"dead": 1}), "its only job has ended");

    app.okta().revoke_ssws(TOKEN);
    app.person("ana@example.com", 1);
    app.deliver(by_email("edr-2", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    app.tell().await;
    let held = receiver.of_kind("provider.held");
    assert_eq!(
        (&held[0].json()["data"]["provider"], &held[0].json()["data"]["reason"]),
        (&json!("okta"), &json!("credential"))
    );
    let operator = || sever::audit::Actor::operator("oncall");
    app.app.store.pause(None, operator(), "drill".to_owned()).await.expect("paused");
    app.app.store.resume(None, operator()).await.expect("resumed");
    app.tell().await;
    assert_eq!(receiver.of_kind("provider.held")[1].json()["data"]["provider"], Value::Null);
    assert_eq!(receiver.of_kind("provider.released").len(), 1);
}

#[tokio::test]
async fn those_are_told_whom_the_source_and_the_rule_name() {
    let [all, of_source, of_rule] = [(); 3].map(|()| Receiver::start(&[]));
    let targets =
        [target("all", &all, ""), target("src", &of_source, ""), target("rule", &of_rule, ", events: [jobs.dead]")];
    let plain = config(&targets.concat());
    let named = plain
        .replace("  edr:\n", "  edr:\n    notify: [src]\n")
        .replace("revoke: [{provider: okta}]", "revoke: [{provider: okta}]\n    notify: [rule]");
    let run = async |config: &str, login: &str| {
        let app = TestApp::with(config).await;
        app.app.begin_telling().await.expect("begun");
        app.person(login, 1);
        app.deliver(by_email("edr-1", login)).await.assert_accepted();
        app.drain().await;
        app.tell().await;
    };
    run(&plain, "ana@example.com").await;
    assert_eq!((all.received().len(), of_source.received().len(), of_rule.received().len()), (1, 1, 0));
    run(&named, "ben@example.com").await;
    assert_eq!((all.received().len(), of_source.received().len()), (1, 2), "only those who are named");
    assert_eq!(of_rule.received().len(), 0, "it takes dead jobs alone");
    run(&named.replace("notify: [src]", "notify: []"), "breakglass-1@example.com").await;
    assert_eq!((all.received().len(), of_source.received().len()), (1, 2), "nobody but whom the rule names");
}

#[tokio::test]
async fn a_seal_is_told() {
    let receiver = Receiver::start(&[]);
    let text = config(&target("soc", &receiver, ""))
        .replace("sources:\n", "audit: {signing_key: {file: \"{dir}/key\"}}\nsources:\n");
    let key = sever::audit::SigningKey::generate().expect("a key");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &key).expect("written");
    let text = text.replace("{dir}/key", file.path().to_str().expect("a path"));
    let app = TestApp::with(&text).await;
    app.app.begin_telling().await.expect("begun");
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    let seal = app.app.sealer.as_ref().expect("a sealer").seal().await.expect("sealed").expect("a seal");
    app.tell().await;
    let told = receiver.of_kind("audit.sealed");
    assert_eq!(told[0].json()["data"], json!(seal));
}
