//! The embedded store: one SQLite file, one process.
//!
//! One thread writes. It applies whatever comes in while the last commit is synced, and under load a little longer, in one
//! transaction, and hands that to the thread that syncs, which answers everyone once it is on disk. Readers have connections of their own, and are
//! answered when all that they saw is on disk.

mod admit;
mod audit;
mod bind;
mod budget;
mod bulk;
mod checkpoint;
mod circuit;
mod claim;
mod closures;
mod codec;
mod four_eyes;
mod job;
mod operate;
mod outbox;
mod people;
mod prepared;
mod read;
mod record;
mod reload;
mod replicas;
mod schema;
mod seals;
mod settle;
mod sync;
mod tx;
mod upkeep;
mod writer;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Notify;

use super::counting::Keys;
use super::*;
use crate::audit::{Seal, Signed, Stub};
use crate::clock::time_since;
use crate::domain::TargetName;
pub(super) use audit::AuditReader;
use checkpoint::Checkpoints;
use people::People;
use sync::SyncLog;
use tx::Tx;
use writer::{When, Writer};

/// Readers that may run at once. Each is a connection with its own page cache.
const READERS: usize = 2;

/// The embedded store.
pub struct SqliteStore {
    writer: Writer,
    people: Arc<Mutex<People>>,
    readers: Readers,
    due: Arc<Notify>,
    clock: Arc<dyn Clock>,
    cap: QuarantineCap,
    budgets: Keys,
    itself: replicas::Itself,
    _lock: File,
}

impl SqliteStore {
    /// Opens or creates the file at `path`. Fails if another process has it open.
    pub fn open(path: &Path, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let path = &private_file(path)?;
        let lock = lock_file(path)?;
        let mut connection = connect(path).with_context(|| format!("cannot open {}", path.display()))?;
        schema::migrate(&mut connection).with_context(|| format!("cannot migrate {}", path.display()))?;
        let lost = claim::end_all_leases(&connection, clock.steady())?;
        if lost > 0 {
            tracing::warn!(jobs = lost, "took over jobs of a process that ended without giving them back");
        }
        let mended = claim::mend_due_times(&connection, clock.steady())?;
        if mended > 0 {
            tracing::warn!(jobs = mended, "the clock was set back since the last run; jobs due far off are due now");
        }
        circuit::try_all_again(&connection, clock.steady().as_microsecond())?;
        let sync = begin_log(&connection, path).with_context(|| format!("cannot store {}", path.display()))?;
        let readers = Readers::open(path)?;
        let due = Arc::new(Notify::new());
        let checkpoints = Some(Checkpoints::start(path)?);
        // Over a connection of its own: what it has in its page cache goes with it.
        let people = Arc::new(Mutex::new(People::load(
            &Connection::open(path).with_context(|| format!("cannot open {}", path.display()))?,
        )?));
        let (counted, time, wake) = (Arc::clone(&people), Arc::clone(&clock), Arc::clone(&due));
        let writer = Writer::start(connection, counted, checkpoints, sync, time, metrics, wake)?;
        let (cap, budgets, itself) = (QuarantineCap::default(), Keys::default(), replicas::Itself::default());
        Ok(Self { writer, people, readers, due, clock, cap, budgets, itself, _lock: lock })
    }

    /// With other limits on what one source may keep in quarantine.
    #[must_use]
    pub fn with_quarantine_cap(mut self, cap: QuarantineCap) -> Self {
        self.cap = cap;
        self
    }

    async fn write<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.run(When::Durable, change).await
    }

    async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let found = self.readers.run(query).await?;
        // They see a commit as soon as it is in the log; nobody is told of it before it is on disk.
        self.writer.durable().all().await?;
        Ok(found)
    }

    /// Returns once the disk has failed, and nothing can be stored any more before the process is started anew.
    pub async fn lost(&self) {
        self.writer.durable().lost().await;
    }
}

/// Moves what a former process left in the log into the file, for it may not be on disk; and answers how the log, which
/// is the same file until the store is closed, is synced from now on.
fn begin_log(connection: &Connection, path: &Path) -> anyhow::Result<SyncLog> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let log = File::options().write(true).open(format!("{}-wal", path.display()))?;
    // SQLite syncs the names of files that it made itself; a process that was killed before leaves that to us.
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
    Ok(Box::new(move || log.sync_data()))
}

