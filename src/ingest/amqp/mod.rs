//! Alerts from a queue: a message becomes a delivery, what becomes of it an acknowledgement or a rejection.
//!
//! Always holds: a message is acknowledged after everything about it is on disk, and never before; nothing that nobody
//! signed is requeued; and no broker, however it behaves, stops anything but its own queue.

mod address;
mod book;
mod consumer;
mod health;
mod link;
mod message;
mod session;
mod settings;
mod strainer;
mod tls;
mod topology;
mod wire;

pub use address::Address;
pub use consumer::{QueueConsumer, QueueParts};
pub use health::{QueueHealth, Standing};
pub use link::{Link, LinkError};
pub use message::headers as message_headers;
pub use settings::{AmqpSettings, AmqpTls, BrokerUrl};
pub use strainer::{Strainer, Strange};
pub use topology::{dead_letter_queue, look};
