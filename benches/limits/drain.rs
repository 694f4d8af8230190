//! Drain: queued jobs to durable `done`, beside a bare client that makes the same calls, and beside one that also writes
//! down what the service does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use sever::domain::JobState;
use sever::sandbox::OktaSandbox;
use sever::sandbox::okta::Person;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::alerts::{Subject, requests};
use crate::cpu::{Cpu, WRITER};
use crate::drain_rows::{Desk, Texts, Writer};
use crate::load::send_all;
use crate::report::{Line, Rounds};
use crate::service::{CONCURRENCY, Service, TOKEN};
use crate::watch::Watch;
use crate::{STAND_IN, Scale};

/// How often the service is asked whether it is done.
const LOOK: Duration = Duration::from_millis(10);

/// Far longer than a round takes.
const TOO_LONG: Duration = Duration::from_secs(120);

/// How many times as much at once: the more, the more jobs share a commit, and the less they wait for the disk.
const TIMES: [usize; 3] = [1, 4, 8];

/// Jobs in hand, for each that may be called, of whoever writes them down: the others wait for the disk
/// (`src/worker/seats.rs`).
const IN_HAND: usize = 4;

/// Measures and compares.
pub(crate) fn measure(runtime: &Runtime, okta: &OktaSandbox, scale: Scale) -> Vec<Line> {
    populate(okta, scale.jobs);
    TIMES.into_iter().flat_map(|times| at_once(runtime, okta, scale, times * CONCURRENCY)).collect()
}

fn at_once(runtime: &Runtime, okta: &OktaSandbox, scale: Scale, concurrency: usize) -> Vec<Line> {
    let (mut ours, mut bare, mut recorded) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.drain_rounds {
        let ((cost, store), called) = timed(runtime, okta, scale.jobs, service(okta, scale.jobs, concurrency));
        ours.push(cost);
        if scale.alone {
            continue;
        }
        let (cost, bare_called) = timed(runtime, okta, scale.jobs, client(okta, scale.jobs, concurrency, None));
        bare.push(cost);
        assert_eq!(called, bare_called, "calls at the provider");
        let (size, texts) = store;
        let written = async {
            let writer = Writer::take_over(queued(okta, scale.jobs, concurrency).await, texts).await;
            let cost = client(okta, scale.jobs, concurrency, Some(writer.desk.clone())).await;
            (cost, writer)
        };
        let ((cost, writer), recorded_called) = timed(runtime, okta, scale.jobs, written);
        recorded.push(cost);
        assert_eq!(called, recorded_called, "calls at the provider");
        assert!(size.abs_diff(writer.finish(scale.jobs)) * 20 < size, "both stores are of one size");
    }
    let rates = |costs: &[Cost]| costs.iter().map(|cost| cost.rate(scale.jobs)).collect::<Vec<f64>>();
    let words =
        |costs: &[Cost]| format!("{:.0} jobs/s{}", Rounds::of(rates(costs)).median(), Cost::cpu(costs, scale.jobs));
    let ratios = |ours: &[Cost], theirs: &[Cost]| Rounds::ratios(&rates(ours), &rates(theirs));
    let what = format!("drain, {concurrency} at once");
    let (calls, rows) = ("bare HTTP client, same calls", "bare HTTP client, same calls, and same rows written");
    vec![
        Line::new(&what, calls, words(&ours), words(&bare)).at_least(0.5, 0.6, ratios(&ours, &bare)),
        Line::new(&what, rows, words(&ours), words(&recorded)).told(ratios(&ours, &recorded)),
        Line::new(&format!("{rows}, {concurrency} at once"), calls, words(&recorded), words(&bare))
            .told(ratios(&recorded, &bare)),
    ]
}

/// What a round took.
struct Cost {
    time: Duration,
    before: Cpu,
    after: Cpu,
}

impl Cost {
    fn rate(&self, jobs: usize) -> f64 {
        jobs as f64 / self.time.as_secs_f64()
    }

    /// Time on a processor for each job: of the threads that write and sync, of all others, and of the stand-in.
    fn cpu(costs: &[Self], jobs: usize) -> String {
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / jobs as f64;
        let median = |of: &dyn Fn(&Self) -> f64| Rounds::of(costs.iter().map(of).collect()).median();
        let named = |name: &'static str| median(&move |cost| micros(cost.after.since(&cost.before, name)));
        let all = median(&|cost| micros(cost.after.all_since(&cost.before)));
        let (writer, provider) = (WRITER.map(named).iter().sum::<f64>(), named(STAND_IN));
        format!(", CPU {writer:.0} + {:.0} + {provider:.0} us", all - writer - provider)
    }
}

