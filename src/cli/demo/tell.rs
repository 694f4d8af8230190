//! What the audience reads: what runs, the timeline of each scene, and how to look around.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Running;
use super::facts::Facts;
use super::folder::Folder;
use super::scene::Scene;
use crate::cli::out;
use crate::clock::Clock;

/// Nobody should have to wonder for longer whether anything still happens.
const LONGEST_SILENCE: Duration = Duration::from_millis(900);

/// Something that happened.
pub(super) struct News {
    pub(super) at: Timestamp,
    pub(super) who: String,
    pub(super) text: String,
}

/// The story of one scene, as it unfolds. Times count from the first delivery.
pub(super) struct Timeline {
    clock: Arc<dyn Clock>,
    start: Timestamp,
    last_word: Timestamp,
    sent: bool,
}

impl Timeline {
    pub(super) fn open(number: usize, scene: &Scene, clock: Arc<dyn Clock>) -> Self {
        out("");
        out(&format!("{number}. {}: {}", scene.name, scene.story));
        let now = clock.now();
        Self { clock, start: now, last_word: now, sent: false }
    }

    /// Something that the sender does now; the first of them starts the count.
    pub(super) fn send(&mut self, text: &str) {
        if !self.sent {
            self.start = self.clock.now();
            self.sent = true;
        }
        self.say("sender", text);
    }

    /// Something that is so now.
    pub(super) fn say(&mut self, who: &str, text: &str) {
        self.at(self.clock.now(), who, text);
    }

    /// Something that was so at `at`.
    pub(super) fn at(&mut self, at: Timestamp, who: &str, text: &str) {
        let offset = if self.sent { format!("+{} ms", self.milliseconds_to(at)) } else { "before".to_owned() };
        out(&format!("  {offset:>9}  {who:<7} {text}"));
        self.last_word = self.clock.now();
    }

    /// Several things, told in the order in which they were.
    pub(super) fn all(&mut self, mut news: Vec<News>) {
        news.sort_by_key(|news| news.at);
        for news in news {
            self.at(news.at, &news.who, &news.text);
        }
    }

    /// Gives a sign of life where nothing was said for long.
    pub(super) fn unless_silent_too_long(&mut self, text: &str) {
        let silent = Duration::try_from(self.clock.now().duration_since(self.last_word)).unwrap_or_default();
        if silent >= LONGEST_SILENCE {
            self.say("...", text);
        }
    }

    /// What is left in the end, and whether all was as it should be.
    pub(super) fn close(&mut self, seen: &Facts, differences: &[String]) {
        for account in &seen.accounts {
            self.say(account.provider, &format!("its own record: {}: {}", account.email, account.left));
        }
        for difference in differences {
            self.say("WRONG", difference);
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Counted from the first delivery.
    pub(super) fn milliseconds_to(&self, at: Timestamp) -> i64 {
        // A millisecond's fraction is cut, and the stored times are no finer than microseconds.
        at.as_millisecond().saturating_sub(self.start.as_millisecond()).max(0)
    }
}

/// What runs, and where.
pub(super) fn opening(running: &Running, folder: &Folder) {
    out("sever demo: everything below happens on this machine, over real HTTP.");
    out("");
    let line = |what: &str, value: String| out(&format!("  {what:<21}{value}"));
    line("config", folder.config().display().to_string());
    line("log", folder.log_path().display().to_string());
    line("alerts go to", format!("http://{}/v1/alerts/edr", running.addresses.alerts));
    for place in &running.places {
        line(&format!("stand-in of {}", place.name()), place.url());
    }
    line("their control", running.sandbox.control_url());
}

/// What to try while it stays up.
pub(super) fn how_to_look_around(running: &Running, folder: &Folder) {
    let control = running.sandbox.control_url();
    let token = folder.operator_token();
    out("");
    out("Everything stays up. To look around:");
    out("");
    out("  is it ready?");
    out(&format!("    curl http://{}/readyz", running.addresses.alerts));
    if let Some(admin) = running.addresses.admin {
        out("  as an operator: every job with every attempt, and the audit record");
        for path in ["status", "jobs", "audit"] {
            out(&format!("    curl -H \"Authorization: Bearer $(cat {})\" http://{admin}/v1/{path}", token.display()));
        }
    }
    out("  the config: is it right, and does each provider take our credential?");
    out(&format!("    sever check -c {} --online", folder.config().display()));
    out("  the providers' side: who is signed in, what was called, and let the next call fail");
    out(&format!("    curl {control}/_sandbox/people"));
    out(&format!("    curl {control}/_sandbox/ledger"));
    let fault = r#"{"fault":{"kind":"error","status":503,"code":"E0000010"}}"#;
    out(&format!("    curl -H 'content-type: application/json' -d '{fault}' {control}/_sandbox/faults"));
    out("");
    out("Ctrl-C ends it.");
}
