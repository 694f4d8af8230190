//! What a load test showed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::super::text::Sheet;
use super::sink::Sink;
use super::volley::Volley;

/// Waits in milliseconds.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
struct Waits {
    p50: f64,
    p90: f64,
    p99: f64,
    most: f64,
}

impl Waits {
    fn of(mut waits: Vec<Duration>) -> Self {
        waits.sort_unstable();
        let last = waits.len().saturating_sub(1);
        let quantile = |share: f64| {
            let wait = waits.get((last as f64 * share).round() as usize);
            wait.map_or(0.0, |wait| (wait.as_secs_f64() * 100_000.0).round() / 100.0)
        };
        Self { p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), most: quantile(1.0) }
    }

    fn cells(&self) -> [String; 4] {
        [self.p50, self.p90, self.p99, self.most].map(|ms| format!("{ms} ms"))
    }
}

/// The result, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    sent: u64,
    acknowledged: u64,
    arrived: u64,
    /// Acknowledged, and never called for at the provider.
    missing: u64,
    /// Calls beyond the first for one account.
    repeated: u64,
    /// Other answers, by status.
    refused: BTreeMap<u16, u64>,
    /// No rule matched.
    jobless: u64,
    unanswered: u64,
    seconds: f64,
    acknowledged_per_second: f64,
    /// Until the last had arrived: what is carried from end to end.
    arrived_per_second: f64,
    /// From the moment at which an alert was to be sent.
    until_acknowledged_ms: Waits,
    /// The same, to the provider's being called.
    until_called_ms: Waits,
    /// Of the service that was started here.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_mib: Option<f64>,
}

impl Report {
    pub(super) fn new(volley: &Volley, sink: &Sink, peak_memory_mib: Option<f64>) -> Self {
        let arrived = sink.arrived(&volley.acknowledged);
        let acknowledged = volley.acknowledged.len() as u64;
        let seconds = volley.took.as_secs_f64();
        let until_last = match (volley.acknowledged.values().min(), arrived.last) {
            (Some(first), Some(last)) => last.duration_since(*first).as_secs_f64(),
            _ => 0.0,
        };
        Self {
            sent: volley.sent,
            acknowledged,
            arrived: arrived.waits.len() as u64,
            missing: arrived.missing,
            repeated: arrived.repeated,
            refused: volley.refused.clone(),
            jobless: volley.jobless,
            unanswered: volley.unanswered,
            seconds: (seconds * 1000.0).round() / 1000.0,
            acknowledged_per_second: per_second(acknowledged, seconds),
            arrived_per_second: per_second(arrived.waits.len() as u64, until_last),
            until_acknowledged_ms: Waits::of(volley.waits.clone()),
            until_called_ms: Waits::of(arrived.waits),
            peak_memory_mib,
        }
    }

    /// Why this run is no proof that all is well.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { missing, repeated, .. } = self;
        if self.missing > 0 {
            return Some(format!(
                "{missing} acknowledged alerts did not arrive at the provider; give --settle more time, or \
                                 look at `sever status` for what holds their jobs"
            ));
        }
        if self.repeated > 0 {
            return Some(format!("the provider was called {repeated} times more often than needed"));
        }
        if self.acknowledged == 0 {
            return Some("nothing was acknowledged with a job; the table above tells what came instead, and `sever plan` why no \
                         rule matches"
                .to_owned());
        }
        None
    }

    pub(super) fn sheet(&self) -> Sheet {
        let mut sheet = Sheet::of(format!(
            "{} alerts sent in {} s, {} acknowledged ({}/s), {} arrived at the provider ({}/s), {} missing, {} called \
             again.",
            self.sent,
            self.seconds,
            self.acknowledged,
            self.acknowledged_per_second,
            self.arrived,
            self.arrived_per_second,
            self.missing,
            self.repeated
        ));
        let row = |what: &str, waits: &Waits| [what.to_owned()].into_iter().chain(waits.cells()).collect::<Vec<_>>();
        let rows = [row("acknowledged", &self.until_acknowledged_ms), row("called", &self.until_called_ms)];
        sheet.table(&["SENT TO", "P50", "P90", "P99", "MOST"], rows);
        let others = self.refused.iter().map(|(status, count)| (format!("status {status}"), *count));
        let others =
            others.chain([("no rule matched".to_owned(), self.jobless), ("no answer".to_owned(), self.unanswered)]);
        let others: Vec<_> = others.filter(|(_, n)| *n > 0).map(|(what, n)| vec![what, n.to_string()]).collect();
        if !others.is_empty() {
            sheet.line("Not acknowledged:");
        }
        sheet.table(&["ANSWER", "ALERTS"], others);
        if let Some(memory) = self.peak_memory_mib {
            sheet.line(format!("Peak memory of the service: {memory} MiB."));
        }
        sheet
    }
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { (count as f64 / seconds).round() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_waits() {
        let waits = Waits::of((1..=101).rev().map(Duration::from_millis).collect());
        assert_eq!(waits, Waits { p50: 51.0, p90: 91.0, p99: 100.0, most: 101.0 });
        assert_eq!(Waits::of(Vec::new()), Waits::default());
    }
}
