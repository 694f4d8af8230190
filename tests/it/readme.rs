//! Every command of the README, and of the page that wires a product of one's own, run in its order as a newcomer would.
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
  init)
    "$BINARY" "$@" && sed -i "s/0\.0\.0\.0:8080/127.0.0.1:$ALERTS/; s/127\.0\.0\.1:8081/127.0.0.1:$ADMIN/" "$2/sever.yaml"
    if [ -e "$STAND_INS/edit" ]; then . "$STAND_INS/edit" "$2"; fi ;;
  send) exec "$BINARY" "$@" --url "http://127.0.0.1:$ALERTS" --admin-url "http://127.0.0.1:$ADMIN" ;;
  status|jobs|refusals) exec "$BINARY" "$@" --url "http://127.0.0.1:$ADMIN" ;;
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

/// Okta with an administrator and Ana, who is signed in; and a folder to work in.
struct Walk {
    sandbox: Sandbox,
    ana: Person,
    folder: tempfile::TempDir,
}

impl Walk {
    async fn start() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let sandbox = Sandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), clock).await.expect("a port");
        let (admin, ana) = (Person::new("admin@example.com"), Person::new("ana@example.com"));
        sandbox.okta().add_person(admin.clone());
        sandbox.okta().accept_ssws(TOKEN, &admin.id);
        sandbox.okta().add_person(ana.clone());
        sandbox.okta().sign_in(&ana.id);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("bin")).expect("a folder");
        let walk = Self { sandbox, ana, folder };
        walk.put_stand_in("sever", SEVER);
        walk.put_stand_in("cargo", CARGO);
        walk
    }

    fn put_stand_in(&self, name: &str, text: &str) {
        put(&self.folder.path().join("bin"), name, text);
    }

    /// Runs the commands of this page; what they told.
    async fn run(&self, page: &str) -> String {
        let script = staged(&commands(page)).replace("https://acme.okta.com", &self.sandbox.okta().url());
        // The stand-ins stay ahead of what the README puts in front.
        let script = script.replace("$PWD/target/release:$PATH", "$STAND_INS:$PATH");
        put(self.folder.path(), "commands", &format!("{PROLOGUE}{script}\n"));
        assert!(script.contains("sever send"), "the page lost its commands: {script}");
        let stand_ins = self.folder.path().join("bin");
        let mut command = Command::new("bash");
        command.arg("commands").current_dir(self.folder.path()).envs([
            ("BINARY", env!("CARGO_BIN_EXE_sever")),
            ("REPOSITORY", env!("CARGO_MANIFEST_DIR")),
            ("STAND_INS", stand_ins.to_str().expect("a path")),
            ("ALERTS", &free_port().to_string()),
            ("ADMIN", &free_port().to_string()),
            ("PATH", &format!("{}:/usr/local/bin:/usr/bin:/bin", stand_ins.display())),
        ]);
        let ran = tokio::task::spawn_blocking(move || command.output()).await.expect("waited").expect("bash runs");
        let (told, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{told}\n{complained}");
        assert_eq!(self.sandbox.okta().sessions_of(&self.ana.id), 0, "{told}");
        told.into_owned()
    }
}

fn assert_told(told: &str, expected: &[&str]) {
    for seen in expected {
        assert!(told.contains(seen), "{seen:?} is not in: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_readme_works_in_its_order() {
    let readme = include_str!("../../README.md");
    assert!(staged(&commands(readme)).contains("play_demo"), "the README lost its demo");
    let told = Walk::start().await.run(readme).await;
    assert_told(&told, &["signed in as", "stolen session", "confirmed"]);
}

/// Puts the page's source under `sources`, and its payload beside the config.
const EDIT: &str =
    r#"sed -i "/^sources:/r $STAND_INS/source" "$1/sever.yaml" && cp "$STAND_INS/payload" "$1/payload.json""#;

#[tokio::test(flavor = "multi_thread")]
async fn an_unlisted_product_is_wired_by_the_commands_of_its_page() {
    let page = include_str!("../../docs/sources/custom.md");
    let block = |heading: &str| {
        let (_, rest) = page.split_once(&format!("```{heading}\n")).expect("a block");
        rest.split_once("\n```").expect("its end").0.to_owned()
    };
    let walk = Walk::start().await;
    walk.put_stand_in("edit", EDIT);
    walk.put_stand_in("payload", &block("json payload"));
    walk.put_stand_in("source", &format!("{}\n", block("yaml source").replace("sources:\n", "")));
    let told = walk.run(page).await;
    assert_told(
        &told,
        &[
            "Alert acme/9007199254740993 from acme-shield",
            "Element 1 is left out",
            "x-shield-signature: v1=",
            "confirmed",
        ],
    );
}

#[test]
fn every_file_that_the_readme_names_is_there() {
    let readme = include_str!("../../README.md");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.starts_with("http")) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link} is not there");
    }
}
