//! Arguments to command, result to exit code.

fn main() {}
