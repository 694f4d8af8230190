//! What an alert and a job cost, in counts that do not depend on the machine's mood: instructions, allocations, statements,
//! commits, syncs, bytes. A count that rises above its budget (`budget.json`) fails.
//!
//! `cargo bench --features otel --profile dev --bench costs` needs Valgrind; on PostgreSQL it measures where SEVER_TEST_POSTGRES_URL names a
//! server. `-- --write` makes what was measured the budget and puts the table into `docs/performance.md`. Without
//! `--profile dev` the optimised build is measured, whose instructions have a budget of their own.
//!
//! The program runs itself again, under Valgrind, to do what is measured (`play.rs`); then it reads what Valgrind has written.

mod answers;
mod budget;
mod callgrind;
mod compare;
#[path = "../limits/config.rs"]
mod config;
mod meter;
#[path = "../limits/person.rs"]
mod person;
mod play;
mod schema;
mod table;
mod tools;
mod wire;

use std::collections::BTreeMap;
use std::process::ExitCode;

use budget::Budget;

/// What one of something costs, by what is counted.
pub(crate) type Counts = BTreeMap<String, f64>;

/// The same for each thing that is measured.
pub(crate) type Costs = BTreeMap<String, Counts>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has(callgrind::PLAY) {
        play::on_sqlite();
        return ExitCode::SUCCESS;
    }
    // Only `cargo bench` says so; a test run has nothing to measure here.
    if !has("--bench") {
        return ExitCode::SUCCESS;
    }
    let mut measured = callgrind::measure();
    match schema::server() {
        Some(server) => measured.extend(play::on_postgres(&server)),
        None => say("SEVER_TEST_POSTGRES_URL names no server: not measured on PostgreSQL"),
    }
    if has("--write") {
        let budget = Budget::read().with(measured);
        budget.write();
        table::write(&budget);
        return ExitCode::SUCCESS;
    }
    judge(&measured)
}

fn judge(measured: &Costs) -> ExitCode {
    let found = compare::with(&Budget::read(), measured);
    say(&table::of(measured));
    found.remarks.iter().for_each(|remark| say(remark));
    if found.risen.is_empty() {
        return ExitCode::SUCCESS;
    }
    say(&format!("\nThese cost more than their budget:\n  {}\n\n{}", found.risen.join("\n  "), compare::MEND));
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
