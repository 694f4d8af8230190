//! The table at the end: what should have been seen, what was, and how long it took.

use super::stage::Played;
use crate::cli::out;

const HEADS: [&str; 5] = ["scene", "expected", "seen", "ok", "sent to revoked"];

/// Prints the table, and under it what differed.
pub(super) fn print(played: &[Played<'_>]) {
    let rows: Vec<[String; 5]> = played.iter().map(row).collect();
    let heads = HEADS.map(str::to_owned);
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| rows.iter().chain([&heads]).map(|row| row[column].len()).max().unwrap_or_default())
        .collect();
    out("");
    for row in [&heads].into_iter().chain(&rows) {
        out(aligned(row, &widths).trim_end());
    }
    out("");
    for played in played {
        for problem in played.problems() {
            out(&format!("{}: {problem}", played.name));
        }
    }
    let fine = played.iter().filter(|played| played.is_fine()).count();
    out(&format!("{fine} of {} scenes were as they should be.", played.len()));
}

fn row(played: &Played<'_>) -> [String; 5] {
    let took = played.took.map_or_else(|| "-".to_owned(), |took| format!("{} ms", took.as_millis()));
    let verdict = if played.is_fine() { "yes" } else { "NO" };
    [played.name.to_owned(), played.expected.to_string(), played.seen.to_string(), verdict.to_owned(), took]
}

fn aligned(row: &[String; 5], widths: &[usize]) -> String {
    row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect()
}
