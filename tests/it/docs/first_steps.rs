//! The page for newcomers, command by command: from nothing to a held, approved and verified revocation.

use std::net::TcpListener;
use std::process::Command;

use super::blocks;

/// What stays up goes on in the background; the ports are free ones.
const PROLOGUE: &str = r#"
set -euo pipefail
running=
trap 'for one in $running; do kill "$one" 2>/dev/null || true; done; wait' EXIT
wait_for() { for _ in $(seq 600); do grep -qs "$1" "$2" && return; sleep 0.1; done; cat "$2" >&2; exit 1; }
sever() {
  case $1 in
    serve) "$BINARY" "$@" >serve.log 2>&1 & running="$running $!"; wait_for '"message":"listening"' serve.log ;;
    sandbox) "$BINARY" "$@" >sandbox.log 2>&1 & running="$running $!"; wait_for 'Ctrl-C' sandbox.log ;;
    init|check|plan) "$BINARY" "$@" ;;
    send)
      case " $* " in *" --wait "*) set -- "$@" --admin-url "http://127.0.0.1:$ADMIN" ;; esac
      "$BINARY" "$@" --url "http://127.0.0.1:$ALERTS" ;;
    *) "$BINARY" "$@" --url "http://127.0.0.1:$ADMIN" ;;
  esac
}
"#;

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port().to_string()
}

#[test]
fn a_newcomer_gets_from_nothing_to_a_verified_revocation() {
    let page = include_str!("../../../docs/first-steps.md");
    let script: String = blocks(page).into_iter().filter(|it| it.language == "sh").map(|it| it.text).collect();
    let (alerts, admin) = (free_port(), free_port());
    let script = script.replace("127.0.0.1:8080", &format!("127.0.0.1:{alerts}"));
    let script = script.replace("127.0.0.1:8081", &format!("127.0.0.1:{admin}"));
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("commands"), format!("{PROLOGUE}{script}")).expect("written");

    let ran = Command::new("bash")
        .arg("commands")
        .current_dir(folder.path())
        .envs([("BINARY", env!("CARGO_BIN_EXE_sever")), ("ALERTS", &alerts), ("ADMIN", &admin)])
        .output()
        .expect("bash runs");
    let (told, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{told}\n{complained}");
    let mut rest = &*told;
    // In this order: held, then agreed to, then seen to have worked, then recorded under a name.
    for step in ["held", "approval", "2 jobs changed", "confirmed", "verified", "0 sessions of 0", "oncall"] {
        let at = rest.find(step).unwrap_or_else(|| panic!("{step:?} does not come next in: {told}\n{complained}"));
        rest = &rest[at + step.len()..];
    }
}
