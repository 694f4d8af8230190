//! The peer's own Python environment, under the build's folder.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the peer is.
pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");

/// The environment's programs; made anew where it does not hold what is wanted.
pub(crate) fn programs() -> PathBuf {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peer-python");
    let programs = environment.join("bin");
    let wanted = std::fs::read_to_string(Path::new(FOLDER).join("requirements.txt")).expect("requirements.txt");
    let note = environment.join("requirements.txt");
    if std::fs::read_to_string(&note).is_ok_and(|held| held == wanted) {
        return programs;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
    let mut pip = Command::new(programs.join("python"));
    run(pip.args(["-m", "pip", "install", "--quiet", "-r", "requirements.txt"]).current_dir(FOLDER));
    std::fs::write(note, wanted).expect("noted");
    programs
}

fn run(command: &mut Command) {
    let status =
        command.status().unwrap_or_else(|wrong| panic!("{command:?}: {wrong}; install python3 and python3-venv"));
    assert!(status.success(), "{command:?} failed; its message stands above");
}
