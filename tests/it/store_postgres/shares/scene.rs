//! Workers on one database and one clock, a provider that is asked for more than it may be, and its ledger.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;
use sever::clock::{Clock, ManualClock};
use sever::domain::{Account, Look, Revocation, RevokeRequest, Subject};
use sever::lifecycle::Lifecycle;
use sever::policy::{Policy, PolicySettings};
use sever::provider::{
    CredentialReport, ListQuery, Provider, ProviderError, ProviderKind, ProviderSettings, SessionPage, Share,
};
use sever::sandbox::mattermost::{MattermostSandbox, Person, Role};
use sever::store::{JobStore, PostgresStore, QuarantineCap, Replica, ReplicaRole};
use sever::telemetry::Metrics;
use sever::worker::{Heart, ProofPolicy, RetryPolicy, Station, Worker};

use crate::support::postgres::{Schema, run};
use crate::support::store::{Mail, at, name};
use crate::testapp::clock;

const TOKEN: &str = "q7tfx9b1sdrg5yk3nuc4wemozh";

/// So many in so long. Slow enough that nobody ever sleeps for a call: the clock is moved by hand.
const COUNT: u32 = 24;
const PER: Duration = Duration::from_secs(240);

/// A step of the clock: the time of half a call.
pub(super) const TICK: Duration = Duration::from_secs(5);

/// What one of three has at least of eight minutes, if all are treated alike.
pub(super) const PER_WORKER_OF_THREE: usize = 12;

/// So many people's sessions end at least with a burst and eight minutes of calls, of which a job takes four or five.
pub(super) const ENDED: usize = 10;

/// More than can be called for in any of these tests.
const PEOPLE: usize = 80;

pub(super) struct Scene {
    schema: Schema,
    clock: Arc<ManualClock>,
    chat: MattermostSandbox,
}

/// One process, as far as it calls providers.
pub(super) struct Process {
    pub(super) worker: Worker,
    pub(super) heart: Heart,
    pub(super) provider: Arc<Counted>,
    clock: Arc<ManualClock>,
}

impl Scene {
    /// Everybody has sessions that are to end.
    pub(super) async fn new() -> Self {
        let (schema, clock) = (Schema::new(), clock());
        let shared: Arc<dyn Clock> = clock.clone();
        let chat = MattermostSandbox::start(([127, 0, 0, 1], 0).into(), shared).await.expect("a port");
        chat.add_person(Person::new("sever").role(Role::SystemAdmin).bot());
        chat.accept_token(TOKEN, "sever");
        let scene = Self { schema, clock, chat };
        let mut jobs = Vec::new();
        for number in 0..PEOPLE {
            let email = format!("p{number}@example.com");
            let person = Person::new(&email);
            scene.chat.add_person(person.clone());
            scene.chat.sign_in(&person.id);
            jobs.push(at("chat", Subject { email: Some(email), ..Subject::default() }));
        }
        let mail = Mail::new("storm").alert("storm", jobs);
        scene.store().admit(mail.admission(scene.clock.now())).await.expect("a receipt");
        scene
    }

    fn store(&self) -> Arc<PostgresStore> {
        let (url, metrics, cap) = (self.schema.parsed(), Arc::new(Metrics::new()), QuarantineCap::default());
        Arc::new(run(PostgresStore::open_by_hand(&url, self.clock.clone(), metrics, cap)).expect("a store"))
    }

    /// So many processes that have not said a word yet.
    pub(super) fn come(&self, count: usize) -> Vec<Process> {
        (0..count).map(|_| self.process()).collect()
    }

    fn process(&self) -> Process {
        let settings = json!({"kind": "mattermost", "url": self.chat.url(), "credentials": {"token": {"value": TOKEN}},
            "limits": {"rate": format!("{COUNT}/{}s", PER.as_secs())}});
        let settings: ProviderSettings = serde_json::from_value(settings).expect("settings");
        let client = settings.build(&name("chat"), self.clock.clone()).expect("a client");
        let provider = Arc::new(Counted { client, share: Mutex::new(Share::NONE), calls: Mutex::default() });
        let second = Duration::from_secs(1);
        let station = Station {
            provider: provider.clone(),
            concurrency: 8,
            retry: RetryPolicy { first: second, factor: 2.0, longest: second, spread: 0.0, give_up_after: 1000 * PER },
            proof: ProofPolicy { after: second, times: 3 },
            timeout: Duration::from_secs(10),
            dry_run: false,
        };
        let policy = Policy::new(&PolicySettings::default(), &[(name("chat"), Vec::new())].into()).expect("a policy");
        let (store, clock) = (self.store(), self.clock.clone());
        let stations = [(name("chat"), station)].into();
        let (metrics, lifecycle) = (Arc::new(Metrics::new()), Lifecycle::new());
        let worker = Worker::new(store.clone(), stations, Arc::new(policy), clock.clone(), metrics, lifecycle);
        worker.divide(Share::NONE);
        let replica = Replica {
            id: crate::testapp::uuid(),
            roles: vec![ReplicaRole::Worker],
            version: "1.2.3".to_owned(),
            started_at: clock.now(),
        };
        let heart = Heart::new(store, worker.clone(), replica, clock.clone());
        Process { worker, heart, provider, clock }
    }

