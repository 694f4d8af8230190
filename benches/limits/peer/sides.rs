//! The two sides as processes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::broker::Broker;
use super::python::{FOLDER, programs};
use crate::person::SECRET;
use crate::process::Process;
use crate::service::{CONCURRENCY, TOKEN, folder, write_config};
use crate::sink::Sink;
use crate::watch::Watch;

/// Starting takes seconds at most.
const START: Duration = Duration::from_secs(60);

/// How often a port is tried.
const LOOK: Duration = Duration::from_millis(50);

/// Something that takes alerts and calls the provider.
pub(crate) trait Side {
    fn alerts(&self) -> SocketAddr;
    fn processes(&self) -> Vec<u32>;
    /// kill -9 of everything, and a start.
    fn crash(&mut self);
}

/// `sever serve`, as released.
pub(crate) struct Ours {
    config: PathBuf,
    process: Process,
    alerts: SocketAddr,
    _folder: TempDir,
}

impl Ours {
    pub(crate) fn start(sink: &Sink) -> Self {
        let folder = folder();
        let config = write_config(folder.path(), &sink.url(), CONCURRENCY);
        let (process, alerts) = Process::serve(&config);
        Self { config, process, alerts, _folder: folder }
    }
}

impl Side for Ours {
    fn alerts(&self) -> SocketAddr {
        self.alerts
    }

    fn processes(&self) -> Vec<u32> {
        self.process.family()
    }

    fn crash(&mut self) {
        self.process.kill();
        (self.process, self.alerts) = Process::serve(&self.config);
    }
}

/// The peer: a web server with a process for each core, and Celery with two for each.
pub(crate) struct Theirs {
    programs: PathBuf,
    environment: Vec<(&'static str, String)>,
    alerts: SocketAddr,
    processes: [Process; 2],
}

/// Worker processes of Celery, each of which waits for one call at a time. The provider answers at once: more would bring
/// no more through, and keep more in memory.
const TASKS_PER_CORE: usize = 2;

impl Theirs {
    pub(crate) fn start(broker: &Broker, sink: &Sink) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("an address");
        let environment = vec![
            ("BROKER_URL", broker.url.clone()),
            ("OKTA_URL", sink.url()),
            ("OKTA_TOKEN", TOKEN.to_owned()),
            ("WEBHOOK_SECRET", SECRET.to_owned()),
        ];
        let programs = programs();
        let processes = begin(&programs, &environment, port);
        Self { programs, environment, alerts: port, processes }
    }
}

impl Side for Theirs {
    fn alerts(&self) -> SocketAddr {
        self.alerts
    }

    fn processes(&self) -> Vec<u32> {
        self.processes.iter().flat_map(Process::family).collect()
    }

    fn crash(&mut self) {
        self.processes.iter_mut().for_each(Process::kill);
        self.processes = begin(&self.programs, &self.environment, self.alerts);
    }
}

/// Both are quiet in their logs; ours is not.
fn begin(programs: &std::path::Path, environment: &[(&str, String)], alerts: SocketAddr) -> [Process; 2] {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let start = |program: &str, arguments: &str| {
        let mut command = Command::new(programs.join(program));
        command.args(arguments.split(' ')).current_dir(FOLDER).envs(environment.iter().cloned());
        Process::start(
            command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONWARNINGS", "ignore").stdout(Stdio::null()),
        )
    };
    let (host, port) = (alerts.ip(), alerts.port());
    let web = format!(
        "app:app --host {host} --port {port} --workers {cores} --no-access-log --log-level warning --timeout-keep-alive 60"
    );
    let tasks = TASKS_PER_CORE * cores;
    let worker =
        format!("-A app:celery worker --loglevel WARNING --concurrency {tasks} --without-gossip --without-mingle");
    let mut both = [start("uvicorn", &web), start("celery", &worker)];
    let began = Watch::start();
    while TcpStream::connect(alerts).is_err() {
        assert!(began.elapsed() < START && !both.iter_mut().any(Process::has_ended), "the peer does not start");
        std::thread::sleep(LOOK);
    }
    both
}
