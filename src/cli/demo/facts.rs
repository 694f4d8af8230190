//! What a scene comes to, expected and seen in the same words, so that comparing them is the judgement.

use std::fmt;

use crate::cli::place::Left;
use crate::domain::AttemptClass;

/// Everything that counts about a scene.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// What the sender was told, in order.
    pub(super) answers: Vec<String>,
    pub(super) jobs: Vec<JobFact>,
    pub(super) accounts: Vec<AccountFact>,
    /// Deliveries of the scene that are kept for a person.
    pub(super) quarantined: usize,
    /// Sessions were ended earlier than the provider allowed.
    pub(super) early: bool,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobFact {
    pub(super) provider: String,
    /// The outcome, or the state with its reason.
    pub(super) end: String,
    pub(super) attempts: Vec<AttemptClass>,
    pub(super) repeated: u32,
}

/// What the stand-in has left of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AccountFact {
    pub(super) provider: &'static str,
    pub(super) email: &'static str,
    pub(super) left: Left,
}

impl Facts {
    /// Into an order that does not depend on who finished first.
    pub(super) fn sort(&mut self) {
        self.jobs.sort();
        self.accounts.sort_by_key(|account| (account.provider, account.email));
    }

    /// What differs from what was expected, a line each.
    pub(super) fn differences(&self, expected: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, expected: String, seen: String| {
            if expected != seen {
                found.push(format!("{what}: expected {expected}, saw {seen}"));
            }
        };
        compare("answers", list(&expected.answers), list(&self.answers));
        compare("jobs", list(&expected.jobs), list(&self.jobs));
        compare("accounts", list(&expected.accounts), list(&self.accounts));
        compare("quarantine", expected.quarantined.to_string(), self.quarantined.to_string());
        compare("ended too early", expected.early.to_string(), self.early.to_string());
        found
    }

    fn ends(&self) -> Vec<String> {
        let mut ends: Vec<(String, usize)> = Vec::new();
        for job in &self.jobs {
            let repeated = if job.repeated > 0 { ", repeated" } else { "" };
            let end = format!("{}{repeated}", job.end);
            match ends.iter_mut().find(|(known, _)| *known == end) {
                Some((_, times)) => *times += 1,
                None => ends.push((end, 1)),
            }
        }
        ends.into_iter().map(|(end, times)| if times == 1 { end } else { format!("{end} x{times}") }).collect()
    }
}

/// `1 call`, `2 calls`.
pub(super) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(" and ") }
}

impl fmt::Display for JobFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts: Vec<&str> = self.attempts.iter().map(|class| class.as_str()).collect();
        write!(f, "{} {} (attempts: {}; repeated: {})", self.provider, self.end, attempts.join(", "), self.repeated)
    }
}

impl fmt::Display for AccountFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.provider, self.email, self.left)
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sessions, tokens) = (counted(self.sessions, "session"), counted(self.tokens, "token"));
        write!(f, "{sessions} left, {tokens} left, {}", counted(self.calls, "revoke call"))
    }
}

/// In one line, for the table.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers: Vec<&str> = self.answers.iter().map(|answer| answer.trim_end_matches(" accepted")).collect();
        let mut parts = vec![answers.join(", ")];
        parts.extend(self.ends());
        if !self.accounts.is_empty() {
            let sessions: usize = self.accounts.iter().map(|account| account.left.sessions).sum();
            let calls: usize = self.accounts.iter().map(|account| account.left.calls).sum();
            parts.push(format!("{sessions} left, {}", counted(calls, "call")));
        }
        if self.quarantined > 0 {
            parts.push(format!("{} kept", self.quarantined));
        }
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let attempts = vec![AttemptClass::Ok];
        let job = JobFact { provider: "okta".into(), end: "confirmed".into(), attempts, repeated: 0 };
        let left = Left { sessions: 0, tokens: 0, calls: 1 };
        let account = AccountFact { provider: "okta", email: "ana@example.com", left };
        let answers = vec!["202 accepted".into()];
        Facts { answers, jobs: vec![job], accounts: vec![account], quarantined: 0, early: false }
    }

    #[test]
    fn the_same_facts_do_not_differ() {
        assert_eq!(facts().differences(&facts()), Vec::<String>::new());
    }

    #[test]
    fn every_fact_counts() {
        let changes: [fn(&mut Facts); 9] = [
            |seen| seen.answers[0] = "401 not-authenticated".into(),
            |seen| seen.jobs.clear(),
            |seen| seen.jobs[0].end = "accepted".into(),
            |seen| seen.jobs[0].attempts.push(AttemptClass::Ok),
            |seen| seen.jobs[0].repeated = 1,
            |seen| seen.accounts[0].left.sessions = 1,
            |seen| seen.accounts[0].left.tokens = 1,
            |seen| seen.accounts[0].left.calls = 2,
            |seen| seen.early = true,
        ];
        for (position, change) in changes.into_iter().enumerate() {
            let mut seen = facts();
            change(&mut seen);
            assert_eq!(seen.differences(&facts()).len(), 1, "change {position}");
        }
    }
}
