//! Plots as SVG: lines over an axis in powers of ten, and up either such a one or an even one from 0.

use std::fmt::Write;
use std::path::Path;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;

/// Around the plot: room for labels.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 76.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 56.0;

/// Told apart by people who see colours differently as well (Okabe and Ito 2008), with a mark of their own each.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// One line.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A plot with its labels.
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) across: String,
    pub(crate) up: String,
    /// Whether what goes up counts evenly from 0; otherwise in powers of ten.
    pub(crate) from_zero: bool,
    pub(crate) series: Vec<Series>,
}

/// One axis: its ends as they count on it and as they are on the picture, and where lines cross it, some with a label.
struct Axis {
    values: (f64, f64),
    ends: (f64, f64),
    in_powers: bool,
    ticks: Vec<(f64, Option<String>)>,
}

impl Axis {
    /// Counts in powers of ten.
    fn in_powers(values: impl Iterator<Item = f64> + Clone, ends: (f64, f64)) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min).log10().floor() as i32;
        let most = (values.fold(0.0, f64::max).log10().ceil() as i32).max(least + 1);
        let labelled = |n: u32| n == 1 || (most - least <= 2 && (n == 2 || n == 5));
        let within = |power| if power == most { 1..2 } else { 1..10 };
        let tick = |power, n| (f64::from(n) * 10_f64.powi(power), labelled(n));
        let ticks = (least..=most).flat_map(|power| within(power).map(move |n| tick(power, n)));
        let ticks = ticks.map(|(value, labelled)| (value, labelled.then(|| short(value)))).collect();
        Self { values: (f64::from(least), f64::from(most)), ends, in_powers: true, ticks }
    }

    /// Counts evenly from 0, so that twice as much is twice as high.
    fn from_zero(values: impl Iterator<Item = f64>, ends: (f64, f64)) -> Self {
        let most = values.fold(0.0, f64::max);
        let power = 10_f64.powf((most / 6.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| step * 6.0 >= most);
        let step = step.unwrap_or(most);
        let count = (most / step).ceil() as u32;
        let ticks = (0..=count).map(|n| f64::from(n) * step).map(|value| (value, Some(short(value)))).collect();
        Self { values: (0.0, f64::from(count) * step), ends, in_powers: false, ticks }
    }

    fn place(&self, value: f64) -> f64 {
        let value = if self.in_powers { value.log10() } else { value };
        let share = (value - self.values.0) / (self.values.1 - self.values.0);
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value if value >= 1.0 || value == 0.0 => format!("{value:.0}"),
        value => format!("{value}"),
    }
}

impl Plot {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| series.points.iter());
        let across = Axis::in_powers(points().map(|(x, _)| *x), (LEFT, WIDTH - RIGHT));
        let heights = (points().map(|(_, y)| *y), (HEIGHT - BOTTOM, TOP));
        let up =
            if self.from_zero { Axis::from_zero(heights.0, heights.1) } else { Axis::in_powers(heights.0, heights.1) };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"13\" fill=\"#222\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
            self.title
        );
        grid(&mut svg, &across, &up);
        let (middle, bottom) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 14.0);
        text(&mut svg, (LEFT, 24.0), "start", &self.title, " font-size=\"15\" font-weight=\"bold\"");
        text(&mut svg, (middle, bottom), "middle", &self.across, "");
        let turned = format!(" transform=\"rotate(-90 18 {0})\"", HEIGHT / 2.0);
        text(&mut svg, (18.0, HEIGHT / 2.0), "middle", &self.up, &turned);
        for (series, colour) in self.series.iter().zip(COLOURS) {
            line(&mut svg, series, colour, &across, &up);
        }
        self.names(&mut svg, &across, &up);
        svg.push_str("</svg>\n");
        svg
    }

    /// Beside the last points, and none over another.
    fn names(&self, svg: &mut String, across: &Axis, up: &Axis) {
        let named = self.series.iter().zip(COLOURS).filter_map(|(series, colour)| {
            let (x, y) = series.points.last()?;
            Some((across.place(*x) + 9.0, up.place(*y) + 4.0, colour, &series.name))
        });
        let mut named: Vec<_> = named.collect();
        named.sort_by(|one, other| one.1.total_cmp(&other.1));
        let mut free = 0.0;
        for (x, y, colour, name) in named {
            text(svg, (x, y.max(free)), "start", name, &format!(" fill=\"{colour}\""));
            free = y.max(free) + 16.0;
        }
    }

    /// Its points, for who cannot look at it.
    pub(crate) fn words(&self) -> String {
        let mut words = format!("{}: {} -> {}\n", self.title, self.across, self.up);
        for Series { name, points } in &self.series {
            let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.0}: {y:.2}")).collect();
            writeln!(words, "  {name}  {}", points.join("  ")).expect("written");
        }
        words
    }

    /// Writes it beside the page about performance.
    pub(crate) fn write(&self, name: &str) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        std::fs::write(file, self.svg()).expect("written");
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str, more: &str) {
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{words}</text>").expect("written");
}

fn grid(svg: &mut String, across: &Axis, up: &Axis) {
    let mut rule = |x1: f64, y1: f64, x2: f64, y2: f64, strong: bool| {
        let colour = if strong { "#bbb" } else { "#eee" };
        writeln!(svg, "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"{colour}\"/>").expect("written");
    };
    for (value, label) in &across.ticks {
        rule(across.place(*value), up.ends.0, across.place(*value), up.ends.1, label.is_some());
    }
    for (value, label) in &up.ticks {
        rule(across.ends.0, up.place(*value), across.ends.1, up.place(*value), label.is_some());
    }
    for (value, label) in &across.ticks {
        let at = (across.place(*value), up.ends.0 + 18.0);
        label.iter().for_each(|label| text(svg, at, "middle", label, ""));
    }
    for (value, label) in &up.ticks {
        let at = (across.ends.0 - 8.0, up.place(*value) + 4.0);
        label.iter().for_each(|label| text(svg, at, "end", label, ""));
    }
}

fn line(svg: &mut String, series: &Series, colour: &str, across: &Axis, up: &Axis) {
    let places: Vec<(f64, f64)> = series.points.iter().map(|(x, y)| (across.place(*x), up.place(*y))).collect();
    let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let path = path.join(" ");
    writeln!(svg, "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>")
        .expect("written");
    for (x, y) in &places {
        writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>").expect("written");
    }
}
