//! `sever demo` and `sever sandbox`, as a user runs them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Many times what a run takes, for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `sever` whose output is read line by line. It does not outlive its test.
struct Sever {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Sever {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sever {
    fn start(args: &[&str], temporary: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sever"))
            .args(args)
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sever starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    fn line(&self) -> Option<String> {
        self.lines.recv_timeout(PATIENCE).ok()
    }

    /// The lines up to the first that holds `text`.
    fn until(&self, text: &str) -> Vec<String> {
        let mut read = Vec::new();
        while let Some(line) = self.line() {
            let found = line.contains(text);
            read.push(line);
            if found {
                return read;
            }
        }
        panic!("no line holds {text:?}: {read:#?}");
    }

    fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    async fn status(&mut self) -> ExitStatus {
        for _ in 0..PATIENCE.as_millis() / 20 {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("sever did not end");
    }
}

fn folders_in(path: &Path) -> usize {
    std::fs::read_dir(path).expect("a folder").count()
}

#[tokio::test]
async fn the_demo_shows_every_scene_and_ends_with_nothing_left_behind() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut sever = Sever::start(&["demo", "--exit"], temporary.path());
    let story = sever.until("scenes were as they should be").join("\n");
    for line in [
        "its own record: zoe@example.com: 0 sessions left",
        "verified x4; confirmed; 0 left, 8 calls",
        "ana@example.com: 3 sessions alive",
        "job done: confirmed",
        "its own record: ana@example.com: 0 sessions left, 0 tokens left, 1 revoke call",
        "its own record: bruno@example.com: 0 sessions left",
        "its own record: carla@example.com: 0 sessions left",
        "attempt 1: throttled 429 E0000047",
        "job done: confirmed, repeated: 1",
        "job dead: protected",
        "breakglass-1@example.com: 2 sessions left, 2 tokens left, 0 revoke calls",
        "401 not-authenticated",
        "200 duplicate",
        "its own record: gil@example.com: 0 sessions left, 0 tokens left, 1 revoke call",
        "job done: unknown_account",
        "rule \"stolen session\": alert.severity >= high is false",
        "422 quarantined",
        "11 of 11 scenes were as they should be",
    ] {
        assert!(story.contains(line), "no {line:?} in\n{story}");
    }
    assert!(!story.contains("WRONG"), "{story}");
    assert!(sever.status().await.success());
    assert_eq!(folders_in(temporary.path()), 0);
}

#[tokio::test]
async fn a_provider_that_lies_is_found_out() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut sever = Sever::start(&["demo", "--exit"], temporary.path());
    let opening = sever.until("their control");
    let control = opening.last().and_then(|line| line.split_whitespace().last()).expect("a URL");
    sever.until("waiting until it is due");
    let lie = json!({"fault": {"kind": "lying_success"}, "on": "revokeUserSessions"});
    let posted = http().post(format!("{control}/_sandbox/faults")).header("content-type", "application/json");
    assert_eq!(posted.body(lie.to_string()).send().await.expect("an answer").status(), 204);
    let story = sever.until("scenes were as they should be").join("\n");
    assert!(story.contains("10 of 11") && story.contains("saw okta dora@example.com: 2 sessions left"), "{story}");
    assert_eq!(sever.status().await.code(), Some(1));
    assert_eq!(folders_in(temporary.path()), 1, "the log is left to look at");
}

#[tokio::test]
async fn the_demo_stays_up_until_it_is_told_to_stop() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut sever = Sever::start(&["demo"], temporary.path());
    let story = sever.until("Ctrl-C ends it.");
    let ready =
        story.iter().find_map(|line| line.trim().strip_prefix("curl http").filter(|url| url.ends_with("/readyz")));
    let ready = format!("http{}", ready.expect("the address of the alert listener"));
    assert_eq!(reqwest::get(&ready).await.expect("an answer").status(), 200);
    sever.terminate();
    assert!(sever.status().await.success());
    assert_eq!(folders_in(temporary.path()), 1, "config, store and log are left to look at");
}

#[tokio::test]
async fn the_sandbox_serves_programs_and_misbehaves_when_told() {
    let temporary = tempfile::tempdir().expect("a folder");
    let args = ["sandbox", "--json", "--people", "2", "--okta-token", "known", "--latency", "1ms", "--fail", "error:1"];
    let mut sever = Sever::start(&args, temporary.path());
    let line = sever.line().expect("a line of JSON");
    let addresses: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(addresses["okta"]["api_token"], "known");
    let okta = addresses["okta"]["url"].as_str().expect("a URL");
    let control = addresses["control"].as_str().expect("a URL");
    assert_eq!([call(okta).await, call(okta).await], [503, 200], "--fail error:1 struck once");
    let fault = json!({"fault": {"kind": "rate_limit", "reset_in_s": 5}, "times": 2});
    let faults = format!("{control}/_sandbox/faults");
    let posted = http().post(&faults).header("content-type", "application/json").body(fault.to_string()).send().await;
    assert_eq!(posted.expect("an answer").status(), 204);
    assert_eq!([call(okta).await, call(okta).await, call(okta).await], [429, 429, 200]);
    let people = http().get(format!("{control}/_sandbox/people")).send().await.expect("an answer");
    let people: Value = serde_json::from_str(&people.text().await.expect("text")).expect("JSON");
    assert_eq!((people.as_array().map(Vec::len), &people[1]["sessions"]), (Some(3), &json!(2)), "and the admin");
    sever.terminate();
    assert!(sever.status().await.success());
}

/// The status of reading the token's owner.
async fn call(okta: &str) -> u16 {
    let request = http().get(format!("{okta}/api/v1/users/me"));
    let request = request.header("accept", "application/json").header("authorization", "SSWS known");
    request.send().await.expect("an answer").status().as_u16()
}

#[expect(clippy::disallowed_methods, reason = "a test is a client of its own")]
fn http() -> reqwest::Client {
    reqwest::Client::new()
}

#[tokio::test]
async fn what_cannot_be_meant_is_wrong_usage() {
    let temporary = tempfile::tempdir().expect("a folder");
    for args in [["sandbox", "--fail", "sometimes"], ["sandbox", "--latency", "fast"], ["demo", "--port", "70000"]] {
        let mut sever = Sever::start(&args, temporary.path());
        assert_eq!(sever.status().await.code(), Some(2), "{args:?}");
    }
}
