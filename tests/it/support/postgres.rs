//! A PostgreSQL server under test: the one that `tests/run` starts, and a schema of its own for each test.

use std::future::Future;
use std::sync::{Arc, LazyLock};

use sever::clock::Clock;
use sever::store::{PostgresStore, PostgresUrl, QuarantineCap};
use sever::telemetry::Metrics;
use tokio::runtime::Runtime;

use crate::support::store::{Backend, Opened};

/// Stores outlive the runtimes of their tests, as they outlive a drain.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

/// Where the server is.
#[expect(clippy::disallowed_methods, reason = "tests/run says where it started the server")]
pub(crate) fn server() -> String {
    std::env::var("SEVER_TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!("SEVER_TEST_POSTGRES_URL names no PostgreSQL server; run tests/run, which starts one")
    })
}

/// Runs something to its end, from wherever a test is.
pub(crate) fn run<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| scope.spawn(|| RUNTIME.block_on(work)).join().expect("it ends well"))
}

/// A connection for a test that looks behind the store.
pub(crate) async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, driver) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
    RUNTIME.spawn(driver);
    client
}

/// A schema of its own, which goes with the test.
pub(crate) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    pub(crate) fn new() -> Self {
        Self::at(&server())
    }

    /// On another server.
    pub(crate) fn at(server: &str) -> Self {
        let schema = Self { server: server.to_owned(), name: format!("t_{}", crate::testapp::uuid().replace('-', "")) };
        schema.execute(&format!("CREATE SCHEMA {}", schema.name));
        schema
    }

    pub(crate) fn url(&self) -> String {
        let joint = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{joint}options=-c%20search_path%3D{name}&application_name={name}", self.server, name = self.name)
    }

    /// Its name, which is also that of every connection made by its URL.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn parsed(&self) -> PostgresUrl {
        self.url().parse().expect("a URL")
    }

    fn execute(&self, sql: &str) {
        run(async { connect(&self.server).await.batch_execute(sql).await.expect("done") });
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.execute(&format!("DROP SCHEMA {} CASCADE", self.name));
        }
    }
}

/// A store on a server's clock that is moved by hand.
pub(crate) struct PostgresBackend(Schema);

impl PostgresBackend {
    pub(crate) fn new() -> Self {
        Self(Schema::new())
    }
}

impl Backend for PostgresBackend {
    fn open(&self, clock: Arc<dyn Clock>, cap: QuarantineCap) -> Opened {
        let url = self.0.parsed();
        let store = run(PostgresStore::open_by_hand(&url, clock, Arc::new(Metrics::new()), cap)).expect("a store");
        let store = Arc::new(store);
        Opened { jobs: store.clone(), ops: store }
    }
}
