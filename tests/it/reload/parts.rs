//! What is taken on, part by part, and what is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use sever::domain::{HoldReason, JobState};

use crate::testapp::{CONFIG, SECRET, TOKEN, TestApp, by_email};

const OTHER_SECRET: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVzLi4u";

#[tokio::test]
async fn a_changed_rule_holds_for_the_next_alert_and_is_recorded() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 1);
    let changed = app.reload(&CONFIG.replace("alert.severity >= high &&", "false &&")).await.expect("taken on");
    assert_eq!(changed, ["rules"]);
    let answer = app.deliver(by_email("edr-1", "ana@example.com")).await;
    assert_eq!(answer.body["status"], "ignored", "{}", answer.body);
    app.reload(CONFIG).await.expect("taken on");
    app.deliver(by_email("edr-2", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);
    let rows = app.reloads().await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].detail["changed"], json!(["rules"]));
    let digest = <sha2::Sha256 as sha2::Digest>::digest(app.filled(CONFIG));
    assert_eq!(rows[1].detail["sha256"], hex::encode(digest), "the digest of the file as sha256sum gives it");
    assert_eq!(rows[1].actor, "sever");
}

#[tokio::test]
async fn a_protected_account_is_protected_from_the_moment_that_the_config_says_so() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 1);
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    // The job is planned, and waits.
    let protected = CONFIG.replace("protected: [", "protected: [{email: ana@example.com}, ");
    app.reload(&protected).await.expect("taken on");
    app.drain().await;
    app.assert_untouched(&ana, 1);
}

#[tokio::test]
async fn a_source_that_is_gone_is_unknown_and_a_new_one_is_there() {
    let app = TestApp::start().await;
    let changed = app.reload(&CONFIG.replace("  edr:", "  siem:")).await.expect("taken on");
    assert_eq!(changed, ["sources.edr", "sources.siem"]);
    let gone = app.deliver(by_email("edr-1", "ana@example.com")).await;
    assert_eq!(gone.status, 404, "{}", gone.body);
    let unsigned = app.post("siem", Vec::new(), b"{}".to_vec()).await;
    assert_eq!(unsigned.status, 401, "{}", unsigned.body);
    app.reload(CONFIG).await.expect("taken on");
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
}

#[tokio::test]
async fn a_changed_secret_of_a_source_is_the_one_that_counts() {
    let app = TestApp::start().await;
    app.reload(&CONFIG.replace(SECRET, OTHER_SECRET)).await.expect("taken on");
    assert_eq!(app.deliver(by_email("edr-1", "ana@example.com")).await.status, 401);
    app.reload(CONFIG).await.expect("taken on");
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
}

#[tokio::test]
async fn a_limit_that_is_used_up_stays_so() {
    let limited = CONFIG.replace("providers:", "    limit: 1/1h\nproviders:");
    let app = TestApp::with(&limited).await;
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    assert_eq!(app.deliver(by_email("edr-2", "ana@example.com")).await.status, 429);
    app.reload(&limited.replace("alert.severity >= high", "alert.severity >= medium")).await.expect("taken on");
    assert_eq!(app.deliver(by_email("edr-3", "ana@example.com")).await.status, 429, "reloading gives no room");
    app.reload(&limited.replace("limit: 1/1h", "limit: 2/1h")).await.expect("taken on");
    app.deliver(by_email("edr-4", "ana@example.com")).await.assert_accepted();
}

#[tokio::test]
async fn jobs_of_a_provider_that_is_gone_wait_until_it_is_back() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 1);
    let job = app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted().job();
    let okta = "  okta:\n    kind: okta\n    url: {okta}\n    credentials: {api_token: {value: 00testTokenThatTheSandboxTakes0123456789}}\n    timeout: 2s\n";
    assert!(CONFIG.contains(okta), "the provider stands so in the config");
    let without = CONFIG.replace(okta, &okta.replace("  okta:\n", "  okta2:\n"));
    let without = without.replace("{provider: okta", "{provider: okta2");
    app.reload(&without).await.expect("taken on");
    app.drain().await;
    let view = app.job(job).await.job;
    assert_eq!((view.state, view.hold_reason), (JobState::Held, Some(HoldReason::Misconfigured)));
    app.assert_untouched(&ana, 1);
    assert!(app.readiness().await["degraded"].to_string().contains("okta: misconfigured"));

    app.reload(CONFIG).await.expect("taken on");
    app.app.worker.probe_gates().await;
    app.clock.advance(Duration::from_secs(10));
    app.app.worker.probe_gates().await;
    app.drain().await;
    app.wait_and_drain(Duration::from_secs(5)).await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);
    app.assert_nothing_open().await;
}

#[tokio::test]
async fn a_new_credential_opens_the_gate_that_the_old_one_closed() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 1);
    let admin = app.person("admin2@example.com", 0);
    app.okta().revoke_ssws(TOKEN);
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    assert_eq!(app.gates().await, ["credential"]);
    let next = "00nextTokenThatTheSandboxTakes0123456789x";
    app.okta().accept_ssws(next, &admin.id);
    let changed = app.reload(&CONFIG.replace(TOKEN, next)).await.expect("taken on");
    assert_eq!(changed, ["providers.okta"]);
    app.app.worker.probe_gates().await;
    app.clock.advance(Duration::from_secs(10));
    app.app.worker.probe_gates().await;
    app.wait_and_drain(Duration::from_secs(5)).await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);
}

