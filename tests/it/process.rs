//! The real binary in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sever::clock::{Clock, SystemClock};

/// How long a process may take to listen, or to end. Far more than it needs, for builds run beside tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `sever serve`. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    pub(crate) alerts: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
}

pub(crate) fn sever() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sever"))
}

impl Server {
    /// Starts it and waits until it listens. `Err`: what it said before it ended.
    pub(crate) fn start(config: &Path) -> Result<Self, String> {
        Self::start_with(config, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn start_with(config: &Path, environment: &[(&str, &str)]) -> Result<Self, String> {
        Self::start_as("all", config, environment)
    }

    /// The same for a part of the work.
    pub(crate) fn start_as(role: &str, config: &Path, environment: &[(&str, &str)]) -> Result<Self, String> {
        let mut child = sever()
            .args(["serve", "--role", role, "-c"])
            .arg(config)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().expect("stderr"));
        let (tell, listening) = std::sync::mpsc::channel();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some(addresses) = addresses(&line) {
                    let _ = tell.send(addresses);
                }
                kept.lock().expect("the log").push(line);
            }
        });
        match listening.recv_timeout(PATIENCE) {
            Ok((alerts, admin)) => Ok(Self { child, log, alerts, admin }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(log.lock().expect("the log").join("\n"))
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// SIGTERM; the exit status, and how long it took.
    pub(crate) fn terminate(mut self) -> (Option<i32>, Duration) {
        let clock = SystemClock::new();
        let began = clock.steady();
        let kill = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(kill.success());
        loop {
            let took = Duration::try_from(clock.steady() - began).unwrap_or_default();
            if let Some(status) = self.child.try_wait().expect("waited") {
                return (status.code(), took);
            }
            assert!(took < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it says, to be read also after it has ended.
    pub(crate) fn log_handle(&self) -> Arc<Mutex<Vec<String>>> {
        Arc::clone(&self.log)
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("the log").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn addresses(line: &str) -> Option<(SocketAddr, Option<SocketAddr>)> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["message"] != "listening" {
        return None;
    }
    let admin = line["admin"].as_str().unwrap_or_default();
    let admin = admin.trim_start_matches("Some(").trim_end_matches(')');
    Some((line["alerts"].as_str()?.parse().ok()?, admin.parse().ok()))
}
