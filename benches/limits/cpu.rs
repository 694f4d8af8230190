//! What each kind of thread of this process has used of the processors. Unlike a rate it hardly depends on what else
//! the machine does meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::report::Rounds;

/// The names of the store's threads that every change goes through.
pub(crate) const WRITER: [&str; 2] = ["store-writer", "store-sync"];

/// Time on a processor, by the name of the thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cpu(BTreeMap<String, Duration>);

impl Cpu {
    /// What has been used so far by the threads that live now.
    pub(crate) fn used() -> Self {
        let mut used = Self::default();
        for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            // A thread that ends meanwhile has nothing to tell.
            if let Some((name, time)) = read(&task.path()) {
                *used.0.entry(name).or_default() += time;
            }
        }
        used
    }

    /// What was used since then, by threads of this name.
    pub(crate) fn since(&self, before: &Self, name: &str) -> Duration {
        let of = |used: &Self| used.0.get(name).copied().unwrap_or_default();
        of(self).saturating_sub(of(before))
    }

    /// What was used since then, by all.
    pub(crate) fn all_since(&self, before: &Self) -> Duration {
        let of = |used: &Self| used.0.values().sum::<Duration>();
        of(self).saturating_sub(of(before))
    }
}

/// What each process of this name has used so far: none where they are on another machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Processes(BTreeMap<PathBuf, Duration>);

impl Processes {
    pub(crate) fn used(name: &str) -> Self {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten().map(|process| process.path());
        let named = all.filter_map(|path| read(&path).filter(|(its, _)| its == name).map(|(_, time)| (path, time)));
        Self(named.collect())
    }

    /// What was used since then, by those that live now.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let of = |path: &PathBuf| before.0.get(path).copied().unwrap_or_default();
        self.0.iter().map(|(path, time)| time.saturating_sub(of(path))).sum()
    }
}

/// What the rounds of one side used for each thing that was done.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    ours: Vec<f64>,
    server: Vec<f64>,
}

impl Shares {
    pub(crate) fn add(&mut self, count: usize, ours: Duration, server: Duration) {
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        self.ours.push(micros(ours));
        self.server.push(micros(server));
    }

    pub(crate) fn words(&self) -> String {
        let [ours, server] = [&self.ours, &self.server].map(|it| Rounds::of(it.clone()).median());
        format!("CPU {ours:.0} + {server:.0} us")
    }
}

/// The first number of `schedstat` is the time on a processor, in nanoseconds (proc(5)).
fn read(task: &Path) -> Option<(String, Duration)> {
    let name = fs::read_to_string(task.join("comm")).ok()?;
    let numbers = fs::read_to_string(task.join("schedstat")).ok()?;
    let nanos = numbers.split_whitespace().next()?.parse().ok()?;
    Some((name.trim_end().to_owned(), Duration::from_nanos(nanos)))
}