#[tokio::test]
async fn an_attempt_ends_with_the_provider_that_it_began_with() {
    use sever::sandbox::faults::{Fault, Injection};
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 1);
    app.okta().faults().inject(Injection::once(Fault::Latency { duration_ms: 1000 }));
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    let running = app.app.worker.step().await;
    assert_eq!(running.len(), 1);
    // Where the next attempts would go, nobody is.
    app.reload(&CONFIG.replace("{okta}", "http://127.0.0.1:9")).await.expect("taken on");
    for attempt in running {
        attempt.await.expect("an attempt panicked");
    }
    assert_eq!(app.okta().sessions_of(&ana.id), 0);
    app.assert_nothing_open().await;
}

#[tokio::test]
async fn what_a_running_process_cannot_change_is_refused_as_a_whole_by_name() {
    let app = TestApp::start().await;
    let rules = CONFIG.replace("alert.severity >= high &&", "false &&");
    for (config, names) in [
        (rules.replace("listen: 127.0.0.1:0", "listen: 127.0.0.1:1"), vec!["listen.address"]),
        (
            rules.replace("listen: 127.0.0.1:0", "listen: {address: 127.0.0.1:0, max_connections: 7}"),
            vec!["listen.max_connections"],
        ),
        (rules.replace("sever.db", "other.db"), vec!["store"]),
        (
            format!("admin: {{tokens: [{{name: a, role: viewer, secret: {{value: 0123456789abcdef}}}}]}}\n{rules}"),
            vec!["admin"],
        ),
        (
            rules.replace("listen: 127.0.0.1:0", "listen: 127.0.0.1:1").replace("sever.db", "other.db"),
            vec!["listen.address", "store"],
        ),
    ] {
        let error = app.reload(&config).await.expect_err("refused");
        assert_eq!(error, format!("restart sever to change {}", names.join(", ")));
        let degraded = app.readiness().await["degraded"].clone();
        assert_eq!(degraded, json!([format!("config: the changed file is not in use; {error}")]));
        assert!(!app.reload_ok());
        app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted_or_known();
    }
    // The same setting in another spelling is no change.
    let spelled = CONFIG.replace("listen: 127.0.0.1:0", "listen: {address: 127.0.0.1:0}");
    assert_eq!(app.reload(&spelled).await, Ok(Vec::new()));
    assert!(app.reload_ok());
    assert!(app.reloads().await.is_empty(), "nothing was taken on");
}

impl crate::testapp::Answer {
    #[track_caller]
    fn assert_accepted_or_known(self) {
        assert!(matches!(self.body["status"].as_str(), Some("accepted" | "duplicate")), "{}", self.body);
    }
}

#[tokio::test]
async fn retention_is_taken_on() {
    let app = TestApp::start().await;
    let changed = app.reload(&format!("retention: {{jobs: 1d}}\n{CONFIG}")).await.expect("taken on");
    assert_eq!(changed, ["retention"]);
}

#[tokio::test]
async fn a_store_that_does_not_record_keeps_the_old_config_and_is_tried_again() {
    let app = TestApp::start().await;
    let lock = rusqlite::Connection::open(app.folder.path().join("sever.db")).expect("the file");
    lock.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let error = app.reload(&CONFIG.replace("alert.severity >= high &&", "false &&")).await.expect_err("not recorded");
    assert!(error.contains("could not be recorded"), "{error}");
    lock.execute_batch("ROLLBACK").expect("unlocked");
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    assert!(app.app.reloader.is_changed(), "it is tried again");
    app.app.reloader.reload().await.expect("taken on");
    assert_eq!(app.deliver(by_email("edr-2", "ana@example.com")).await.body["status"], "ignored");
    assert_eq!(app.reloads().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reloading_under_load_loses_and_refuses_nothing_and_mixes_no_two_configs() {
    // In one config the mapping calls the kind by one name and the rule asks for it, in the other by another.
    let mapped = |kind: &str| {
        let alert = format!(
            "    alert: {{id: payload.id, kind: '\"{kind}\"', severity: '\"high\"', occurred_at: time(payload.at), subjects: '[{{\"email\": payload.user}}]'}}\nproviders:"
        );
        CONFIG.replace("providers:", &alert).replace("session_stolen", kind)
    };
    let (one, other) = (mapped("first_name"), mapped("second_name"));
    let app = Arc::new(TestApp::with(&one).await);
    let over = Arc::new(AtomicBool::new(false));
    let senders = (0..4).map(|sender| {
        let (app, over) = (Arc::clone(&app), Arc::clone(&over));
        #[expect(clippy::disallowed_methods, reason = "a sender, whose end the test waits for")]
        tokio::spawn(async move {
            let mut sent = 0;
            while !over.load(Ordering::Relaxed) || sent < 20 {
                let id = format!("edr-{sender}-{sent}");
                let user = format!("p{sender}.{sent}@example.com");
                app.deliver(json!({"id": id, "user": user, "at": "2026-11-21T21:59:30Z"}))
                    .await
                    .assert_accepted()
                    .job();
                sent += 1;
            }
            sent
        })
    });
    let senders: Vec<_> = senders.collect();
    for turn in 0..20 {
        app.reload(if turn % 2 == 0 { &other } else { &one }).await.expect("taken on");
    }
    over.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for sender in senders {
        sent += sender.await.expect("every alert was accepted");
    }
    let backlog = app.app.store.backlog().await.expect("a backlog");
    let stored: u64 = backlog.jobs.iter().map(|(.., count)| count).sum();
    assert_eq!(stored, sent, "every acknowledged alert is stored");
    assert_eq!(app.reloads().await.len(), 20);
    let _ = app.app.store.status().await.expect("a status");
}