    pub(super) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Time passes, and everybody beats and does whatever they may.
    pub(super) async fn go_on(&self, workers: &[Process], time: Duration) {
        let end = self.clock.steady() + time;
        while self.clock.steady() < end {
            self.clock.advance(TICK);
            for one in workers {
                one.beat().await;
            }
            for one in workers {
                one.work(&self.chat).await;
            }
        }
    }

    /// People whose sessions are gone.
    pub(super) fn ended(&self) -> usize {
        self.chat.ledger().iter().filter(|call| call.effect.revoked_user().is_some()).count()
    }

    /// When the provider was called, over all.
    pub(super) fn times(&self) -> Vec<Timestamp> {
        self.chat.ledger().iter().map(|call| call.at).collect()
    }

    /// No stretch of time saw more calls than one bucket lets out: as if each call took one out of it, and none was
    /// missing.
    #[track_caller]
    pub(super) fn assert_within_the_limit(&self) {
        let call = i128::try_from(PER.as_nanos()).expect("fits");
        let most = call * i128::from(COUNT);
        let (mut level, mut last) = (most, Timestamp::MIN);
        for (number, at) in self.times().into_iter().enumerate() {
            let passed = if number == 0 { 0 } else { at.duration_since(last).as_nanos() };
            level = (level + passed * i128::from(COUNT)).min(most) - call;
            last = at;
            assert!(level >= 0, "call {number} at {at} is one too many: {:?}", self.times());
        }
    }

    /// All calls that the last stretch of time had room for were made, but for those that three workers save up for a job.
    #[track_caller]
    pub(super) fn assert_hardly_slower(&self, time: Duration) {
        let since = self.clock.steady() - time;
        let made = self.times().iter().filter(|at| **at > since).count() as u64;
        let most = time.as_secs() * u64::from(COUNT) / PER.as_secs();
        assert!(made + 12 >= most, "{made} of {most} calls were made: {:?}", self.times());
    }
}

impl Process {
    pub(super) async fn beat(&self) {
        self.heart.beat().await.expect("a pulse");
    }

    async fn work(&self, chat: &MattermostSandbox) {
        loop {
            let before = chat.ledger().len();
            let started = self.worker.step().await;
            if started.is_empty() {
                return;
            }
            for attempt in started {
                attempt.await.expect("an attempt panicked");
            }
            *self.provider.calls.lock().unwrap_or_else(PoisonError::into_inner) += chat.ledger().len() - before;
        }
    }

    /// Calls while it was this one's turn.
    pub(super) fn calls(&self) -> usize {
        *self.provider.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn may_call(&self) -> bool {
        self.held().holds(self.clock.steady())
    }

    /// Its part, as it knows.
    pub(super) fn share(&self) -> f64 {
        1.0 / f64::from(NonZeroU32::get(self.held().workers))
    }

    fn held(&self) -> Share {
        *self.provider.share.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client, and what it was told that it may.
pub(super) struct Counted {
    client: Arc<dyn Provider>,
    share: Mutex<Share>,
    calls: Mutex<usize>,
}

#[async_trait]
impl Provider for Counted {
    fn kind(&self) -> ProviderKind {
        self.client.kind()
    }

    async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        self.client.resolve(subject).await
    }

    async fn sessions(&self, account: &Account) -> Result<Option<Look>, ProviderError> {
        self.client.sessions(account).await
    }

    async fn list_sessions(&self, account: &Account, query: &ListQuery) -> Result<Option<SessionPage>, ProviderError> {
        self.client.list_sessions(account, query).await
    }

    async fn revoke(
        &self,
        account: &Account,
        request: &RevokeRequest,
        seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        self.client.revoke(account, request, seen).await
    }

    async fn check(&self) -> Result<CredentialReport, ProviderError> {
        self.client.check().await
    }

    fn wait(&self) -> Option<Duration> {
        self.client.wait()
    }

    fn room(&self) -> usize {
        self.client.room()
    }

    fn divide(&self, share: Share) {
        *self.share.lock().unwrap_or_else(PoisonError::into_inner) = share;
        self.client.divide(share);
    }
}
