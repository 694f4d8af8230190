//! A connection to a broker, for whoever consumes, publishes or looks.

use std::time::Duration;

use lapin::types::{AMQPValue, FieldTable};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::address::Address;
use super::settings::{AmqpTls, BrokerUrl};
use super::tls;
use super::wire::{self, Wire};

/// A broker that has not answered by then counts as absent. On a loaded one, signing in takes a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a broker may take for anything else that we ask of it.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Closing in good order matters less than going on.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a broker is of no use, named for what a person does next. No text holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The URL or the files for TLS are wrong.
    #[error("{0}")]
    Config(String),
    /// Nobody answers, or the link broke.
    #[error("{0}")]
    Unreachable(String),
    /// It knows us, and does not let us.
    #[error("{0}; mend user, password or permissions")]
    Denied(String),
    /// There is no such queue or exchange.
    #[error("{0}; declare it, or set `declare: true`")]
    Absent(String),
    /// There is one, made otherwise.
    #[error("{0}; leave `declare` out to take it as it is, or delete it")]
    Different(String),
    /// It stopped sending us messages: the queue was deleted, or its leader moved.
    #[error("the broker cancelled the consumer: the queue was deleted, or moved to another node")]
    Cancelled,
}

/// Codes of AMQP 0.9.1 section 1.2.
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

impl From<lapin::Error> for LinkError {
    fn from(error: lapin::Error) -> Self {
        let text = error.to_string();
        let lapin::ErrorKind::ProtocolError(told) = error.kind() else { return Self::Unreachable(text) };
        match told.get_id() {
            ACCESS_REFUSED | NOT_ALLOWED => Self::Denied(text),
            NOT_FOUND => Self::Absent(text),
            PRECONDITION_FAILED => Self::Different(text),
            _ => Self::Unreachable(text),
        }
    }
}

impl From<tokio::time::error::Elapsed> for LinkError {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Unreachable("the broker did not answer in time".to_owned())
    }
}

/// A connection that ends when it is dropped, however the broker is.
pub struct Link {
    connection: Connection,
    _cut: DropGuard,
    address: Address,
}

impl Link {
    /// Signs in. `max_body` is the largest message that may come in by it.
    pub async fn open(url: &BrokerUrl, tls: &AmqpTls, purpose: &str, max_body: u64) -> Result<Self, LinkError> {
        let address = url.resolve().map_err(LinkError::Config)?;
        let tls = address.is_encrypted().then(|| tls::connector(tls)).transpose().map_err(LinkError::Config)?;
        let token = CancellationToken::new();
        let cut = token.clone().drop_guard();
        let place = address.clone();
        let connect = async move |_, _| {
            let wire = Wire::open(&place, tls.as_ref(), max_body, token.clone());
            let wire = tokio::time::timeout(CONNECT_TIMEOUT, wire).await.map_err(std::io::Error::from);
            Ok(AsyncTcpStream::Plain(wire.and_then(|opened| opened).map_err(lapin::Error::from)?))
        };
        let opening = Connection::connector(address.uri().clone(), wire::runtime(), connect, properties(purpose));
        let connection = tokio::time::timeout(CONNECT_TIMEOUT, opening).await??;
        Ok(Self { connection, _cut: cut, address })
    }

    /// A channel of its own for one concern.
    pub async fn channel(&self) -> Result<Channel, LinkError> {
        Ok(tokio::time::timeout(ANSWER_TIMEOUT, self.connection.create_channel()).await??)
    }

    /// Where it goes.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether the broker takes no messages now: short of memory or disk.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Says goodbye, and does not insist on an answer. What was not acknowledged goes back to its queue.
    pub async fn close(self) {
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.connection.close(200, "done".into())).await;
    }
}

/// Recovery is our own: a new connection, channel, prefetch and consumer, so that nothing of the old ones is believed.
fn properties(purpose: &str) -> ConnectionProperties {
    ConnectionProperties::default()
        .with_connection_name(purpose.into())
        .with_client_property("product".into(), "sever".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
}

/// A text in a table of arguments.
pub(super) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

/// A table of arguments.
pub(super) fn table(entries: impl IntoIterator<Item = (&'static str, AMQPValue)>) -> FieldTable {
    entries.into_iter().fold(FieldTable::default(), |mut table, (name, value)| {
        table.insert(name.into(), value);
        table
    })
}
