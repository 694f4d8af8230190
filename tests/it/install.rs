//! Every command of docs/install.md, in its order, as somebody would type them.
//!
//! What stands in for the outside: `cargo` hands over the binary that is built already, the system's folders are those of
//! a temporary root, and `docker`, `kubectl` and `systemctl` only look at what they are asked for. Helm renders for real.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::tools::{read, repository, run, tool};

/// The `sh` blocks, one after the other, with the system's folders below `root`.
fn commands(page: &str, root: &Path) -> String {
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let script = blocks.collect::<Vec<_>>().join("\n");
    ["/usr/local/bin", "/etc/bash_completion.d", "/etc/systemd", "/var/lib/sever"]
        .iter()
        .fold(script, |script, folder| script.replace(folder, &format!("{}{folder}", root.display())))
}

const PROLOGUE: &str = r#"
set -euo pipefail
mkdir -p "$ROOT"/usr/local/bin "$ROOT"/etc/bash_completion.d "$ROOT"/etc/systemd/system target/release
cp "$BINARY" target/release/sever
PATH=$STAND_INS:$ROOT/usr/local/bin:$PATH
"#;

/// Each as a program of its own, so that pipes and `sudo` find it.
const STAND_INS: &[(&str, &str)] = &[
    ("cargo", r#"[[ $* == "build --release" ]]"#),
    ("useradd", r#"[[ ${*: -1} == sever ]]"#),
    ("systemctl", r#"[[ $1 == daemon-reload || ${*: -1} == sever ]]"#),
    // As another user, or as root: both are this one.
    ("sudo", r#"if [[ $1 == -u ]]; then shift 2; fi; exec "$@""#),
    (
        "install",
        r#"words=(); while (($#)); do case $1 in -o|-g) shift 2 ;; *) words+=("$1"); shift ;; esac; done
        exec /usr/bin/install "${words[@]}""#,
    ),
    // Whatever the container would run, the program has to know.
    (
        "docker",
        r#"case $1 in
        build|push|compose) ;;
        run) while [[ $1 != sever:* ]]; do shift; done; shift; exec "$BINARY" "$@" --help ;;
        *) exit 1 ;;
        esac"#,
    ),
    (
        "kubectl",
        r#"for word in "$@"; do
          [[ $word != --from-file=* ]] || test -s "${word##*=}"
        done
        if [[ $* == *" -- sever "* ]]; then while [[ $1 != -- ]]; do shift; done; shift 2; exec "$BINARY" "$@" --help; fi"#,
    ),
    (
        "helm",
        r#"case $1 in
        install|upgrade) shift; for word; do [[ $word == --wait ]] || words+=("$word"); done
          echo "rendered for $*" >&2; "$HELM" template "${words[@]}" ;;
        test) ;;
        *) exit 1 ;;
        esac"#,
    ),
    // The service of the containers is not there; that the command is right can be seen all the same.
    (
        "sever",
        r#"case $1 in
        send) "$BINARY" plan -c deploy/compose/sever.yaml --source edr "${@: -1}"; exec "$BINARY" "$@" --help ;;
        jobs) exec "$BINARY" "$@" --help ;;
        *) exec "$BINARY" "$@" ;;
        esac"#,
    ),
];

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/usr/bin/env bash\nset -euo pipefail\nwords=()\n{text}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

#[test]
fn every_command_of_the_page_works_in_its_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let stand_ins = folder.path().join("stand-ins");
    std::fs::create_dir(&stand_ins).expect("a folder");
    for (name, text) in STAND_INS {
        put(&stand_ins, name, text);
    }
    for part in ["deploy", "helm"] {
        run(Command::new("cp").arg("-RL").arg(repository(part)).arg(folder.path())).expect("cp");
    }
    let root = folder.path().join("root");
    let script = commands(&read("docs/install.md"), &root);
    std::fs::write(folder.path().join("commands"), format!("{PROLOGUE}{script}\n")).expect("written");
    let mut bash = Command::new("bash");
    bash.arg("commands").current_dir(folder.path()).envs([
        ("BINARY", Path::new(env!("CARGO_BIN_EXE_sever"))),
        ("HELM", &tool("helm")),
        ("ROOT", &root),
        ("STAND_INS", &stand_ins),
    ]);
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        bash.env(name, folder.path().join("helm-home"));
    }
    let said = run(&mut bash);
    let shown = said.all();
    assert!(said.fine, "{shown}");
    for seen in [
        "1 sources, 1 providers, 1 rules: fine",
        "stolen session",
        "kind: StatefulSet",
        "rendered for sever helm/sever",
    ] {
        assert!(shown.contains(seen), "{seen:?} is not in: {shown}");
    }
    for made in ["usr/local/bin/sever", "etc/bash_completion.d/sever", "etc/systemd/system/sever.service"] {
        assert!(root.join(made).exists(), "{made} was not made");
    }
}

#[test]
fn the_unit_starts_the_program_with_arguments_that_it_takes() {
    let unit = read("deploy/systemd/sever.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/sever ")).expect("a command");
    assert!(run(crate::process::sever().args(start.split(' ')).arg("--help")).fine, "{start}");
    // The folder that it may write to is the one that the page makes.
    assert!(unit.contains("StateDirectory=sever\n") && start.contains("/var/lib/sever/"), "{unit}");
}

#[test]
fn every_file_that_the_pages_name_is_there() {
    for page in ["docs/install.md", "helm/sever/README.md"] {
        let text = read(page);
        let folder = repository(page);
        let folder = folder.parent().expect("a folder");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|link| !link.is_empty() && !link.starts_with("http")) {
            assert!(folder.join(link).exists(), "{page}: {link} is not there");
        }
    }
}
