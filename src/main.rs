//! Arguments to command, result to exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    sever::cli::main()
}
