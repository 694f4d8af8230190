//! Marks where something that is measured begins and ends, and counts inside the process.
//!
//! Valgrind puts aside its counts whenever [`between_phases`] is called, and tells in its list of system calls that the path
//! [`MARK`] was asked for. So one run measures everything, and neither the start nor the warm-up counts.

use std::alloc::System;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::Counts;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A file that is not there.
pub(crate) const MARK: &str = "/sever-costs-between-phases";

/// What threads beside still do when an answer is there takes far less.
const REST: Duration = Duration::from_millis(100);

/// What was counted of something that was done so many times.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) times: usize,
    pub(crate) counts: Counts,
}

/// A phase under way.
pub(crate) struct Meter<C> {
    counters: C,
    counted: Counts,
    allocations: usize,
    bytes: usize,
}

impl<C: Fn() -> Counts> Meter<C> {
    /// `counters` tells further counts, as they are at the time.
    pub(crate) fn start(counters: C) -> Self {
        std::thread::sleep(REST);
        let counted = counters();
        between_phases();
        let (allocations, bytes) = allocated();
        Self { counters, counted, allocations, bytes }
    }

    pub(crate) fn stop(self, name: &str, times: usize) -> Phase {
        std::thread::sleep(REST);
        let (allocations, bytes) = allocated();
        between_phases();
        let mut counts = (self.counters)();
        for (what, count) in &mut counts {
            *count -= self.counted.get(what).unwrap_or(&0.0);
        }
        counts.insert("allocations".to_owned(), (allocations - self.allocations) as f64);
        counts.insert("bytes allocated".to_owned(), (bytes - self.bytes) as f64);
        counts.values_mut().for_each(|count| *count /= times as f64);
        Phase { name: name.to_owned(), times, counts }
    }
}

/// How often memory was asked for, and how many bytes of it.
fn allocated() -> (usize, usize) {
    let stats = ALLOCATOR.stats();
    (stats.allocations + stats.reallocations, stats.bytes_allocated)
}

/// Valgrind knows this function by its name.
#[inline(never)]
fn between_phases() {
    let _ = black_box(Path::new(MARK).exists());
}
