//! What was measured, beside its budget.

use crate::budget::{Budget, Build, build};
use crate::callgrind::profile_of;
use crate::tools::Tools;
use crate::{Costs, Counts};

/// So much more may be allocated, written or executed. Trees of the database and hash tables vary that little.
const ROOM: f64 = 0.10;

/// Statements, commits and the like are the same every time: each more is one too many.
const LESS_THAN_ONE: f64 = 0.5;

/// Counts that are made of many small parts.
const PROPORTIONAL: [&str; 5] = [INSTRUCTIONS, "allocations", "bytes allocated", "bytes written", "bytes sent"];

pub(crate) const INSTRUCTIONS: &str = "instructions";

/// How to go on.
pub(crate) const MEND: &str = "Find what costs it: `callgrind_annotate --inclusive=yes` on the profiles named above, beside those of \
the commit before. If it has to cost that much, the commit says why, and raises the budget with the figures in docs/performance.md:\n  \
cargo bench --features otel --profile dev --bench costs -- --write";

/// What a comparison found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Above the budget.
    pub(crate) risen: Vec<String>,
    pub(crate) remarks: Vec<String>,
}

pub(crate) fn with(budget: &Budget, measured: &Costs) -> Found {
    let mut found = Found::default();
    let Some(build) = budget.of_this_build() else {
        found.remarks.push(format!("The {} build has no budget; `-- --write` makes one.", build()));
        return found;
    };
    let unlike = Tools::here().unlike(&build.tools);
    if !unlike.is_empty() {
        let tools = unlike.join(", ");
        found
            .remarks
            .push(format!("Instructions are not judged: this is {tools}, with which the budget was measured."));
    }
    for (what, counts) in measured {
        found.judge(what, counts, build, unlike.is_empty());
    }
    found
}

impl Found {
    fn judge(&mut self, what: &str, counts: &Counts, build: &Build, same_tools: bool) {
        let Some(budget) = build.costs.get(what) else {
            return self.risen.push(format!("{what}: has no budget"));
        };
        for (name, is) in counts.iter().filter(|(name, _)| same_tools || *name != INSTRUCTIONS) {
            let Some(may) = budget.get(name) else {
                self.risen.push(format!("{what}: {name} have no budget"));
                continue;
            };
            let told = || format!("{what}: {name} {is:.2}, budget {may:.2}{}", by(*is, *may));
            let proportional = PROPORTIONAL.contains(&name.as_str());
            let room = if proportional { may * ROOM } else { LESS_THAN_ONE };
            if *is > may + room {
                let profile = profile_of(what);
                let where_to_look = if profile.exists() { format!(" ({})", profile.display()) } else { String::new() };
                self.risen.push(told() + &where_to_look);
            } else if *is < may - room {
                self.remarks.push(format!("{}: less than its budget, which `-- --write` lowers", told()));
            }
        }
    }
}

fn by(is: f64, may: f64) -> String {
    if may > 0.0 { format!(", {:+.1} %", (is / may - 1.0) * 100.0) } else { String::new() }
}
