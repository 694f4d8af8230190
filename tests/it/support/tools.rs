//! Programs that `tests/run` puts beside the Python of the tests, or that are on the PATH.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::service::python;

/// What a program said, on both streams, and whether it was content.
pub(crate) struct Said {
    pub(crate) fine: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// What it printed, if it was content.
    pub(crate) fn expect(self, what: &str) -> String {
        assert!(self.fine, "{what}:\n{}", self.all());
        self.out
    }
}

/// Where a program is.
pub(crate) fn tool(name: &str) -> PathBuf {
    let beside = Path::new(&python()).with_file_name(name);
    if beside.exists() { beside } else { PathBuf::from(name) }
}

/// A command for a program; one that is missing fails with the mend.
pub(crate) fn run(command: &mut Command) -> Said {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|wrong| panic!("{name}: {wrong}; run tests/run, which installs it"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { fine: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// A path in the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the repository.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|wrong| panic!("{path}: {wrong}"))
}
