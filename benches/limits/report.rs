//! Lines of the table, and where the table goes.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// A figure of each round.
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        Self(figures)
    }

    /// Ours over theirs, round by round.
    pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Self {
        Self::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        let at = |place: usize| self.0.get(place).copied().unwrap_or_default();
        if self.0.len().is_multiple_of(2) {
            f64::midpoint(at(middle.saturating_sub(1)), at(middle))
        } else {
            at(middle)
        }
    }

    pub(crate) fn most(&self) -> f64 {
        self.spread().1
    }

    fn spread(&self) -> (f64, f64) {
        (self.0.first().copied().unwrap_or_default(), self.0.last().copied().unwrap_or_default())
    }
}

/// One comparison.
pub(crate) struct Line {
    what: String,
    beside: String,
    ours: String,
    theirs: String,
    ratio: String,
    verdict: String,
}

impl Line {
    pub(crate) fn new(what: &str, beside: &str, ours: String, theirs: String) -> Self {
        let (what, beside) = (what.to_owned(), beside.to_owned());
        Self { what, beside, ours, theirs, ratio: "-".to_owned(), verdict: String::new() }
    }

    /// What has to be reached, what should be, and what was.
    pub(crate) fn at_least(self, demanded: f64, wished: f64, ratios: Rounds) -> Self {
        let verdict = verdict(ratios.median() >= demanded, ratios.median() >= wished, ">=", demanded, wished);
        Self { verdict, ..self.ratio(&ratios) }
    }

    pub(crate) fn at_most(self, demanded: f64, wished: f64, ratios: Rounds) -> Self {
        let verdict = verdict(ratios.median() <= demanded, ratios.median() <= wished, "<=", demanded, wished);
        Self { verdict, ..self.ratio(&ratios) }
    }

    /// Told without a target.
    pub(crate) fn told(self, ratios: Rounds) -> Self {
        self.ratio(&ratios)
    }

    pub(crate) fn below(self, most: Duration, is: Duration) -> Self {
        Self { verdict: format!("{} <= {}", word(is <= most), millis(most)), ..self }
    }

    pub(crate) fn within(self, most_mib: u64, is_mib: u64) -> Self {
        Self { verdict: format!("{} <= {most_mib} MiB", word(is_mib < most_mib)), ..self }
    }

    /// A ratio that is of no rounds.
    pub(crate) fn ratio_in_words(self, ratio: String) -> Self {
        Self { ratio, ..self }
    }

    /// What was demanded, in words, and whether it was so.
    pub(crate) fn judged(self, passes: bool, demanded: &str) -> Self {
        Self { verdict: format!("{} {demanded}", word(passes)), ..self }
    }

    fn ratio(self, ratios: &Rounds) -> Self {
        let (least, most) = ratios.spread();
        Self { ratio: format!("{:.2} ({least:.2}-{most:.2})", ratios.median()), ..self }
    }
}

fn word(passes: bool) -> &'static str {
    if passes { "PASS" } else { "miss" }
}

fn verdict(passes: bool, pleases: bool, sign: &str, demanded: f64, wished: f64) -> String {
    if demanded == 0.0 || demanded.to_bits() == wished.to_bits() {
        return format!("{} {sign} {wished}", word(pleases));
    }
    format!("{} {sign} {demanded}, {} {sign} {wished}", word(passes), word(pleases))
}

/// As people read waits.
pub(crate) fn millis(wait: Duration) -> String {
    format!("{:.2} ms", wait.as_secs_f64() * 1000.0)
}

/// The table as Markdown.
pub(crate) fn table(lines: &[Line]) -> String {
    let mut table = format!("{}\n\n", machine());
    table.push_str("| what | beside | ours | theirs | ratio (spread) | target |\n|---|---|---|---|---|---|\n");
    for line in lines {
        let Line { what, beside, ours, theirs, ratio, verdict } = line;
        writeln!(table, "| {what} | {beside} | {ours} | {theirs} | {ratio} | {verdict} |").expect("written");
    }
    table
}

/// Cores and model, and nothing that names the machine.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{cores} cores, {}, {}.", model.map_or("processor not named", |(_, model)| model), disk())
}

fn disk() -> &'static str {
    let all = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let real = all.map(|disk| disk.path()).find(|path| path.join("device").exists());
    let spins = real.and_then(|path| std::fs::read_to_string(path.join("queue/rotational")).ok());
    let is_virtual = Path::new("/sys/block/vda").exists();
    match (is_virtual, spins.as_deref().map(str::trim)) {
        (true, _) => "virtual disk",
        (false, Some("0")) => "solid-state disk",
        (false, Some(_)) => "spinning disk",
        (false, None) => "unknown disk",
    }
}

/// Replaces what stands between the markers of this name in the page about performance.
pub(crate) fn write(name: &str, figures: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
    let text = std::fs::read_to_string(&page).expect("docs/performance.md");
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let (head, rest) = text.split_once(&begin).expect("the first marker");
    let (_, tail) = rest.split_once(&end).expect("the second marker");
    std::fs::write(&page, format!("{head}{begin}\n{figures}{end}{tail}")).expect("written");
}
