//! Every command of the README, run in its order as a newcomer would.
//!
//! What stands in for the outside: `cargo` hands over to the binary that is already built, Okta is the sandbox, and the
//! ports are free ones instead of 8080 and 8081. A command that stays up is waited for, used, and stopped.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use sever::clock::{Clock, SystemClock};
use sever::sandbox::Sandbox;
use sever::sandbox::okta::Person;

/// The token that the README shows.
const TOKEN: &str = "00aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789abcd";

/// The `sh` blocks, one after the other.
fn commands(readme: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in readme.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => script.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    script
}

/// Commands that stay up go on in the background.
fn staged(script: &str) -> String {
    let stage = |line: &str| match line {
        "cargo run --release -- demo" => "play_demo".to_owned(),
        "tests/run" => r#"test -x "$REPOSITORY/tests/run""#.to_owned(),
        _ if line.starts_with("sever serve") => format!("stay_up {line}"),
        _ => line.to_owned(),
    };
    script.lines().map(stage).collect::<Vec<_>>().join("\n")
}

const PROLOGUE: &str = r#"
set -euo pipefail
background=
trap '[ -z "$background" ] || kill "$background" 2>/dev/null || true' EXIT
wait_for() { for _ in $(seq 600); do grep -q "$1" "$2" && return; sleep 0.1; done; cat "$2" >&2; exit 1; }
stay_up() { "$@" >up.log 2>&1 & background=$!; wait_for '"message":"listening"' up.log; }
play_demo() {
  cargo run --release -- demo >demo.log 2>&1 & local demo=$!
  wait_for 'Ctrl-C' demo.log; kill -INT $demo; wait $demo
}
"#;

const SEVER: &str = r#"#!/usr/bin/env bash
case $1 in
  init) "$BINARY" "$@" && sed -i "s/0\.0\.0\.0:8080/127.0.0.1:$ALERTS/; s/127\.0\.0\.1:8081/127.0.0.1:$ADMIN/" "$2/sever.yaml" ;;
  send) exec "$BINARY" "$@" --url "http://127.0.0.1:$ALERTS" --admin-url "http://127.0.0.1:$ADMIN" ;;
  status|jobs) exec "$BINARY" "$@" --url "http://127.0.0.1:$ADMIN" ;;
  *) exec "$BINARY" "$@" ;;
esac
"#;

const CARGO: &str = r#"#!/usr/bin/env bash
case "$*" in
  "build --release") ;;
  "run --release -- "*) shift 3; exec "$BINARY" "$@" ;;
  *) echo "the README has a cargo command that its test does not know: $*" >&2; exit 1 ;;
esac
"#;

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_readme_works_in_its_order() {
    let readme = include_str!("../../README.md");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let sandbox = Sandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), clock).await.expect("a port");
    let (admin, ana) = (Person::new("admin@example.com"), Person::new("ana@example.com"));
    sandbox.okta().add_person(admin.clone());
    sandbox.okta().accept_ssws(TOKEN, &admin.id);
    sandbox.okta().add_person(ana.clone());
    sandbox.okta().sign_in(&ana.id);

    let folder = tempfile::tempdir().expect("a folder");
    let stand_ins = folder.path().join("bin");
    std::fs::create_dir(&stand_ins).expect("a folder");
    put(&stand_ins, "sever", SEVER);
    put(&stand_ins, "cargo", CARGO);
    let script = staged(&commands(readme)).replace("https://acme.okta.com", &sandbox.okta().url());
    // The stand-ins stay ahead of what the README puts in front.
    let script = script.replace("$PWD/target/release:$PATH", "$STAND_INS:$PATH");
    put(folder.path(), "commands", &format!("{PROLOGUE}{script}\n"));
    assert!(script.contains("sever send") && script.contains("play_demo"), "the README lost its commands: {script}");

    let binary = env!("CARGO_BIN_EXE_sever");
    let mut command = Command::new("bash");
    command.arg("commands").current_dir(folder.path()).envs([
        ("BINARY", binary),
        ("REPOSITORY", env!("CARGO_MANIFEST_DIR")),
        ("STAND_INS", stand_ins.to_str().expect("a path")),
        ("ALERTS", &free_port().to_string()),
        ("ADMIN", &free_port().to_string()),
        ("PATH", &format!("{}:/usr/local/bin:/usr/bin:/bin", stand_ins.display())),
    ]);
    let ran = tokio::task::spawn_blocking(move || command.output()).await.expect("waited").expect("bash runs");
    let (told, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{told}\n{complained}");
    assert_eq!(sandbox.okta().sessions_of(&ana.id), 0, "{told}");
    for seen in ["signed in as", "stolen session", "confirmed"] {
        assert!(told.contains(seen), "{seen:?} is not in: {told}");
    }
}

#[test]
fn every_file_that_the_readme_names_is_there() {
    let readme = include_str!("../../README.md");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.starts_with("http")) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link} is not there");
    }
}
