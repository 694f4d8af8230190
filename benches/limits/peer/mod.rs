//! The service beside what a team would build by hand (`benches/peers/`): FastAPI, Celery and RabbitMQ. Same alerts, same
//! provider, both as processes of their own with their settings for production.

mod broker;
mod python;
mod sides;
mod trials;

use crate::Scale;
use crate::process::mebi;
use crate::report::{Line, Rounds, millis};
use crate::sink::Sink;
use broker::Broker;
use sides::{Ours, Side, Theirs};
use trials::{People, Trials, Waits};

/// The peer's names in the table.
const BESIDE: &str = "FastAPI, Celery, RabbitMQ";

/// Measures and compares.
pub(crate) fn measure(scale: Scale) -> Vec<Line> {
    let sink = Sink::start();
    let broker = Broker::start();
    let mut ours = Ours::start(&sink);
    let mut theirs = Theirs::start(&broker, &sink);
    let mut people = People::default();
    let (mut us, mut them) = (Trials::default(), Trials::default());
    let mut both: [(&mut dyn Side, &mut Trials); 2] = [(&mut ours, &mut us), (&mut theirs, &mut them)];
    for (side, trials) in &mut both {
        trials.rest(*side, &sink, people.take(scale.idle));
    }
    for _ in 0..scale.peer_rounds {
        // Whoever comes first in a round may find the machine in another mood.
        both.reverse();
        for (side, trials) in &mut both {
            trials.flood(*side, &sink, people.take(scale.peer_alerts));
        }
    }
    // What both can carry: the slower one is half busy.
    let rate = both.iter().map(|(_, trials)| trials.rate()).fold(f64::INFINITY, f64::min) / 2.0;
    for (side, trials) in &mut both {
        trials.load(*side, &sink, people.take(scale.peer_alerts / 2), rate);
        trials.repeat(*side, &sink, people.take(REPEATED));
        trials.crash(*side, &sink, people.take(scale.peer_alerts));
    }
    lines(&us, &them, rate, &broker)
}

/// Deliveries that come twice.
const REPEATED: usize = 200;

fn lines(us: &Trials, them: &Trials, rate: f64, broker: &Broker) -> Vec<Line> {
    let waits = |what: &str, ours: &Waits, theirs: &Waits| {
        let ratio = |share| ours.quantile(share).as_secs_f64() / theirs.quantile(share).as_secs_f64();
        let line = Line::new(what, BESIDE, ours.words(), theirs.words());
        line.ratio_in_words(format!("{:.2}, {:.2}", ratio(0.5), ratio(0.99)))
    };
    let rates = Rounds::ratios(&us.rates, &them.rates);
    let per_second = |trials: &Trials| format!("{:.0}/s", trials.rate());
    let memory = us.memory.resident as f64 / them.memory.resident as f64;
    let shared = us.memory.proportional as f64 / them.memory.proportional as f64;
    let resident = |kib| mebi(kib);
    let beside_broker = format!(
        "{BESIDE} without RabbitMQ{}",
        broker.memory().map_or(String::new(), |kib| format!(", which has {}", mebi(kib)))
    );
    let size = |what: &str, ours: u64, theirs: u64, ratio: f64| {
        let line = Line::new(what, &beside_broker, resident(ours), resident(theirs));
        line.ratio_in_words(format!("{ratio:.3}")).judged(ratio <= 0.25, "<= 0.25")
    };
    let count = |what: &str, of: &dyn Fn(&Trials) -> (usize, usize)| {
        let words = |trials: &Trials| format!("{} of {}", of(trials).0, of(trials).1);
        Line::new(what, BESIDE, words(us), words(them))
    };
    vec![
        Line::new("alerts that reach the provider", BESIDE, per_second(us), per_second(them))
            .at_least(25.0, 25.0, rates),
        waits("idle: alert sent -> provider called", &us.idle, &them.idle),
        waits(&format!("at {rate:.0} alerts/s: to be sent -> provider called"), &us.loaded, &them.loaded),
        size("resident memory, sum of its processes", us.memory.resident, them.memory.resident, memory),
        size("the same, shared pages divided (PSS)", us.memory.proportional, them.memory.proportional, shared),
        count("lost of those acknowledged, kill -9 in the middle", &|it| (it.lost, it.acknowledged))
            .judged(us.lost == 0, "none"),
        count("called again after the kill -9", &|it| (it.repeated_by_crash, it.acknowledged)),
        count("called again, same delivery comes twice", &|it| (it.repeated, REPEATED))
            .judged(us.repeated == 0, "none"),
    ]
}

impl Waits {
    fn words(&self) -> String {
        format!("p50 {}, p99 {}", millis(self.quantile(0.5)), millis(self.quantile(0.99)))
    }
}
