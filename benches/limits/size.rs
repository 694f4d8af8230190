//! The size of the program as it is shipped: without names.

use std::path::Path;
use std::process::Command;

use crate::report::Line;
use crate::service::folder;

/// What the stripped program may have.
const MOST_MIB: u64 = 25;

/// Measures. A benchmark keeps the names for profilers; what is shipped has none (`strip` in Cargo.toml).
pub(crate) fn measure() -> Vec<Line> {
    let folder = folder();
    let stripped = folder.path().join("sever");
    let strip = |from: &Path| Command::new("strip").arg("--strip-all").arg("-o").arg(&stripped).arg(from).status();
    let done = strip(Path::new(env!("CARGO_BIN_EXE_sever"))).expect("strip runs; it is in the package binutils");
    assert!(done.success(), "the program is stripped");
    let bytes = std::fs::metadata(&stripped).expect("a file").len();
    let size = format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0);
    vec![Line::new("size of the stripped program", "-", size, "-".to_owned()).within(MOST_MIB, bytes >> 20)]
}
