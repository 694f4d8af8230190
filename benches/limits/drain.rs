//! Drain: queued jobs to durable `done`, beside a bare client that makes the same calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Client;
use sever::domain::JobState;
use sever::sandbox::OktaSandbox;
use sever::sandbox::okta::Person;
use sever::store::JobStore;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Scale;
use crate::alerts::{Subject, requests};
use crate::load::send_all;
use crate::report::{Line, Rounds};
use crate::service::{CONCURRENCY, Service, TOKEN};
use crate::watch::Watch;

/// How often the service is asked whether it is done.
const LOOK: Duration = Duration::from_millis(5);

/// Far longer than a round takes.
const TOO_LONG: Duration = Duration::from_secs(120);

/// Measures and compares, also at a concurrency that fills larger commits.
pub(crate) fn measure(runtime: &Runtime, okta: &OktaSandbox, scale: Scale) -> Vec<Line> {
    populate(okta, scale.jobs);
    [CONCURRENCY, 4 * CONCURRENCY].map(|concurrency| at_once(runtime, okta, scale, concurrency)).into()
}

fn at_once(runtime: &Runtime, okta: &OktaSandbox, scale: Scale, concurrency: usize) -> Line {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let (rate, called) = timed(runtime, okta, scale.jobs, service(okta, scale.jobs, concurrency));
        ours.push(rate);
        if scale.alone {
            continue;
        }
        let (rate, bare_called) = timed(runtime, okta, scale.jobs, client(okta, scale.jobs, concurrency));
        bare.push(rate);
        assert_eq!(called, bare_called, "calls at the provider");
    }
    let words = |rates: &[f64]| format!("{:.0} jobs/s", Rounds::of(rates.to_vec()).median());
    let what = format!("drain, {concurrency} at once");
    Line::new(&what, "bare HTTP client, same calls", words(&ours), words(&bare)).at_least(
        0.5,
        0.6,
        Rounds::ratios(&ours, &bare),
    )
}

/// Jobs a second, and what they took at the provider.
fn timed(runtime: &Runtime, okta: &OktaSandbox, jobs: usize, side: impl Future<Output = Duration>) -> (f64, Calls) {
    okta.clear_ledger();
    let took = runtime.block_on(side);
    let called = calls(okta);
    assert_eq!(called.values().sum::<usize>(), 2 * jobs, "two calls for each job: {called:?}");
    (jobs as f64 / took.as_secs_f64(), called)
}

/// Everybody whom the alerts name.
pub(crate) fn populate(okta: &OktaSandbox, people: usize) {
    for subject in (0..people).map(Subject::numbered) {
        okta.add_person(Person::new(&subject.email).id(&subject.id));
        okta.sign_in(&subject.id);
    }
}

async fn service(okta: &OktaSandbox, jobs: usize, concurrency: usize) -> Duration {
    let service = Service::start(&okta.url(), concurrency).await;
    service.pause().await;
    let (to, requests) = (service.addresses.alerts, requests((0..jobs).map(Subject::numbered)));
    tokio::task::spawn_blocking(move || send_all(to, requests)).await.expect("sent");
    let started = Watch::start();
    service.resume().await;
    while done(&service).await < jobs as u64 {
        assert!(started.elapsed() < TOO_LONG, "jobs do not get done");
        tokio::time::sleep(LOOK).await;
    }
    let took = started.elapsed();
    service.stop().await;
    took
}

async fn done(service: &Service) -> u64 {
    let backlog = service.app.store.backlog().await.expect("a backlog");
    backlog.jobs.iter().filter(|(_, state, _)| *state == JobState::Done).map(|(.., jobs)| jobs).sum()
}

#[expect(clippy::disallowed_methods, reason = "the bare client is what is compared with")]
async fn client(okta: &OktaSandbox, jobs: usize, concurrency: usize) -> Duration {
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
    let (url, next) = (okta.url(), Arc::new(AtomicUsize::new(0)));
    let started = Watch::start();
    let mut tasks = JoinSet::new();
    for _ in 0..concurrency {
        let (client, url, next) = (client.clone(), url.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return;
                }
                end_sessions(&client, &url, &Subject::numbered(number).id).await;
            }
        });
    }
    tasks.join_all().await;
    started.elapsed()
}

async fn end_sessions(client: &Client, url: &str, id: &str) {
    let user = format!("{url}/api/v1/users/{id}");
    let sessions = format!("{user}/sessions?oauthTokens=true&forgetDevices=false");
    for (request, status) in [(client.get(user), 200), (client.delete(sessions), 204)] {
        let request = request.header("accept", "application/json").header("authorization", format!("SSWS {TOKEN}"));
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), status);
        response.bytes().await.expect("a body");
    }
}

/// What both sides asked of the provider: method, query and answer, each so many times.
type Calls = BTreeMap<(String, String, Option<u16>), usize>;

fn calls(okta: &OktaSandbox) -> Calls {
    let mut calls = Calls::new();
    for call in okta.ledger() {
        *calls.entry((call.method, call.query, call.status)).or_default() += 1;
    }
    calls
}