/// Two processes that work on one file would both call the provider. The lock goes with the process, however it ends.
fn lock_file(path: &Path) -> anyhow::Result<File> {
    let lock_path = PathBuf::from(format!("{}.lock", path.display()));
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .with_context(|| format!("cannot open {}", lock_path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!(
            "{} is in use by another sever process; stop that one first, or give this one a store of its own",
            path.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", lock_path.display())),
    }
}

/// Alerts name people: nobody but the service's own user reads the file. Its log takes over the file's mode when it is
/// made, so the mode comes first. Answers the file's one true path: the lock stands beside that, whatever links lead to it.
fn private_file(path: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    options.open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
    let private = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
    private(&path).with_context(|| format!("cannot restrict access to {}", path.display()))?;
    for beside in ["-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", path.display()))) {
        if beside.exists() {
            private(&beside).with_context(|| format!("cannot restrict access to {}", beside.display()))?;
        }
    }
    Ok(path)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // SQLite syncs the log when it starts over and before pages are moved out of it. After each commit we do: sync.rs.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "foreign_keys", "off")?;
    // Only where the thread beside cannot keep up (200 MB of log): see checkpoint.rs.
    connection.pragma_update(None, "wal_autocheckpoint", 50_000)?;
    // KiB of page cache: the upper levels of every index of a million jobs.
    connection.pragma_update(None, "cache_size", -16_000)?;
    // Plans depend on the SQL alone. Otherwise SQLite plans some statements anew whenever a parameter changes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

struct Readers {
    connections: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<tokio::sync::Semaphore>,
}

impl Readers {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connections = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::from_secs(2))?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            connections.push(connection);
        }
        Ok(Self {
            connections: Arc::new(Mutex::new(connections)),
            permits: Arc::new(tokio::sync::Semaphore::new(READERS)),
        })
    }

    async fn run<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let closed = || StoreError::Unavailable("closed".to_owned());
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let pool = Arc::clone(&self.connections);
        let read = move || {
            let _permit = permit;
            let take = || pool.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let connection = take().pop().ok_or_else(closed)?;
            let found = query(&connection);
            take().push(connection);
            found
        };
        tokio::task::spawn_blocking(read).await.map_err(|_| closed())?
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn troubles(&self) -> Vec<String> {
        Vec::new()
    }

    async fn lost(&self) {
        self.writer.durable().lost().await;
    }
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn admit(&self, admission: Admission) -> Result<Admitted, StoreError> {
        let cap = self.cap;
        self.write(move |tx| admit::admit(tx, &admission, &Actor::system(), cap)).await
    }

    async fn is_known(&self, guard: [u8; 32]) -> Result<bool, StoreError> {
        self.read(move |connection| admit::is_known(connection, guard)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        // A worker that was told of its claim may only read, until `bind` or `settle` is durable. Those come after it in
        // the log: once they are on disk it is, and if it is lost they are refused. So nothing is lost with it but reads.
        self.writer.run(When::Applied, move |tx| claim::claim(tx, &request)).await
    }

    async fn renew(&self, claims: Vec<(i64, u32)>, lease: Duration) -> Result<Vec<bool>, StoreError> {
        self.write(move |tx| claim::renew(tx, &claims, lease)).await
    }

    async fn bind(
        &self,
        claim: &Claim,
        account: &Account,
        proof: Option<Proof>,
        budgets: &[Budget],
    ) -> Result<Bound, StoreError> {
        let intent = bind::Intent::new(claim, account, proof.as_ref(), self.budgets.of(budgets))?;
        self.write(move |tx| bind::bind(tx, &intent)).await
    }

    async fn settle(&self, claim: &Claim, settlement: &Settlement) -> Result<(), StoreError> {
        let end = ending::End::new(claim, settlement)?;
        self.write(move |tx| settle::settle(tx, &end)).await
    }

    async fn close_gate(&self, provider: &ProviderName, reason: HoldReason, note: String) -> Result<(), StoreError> {
        let provider = provider.clone();
        self.write(move |tx| operate::close_gate(tx, Some(&provider), reason, &note, &Actor::system())).await
    }

    async fn open_gate(&self, provider: &ProviderName, reason: HoldReason) -> Result<(), StoreError> {
        let provider = provider.clone();
        self.write(move |tx| operate::open_gate(tx, Some(&provider), reason, &Actor::system())).await
    }

    async fn record_reload(&self, digest: [u8; 32], changed: Vec<String>) -> Result<(), StoreError> {
        self.write(move |tx| reload::record(tx, digest, &changed)).await
    }

    async fn gates(&self) -> Result<Vec<GateView>, StoreError> {
        self.read(read::gates).await
    }

    async fn open_circuit(
        &self,
        provider: &ProviderName,
        trial: Option<CircuitTrial>,
        note: String,
        wait: CircuitWait,
    ) -> Result<Option<Duration>, StoreError> {
        let provider = provider.clone();
        self.write(move |tx| circuit::open(tx, &provider, trial, &note, wait)).await
    }

    async fn try_circuit(&self, provider: &ProviderName, lease: Duration) -> Result<Option<CircuitTrial>, StoreError> {
        let provider = provider.clone();
        self.write(move |tx| circuit::try_again(tx, &provider, lease)).await
    }

    async fn close_circuit(&self, provider: &ProviderName) -> Result<(), StoreError> {
        let provider = provider.clone();
        self.write(move |tx| circuit::close(tx, &provider)).await
    }

    async fn circuits(&self) -> Result<Vec<CircuitView>, StoreError> {
        self.read(circuit::list).await
    }

    async fn beat(&self, beat: Beat) -> Result<Pulse, StoreError> {
        Ok(self.itself.beat(beat.replica, self.clock.now()))
    }

    async fn leave(&self, _replica: &str) -> Result<(), StoreError> {
        self.itself.leave();
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let now = self.clock.steady();
        self.read(move |db| read::backlog(db, now)).await
    }

    async fn wait_for_due(&self, at_most: Duration) {
        // A notification sent just before is kept by `Notify`, so none is missed.
        let _ = tokio::time::timeout(at_most, self.due.notified()).await;
    }

    async fn prune(&self, retention: &Retention, from: i64) -> Result<Pruned, StoreError> {
        let (retention, clock) = (*retention, Arc::clone(&self.clock));
        let prune = move |tx: &mut Tx<'_>| {
            let began = clock.steady();
            let (rows, next) = upkeep::prune(tx, &retention, from)?;
            Ok(Pruned { rows, next, busy: time_since(clock.as_ref(), began) })
        };
        self.write(prune).await
    }
}

