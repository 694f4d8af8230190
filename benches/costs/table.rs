//! The table for people.

use std::fmt::Write;
use std::path::Path;

use crate::Costs;
use crate::budget::{Budget, OPTIMISED, UNOPTIMISED};
use crate::compare::INSTRUCTIONS;

const BEGIN: &str = "<!-- costs: begin -->\n";
const END: &str = "<!-- costs: end -->";

/// What is measured, in the order in which it happens.
const COLUMNS: [&str; 9] = [
    "alert",
    "redelivery",
    "forged alert",
    "job",
    "nothing due",
    "alert, PostgreSQL",
    "redelivery, PostgreSQL",
    "job, PostgreSQL",
    "nothing due, PostgreSQL",
];

/// What is counted, from the whole to its parts.
const ROWS: [&str; 10] = [
    INSTRUCTIONS,
    "allocations",
    "bytes allocated",
    "changes",
    "commits",
    "statements",
    "syncs",
    "bytes written",
    "round trips",
    "bytes sent",
];

/// As Markdown.
pub(crate) fn of(costs: &Costs) -> String {
    let mut table = head();
    for name in ROWS {
        row(&mut table, name, costs, name);
    }
    table
}

/// Counts of the build that `tests/run` measures, and instructions of the optimised one as well.
pub(crate) fn write(budget: &Budget) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
    let text = std::fs::read_to_string(&page).expect("docs/performance.md");
    let (before, rest) = text.split_once(BEGIN).expect("the first marker");
    let (_, after) = rest.split_once(END).expect("the second marker");
    let mut table = head();
    for (build, name) in [(OPTIMISED, INSTRUCTIONS), (UNOPTIMISED, "instructions, unoptimised")] {
        if let Some(build) = budget.0.get(build) {
            row(&mut table, name, &build.costs, INSTRUCTIONS);
        }
    }
    if let Some(build) = budget.0.get(UNOPTIMISED) {
        ROWS.iter().filter(|name| **name != INSTRUCTIONS).for_each(|name| row(&mut table, name, &build.costs, name));
    }
    std::fs::write(&page, format!("{before}{BEGIN}{table}{END}{after}")).expect("written");
}

fn head() -> String {
    format!("| for each | {} |\n|---{}|\n", COLUMNS.join(" | "), "|---:".repeat(COLUMNS.len()))
}

fn row(table: &mut String, title: &str, costs: &Costs, name: &str) {
    let cell = |column: &&str| {
        costs.get(*column).and_then(|counts| counts.get(name)).map_or("-".to_owned(), |count| number(*count))
    };
    let cells: Vec<String> = COLUMNS.iter().map(cell).collect();
    writeln!(table, "| {title} | {} |", cells.join(" | ")).expect("written");
}

/// With a digit behind the point where that says something.
fn number(count: f64) -> String {
    match count {
        100_000.0.. => format!("{:.0} k", count / 1000.0),
        100.0.. => format!("{count:.0}"),
        _ if (count - count.round()).abs() < 0.05 => format!("{count:.0}"),
        _ => format!("{count:.1}"),
    }
}
