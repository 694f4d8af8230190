//! The provider that alerts lead to: an Okta that knows everybody, answers at once from a thread of its own, and notes
//! who was signed out, when first, and how often.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::STAND_IN;
use crate::alerts::Subject;
use crate::watch::Watch;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Book {
    calls: HashMap<String, (Watch, u64)>,
    total: u64,
}

/// A sink that takes calls.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    book: Arc<Mutex<Book>>,
    // Serves until it is dropped.
    _runtime: Runtime,
}

impl Sink {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(STAND_IN).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let book = Arc::new(Mutex::new(Book::default()));
        let router = Router::new()
            .route("/api/v1/users/{id}", get(read))
            .route("/api/v1/users/{id}/sessions", delete(end))
            .with_state(Arc::clone(&book));
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).expect("a port");
        let address = listener.local_addr().expect("an address");
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        runtime.spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self { address, book, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// When this person was first signed out, and how often.
    pub(crate) fn calls(&self, person: &Subject) -> Option<(Watch, u64)> {
        lock(&self.book).calls.get(&person.id).copied()
    }

    /// Everybody is called for, or nobody more within this time; how many are.
    pub(crate) fn wait_for(&self, people: &[Subject], quiet: Duration) -> usize {
        let (mut last, mut total) = (Watch::start(), 0);
        loop {
            {
                let book = lock(&self.book);
                let arrived = people.iter().filter(|person| book.calls.contains_key(&person.id)).count();
                if book.total > total {
                    (last, total) = (Watch::start(), book.total);
                }
                if arrived == people.len() || last.elapsed() > quiet {
                    return arrived;
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Whoever was called for so far is of no more interest.
    pub(crate) fn forget(&self) {
        lock(&self.book).calls.clear();
    }

    /// No call comes within this time.
    pub(crate) fn rest(&self, quiet: Duration) {
        let mut before = None;
        while before != Some(lock(&self.book).total) {
            before = Some(lock(&self.book).total);
            std::thread::sleep(quiet);
        }
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(Path(id): Path<String>) -> Json<Value> {
    let number = id.trim_start_matches("00u").parse().unwrap_or_default();
    let login = Subject::numbered(number).email;
    Json(json!({"id": id, "status": "ACTIVE", "profile": {"login": login, "email": login}}))
}

async fn end(State(book): State<Arc<Mutex<Book>>>, Path(id): Path<String>) -> StatusCode {
    let now = Watch::start();
    let mut book = lock(&book);
    book.calls.entry(id).and_modify(|(_, calls)| *calls += 1).or_insert((now, 1));
    book.total += 1;
    StatusCode::NO_CONTENT
}
