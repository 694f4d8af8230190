//! Runs this program under Valgrind and reads what it has written: instructions and calls of functions, phase by phase, and
//! every system call.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::meter::{MARK, Phase};
use crate::{Costs, Counts};

/// Has this program do what is measured.
pub(crate) const PLAY: &str = "--play";

/// Where profiles are left, for `callgrind_annotate`.
const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/costs");

/// SQLite calls it where a statement has run.
const STATEMENT_ENDS: &str = "sqlite3VdbeHalt";

/// What each thing costs on SQLite.
pub(crate) fn measure() -> Costs {
    let folder = Path::new(FOLDER);
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).expect("a folder");
    let phases = run(folder);
    let calls = std::fs::read_to_string(folder.join("syscalls")).expect("the list of system calls");
    let system = system_calls(&calls);
    assert_eq!(system.len(), phases.len(), "each phase is marked in the list of system calls");
    phases
        .into_iter()
        .zip(system)
        .enumerate()
        .map(|(number, (phase, system))| cost(folder, number, phase, system))
        .collect()
}

/// The counts of the process itself.
fn run(folder: &Path) -> Vec<Phase> {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--dump-before=*between_phases*", "--trace-syscalls=yes", "--fair-sched=yes"])
        .arg(format!("--log-file={}", folder.join("syscalls").display()))
        .arg(format!("--callgrind-out-file={}", folder.join("part").display()))
        .args([program.as_os_str(), PLAY.as_ref()]);
    let output = command.stderr(Stdio::inherit()).output();
    let output =
        output.unwrap_or_else(|wrong| panic!("valgrind: {wrong}; install valgrind, or run tests/run, which does"));
    assert!(output.status.success(), "it ends well under Valgrind: {}", output.status);
    let lines = String::from_utf8(output.stdout).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("a phase")).collect()
}

/// Everything of one phase. Its profile gets its name.
fn cost(folder: &Path, number: usize, phase: Phase, system: Counts) -> (String, Counts) {
    // One part ends where a phase begins, the next one where it ends.
    let part = |number: usize| folder.join(format!("part.{number}"));
    let profile = profile_of(&phase.name);
    std::fs::rename(part(2 * number + 2), &profile).expect("Valgrind wrote a part for each phase");
    let _ = std::fs::remove_file(part(2 * number + 1));
    let profile = std::fs::read_to_string(profile).expect("a profile");
    let times = phase.times as f64;
    let mut counts = phase.counts;
    counts.extend(system.into_iter().map(|(what, count)| (what, count / times)));
    counts.insert("instructions".to_owned(), instructions(&profile) / times);
    counts.insert("statements".to_owned(), calls(&profile, STATEMENT_ENDS) / times);
    (phase.name, counts)
}

/// Where the profile of something is.
pub(crate) fn profile_of(what: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{}.callgrind", what.replace(' ', "-")))
}

fn instructions(profile: &str) -> f64 {
    let totals = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    totals.and_then(|count| count.trim().parse().ok()).expect("a profile has totals")
}

/// How often a function was called. A profile gives each name a number, `fn=(3) name`, where it first stands; `cfn=(3)`
/// is the one that is called, and `calls=` how often, from one place.
fn calls(profile: &str, function: &str) -> f64 {
    let (mut names, mut called, mut count) = (HashMap::new(), "", 0.0);
    for line in profile.lines() {
        if let Some((kind @ ("fn" | "cfn"), name)) = line.split_once('=') {
            let (number, name) = name.split_once(' ').unwrap_or((name, ""));
            let known = *names.entry(number).or_insert(name);
            if kind == "cfn" {
                called = known;
            }
        } else if let Some(times) = line.strip_prefix("calls=").filter(|_| called == function) {
            count += times.split(' ').next().and_then(|times| times.parse::<f64>().ok()).unwrap_or_default();
        }
    }
    count
}

/// What every second part between two marks holds: between them nothing that is measured is done.
fn system_calls(list: &str) -> Vec<Counts> {
    let none = || -> Counts { ["syncs", "bytes written"].map(|what| (what.to_owned(), 0.0)).into() };
    let mut parts = vec![none()];
    for line in list.lines().filter(|line| line.starts_with("SYSCALL[")) {
        if line.contains(MARK) {
            parts.push(none());
        } else if let (Some(part), Some(call)) = (parts.last_mut(), line.split("sys_").nth(1)) {
            note(part, call);
        }
    }
    parts.into_iter().skip(1).step_by(2).collect()
}

/// `call` is such as `pwrite64 ( 12, 0x1b2c, 4096, 8192 )`, with what became of it behind.
fn note(part: &mut Counts, call: &str) {
    let mut count = |what: &str, by: f64| *part.entry(what.to_owned()).or_default() += by;
    let name = call.split([' ', '(']).next().unwrap_or_default();
    match name {
        "fsync" | "fdatasync" => count("syncs", 1.0),
        "pwrite64" => {
            let size = call.split(',').nth(2).and_then(|size| size.trim().parse().ok());
            count("bytes written", size.expect("a size"));
        }
        _ => {}
    }
}
