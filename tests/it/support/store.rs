//! A store under test: opened through its two traits, on a clock that is moved by hand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sever::audit::Actor;
use sever::clock::{Clock, ManualClock};
use sever::domain::{
    Account, AlertId, Attempt, AttemptClass, Claim, JobId, JobState, NewJob, Next, Origin, ProviderName, RevokeRequest,
    Scope, SessionRef, Settlement, Severity, SourceName, Subject, TraceContext,
};
use sever::store::{
    Admission, Admitted, AuditView, Bound, ClaimRequest, JobFilter, JobStore, JobView, Operations, PlannedAlert,
    QuarantineCap, QuarantinedElement, Receipt, Retention, SqliteStore, StoreError,
};
use sever::telemetry::Metrics;
use sha2::{Digest, Sha256};

pub(crate) const LEASE: Duration = Duration::from_secs(60);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
pub(crate) const RETENTION: Retention = Retention {
    jobs: Duration::from_secs(90 * 86_400),
    ignored: Duration::from_secs(7 * 86_400),
    quarantine: Duration::from_secs(30 * 86_400),
};

/// The instant at which the tests begin.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_second(1_790_000_000).expect("a time")
}

/// An opened store, by its two faces.
pub(crate) struct Opened {
    pub(crate) jobs: Arc<dyn JobStore>,
    pub(crate) ops: Arc<dyn Operations>,
}

/// A kind of store: where it keeps its data between two openings.
pub(crate) trait Backend: Send + Sync {
    fn open(&self, clock: Arc<dyn Clock>, cap: QuarantineCap) -> Opened;
}

/// A file in a folder that goes with the test.
pub(crate) struct SqliteBackend(tempfile::TempDir);

impl SqliteBackend {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.0.path().join("sever.db")
    }
}

impl Backend for SqliteBackend {
    fn open(&self, clock: Arc<dyn Clock>, cap: QuarantineCap) -> Opened {
        let store = SqliteStore::open(&self.path(), clock, Arc::new(Metrics::new())).expect("a store");
        let store = Arc::new(store.with_quarantine_cap(cap));
        Opened { jobs: store.clone(), ops: store }
    }
}

/// Makes each test of a file run on every kind of store.
macro_rules! contract_tests {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let backend = Box::new($crate::support::store::SqliteBackend::new());
                super::$name($crate::support::store::Bench::new(backend)).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                let backend = Box::new($crate::support::postgres::PostgresBackend::new());
                super::$name($crate::support::store::Bench::new(backend)).await;
            })+
        }
    };
}
pub(crate) use contract_tests;

/// The store with its clock, and short words for what tests do with it.
pub(crate) struct Bench {
    pub(crate) clock: Arc<ManualClock>,
    cap: QuarantineCap,
    backend: Box<dyn Backend>,
    opened: Option<Opened>,
}

impl Bench {
    pub(crate) fn new(backend: Box<dyn Backend>) -> Self {
        let clock = Arc::new(ManualClock::new(start()));
        let cap = QuarantineCap { entries: 3, bytes: 1000 };
        let opened = Some(backend.open(clock.clone(), cap));
        Self { clock, cap, backend, opened }
    }

    /// As after a restart of the process.
    pub(crate) fn reopen(&mut self) {
        self.opened = None;
        self.opened = Some(self.backend.open(self.clock.clone(), self.cap));
    }

    /// Ends as a process does in good order; what is kept stays until the answer goes.
    pub(crate) fn close(mut self) -> Box<dyn Backend> {
        self.opened = None;
        self.backend
    }

    pub(crate) fn jobs(&self) -> &Arc<dyn JobStore> {
        &self.opened.as_ref().expect("an open store").jobs
    }

    pub(crate) fn ops(&self) -> &Arc<dyn Operations> {
        &self.opened.as_ref().expect("an open store").ops
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.steady()
    }

    pub(crate) async fn try_admit(&self, mail: &Mail) -> Result<Admitted, StoreError> {
        self.jobs().admit(mail.admission(self.clock.now())).await
    }

    /// Stores what is new.
    pub(crate) async fn admit(&self, mail: &Mail) -> Receipt {
        match self.try_admit(mail).await.expect("a receipt") {
            Admitted::New(receipt) => receipt,
            Admitted::Duplicate(receipt) => panic!("taken as a repeat: {receipt:?}"),
        }
    }

    /// Stores an alert of its own for one job, and tells the job's id.
    pub(crate) async fn job(&self, name: &str, job: NewJob) -> JobId {
        self.admit(&Mail::new(name).alert(name, [job])).await.alerts[0].jobs[0].id
    }

