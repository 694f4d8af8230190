//! What everything may cost: `budget.json`, with one budget for each way to build.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::tools::Tools;
use crate::{Costs, Counts};

/// Below this, digits say nothing.
const DIGITS: f64 = 100.0;

/// By build: see [`build`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Budget(pub(crate) BTreeMap<String, Build>);

/// What was measured of one build when it was last written down.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Build {
    /// What instructions depend on besides the source.
    pub(crate) tools: Tools,
    pub(crate) costs: Costs,
}

/// Which build this is.
pub(crate) fn build() -> &'static str {
    if cfg!(debug_assertions) { UNOPTIMISED } else { OPTIMISED }
}

pub(crate) const UNOPTIMISED: &str = "unoptimised";
pub(crate) const OPTIMISED: &str = "optimised";

impl Budget {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(file()).expect("benches/costs/budget.json");
        serde_json::from_str(&text).unwrap_or_else(|wrong| panic!("benches/costs/budget.json: {wrong}"))
    }

    /// This build's, if there is one.
    pub(crate) fn of_this_build(&self) -> Option<&Build> {
        self.0.get(build())
    }

    /// With what was measured of this build; what was not measured stays.
    pub(crate) fn with(mut self, measured: Costs) -> Self {
        let entry = self.0.entry(build().to_owned()).or_default();
        entry.tools = Tools::here();
        entry.costs.extend(measured.into_iter().map(|(what, counts)| (what, rounded(counts))));
        self
    }

    pub(crate) fn write(&self) {
        let text = serde_json::to_string_pretty(self).expect("JSON");
        std::fs::write(file(), text + "\n").expect("written");
    }
}

fn rounded(counts: Counts) -> Counts {
    counts.into_iter().map(|(what, count)| (what, (count * DIGITS).round() / DIGITS)).collect()
}

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/costs/budget.json"))
}
