//! Processes that are measured: the service as one, what a process and its children keep in memory, and their end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process that ends with whoever started it, and takes its children along.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        Self(command.stdin(Stdio::null()).spawn().unwrap_or_else(|wrong| panic!("{name} does not start: {wrong}")))
    }

    /// `sever serve` with this config, and where it takes alerts.
    pub(crate) fn serve(config: &Path) -> (Self, SocketAddr) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sever"));
        let mut process = Self::start(command.args(["serve", "--config"]).arg(config).stderr(Stdio::piped()));
        let mut lines = BufReader::new(process.0.stderr.take().expect("its log")).lines();
        let alerts = lines.by_ref().map_while(Result::ok).find_map(|line| address(&line)).expect("it listens");
        // Somebody has to read on, or the service would wait for its log.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        (process, alerts)
    }

    /// This one and all its descendants.
    pub(crate) fn family(&self) -> Vec<u32> {
        family(self.0.id())
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_some())
    }

    /// A field of its status, in KiB.
    pub(crate) fn resident(&self, field: &str) -> u64 {
        field_of(&format!("/proc/{}/status", self.0.id()), field).expect("its size")
    }

    /// kill -9, children too.
    pub(crate) fn kill(&mut self) {
        if !self.has_ended() {
            let ids = self.family().into_iter().map(|id| id.to_string());
            let _ = Command::new("kill").arg("-9").args(ids).stderr(Stdio::null()).status();
            let _ = self.0.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn address(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    line["alerts"].as_str()?.parse().ok()
}

/// A process and all its descendants.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let numbers = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let all: Vec<u32> = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(numbers).collect();
    let parent = |id: u32| field_of(&format!("/proc/{id}/status"), "PPid:");
    let parents: Vec<(u32, u64)> = all.into_iter().filter_map(|id| Some((id, parent(id)?))).collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(member) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, parent)| *parent == u64::from(member)).map(|(id, _)| *id));
        next += 1;
    }
    family
}

/// What processes keep in memory, in KiB.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Memory {
    /// Each process with all that it maps.
    pub(crate) resident: u64,
    /// With what several of them share divided among them.
    pub(crate) proportional: u64,
}

impl Memory {
    pub(crate) fn of(processes: &[u32]) -> Self {
        let sum = |field: &str| {
            processes.iter().filter_map(|id| field_of(&format!("/proc/{id}/smaps_rollup"), field)).sum::<u64>()
        };
        Self { resident: sum("Rss:"), proportional: sum("Pss:") }
    }

    /// The larger of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { resident: self.resident.max(other.resident), proportional: self.proportional.max(other.proportional) }
    }
}

/// As people read sizes.
pub(crate) fn mebi(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

fn field_of(file: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
