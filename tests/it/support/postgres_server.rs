//! A PostgreSQL server of a test's own, for tests that kill it or give it certificates.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A server on loopback. Ends with the test.
pub(crate) struct OwnServer {
    folder: TempDir,
    port: u16,
}

impl OwnServer {
    pub(crate) fn start() -> Self {
        Self::start_with("", "", &[])
    }

    /// With more in `postgresql.conf`, more before the rest of `pg_hba.conf`, and files in its data folder.
    pub(crate) fn start_with(conf: &str, hba: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let server = Self { folder, port };
        server.own(server.folder.path());
        server.done(&["initdb", "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "-D", &server.data()]);
        let data = PathBuf::from(server.data());
        let conf = format!("{}\n{conf}\n", read(&data.join("postgresql.conf")));
        let hba = format!("{hba}\n{}", read(&data.join("pg_hba.conf")));
        let own = [("postgresql.conf", conf.as_str()), ("pg_hba.conf", hba.as_str())];
        for (name, text) in own.iter().chain(files) {
            server.write(&data.join(name), text);
        }
        server.launch();
        server
    }

    /// For this user at this host.
    pub(crate) fn url(&self, user: &str, host: &str) -> String {
        format!("postgres://{user}@{host}:{}/postgres", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// kill -9 of the whole server; nothing gets a chance to say goodbye.
    pub(crate) fn kill(&self) {
        let pids = read(&Path::new(&self.data()).join("postmaster.pid"));
        let postmaster = pids.lines().next().expect("a process").to_owned();
        let children = Command::new("pgrep").args(["-P", &postmaster]).output().expect("pgrep runs").stdout;
        let children = String::from_utf8_lossy(&children).into_owned();
        // The postmaster first, or it would restart its children.
        let all = [postmaster.as_str()].into_iter().chain(children.lines());
        for pid in all {
            let _ = Command::new("kill").args(["-9", pid]).stderr(Stdio::null()).status();
        }
    }

    /// Starts, also after it was killed: what it left in shared memory goes only with its last process.
    pub(crate) fn launch(&self) {
        let options = format!("-h 127.0.0.1 -p {} -k {}", self.port, self.folder.path().display());
        let log = self.folder.path().join("log").display().to_string();
        for _ in 0..60 {
            if self.run(&["pg_ctl", "-D", &self.data(), "-w", "-t", "60", "-l", &log, "-o", &options, "start"]) {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        panic!("the server does not start: {}", read(Path::new(&log)));
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn write(&self, path: &Path, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(path, text).expect("written");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("restricted");
        self.own(path);
    }

    /// PostgreSQL refuses to run as root, so its files belong to the user that Debian makes for it.
    fn own(&self, path: &Path) {
        if is_root() {
            assert!(Command::new("chown").arg("postgres").arg(path).status().expect("chown runs").success());
        }
    }

    fn done(&self, command: &[&str]) {
        assert!(self.run(command), "{command:?} failed");
    }

    fn run(&self, command: &[&str]) -> bool {
        let program = tool(command[0]);
        let mut run = if is_root() {
            let mut run = Command::new("runuser");
            run.args(["-u", "postgres", "--"]).arg(program);
            run
        } else {
            Command::new(program)
        };
        run.args(&command[1..]).current_dir("/tmp").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        run.status().expect("it runs").success()
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.run(&["pg_ctl", "-D", &self.data(), "-m", "immediate", "-w", "stop"]);
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Debian keeps the server's programs off the path.
fn tool(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| PathBuf::from(name))
}
