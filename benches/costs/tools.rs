//! What instructions depend on besides the source: whoever compiles, the C library, and what the processor can do.

use std::process::Command;

use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tools {
    rustc: String,
    cc: String,
    libc: String,
    valgrind: String,
    processor: String,
}

impl Tools {
    pub(crate) fn here() -> Self {
        let valgrind = first_line("valgrind", "--version");
        let (rustc, cc, libc) =
            (first_line("rustc", "-V"), first_line("cc", "--version"), first_line("ldd", "--version"));
        Self { rustc, cc, libc, valgrind, processor: processor() }
    }

    /// Those that differ.
    pub(crate) fn unlike(&self, other: &Self) -> Vec<String> {
        let all = |tools: &Self| {
            let Self { rustc, cc, libc, valgrind, processor } = tools.clone();
            [rustc, cc, libc, valgrind, processor]
        };
        let pairs = all(self).into_iter().zip(all(other));
        pairs.filter(|(one, two)| one != two).map(|(one, two)| format!("{one} and not {two}")).collect()
    }
}

fn first_line(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or("unknown").to_owned()
}

/// Valgrind has the wide registers that the processor has, up to AVX2.
fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return "x86_64 with AVX2".to_owned();
    }
    std::env::consts::ARCH.to_owned()
}
