//! Text for people's terminals.
//!
//! Always holds: whatever a sender, a provider or the API put into a string, no terminal obeys it and no eye is fooled
//! by it. Control and formatting characters are printed as their escapes, such as `\u{1b}`.

use std::fmt::{Display, Write};
use std::time::Duration;

use comfy_table::{Table, presets};
use jiff::Timestamp;

use super::out;
use crate::domain::Subject;

/// A cell longer than this makes a table hard to read; `show` commands print the whole text.
const LONGEST_CELL_CHARS: usize = 72;

/// One line that is safe to print.
#[must_use]
pub(super) fn plain(text: &str) -> String {
    escaped(text, |c| is_unsafe(c).then(|| c.escape_unicode().to_string()))
}

/// Lines that are safe to print.
fn plain_lines(text: &str) -> String {
    escaped(text, |c| (c != '\n' && is_unsafe(c)).then(|| c.escape_unicode().to_string()))
}

/// JSON that is safe to print and still the same JSON: such characters stand in its strings only, where `\u` is legal.
#[must_use]
pub(super) fn plain_json(text: &str) -> String {
    escaped(text, |c| (!c.is_ascii_whitespace() && is_unsafe(c)).then(|| json_escape(c)))
}

fn json_escape(c: char) -> String {
    c.encode_utf16(&mut [0; 2]).iter().fold(String::new(), |mut text, unit| {
        let _ = write!(text, "\\u{unit:04x}");
        text
    })
}

fn escaped(text: &str, escape: impl Fn(char) -> Option<String>) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match escape(c) {
            Some(escape) => safe.push_str(&escape),
            None => safe.push(c),
        }
    }
    safe
}

/// Controls of either set, and what Unicode calls format characters: they move, hide or reorder what is read.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// What a command shows, before it is printed.
#[derive(Debug, Default)]
pub(super) struct Sheet(String);

impl Sheet {
    /// A sheet that begins with this line.
    #[must_use]
    pub(super) fn of(line: impl Display) -> Self {
        let mut sheet = Self::default();
        sheet.line(line);
        sheet
    }

    /// Adds a line. A line break inside cannot begin a second one.
    pub(super) fn line(&mut self, line: impl Display) {
        self.0.push_str(&plain(&line.to_string()));
        self.0.push('\n');
    }

    /// Adds columns as wide as their longest cell; nothing where there is no row.
    pub(super) fn table(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.iter().map(|cell| fit(cell)).collect()).collect();
        if rows.is_empty() {
            return;
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if !head.is_empty() {
            table.set_header(head);
        }
        table.add_rows(rows);
        self.0.push_str(&table.trim_fmt());
        self.0.push('\n');
    }

    /// Adds names with their values, without those that are empty.
    pub(super) fn facts(&mut self, facts: &[(&str, String)]) {
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            self.line(format_args!("  {name:<16} {value}"));
        }
    }

    /// The text, safe to print.
    #[must_use]
    pub(super) fn text(&self) -> String {
        plain_lines(self.0.trim_end_matches('\n'))
    }

    /// To standard output.
    pub(super) fn print(&self) {
        out(&self.text());
    }
}

fn fit(cell: &str) -> String {
    let cell = plain(cell);
    match cell.char_indices().nth(LONGEST_CELL_CHARS) {
        Some((end, _)) => format!("{}…", &cell[..end]),
        None => cell,
    }
}

/// `2026-11-21 22:14:07Z`
#[must_use]
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The same, or nothing.
#[must_use]
pub(super) fn moment_or_blank(at: Option<Timestamp>) -> String {
    at.map(moment).unwrap_or_default()
}

/// A length of time in whole seconds.
#[must_use]
pub(super) fn length(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// `1 job`, `2 jobs`
#[must_use]
pub(super) fn number(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The names of a subject, the most telling first.
#[must_use]
pub(super) fn person(subject: &Subject) -> String {
    let names = [subject.email.as_deref(), subject.username.as_deref(), subject.id.as_deref()];
    let mut names = names.into_iter().flatten();
    match (names.next(), names.next()) {
        (Some(first), Some(second)) => format!("{first} ({second})"),
        (Some(only), None) => only.to_owned(),
        (None, _) => "nobody".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_terminal_obeys_a_text() {
        let hostile = "a\u{1b}[2Jb\u{9b}31mc\rd\u{202e}e\u{200b}f\u{7f}g\nh\u{e0041}";
        let safe = plain(hostile);
        assert!(safe.chars().all(|c| !is_unsafe(c)), "{safe:?}");
        assert!(safe.contains("\\u{1b}[2J") && safe.contains("\\u{202e}"), "{safe}");
        assert_eq!(plain("Ünïcode, 中文 and 👩‍🚀".replace('\u{200d}', "").as_str()), "Ünïcode, 中文 and 👩🚀");
    }

    #[test]
    fn cleaned_json_is_the_same_json() {
        let value = serde_json::json!({"note": "a\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{e0041}\n"});
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        let safe = plain_json(&text);
        assert!(safe.chars().all(|c| c == '\n' || !is_unsafe(c)), "{safe:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).expect("still JSON"), value);
    }

    #[test]
    fn a_line_and_a_cell_stay_one_line() {
        let mut sheet = Sheet::of("one\ntwo");
        sheet.table(&["a", "b"], [vec!["x\ny".to_owned(), "z".repeat(200)]]);
        assert_eq!(sheet.text().lines().count(), 3, "{}", sheet.text());
    }
}
