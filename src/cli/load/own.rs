//! A sever of our own to load: this binary, in a process of its own, with an embedded store in a temporary folder.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow};
use http::Uri;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::volley::Target;
use crate::cli::Failure;
use crate::cli::init::{SECRET_MODE, webhook_secret, write_new};
use crate::cli::signing::Signing;

const TEMPLATE: &str = include_str!("sever.yaml");

/// Starting takes a fraction of a second; a machine may be slow.
const START: Duration = Duration::from_secs(30);

/// The promise of `sever serve`, and some more.
const STOP: Duration = Duration::from_secs(30);

/// Short against the time that an end takes.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The running service and its folder, both of which end with it.
pub(super) struct OwnService {
    child: Child,
    alerts: SocketAddr,
    folder: PathBuf,
}

impl OwnService {
    pub(super) async fn start(sink: SocketAddr) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("sever-load-{}", uuid::Uuid::new_v4().simple()));
        let created = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        created.with_context(|| format!("cannot create {}; TMPDIR names another place", folder.display()))?;
        let secret = folder.join("secret");
        write_new(&secret, &format!("{}\n", webhook_secret()?), SECRET_MODE)?;
        let config = folder.join("sever.yaml");
        let quoted = |text: String| Value::from(text).to_string();
        let text = TEMPLATE
            .replace("@STORE@", &quoted(format!("sqlite://{}", folder.join("sever.db").display())))
            .replace("@SECRET@", &quoted(secret.display().to_string()))
            .replace("@SINK@", &format!("http://{sink}"));
        write_new(&config, &text, 0o644)?;
        let mut command = Command::new(std::env::current_exe().context("this program has no path")?);
        let mut child = command
            .args(["serve", "-c"])
            .arg(&config)
            .env("RUST_LOG", "sever::cli=info,warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("sever serve cannot be started")?;
        let said = listening(child.stderr.take().context("it was piped")?);
        // From here on it ends with us, whatever happens.
        let mut own = Self { child, alerts: SocketAddr::from(([127, 0, 0, 1], 0)), folder };
        let said = tokio::time::timeout(START, said).await.context("sever serve did not start in time")??;
        own.alerts = said.map_err(|last| anyhow!("sever serve ended: {last}"))?;
        Ok(own)
    }

    /// Where alerts go, signed with the secret that this service knows.
    pub(super) fn target(&self, args: &super::LoadArgs) -> Result<Target, Failure> {
        if args.signing.names_scheme() {
            return Err(Failure::Usage(anyhow!("--scheme goes with --url: a service of its own has its own secret")));
        }
        let settings = json!({"scheme": "standard-webhooks", "secrets": [{"file": self.folder.join("secret")}]});
        let url: Uri = format!("http://{}/v1/alerts/load", self.alerts).parse().map_err(anyhow::Error::from)?;
        Ok(Target { url, signing: Signing::of(serde_json::from_value(settings).map_err(anyhow::Error::from)?)? })
    }

    /// Linux tells; elsewhere nothing is told.
    pub(super) fn peak_memory(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some((kib / 1024.0 * 10.0).round() / 10.0)
    }

    /// Ends it as an orchestrator would.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        // SIGTERM: the standard library can only kill.
        let told = Command::new("kill").arg(self.child.id().to_string()).status();
        if !told.is_ok_and(|status| status.success()) {
            self.child.kill().context("sever serve cannot be ended")?;
        }
        let ended = async {
            while self.child.try_wait()?.is_none() {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(STOP, ended).await.context("sever serve did not end in time")?
    }
}

impl Drop for OwnService {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Reads the log to its end, and tells the address once it is there. `Err`: the last line, where it never was.
fn listening(log: ChildStderr) -> oneshot::Receiver<Result<SocketAddr, String>> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let (mut tell, mut last) = (Some(tell), String::new());
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let value: Value = serde_json::from_str(&line).unwrap_or_default();
            let address = value["alerts"].as_str().filter(|_| value["message"] == "listening");
            if let Some(address) = address.and_then(|text| text.parse().ok())
                && let Some(tell) = tell.take()
            {
                let _ = tell.send(Ok(address));
            }
            last = line;
        }
        if let Some(tell) = tell {
            let _ = tell.send(Err(last));
        }
    });
    told
}