    pub(crate) async fn repeat(&self, mail: &Mail) -> Receipt {
        match self.try_admit(mail).await.expect("a receipt") {
            Admitted::Duplicate(receipt) => receipt,
            Admitted::New(receipt) => panic!("taken as new: {receipt:?}"),
        }
    }

    pub(crate) async fn claim(&self, provider: &str, limit: u32) -> Vec<Claim> {
        let claims = self.claim_unsettled(provider, limit).await;
        // A claim may be answered before its commit. Whatever is asked later is answered after it.
        self.jobs().renew(Vec::new(), LEASE).await.expect("an answer");
        claims
    }

    /// Claims, which a full disk or a crash may still undo.
    pub(crate) async fn claim_unsettled(&self, provider: &str, limit: u32) -> Vec<Claim> {
        let request = ClaimRequest { provider: name(provider), limit, lease: LEASE };
        self.jobs().claim(request).await.expect("claims")
    }

    pub(crate) async fn claim_one(&self, provider: &str) -> Claim {
        let mut claims = self.claim(provider, 1).await;
        assert_eq!(claims.len(), 1, "nothing is due at {provider}");
        claims.remove(0)
    }

    pub(crate) async fn bind(&self, claim: &Claim, id: &str) -> Bound {
        self.jobs().bind(claim, &account(id), None, &[]).await.expect("bound")
    }

    pub(crate) async fn settle(&self, claim: &Claim, next: Next) {
        self.jobs().settle(claim, &settlement(claim, next)).await.expect("settled");
    }

    pub(crate) async fn view(&self, job: JobId) -> JobView {
        self.ops().job(job).await.expect("an answer").expect("the job").job
    }

    pub(crate) async fn state(&self, job: JobId) -> JobState {
        self.view(job).await.state
    }

    pub(crate) async fn list(&self, filter: JobFilter) -> Vec<JobView> {
        let mut found = Vec::new();
        let mut filter = JobFilter { limit: if filter.limit == 0 { 100 } else { filter.limit }, ..filter };
        loop {
            let page = self.ops().jobs(filter.clone()).await.expect("a page");
            assert!(page.items.len() <= filter.limit as usize, "a page is longer than asked");
            found.extend(page.items);
            match page.next_cursor {
                Some(cursor) => filter.cursor = Some(cursor.parse().expect("a cursor")),
                None => return found,
            }
        }
    }

    pub(crate) async fn all_jobs(&self) -> Vec<JobView> {
        self.list(JobFilter::default()).await
    }

    pub(crate) async fn audit(&self) -> Vec<AuditView> {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let page = self.ops().audit(after, 7).await.expect("a page");
            rows.extend(page.items);
            match page.next_cursor {
                Some(cursor) => after = Some(cursor.parse().expect("a cursor")),
                None => return rows,
            }
        }
    }

    /// What the record says of one job, in order.
    pub(crate) async fn story(&self, job: JobId) -> Vec<String> {
        self.audit().await.into_iter().filter(|row| row.job == Some(job)).map(|row| row.event).collect()
    }

    pub(crate) async fn prune(&self) -> u64 {
        let (mut gone, mut from) = (0, 0);
        loop {
            let pruned = self.jobs().prune(&RETENTION, from).await.expect("pruned");
            gone += pruned.rows;
            if pruned.rows == 0 && pruned.next.is_none() {
                return gone;
            }
            from = pruned.next.unwrap_or_default();
        }
    }
}

/// Finds the first row that does not follow from the one before of the same writer.
pub(crate) fn first_break(rows: &[AuditView]) -> Option<i64> {
    let mut heads: HashMap<String, [u8; 32]> = HashMap::new();
    for view in rows {
        let row = view.clone().row().expect("a row");
        let head = heads.entry(view.writer.clone()).or_default();
        if !row.follows(head) {
            return Some(row.seq);
        }
        *head = row.hash;
    }
    None
}

/// A delivery in the making.
#[derive(Clone)]
pub(crate) struct Mail {
    source: SourceName,
    issuer: String,
    id: String,
    body: Vec<u8>,
    alerts: Vec<(String, Severity, Vec<NewJob>)>,
    quarantine: Option<String>,
    elements: Vec<QuarantinedElement>,
    guard_for: Option<Duration>,
    trace: Option<TraceContext>,
}

