//! A schema of its own on the PostgreSQL server of the tests.

use std::net::SocketAddr;

use reqwest::Url;
use tokio::runtime::Builder;

/// Where the server is.
#[expect(clippy::disallowed_methods, reason = "tests/run says where it started the server")]
pub(crate) fn server() -> Option<String> {
    std::env::var("SEVER_TEST_POSTGRES_URL").ok()
}

/// Goes when it is dropped.
pub(crate) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    pub(crate) fn new(server: &str) -> Self {
        let schema = Self { server: server.to_owned(), name: format!("costs_{}", std::process::id()) };
        schema.execute(&format!("DROP SCHEMA IF EXISTS {0} CASCADE; CREATE SCHEMA {0}", schema.name));
        schema
    }

    /// The schema's URL, by way of a proxy.
    pub(crate) fn url_through(&self, proxy: SocketAddr) -> String {
        let mut url = Url::parse(&self.server).expect("a URL");
        url.set_ip_host(proxy.ip()).expect("a host");
        url.set_port(Some(proxy.port())).expect("a port");
        url.set_query(Some(&format!("sslmode=disable&options=-c%20search_path%3D{}", self.name)));
        url.into()
    }

    fn execute(&self, sql: &str) {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (client, driver) =
                tokio_postgres::connect(&self.server, tokio_postgres::NoTls).await.expect("a server");
            let done = client.batch_execute(sql);
            tokio::select! {
                done = done => done.expect("done"),
                ended = driver => panic!("the connection ended: {ended:?}"),
            }
        });
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.execute(&format!("DROP SCHEMA {} CASCADE", self.name));
        }
    }
}
