//! Connections: few, kept, and each with limits of its own on the server, so that nothing waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault::no_connection;
use super::url::PostgresUrl;
use super::{fault, tls};
use crate::store::StoreError;

/// How long somebody waits for a connection, or for a new one to be made.
const CONNECTION_WITHIN: Duration = Duration::from_secs(4);

/// Connections for looking things up.
const READERS: usize = 4;

/// One that nobody else uses: a sign of life must not wait behind a look into a million jobs.
const HEARTS: usize = 1;

/// The server ends what takes longer. A process that stopped in the middle of a transaction holds nobody up for long.
/// The isolation is the one that the locks in `tx.rs` are made for. A commit is on disk when it is answered, also where
/// the server's default is to answer before; where it is to wait for standbys too, that stays.
const LIMITS: &str = "SET statement_timeout = '5s'; SET lock_timeout = '4s'; SET idle_in_transaction_session_timeout = '8s';
    SET default_transaction_isolation = 'read committed'; SET default_transaction_deferrable = off;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Plans depend on the SQL alone: a plan that was made while a table was small must not scan it once it has grown.
const PLANS: &str = "; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off;
    SET enable_mergejoin = off; SET enable_material = off; SET jit = off";

/// The way to the server.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) url: PostgresUrl,
    pub(super) tls: MakeRustlsConnect,
    readers: Pool,
    hearts: Pool,
}

impl Connections {
    pub(super) fn new(url: &PostgresUrl) -> anyhow::Result<Self> {
        let tls = tls::connector(url.root.as_deref())?;
        Ok(Self {
            readers: pool(url, &tls, LIMITS.to_owned(), READERS, Arc::default())?,
            hearts: pool(url, &tls, LIMITS.to_owned(), HEARTS, Arc::default())?,
            url: url.clone(),
            tls,
        })
    }

    pub(super) async fn reader(&self) -> Result<Object, StoreError> {
        self.readers.get().await.map_err(|error| StoreError::Unavailable(no_connection(&error)))
    }

    /// The connection of one more lane.
    pub(super) fn lane(&self) -> anyhow::Result<Sessions> {
        let begun = Arc::default();
        let pool = pool(&self.url, &self.tls, format!("{LIMITS}{PLANS}"), 1, Arc::clone(&begun))?;
        Ok(Sessions { pool, begun })
    }

    /// The connection for signs of life.
    pub(super) async fn heart(&self) -> Result<Object, StoreError> {
        self.hearts.get().await.map_err(|error| StoreError::Unavailable(no_connection(&error)))
    }

    /// A connection beside the pools, and what drives it.
    pub(super) async fn apart(&self) -> Result<(tokio_postgres::Client, Driver), tokio_postgres::Error> {
        self.url.config.connect(self.tls.clone()).await
    }
}

/// The connection of a lane, made anew where it broke.
pub(super) struct Sessions {
    pool: Pool,
    begun: Arc<AtomicU64>,
}

impl Sessions {
    /// The connection, and its number: whatever lives as long as a connection belongs to one number.
    pub(super) async fn get(&self) -> Result<(Object, u64), StoreError> {
        let session = self.pool.get().await.map_err(|error| StoreError::Unavailable(no_connection(&error)))?;
        // There is only this one, and only the lane asks for it.
        Ok((session, self.begun.load(Ordering::Acquire)))
    }
}

/// What has to be polled for a connection to live.
pub(super) type Driver = tokio_postgres::Connection<
    tokio_postgres::Socket,
    <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
>;

fn pool(
    url: &PostgresUrl,
    tls: &MakeRustlsConnect,
    settings: String,
    size: usize,
    begun: Arc<AtomicU64>,
) -> anyhow::Result<Pool> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let settle = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        let settings = settings.clone();
        begun.fetch_add(1, Ordering::AcqRel);
        Box::pin(async move { client.batch_execute(&settings).await.map_err(HookError::Backend) })
    });
    Pool::builder(Manager::from_config(url.config.clone(), tls.clone(), recycling))
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECTION_WITHIN))
        .create_timeout(Some(CONNECTION_WITHIN))
        .recycle_timeout(Some(CONNECTION_WITHIN))
        .post_create(settle)
        .build()
        .context("no pool of connections")
}

/// Why the first connection of a process failed, with the mend.
pub(super) fn refused(error: &tokio_postgres::Error) -> anyhow::Error {
    let told = fault::describe(error);
    let mend = if told.contains("certificate") {
        "; name the authority that signed the server's certificate with sslrootcert, connect by a name that stands in it, or write sslmode=disable where the way is safe without TLS"
    } else {
        "; mend the URL, or start the server"
    };
    anyhow!("cannot connect to PostgreSQL: {told}{mend}")
}
