//! The file itself: wrong, half written, gone, replaced, and the secrets that it refers to.

use serde_json::json;

use super::with_admin;
use crate::testapp::{CONFIG, SECRET, TestApp, by_email};

const OLD: &str = "token-of-yesterday-0123456789";
const NEW: &str = "token-of-tomorrow-0123456789x";

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_is_told_until_it_is_mended() {
    let app = TestApp::start().await;
    let canary = "canaryThatNobodyMaySee0123456789";
    for (what, config) in [
        ("no YAML", "rules: [".to_owned()),
        ("an unknown key", CONFIG.replace("timeout: 2s", "timeuot: 2s")),
        ("a wrong rule", CONFIG.replace("alert.kind", "alert.knid")),
        ("a missing secret file", CONFIG.replace(&format!("value: \"{SECRET}\""), "file: '{dir}/missing'")),
        ("a secret that is none", CONFIG.replace(SECRET, &format!("whsec_{canary}!"))),
        ("nothing", String::new()),
        ("no text", "\0\u{1}".to_owned()),
        ("a provider that a rule names is gone", CONFIG.replace("  okta:\n", "  okto:\n")),
    ] {
        let error = app.reload(&config).await.expect_err(what);
        assert!(!error.contains(canary) && !error.contains(SECRET), "{what}: {error}");
        assert!(!app.reload_ok(), "{what}");
        let ready = app.readiness().await;
        assert_eq!(ready["status"], "ready", "{what}: {ready}");
        let degraded = ready["degraded"][0].as_str().expect("it is told").to_owned();
        assert!(degraded.starts_with("config: the changed file is not in use, "), "{what}: {degraded}");
        let answer = app.deliver(by_email(what, "ana@example.com")).await;
        assert_eq!(answer.status, 202, "{what}: {}", answer.body);
    }
    assert_eq!(app.reload(CONFIG).await, Ok(Vec::new()), "the file is again as it was");
    assert!(app.reload_ok());
    assert_eq!(app.readiness().await["degraded"], json!([]));
    assert!(app.reloads().await.is_empty());
}

#[tokio::test]
async fn a_file_that_is_being_written_is_left_alone_until_it_rests() {
    let app = TestApp::start().await;
    let whole = app.filled(&CONFIG.replace("alert.severity >= high &&", "false &&"));
    // Cut where it is a config still: all but its guardrails.
    let half = &whole[..whole.find("guardrails:").expect("guardrails")];
    let reloader = &app.app.reloader;
    assert!(!reloader.is_changed());
    std::fs::write(app.file(), half).expect("written");
    assert!(!reloader.is_changed(), "seen for the first time");
    std::fs::write(app.file(), &whole).expect("written");
    assert!(!reloader.is_changed(), "another content, again for the first time");
    assert!(reloader.is_changed(), "it rests");
    assert_eq!(reloader.reload().await.expect("taken on"), ["rules"]);
    assert!(!reloader.is_changed());
    // A file that is wrong is tried once.
    std::fs::write(app.file(), "rules: [").expect("written");
    assert!(!reloader.is_changed());
    assert!(reloader.is_changed());
    reloader.reload().await.expect_err("wrong");
    assert!(!reloader.is_changed() && !reloader.is_changed());
    std::fs::remove_file(app.file()).expect("removed");
    assert!(!reloader.is_changed());
    assert!(reloader.is_changed());
    reloader.reload().await.expect_err("gone");
    assert!(!reloader.is_changed());
}

#[tokio::test]
async fn a_secret_file_that_was_missing_is_noticed_when_it_comes() {
    let app = TestApp::start().await;
    let from_file = CONFIG.replace(&format!("value: \"{SECRET}\""), "file: '{dir}/edr'");
    app.reload(&from_file).await.expect_err("missing");
    assert!(!app.app.reloader.is_changed());
    std::fs::write(app.folder.path().join("edr"), SECRET).expect("written");
    assert!(app.app.reloader.is_changed());
    assert_eq!(app.app.reloader.reload().await.expect("taken on"), ["sources.edr"]);
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
}

#[tokio::test]
async fn a_token_rotates_without_a_pause() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, OLD).expect("written");
    let config = with_admin().replace("{dir}/token", &file.display().to_string());
    let app = TestApp::with(&config).await;
    app.app.start().await.expect("it starts");
    let status = async |token: &str| ask(&app, token).await;
    assert_eq!((status(OLD).await, status(NEW).await), (200, 401));
    std::fs::write(&file, NEW).expect("written");
    app.until("the new token holds", async || {
        // At no time is nobody let in.
        let (old, new) = (status(OLD).await, status(NEW).await);
        assert!(old == 200 || new == 200, "{old} {new}");
        new == 200
    })
    .await;
    assert_eq!(status(OLD).await, 401);
    assert_eq!(app.reloads().await[0].detail["changed"], json!(["admin.tokens"]));
    // Half a token lets nobody else in, and the one before stays.
    std::fs::write(&file, "short").expect("written");
    app.until("it is told", async || !app.reload_ok()).await;
    assert_eq!((status("short").await, status(NEW).await), (401, 200));
}

async fn ask(app: &TestApp, token: &str) -> u16 {
    app.ask(token, "/v1/status").await.0
}

#[tokio::test]
async fn a_folder_that_is_swapped_as_kubernetes_does_it_is_noticed() {
    let app = TestApp::start().await;
    let folder = app.folder.path();
    for (name, config) in [("..1", CONFIG.to_owned()), ("..2", CONFIG.replace("alert.severity >= high &&", "false &&"))]
    {
        std::fs::create_dir(folder.join(name)).expect("a folder");
        std::fs::write(folder.join(name).join("sever.yaml"), app.filled(&config)).expect("written");
    }
    std::fs::remove_file(app.file()).expect("removed");
    let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, folder.join(from)).expect("a link");
    link("..1", "..data");
    link("..data/sever.yaml", "sever.yaml");
    app.app.start().await.expect("it starts");
    link("..2", "..data_tmp");
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("swapped");
    app.until("the new config is in use", async || !app.reloads().await.is_empty()).await;
    assert_eq!(app.deliver(by_email("edr-1", "ana@example.com")).await.body["status"], "ignored");
}

#[tokio::test]
async fn what_operators_see_follows() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), OLD).expect("written");
    let config = with_admin().replace("{dir}/token", &folder.path().join("token").display().to_string());
    let app = TestApp::with(&config).await;
    app.app.start().await.expect("it starts");
    app.reload(&config.replace("  edr:", "  siem:").replace("timeout: 2s", "dry_run: true")).await.expect("taken on");
    assert_eq!(app.ask(OLD, "/v1/sources/edr/refusals").await.0, 404);
    assert_eq!(app.ask(OLD, "/v1/sources/siem/refusals").await.0, 200);
    assert_eq!(app.ask(OLD, "/v1/providers").await.1["items"][0]["dry_run"], true);
}
