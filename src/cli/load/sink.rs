//! The provider that the load leads to: an Okta that knows everybody, answers at once, and writes down who was signed out.
//!
//! Not strict as the sandbox is: it measures sever and not itself.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::lifecycle::Lifecycle;

/// Short against what is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Who arrived: when first, and how often.
type Arrivals = HashMap<String, (Timestamp, u64)>;

/// A sink that takes calls.
pub(super) struct Sink {
    address: SocketAddr,
    clock: Arc<dyn Clock>,
    arrivals: Arc<Mutex<Arrivals>>,
}

#[derive(Clone)]
struct Book {
    clock: Arc<dyn Clock>,
    arrivals: Arc<Mutex<Arrivals>>,
}

/// What arrived of what was acknowledged.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// How long after it was to be sent each first call came.
    pub(super) waits: Vec<Duration>,
    /// Acknowledged, and never called for.
    pub(super) missing: u64,
    /// Calls beyond the first for one account.
    pub(super) repeated: u64,
    /// When the last of the first calls came.
    pub(super) last: Option<Timestamp>,
}

impl Sink {
    pub(super) async fn start(
        address: SocketAddr,
        clock: Arc<dyn Clock>,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}; choose --sink"))?;
        let address = listener.local_addr()?;
        let arrivals = Arc::new(Mutex::new(Arrivals::new()));
        let book = Book { clock: Arc::clone(&clock), arrivals: Arc::clone(&arrivals) };
        let router = Router::new()
            .route("/api/v1/users/{id}", get(read))
            .route("/api/v1/users/{id}/sessions", delete(end))
            .with_state(book);
        let ending = lifecycle.clone();
        lifecycle.spawn(async move {
            let serving = axum::serve(listener, router).with_graceful_shutdown(async move { ending.draining().await });
            let _ = serving.await;
        });
        Ok(Self { address, clock, arrivals })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns once everybody has arrived, or the time is up.
    pub(super) async fn wait_for(&self, acknowledged: &BTreeMap<String, Timestamp>, at_most: Duration) {
        let until = self.clock.steady() + at_most;
        while self.clock.steady() < until && self.arrived(acknowledged).missing > 0 {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    pub(super) fn arrived(&self, acknowledged: &BTreeMap<String, Timestamp>) -> Arrived {
        let arrivals = lock(&self.arrivals);
        let mut arrived = Arrived::default();
        for (account, at) in acknowledged {
            match arrivals.get(account) {
                Some((first, calls)) => {
                    arrived.waits.push(Duration::try_from(first.duration_since(*at)).unwrap_or_default());
                    arrived.repeated += calls - 1;
                    arrived.last = arrived.last.max(Some(*first));
                }
                None => arrived.missing += 1,
            }
        }
        arrived
    }
}

fn lock(arrivals: &Mutex<Arrivals>) -> MutexGuard<'_, Arrivals> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(Path(id): Path<String>) -> Json<Value> {
    let login = format!("{id}@load.invalid");
    Json(json!({"id": id, "status": "ACTIVE", "profile": {"login": login, "email": login}}))
}

async fn end(State(book): State<Book>, Path(id): Path<String>) -> StatusCode {
    let now = book.clock.steady();
    lock(&book.arrivals).entry(id).and_modify(|(_, calls)| *calls += 1).or_insert((now, 1));
    StatusCode::NO_CONTENT
}
