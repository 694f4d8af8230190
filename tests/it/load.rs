//! `sever load`: what it counts, and that it notices what goes missing.

use std::net::SocketAddr;
use std::process::{Command, Output};

use serde_json::Value;

use crate::process::{Server, sever};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", said(output)))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it ended")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_its_own_is_loaded_and_everything_arrives_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = sever();
    command.args(["load", "--duration", "1s", "--rate", "50", "--json"]).env("TMPDIR", folder.path());
    let output = run(command).await;
    assert!(output.status.success(), "{}", said(&output));
    let report = report(&output);
    // Told apart from speed: each turn of an open loop is taken, however slow the machine.
    assert_eq!(
        (&report["sent"], &report["missing"], &report["repeated"]),
        (&50.into(), &0.into(), &0.into()),
        "{report}"
    );
    assert_eq!(report["acknowledged"], report["arrived"], "{report}");
    assert!(report["until_called_ms"]["most"].as_f64() > Some(0.0), "{report}");
    assert!(report["arrived_per_second"].as_f64() > Some(0.0), "{report}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "something was left behind");
}

/// A service whose provider is the sink, or nobody.
fn serve(folder: &std::path::Path, provider: SocketAddr, rule: &str) -> Server {
    let file = folder.join("sever.yaml");
    let text = format!(
        r#"
listen: 127.0.0.1:0
store: sqlite://{dir}/sever.db
sources:
  edr:
    verify: {{scheme: standard-webhooks, secrets: [{{value: "{SECRET}"}}]}}
providers:
  okta: {{kind: okta, url: "http://{provider}", credentials: {{api_token: {{value: 00testTokenThatTheSandboxTakes0123456789}}}}}}
rules:
  - {{name: all, when: {rule}, revoke: [{{provider: okta}}]}}
guardrails: {{budgets: []}}
"#,
        dir = folder.display()
    );
    std::fs::write(&file, text).expect("written");
    Server::start(&file).expect("it starts")
}

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address")
}

fn load(folder: &std::path::Path, server: &Server, sink: SocketAddr) -> Command {
    let mut command = sever();
    command.args(["load", "--duration", "500ms", "--connections", "4", "--settle", "3s", "--json"]);
    command.args(["--url", &format!("http://{}", server.alerts), "--sink", &sink.to_string()]);
    command.arg("-c").arg(folder.join("sever.yaml"));
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_service_is_loaded_and_what_does_not_arrive_is_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = free();
    let server = serve(folder.path(), sink, "alert.severity >= high");
    let output = run(load(folder.path(), &server, sink)).await;
    assert!(output.status.success(), "{}", said(&output));
    assert!(report(&output)["acknowledged"].as_u64() > Some(0));

    // Its provider is not where the sink is, so nothing arrives.
    let elsewhere = free();
    let output = run(load(folder.path(), &server, elsewhere)).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let lost = report(&output);
    assert_eq!((&lost["missing"], &lost["arrived"]), (&lost["acknowledged"], &0.into()), "{lost}");
    assert!(said(&output).contains("did not arrive at the provider"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_that_no_rule_matches_are_no_success() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = free();
    let server = serve(folder.path(), sink, "alert.kind == \"another\"");
    let output = run(load(folder.path(), &server, sink)).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report = report(&output);
    assert_eq!((&report["acknowledged"], &report["jobless"]), (&0.into(), &report["sent"]), "{report}");
}
