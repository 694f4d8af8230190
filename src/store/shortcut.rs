//! Ways to jobs that are few among many. Lists go from the newest job down; where those that are asked for are few, that
//! would walk through all others. Jobs that ended have an index of their own, and open ones are found through those that
//! the pipeline keeps anyway, so that a list costs the pipeline nothing more.

use std::collections::HashMap;

use super::turns::{LEASED, LOOKS};
use super::{GateView, JobFilter};
use crate::domain::JobState;

/// More than these are not gathered first: going down from the newest finds a page of them soon.
const FEW: u64 = 10_000;

/// Jobs by state, at all providers.
pub(super) type Counts = HashMap<JobState, u64>;

/// A condition that every job that the filter wants fulfils anyway, and that leads to them. Empty: none is needed.
pub(super) fn shortcut(filter: &JobFilter, gates: &[GateView], counts: &Counts) -> String {
    let of = |state: JobState| counts.get(&state).copied().unwrap_or(0);
    let stored = stored(filter, gates);
    if stored.is_empty() || stored.iter().map(|state| of(*state)).sum::<u64>() > FEW {
        return String::new();
    }
    let places: Vec<String> = stored.into_iter().filter_map(place).collect();
    format!(" AND seq IN ({})", places.join(" UNION ALL "))
}

/// The stored states in which wanted jobs can be. Behind a gate, queued jobs show as held. None: any, or ended ones.
fn stored(filter: &JobFilter, gates: &[GateView]) -> Vec<JobState> {
    let wanted = filter.state.or(filter.hold_reason.map(|_| JobState::Held));
    match wanted {
        Some(JobState::Held) if !gates.is_empty() => vec![JobState::Held, JobState::Queued],
        Some(state) if place(state).is_some() => vec![state],
        Some(_) | None => Vec::new(),
    }
}

/// The rows of the jobs in this state, by an index.
fn place(state: JobState) -> Option<String> {
    let waiting = |lanes: &str| {
        Some(format!(
            "SELECT j.seq FROM jobs AS j WHERE j.wake_at IS NOT NULL AND j.lane {lanes}
             AND j.provider IN (SELECT provider FROM job_counts)"
        ))
    };
    match state {
        JobState::Queued => waiting(&format!("< {LOOKS}")),
        JobState::Proving => waiting(&format!("= {LOOKS}")),
        JobState::Leased => waiting(&format!("= {LEASED}")),
        JobState::Held => Some("SELECT j.seq FROM jobs AS j WHERE j.state = 3".to_owned()),
        JobState::Done | JobState::Dead | JobState::Cancelled => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_found_from_the_newest_down_and_few_by_their_place() {
        let filter = |state| JobFilter { state: Some(state), ..JobFilter::default() };
        let counts = Counts::from([(JobState::Queued, FEW + 1), (JobState::Held, 3)]);
        assert_eq!(shortcut(&filter(JobState::Queued), &[], &counts), "");
        assert!(shortcut(&filter(JobState::Held), &[], &counts).contains("state = 3"));
        assert!(shortcut(&filter(JobState::Leased), &[], &counts).contains("lane = 6"));
        assert_eq!(shortcut(&JobFilter::default(), &[], &Counts::new()), "");
    }
}
