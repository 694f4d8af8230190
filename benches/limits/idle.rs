//! One alert on an idle service: how long until the provider gets the call that ends the sessions.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use reqwest::Client;
use sever::clock::{Clock, SystemClock};
use sever::sandbox::OktaSandbox;
use tokio::runtime::Runtime;

use crate::Scale;
use crate::alerts::{Subject, requests};
use crate::load::{Connection, quantile};
use crate::report::{Line, millis};
use crate::service::{CONCURRENCY, Service, TOKEN, folder};
use crate::watch::Watch;

/// Between two alerts everything comes to rest.
const REST: Duration = Duration::from_millis(20);

/// Looks at the sandbox this often; the sandbox itself says when it was called.
const LOOK: Duration = Duration::from_millis(1);

/// Far more than any alert takes.
const LOOKS: usize = 10_000;

/// Measures and compares.
pub(crate) fn measure(runtime: &Runtime, okta: &OktaSandbox, scale: Scale) -> Vec<Line> {
    crate::drain::populate(okta, scale.idle);
    let (ours, bare) = runtime.block_on(async { (service(okta, scale.idle).await, least(okta, scale.idle).await) });
    let words =
        |waits: &[Duration]| format!("p50 {}, p99 {}", millis(quantile(waits, 0.5)), millis(quantile(waits, 0.99)));
    let line = |what: &str| Line::new(what, "one fsync and one call", words(&ours), words(&bare));
    vec![
        line("idle: alert sent -> sessions ended, p50").below(Duration::from_millis(5), quantile(&ours, 0.5)),
        line("idle: alert sent -> sessions ended, p99").below(Duration::from_millis(15), quantile(&ours, 0.99)),
    ]
}

async fn service(okta: &OktaSandbox, alerts: usize) -> Vec<Duration> {
    let service = Service::start(&okta.url(), CONCURRENCY).await;
    let mut connection = Connection::open(service.addresses.alerts).await.expect("a connection");
    let clock = SystemClock::new();
    let mut waits = Vec::with_capacity(alerts);
    for request in requests((0..alerts).map(Subject::numbered)) {
        okta.clear_ledger();
        tokio::time::sleep(REST).await;
        let sent = clock.now();
        assert_eq!(connection.ask(&request).await.expect("an answer"), 202);
        let called = called(okta).await;
        waits.push(Duration::try_from(called - sent).unwrap_or_default());
    }
    service.stop().await;
    waits.sort_unstable();
    waits
}

async fn called(okta: &OktaSandbox) -> jiff::Timestamp {
    for _ in 0..LOOKS {
        if let Some(call) = okta.ledger().into_iter().find(|call| call.method == "DELETE") {
            return call.at;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("the provider was not called");
}

/// The least that durability and one call can cost.
#[expect(clippy::disallowed_methods, reason = "the bare client is what is compared with")]
async fn least(okta: &OktaSandbox, rounds: usize) -> Vec<Duration> {
    let folder = folder();
    let mut file = File::create(folder.path().join("log")).expect("a file");
    let client = Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/api/v1/users/{}", okta.url(), Subject::numbered(0).id);
    let mut waits = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        tokio::time::sleep(REST).await;
        let started = Watch::start();
        file.write_all(&[b'x'; 4096]).expect("written");
        file.sync_data().expect("synced");
        let request = client.get(&url).header("accept", "application/json");
        let response = request.header("authorization", format!("SSWS {TOKEN}")).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        waits.push(started.elapsed());
    }
    waits.sort_unstable();
    waits
}