#[async_trait]
impl Operations for SqliteStore {
    async fn order(&self, admission: Admission, actor: Actor) -> Result<Admitted, StoreError> {
        let cap = self.cap;
        let order = move |tx: &mut Tx<'_>| {
            let admitted = admit::admit(tx, &admission, &actor, cap)?;
            four_eyes::ordered(tx, &admitted, &actor)?;
            Ok(admitted)
        };
        self.write(order).await
    }

    async fn status(&self) -> Result<StatusView, StoreError> {
        let now = self.clock.steady();
        let status = self.read(move |db| read::status(db, now)).await?;
        Ok(StatusView { replicas: self.itself.list(), ..status })
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Page<JobView>, StoreError> {
        self.read(move |db| read::jobs(db, &filter)).await
    }

    async fn job(&self, job: JobId) -> Result<Option<JobDetail>, StoreError> {
        self.read(move |db| read::job(db, job)).await
    }

    async fn alerts(&self, cursor: Option<i64>, limit: u32) -> Result<Page<AlertView>, StoreError> {
        self.read(move |db| read::alerts(db, cursor, limit)).await
    }

    async fn alert(&self, alert: AlertId) -> Result<Option<AlertView>, StoreError> {
        self.read(move |db| read::alert(db, alert)).await
    }

    async fn requeue(&self, job: JobId, actor: Actor, reason: String) -> Result<(), StoreError> {
        self.write(move |tx| operate::requeue(tx, job, &actor, &reason)).await
    }

    async fn cancel(&self, job: JobId, actor: Actor, reason: String) -> Result<(), StoreError> {
        self.write(move |tx| operate::cancel(tx, job, &actor, &reason)).await
    }

    async fn approve(&self, job: JobId, actor: Actor, consent: Consent) -> Result<(), StoreError> {
        self.write(move |tx| operate::approve(tx, job, &actor, &consent)).await
    }

    async fn decide(&self, order: BulkOrder) -> Result<BulkDone, StoreError> {
        let order = Arc::new(order);
        let picking = Arc::clone(&order);
        let picked = self.read(move |db| bulk::pick(db, &picking)).await?;
        let stretch = |rows: Vec<i64>| {
            let order = Arc::clone(&order);
            self.write(move |tx| bulk::decide(tx, &order, &rows))
        };
        stretches::decide(&order, &picked, stretch).await
    }

    async fn budget_use(&self, budgets: &[Budget]) -> Result<Vec<u64>, StoreError> {
        let (budgets, now) = (budgets.to_vec(), self.clock.steady().as_microsecond());
        let people = Arc::clone(&self.people);
        self.read(move |_| Ok(people::budget_use(&people, &budgets, now))).await
    }

    async fn quarantine(&self, cursor: Option<i64>, limit: u32) -> Result<Page<QuarantineView>, StoreError> {
        self.read(move |db| read::quarantine(db, cursor, limit)).await
    }

    async fn delivery(&self, seq: i64) -> Result<Option<StoredDelivery>, StoreError> {
        self.read(move |db| read::delivery(db, seq)).await
    }

    async fn delivery_of(&self, alert: AlertId) -> Result<Option<StoredDelivery>, StoreError> {
        self.read(move |db| read::delivery_of(db, alert)).await
    }

    async fn record_reading(&self, seq: i64, actor: Actor) -> Result<(), StoreError> {
        self.write(move |tx| operate::record_reading(tx, seq, &actor)).await
    }

    async fn replay(&self, seq: i64, admission: Admission, actor: Actor) -> Result<Receipt, StoreError> {
        let cap = self.cap;
        self.write(move |tx| admit::replay(tx, seq, &admission, &actor, cap)).await
    }

    async fn pause(&self, provider: Option<ProviderName>, actor: Actor, reason: String) -> Result<(), StoreError> {
        self.write(move |tx| operate::close_gate(tx, provider.as_ref(), HoldReason::Paused, &reason, &actor)).await
    }

    async fn resume(&self, provider: Option<ProviderName>, actor: Actor) -> Result<(), StoreError> {
        self.write(move |tx| operate::open_gate(tx, provider.as_ref(), HoldReason::Paused, &actor)).await
    }

    async fn audit(&self, after: Option<i64>, limit: u32) -> Result<Page<AuditView>, StoreError> {
        self.find_audit(AuditFilter { after, limit, ..AuditFilter::default() }).await
    }
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn set_routes(&self, routes: Routes) -> Result<(), StoreError> {
        self.write(move |tx| outbox::begin(tx, &routes)).await
    }

    async fn claim_messages(
        &self,
        target: &TargetName,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<Message>, StoreError> {
        let (target, now) = (target.clone(), self.clock.steady());
        let asked = target.clone();
        if !self.read(move |db| outbox::is_due(db, &asked, now)).await? {
            return Ok(Vec::new());
        }
        self.write(move |tx| outbox::claim(tx, &target, limit, lease)).await
    }

    async fn settle_message(&self, message: &Message, end: MessageEnd) -> Result<(), StoreError> {
        let (seq, attempt) = (message.seq, message.attempt);
        self.write(move |tx| outbox::settle(tx, seq, attempt, &end)).await
    }
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn find_audit(&self, filter: AuditFilter) -> Result<Page<AuditView>, StoreError> {
        self.read(move |db| audit::find(db, &filter)).await
    }

    async fn audit_heads(&self) -> Result<Heads, StoreError> {
        self.read(seals::heads).await
    }

    async fn keep_seal(&self, seal: Signed<Seal>) -> Result<(), StoreError> {
        self.write(move |tx| seals::keep(tx, &seal)).await
    }

    async fn seals(&self, cursor: Option<i64>, limit: u32) -> Result<Page<Signed<Seal>>, StoreError> {
        self.read(move |db| seals::list(db, cursor, limit)).await
    }

    async fn stubs(&self) -> Result<Vec<Signed<Stub>>, StoreError> {
        self.read(seals::stubs).await
    }

    async fn prunable_audit(&self, before: Timestamp) -> Result<Vec<Removal>, StoreError> {
        self.read(move |db| seals::prunable(db, before)).await
    }

    async fn prune_audit(&self, stubs: Vec<Signed<Stub>>) -> Result<u64, StoreError> {
        self.write(move |tx| seals::prune(tx, &stubs)).await
    }

    async fn thin_seals(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(move |tx| seals::thin(tx, before)).await
    }
}