/// What the jobs cost, and what they took at the provider.
fn timed<T>(runtime: &Runtime, okta: &OktaSandbox, jobs: usize, side: impl Future<Output = T>) -> (T, Calls) {
    okta.clear_ledger();
    let took = runtime.block_on(side);
    let called = calls(okta);
    assert_eq!(called.values().sum::<usize>(), 2 * jobs, "two calls for each job: {called:?}");
    (took, called)
}

/// Everybody whom the alerts name.
pub(crate) fn populate(okta: &OktaSandbox, people: usize) {
    for subject in (0..people).map(Subject::numbered) {
        okta.add_person(Person::new(&subject.email).id(&subject.id));
        okta.sign_in(&subject.id);
    }
}

/// A service that has so many jobs to do, and is paused.
async fn queued(okta: &OktaSandbox, jobs: usize, concurrency: usize) -> Service {
    let service = Service::start(&okta.url(), concurrency).await;
    service.pause().await;
    let (to, requests) = (service.addresses.alerts, requests((0..jobs).map(Subject::numbered)));
    tokio::task::spawn_blocking(move || send_all(to, requests)).await.expect("sent");
    service
}

/// What it took; the size of the store in the end, and what a job left there.
async fn service(okta: &OktaSandbox, jobs: usize, concurrency: usize) -> (Cost, (u64, Texts)) {
    let service = queued(okta, jobs, concurrency).await;
    let (before, started) = (Cpu::used(), Watch::start());
    service.resume().await;
    while done(&service).await < jobs as u64 {
        assert!(started.elapsed() < TOO_LONG, "jobs do not get done");
        tokio::time::sleep(LOOK).await;
    }
    let cost = Cost { time: started.elapsed(), before, after: Cpu::used() };
    let (_folder, store) = service.stop().await;
    (cost, (std::fs::metadata(&store).expect("a file").len(), Texts::of(&store)))
}

pub(crate) async fn done(service: &Service) -> u64 {
    let backlog = service.app.store.backlog().await.expect("a backlog");
    backlog.jobs.iter().filter(|(_, state, _)| *state == JobState::Done).map(|(.., jobs)| jobs).sum()
}

/// With a desk, what is done is written down there: more jobs are in hand then than may call at once, as in the service.
#[expect(clippy::disallowed_methods, reason = "the bare client is what is compared with")]
async fn client(okta: &OktaSandbox, jobs: usize, concurrency: usize, desk: Option<Desk>) -> Cost {
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
    let (url, next) = (okta.url(), Arc::new(AtomicUsize::new(0)));
    let seats = Arc::new(Semaphore::new(concurrency));
    let (before, started) = (Cpu::used(), Watch::start());
    let mut tasks = JoinSet::new();
    let in_hand = if desk.is_some() { IN_HAND * concurrency } else { concurrency };
    for _ in 0..in_hand {
        let (client, url, next) = (client.clone(), url.clone(), Arc::clone(&next));
        let (desk, seats) = (desk.clone(), Arc::clone(&seats));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return;
                }
                let id = Subject::numbered(number).id;
                match &desk {
                    None => {
                        read_user(&client, &url, &id).await;
                        end_sessions(&client, &url, &id).await;
                    }
                    Some(desk) => {
                        let row = desk.claim().await.expect("a job for each call");
                        seated(&seats, read_user(&client, &url, &id)).await;
                        desk.call(row, id.clone()).await;
                        seated(&seats, end_sessions(&client, &url, &id)).await;
                        desk.end(row).await;
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    Cost { time: started.elapsed(), before, after: Cpu::used() }
}

async fn seated(seats: &Semaphore, call: impl Future<Output = ()>) {
    let _seat = seats.acquire().await.expect("nobody closes it");
    call.await;
}

async fn read_user(client: &Client, url: &str, id: &str) {
    answered(client.get(format!("{url}/api/v1/users/{id}")), 200).await;
}

async fn end_sessions(client: &Client, url: &str, id: &str) {
    let sessions = format!("{url}/api/v1/users/{id}/sessions?oauthTokens=true&forgetDevices=false");
    answered(client.delete(sessions), 204).await;
}

async fn answered(request: RequestBuilder, status: u16) {
    let request = request.header("accept", "application/json").header("authorization", format!("SSWS {TOKEN}"));
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), status);
    response.bytes().await.expect("a body");
}

/// What a side asked of the provider: method, query and answer, each so many times.
type Calls = BTreeMap<(String, String, Option<u16>), usize>;

fn calls(okta: &OktaSandbox) -> Calls {
    let mut calls = Calls::new();
    for call in okta.ledger() {
        *calls.entry((call.method, call.query, call.status)).or_default() += 1;
    }
    calls
}
