//! Arguments to command, result to exit code.

use std::process::ExitCode;

/// A job's futures are some kilobytes each, made on one thread and often dropped on another. For that, the allocator of
/// the C library takes locks and searches; it was the largest single cost of a job beside its calls.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sever::cli::main()
}