impl Mail {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            source: "edr".parse().expect("a name"),
            issuer: "edr".to_owned(),
            id: id.to_owned(),
            body: b"the body".to_vec(),
            alerts: Vec::new(),
            quarantine: None,
            elements: Vec::new(),
            guard_for: Some(Duration::from_secs(600)),
            trace: None,
        }
    }

    pub(crate) fn alert(mut self, id: &str, jobs: impl IntoIterator<Item = NewJob>) -> Self {
        self.alerts.push((id.to_owned(), Severity::High, jobs.into_iter().collect()));
        self
    }

    /// With an element that is no alert.
    pub(crate) fn bad_element(mut self, element: usize, problem: &str) -> Self {
        self.elements.push(QuarantinedElement { element, problem: problem.to_owned() });
        self
    }

    pub(crate) fn through(self, source: &str) -> Self {
        Self { source: source.parse().expect("a name"), ..self }
    }

    pub(crate) fn body(self, body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..self }
    }

    pub(crate) fn quarantined(self, reason: &str) -> Self {
        Self { quarantine: Some(reason.to_owned()), ..self }
    }

    /// At this place in a trace.
    pub(crate) fn traced(self, trace: &TraceContext) -> Self {
        Self { trace: Some(trace.clone()), ..self }
    }

    pub(crate) fn guarded_for_ever(self) -> Self {
        Self { guard_for: None, ..self }
    }

    pub(crate) fn admission(&self, now: Timestamp) -> Admission {
        let half = |parts: &[&[u8]]| Sha256::digest(parts.join(&b"|"[..])).to_vec();
        let mut guard = [0; 32];
        guard[..16].copy_from_slice(&half(&[self.source.as_str().as_bytes(), self.id.as_bytes()])[..16]);
        guard[16..].copy_from_slice(&half(&[&self.body])[..16]);
        let planned = |(id, severity, jobs): &(String, Severity, Vec<NewJob>)| PlannedAlert {
            id: AlertId::new(),
            external_id: id.clone(),
            kind: "session_stolen".to_owned(),
            severity: *severity,
            occurred_at: now,
            reason: None,
            // A plan is made anew for each delivery, and so are its ids.
            jobs: jobs.iter().map(|job| NewJob { id: JobId::new(), ..job.clone() }).collect(),
            skipped: Vec::new(),
        };
        Admission {
            source: self.source.clone(),
            issuer: self.issuer.clone(),
            guard,
            guard_expires_at: self.guard_for.map(|time| now + time),
            delivery_id: self.id.clone(),
            received_at: now,
            headers: vec![("x-header".to_owned(), "a header".to_owned())],
            body: self.body.clone().into(),
            alerts: self.alerts.iter().map(planned).collect(),
            quarantine: self.quarantine.clone(),
            elements: self.elements.clone(),
            trace: self.trace.clone(),
        }
    }
}

pub(crate) fn name(provider: &str) -> ProviderName {
    provider.parse().expect("a name")
}

pub(crate) fn okta(email: &str) -> NewJob {
    at("okta", Subject { email: Some(email.to_owned()), ..Subject::default() })
}

pub(crate) fn okta_id(id: &str) -> NewJob {
    at("okta", Subject { id: Some(id.to_owned()), ..Subject::default() })
}

pub(crate) fn at(provider: &str, subject: Subject) -> NewJob {
    NewJob {
        id: JobId::new(),
        provider: name(provider),
        subject,
        request: RevokeRequest::new(Scope::All),
        severity: Severity::High,
        dry_run: false,
        rules: vec!["stolen session".to_owned()],
        origin: Origin::Due,
    }
}

/// Small changes to a planned job.
pub(crate) trait Changed {
    fn severity(self, severity: Severity) -> Self;
    fn scope(self, scope: Scope) -> Self;
    fn origin(self, origin: Origin) -> Self;
    fn dry(self) -> Self;
}

impl Changed for NewJob {
    fn severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    fn scope(self, scope: Scope) -> Self {
        Self { request: RevokeRequest { scope, ..self.request }, ..self }
    }

    fn origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    fn dry(self) -> Self {
        Self { dry_run: true, ..self }
    }
}

pub(crate) fn sessions(ids: &[&str]) -> Scope {
    Scope::Sessions(ids.iter().map(|id| SessionRef::Id((*id).to_owned())).collect())
}

pub(crate) fn account(id: &str) -> Account {
    Account::new(id, vec![id.to_owned()])
}

pub(crate) fn operator() -> Actor {
    Actor::operator("oncall")
}

pub(crate) fn settlement(claim: &Claim, next: Next) -> Settlement {
    let attempt = Attempt {
        number: claim.attempt,
        started_at: start(),
        duration_ms: 5,
        class: AttemptClass::Ok,
        operation: Some("revoke".to_owned()),
        status: Some(204),
        code: None,
        message: "as the provider said".to_owned(),
        request_id: None,
    };
    Settlement { next, attempt, account: None, revocation: None, answer_unknown: false, proof: None, proving: false }
}
