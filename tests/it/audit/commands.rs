//! `sever audit`, as people run it: on the file, over the API, beside a running service.

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use sever::sandbox::okta::Person;

use crate::process::{Server, sever};
use crate::service::{OKTA_TOKEN, Setup};
use crate::testapp::by_email;

fn run(folder: &Path, args: &[&str]) -> Output {
    sever().arg("audit").args(args).current_dir(folder).env("OKTA_TOKEN", OKTA_TOKEN).output().expect("it runs")
}

#[track_caller]
fn fine(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}{}", said(output), String::from_utf8_lossy(&output.stderr));
    said(output)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn failed(output: &Output, status: i32, word: &str) {
    let told = format!("{}{}", said(output), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{told}");
    assert!(told.contains(word), "{word:?} is not in {told}");
}

/// An alert, worked on to its end.
async fn story(setup: &Setup, server: &Server, id: &str) {
    let email = format!("{id}@example.com");
    let person = Person::new(&email);
    setup.sandbox.okta().add_person(person.clone());
    setup.sandbox.okta().sign_in(&person.id);
    assert_eq!(setup.deliver(server, &by_email(id, &email)).await.0, 202);
    setup.wait_until("the session ends", |world| world.okta().sessions_of(&person.id) == 0).await;
}

fn change(folder: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(folder.join("sever.db")).expect("the store");
    connection.execute_batch(sql).expect("changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_service_is_verified_listed_and_exported() {
    let setup = Setup::new().await;
    let folder = setup.folder.path();
    let server = setup.serve(&[]);
    story(&setup, &server, "ana").await;
    // Beside a running service, before anything is sealed.
    let told = fine(&run(folder, &["verify", "-c", "sever.yaml"]));
    assert!(told.contains("The record is what was written") && told.contains("No seal vouches"), "{told}");
    let log = server.log_handle();
    let (status, _) = server.terminate();
    assert_eq!(status, Some(0));
    let beside = ["sever.db-wal", "sever.db-shm"].map(|name| folder.join(name));
    beside.iter().filter(|path| path.exists()).for_each(|path| std::fs::remove_file(path).expect("removed"));
    let told = fine(&run(folder, &["verify", "-c", "sever.yaml"]));
    assert!(told.contains("newest seal      1, of "), "{told}");
    // Whoever looks may be another user: what they left behind, the service could not open.
    assert!(beside.iter().all(|path| !path.exists()), "something was left beside the store");

    let server = setup.serve(&[]);
    let url = format!("http://{}", server.admin.expect("an operator API"));
    let remote = ["--url", url.as_str()];
    let api = |args: &[&str]| run(folder, &[args, &remote[..]].concat());
    let seal = fine(&api(&["seal"]));
    std::fs::write(folder.join("seal.json"), &seal).expect("written");
    let told = fine(&api(&["verify", "--public-key", "audit-key.pub", "--seal", "seal.json"]));
    assert!(told.contains("The record is what was written"), "{told}");
    failed(&api(&["verify"]), 2, "--public-key");
    failed(&api(&["verify", "--public-key", "seal.json"]), 2, "is not an ed25519 public key");
    failed(&api(&["verify", "--public-key", "audit-key.pub", "--seal", "sever.yaml"]), 2, "holds no seal");

    let paused =
        sever().args(["pause", "--reason", "drill"]).args(remote).current_dir(folder).output().expect("it runs");
    assert!(paused.status.success());
    let told = fine(&api(&["list", "--actor", "oncall", "--since", "1h"]));
    assert!(told.contains("paused") && !told.contains("admitted"), "{told}");
    let rows: Value = serde_json::from_str(&fine(&api(&["--event", "admitted", "--json"]))).expect("JSON");
    assert_eq!(rows["items"].as_array().map(Vec::len), Some(1));
    failed(&api(&["list", "--event", "smiled"]), 2, "there are admitted");
    failed(&api(&["list", "--since", "yesterday"]), 2, "24h");

    let events = fine(&api(&["export"]));
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let whole: Value = serde_json::from_str(&fine(&api(&["list", "--limit", "1000", "--json"]))).expect("JSON");
    assert_eq!(events.len(), whole["items"].as_array().expect("rows").len());
    assert!(events.iter().all(|event| event["class_uid"] == 3004 && event["metadata"]["version"] == "1.3.0"));
    let paused = events.iter().find(|event| event["metadata"]["event_code"] == "paused").expect("the pause");
    assert_eq!((&paused["actor"]["user"]["name"], &paused["comment"]), (&"oncall".into(), &"paused".into()));
    assert_eq!(fine(&api(&["export", "--until", "1h"])), "");
    // The log has each seal in full, and is as good as a copy.
    let log = log.lock().expect("the log").join("\n");
    assert!(log.contains("sealed the audit record"), "{log}");
    std::fs::write(folder.join("log.jsonl"), log).expect("written");
    fine(&api(&["verify", "--public-key", "audit-key.pub", "--seal", "log.jsonl"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn tampering_is_told_from_the_file_and_over_the_api() {
    let setup = Setup::new().await;
    let folder = setup.folder.path();
    let server = setup.serve(&[]);
    story(&setup, &server, "ana").await;
    server.terminate();
    let verify = |more: &[&str]| run(folder, &[&["verify", "-c", "sever.yaml"], more].concat());
    fine(&verify(&[]));
    let connection = rusqlite::Connection::open(folder.join("sever.db")).expect("the store");
    let seal: String = connection.query_row("SELECT text FROM audit_seals", [], |row| row.get(0)).expect("a seal");
    drop(connection);
    std::fs::write(folder.join("seal.json"), seal).expect("written");

    change(folder, "UPDATE audit SET actor = 'operator:ben' WHERE seq = 2");
    failed(&verify(&[]), 1, "row 2 of writer");
    let told: Value = serde_json::from_str(&said(&verify(&["--json"]))).expect("JSON");
    assert_eq!((&told["fine"], told["findings"].as_array().map(|it| it.is_empty())), (&false.into(), Some(false)));
    // Whoever may only verify has no private key.
    std::fs::rename(folder.join("secrets/audit-key"), folder.join("away")).expect("moved");
    failed(&verify(&[]), 2, "--public-key");
    failed(&verify(&["--public-key", "audit-key.pub"]), 1, "row 2 of writer");
    std::fs::rename(folder.join("away"), folder.join("secrets/audit-key")).expect("moved back");
    let server = setup.serve(&[]);
    let url = format!("http://{}", server.admin.expect("an operator API"));
    failed(&run(folder, &["verify", "--url", &url, "--public-key", "audit-key.pub"]), 1, "row 2 of writer");
    server.terminate();

    change(folder, "DELETE FROM audit WHERE seq > 1; DELETE FROM audit_seals");
    fine(&verify(&[]));
    failed(&verify(&["--seal", "seal.json"]), 1, "the end of the record was cut off");
}

fn edit(folder: &Path, from: &str, to: &str) {
    let file = folder.join("sever.yaml");
    let text = std::fs::read_to_string(&file).expect("the config");
    assert!(text.contains(from), "{from} is not in {text}");
    std::fs::write(file, text.replace(from, to)).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_and_earlier_seals_stay_valid() {
    let setup = Setup::new().await;
    let folder = setup.folder.path();
    let server = setup.serve(&[]);
    story(&setup, &server, "ana").await;
    server.terminate();
    std::fs::rename(folder.join("secrets/audit-key"), folder.join("old-key")).expect("moved");
    let key = sever::audit::SigningKey::generate().expect("a key");
    std::fs::write(folder.join("secrets/audit-key"), key).expect("written");
    let server = setup.serve(&[]);
    story(&setup, &server, "ben").await;
    server.terminate();
    let verify = || run(folder, &["verify", "-c", "sever.yaml"]);
    failed(&verify(), 1, "seal 1 is signed by the key ed25519:");
    let old = folder.join("audit-key.pub").display().to_string();
    edit(folder, "audit: {signing_key", &format!("audit: {{verify_keys: [{{file: \"{old}\"}}], signing_key"));
    assert!(fine(&verify()).contains("The record is what was written"));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_keep_the_record_are_told() {
    let setup = Setup::new().await;
    let folder = setup.folder.path();
    let check = || {
        let args = ["check", "-c", "sever.yaml"];
        sever().args(args).current_dir(folder).env("OKTA_TOKEN", OKTA_TOKEN).output().expect("it runs")
    };
    edit(folder, "jobs: 90d", "jobs: 500d");
    failed(&check(), 2, "retention.audit");
    edit(folder, "jobs: 500d", "jobs: 90d");
    let key = setup.secret("audit-key");
    std::fs::write(folder.join("secrets/audit-key"), key.replace("PRIVATE", "RSA PRIVATE")).expect("written");
    let refused = check();
    failed(&refused, 2, "audit.signing_key");
    assert!(!String::from_utf8_lossy(&refused.stderr).contains(key.lines().nth(1).expect("PEM")));
    let text = std::fs::read_to_string(folder.join("sever.yaml")).expect("the config");
    let without: Vec<_> = text.lines().filter(|line| !line.starts_with("audit:")).collect();
    std::fs::write(folder.join("sever.yaml"), without.join("\n")).expect("written");
    failed(&check(), 0, "there is no `signing_key`");
}
