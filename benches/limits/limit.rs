//! The limits of intake: bare handlers that check the HMAC and write in group commits, and do nothing else.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::serve::ListenerExt;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::Connection;
use sha2::Sha256;
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::alerts::PATH;
use crate::person::SECRET;
use crate::rows::Rows;
use crate::service::folder;

/// As in the service.
pub(crate) const LARGEST_BATCH: usize = 512;

/// What a handler hands to the writer.
pub(crate) struct Taken {
    pub(crate) id: String,
    pub(crate) body: Bytes,
}

/// With whoever waits for its commit.
pub(crate) type Queued = (Taken, oneshot::Sender<()>);

/// A bare server.
pub(crate) struct Limit {
    pub(crate) address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
    writer: JoinHandle<()>,
    folder: TempDir,
}

#[derive(Clone)]
struct Handler {
    mac: Hmac<Sha256>,
    queue: SyncSender<Queued>,
}

impl Limit {
    /// Serves on any port, and writes `rows` into a file of its own.
    pub(crate) async fn start(rows: Rows) -> Self {
        let folder = folder();
        let file = file_of(&folder);
        Self { folder, ..Self::over(move |taken| write(&file, &rows, taken)).await }
    }

    /// Serves on any port; `write` writes what it takes, until nothing more comes.
    #[expect(clippy::disallowed_methods, reason = "there is no drain to wait for")]
    pub(crate) async fn over(write: impl FnOnce(&Receiver<Queued>) + Send + 'static) -> Self {
        let folder = folder();
        let (queue, taken) = sync_channel(10_000);
        let writer = std::thread::spawn(move || write(&taken));
        let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).expect("a key");
        let handler = Handler { mac: Hmac::new_from_slice(&key).expect("a key"), queue };
        let router = Router::new().route(PATH, post(receive)).with_state(handler);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self { address, serving, writer, folder }
    }

    /// Stops it and leaves its file.
    pub(crate) async fn stop(self) -> (TempDir, PathBuf) {
        self.serving.abort();
        let _ = self.serving.await;
        let writer = self.writer;
        tokio::task::spawn_blocking(move || writer.join().expect("the writer ended")).await.expect("joined");
        let file = file_of(&self.folder);
        (self.folder, file)
    }
}

fn file_of(folder: &TempDir) -> PathBuf {
    folder.path().join("limit.db")
}

async fn receive(State(handler): State<Handler>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (id, signature) = (text("webhook-id"), text("webhook-signature"));
    let mut mac = handler.mac.clone();
    for part in [id.as_bytes(), b".", text("webhook-timestamp").as_bytes(), b".", &body] {
        mac.update(part);
    }
    let signature = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    if mac.verify_slice(&signature).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let (reply, done) = oneshot::channel();
    let taken = Taken { id: id.to_owned(), body };
    match handler.queue.try_send((taken, reply)) {
        Ok(()) if done.await.is_ok() => StatusCode::ACCEPTED,
        Ok(()) | Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn write(file: &Path, rows: &Rows, taken: &Receiver<Queued>) {
    let connection = open(file, rows);
    let mut insert = rows.prepare(&connection);
    let mut begin = connection.prepare("BEGIN IMMEDIATE").expect("prepared");
    let mut commit = connection.prepare("COMMIT").expect("prepared");
    let mut replies = Vec::with_capacity(LARGEST_BATCH);
    while let Ok(first) = taken.recv() {
        begin.execute([]).expect("begun");
        let rest = std::iter::from_fn(|| taken.try_recv().ok());
        for (one, reply) in std::iter::once(first).chain(rest).take(LARGEST_BATCH) {
            insert.one(&one);
            replies.push(reply);
        }
        insert.finish(replies.len());
        commit.execute([]).expect("committed");
        for reply in replies.drain(..) {
            let _ = reply.send(());
        }
    }
    drop((insert, begin, commit));
    let _ = connection.pragma_update(None, "wal_checkpoint", "truncate");
}

/// With the settings of the service's store, but that it moves its log itself.
fn open(file: &Path, rows: &Rows) -> Connection {
    let connection = Connection::open(file).expect("a file");
    connection.pragma_update(None, "journal_mode", "wal").expect("set");
    connection.pragma_update(None, "synchronous", "full").expect("set");
    connection.pragma_update(None, "wal_autocheckpoint", 10_000).expect("set");
    connection.pragma_update(None, "cache_size", -16_000).expect("set");
    connection.execute_batch(rows.schema()).expect("a schema");
    connection
}
