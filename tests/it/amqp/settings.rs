//! What the config says about queues: every problem at once, none with a secret in it.

use std::sync::Arc;

use sever::clock::{Clock, SystemClock};
use sever::config::Loaded;

use super::scene::config;
use crate::testapp::SECRET;

/// What is wrong, and what should be better; `Err` where it cannot be used.
fn told(text: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().display().to_string();
    std::fs::write(folder.path().join("ca.pem"), "no certificate").expect("written");
    let file = folder.path().join("sever.yaml");
    std::fs::write(&file, text.replace("{okta}", "http://127.0.0.1:1").replace("{dir}", &dir)).expect("written");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    match Loaded::from_file(&file, &clock) {
        Ok(loaded) => Ok(loaded.warnings.to_string()),
        Err(problems) => Err(problems.to_string()),
    }
}

fn with(queues: &str) -> String {
    config("amqp://127.0.0.1", "alerts", "").replace("providers:\n", &format!("{queues}providers:\n"))
}

#[test]
fn every_problem_is_told_at_once() {
    let verify = format!("verify: {{scheme: standard-webhooks, secrets: [{{value: \"{SECRET}\"}}]}}");
    let text = with(&format!(
        "  a:\n    issuer: soc\n    amqp: {{urls: [], queue: \"\", prefetch: 0, max_body: 0B, management: broker}}\n    {verify}
  b:\n    issuer: soc\n    webhook: {{}}\n    amqp: {{urls: [\"amqp://me:s3cr3t@h/\", {{env: SEVER_TEST_NO_SUCH}}], queue: q, max_body: 65MiB}}\n    {verify}
  c:\n    issuer: soc\n    amqp: {{urls: [\"amqps://h\"], queue: q, tls: {{ca: \"{{dir}}/ca.pem\"}}}}\n    {verify}
  d:\n    issuer: soc\n    amqp: {{urls: [\"amqps://h\"], queue: r, tls: {{cert: x.pem}}}}\n    {verify}
  e:\n    issuer: soc\n    amqp: {{urls: [\"amqp://127.0.0.1:5672/%2f\"], queue: alerts}}\n    {verify}\n"
    ));
    let told = told(&text).expect_err("it was taken");
    for problem in [
        "sources.a.amqp.urls: holds no broker",
        "sources.a.amqp.queue: a queue's name has",
        "sources.a.amqp.prefetch: must be from 1 to 4096",
        "sources.a.amqp.max_body: nothing could be taken",
        "sources.a.amqp.management: write https://broker:15671",
        "sources.b.amqp: a source has `webhook` or `amqp`",
        "sources.b.amqp.urls[0]: the slash at its end",
        "sources.b.amqp.urls[1]: the environment variable SEVER_TEST_NO_SUCH is not set",
        "sources.b.amqp.max_body: use at most 64",
        "ca.pem holds no certificate",
        "sources.d.amqp.tls: a certificate needs its key",
        "amqp.queue: is also the queue of",
    ] {
        assert!(told.contains(problem), "{problem}\nis not among\n{told}");
    }
    assert!(!told.contains("s3cr3t"), "{told}");
}

#[test]
fn what_works_and_should_be_better_is_told_too() {
    let verify = format!("verify: {{scheme: standard-webhooks, secrets: [{{value: \"{SECRET}\"}}]}}");
    let text = with(&format!(
        "  a:\n    issuer: soc\n    limit: 5/1s\n    on_undecodable: 202\n    amqp: {{urls: [\"amqp://me:s3cr3t@h\"], queue: q, \
         prefetch: 2000}}\n    {verify}\n"
    ));
    let told = told(&text).expect("it is taken");
    for warning in [
        "sources.a.amqp.urls[0]: amqp:// sends the password",
        "sources.a.amqp.urls[0]: the password stands in the file",
        "sources.a.amqp.prefetch: together with `max_body`",
        "sources.a.limit: has no effect on a queue",
        "sources.a.on_undecodable: has no effect on a queue",
        "sources.a.verify: no `tolerance` is set",
    ] {
        assert!(told.contains(warning), "{warning}\nis not among\n{told}");
    }
    assert!(!told.contains("s3cr3t") && !told.contains("sources.queue.amqp"), "{told}");
}

#[test]
fn unknown_keys_are_told_with_their_nearest() {
    let told = told(&config("amqp://127.0.0.1", "alerts", ", prefech: 5")).expect_err("it was taken");
    assert!(told.contains("sources.queue.amqp.prefech: unknown key; did you mean `prefetch`?"), "{told}");
    let told = self::told(&config("amqp://127.0.0.1", "alerts", "").replace("[\"amqp:", "[{evn: X}, \"amqp:"))
        .expect_err("it was taken");
    assert!(told.contains("did you mean `env`?"), "{told}");
}
