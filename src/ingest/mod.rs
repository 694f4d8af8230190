//! The way in: a delivery becomes a receipt or a refusal, and a question of the sender is answered.

mod amqp;
mod heavy;
mod intake;
mod late;
mod limit;
mod order;
mod peer;
mod planned;
mod planning;
mod queued;
mod refusal;
mod settings;
mod source;
mod traced;
mod unread;
mod webhook;

pub use amqp::{
    Address, AmqpSettings, AmqpTls, BrokerUrl, Link, LinkError, QueueConsumer, QueueHealth, QueueParts, Standing,
    Strainer, Strange, dead_letter_queue, look, message_headers,
};
pub use intake::{Intake, Taken};
pub use limit::PeerLimit;
pub use order::{OPERATOR_SOURCE, Order};
pub use peer::TrustedProxies;
pub use planning::Planning;
pub use refusal::{Problem, Refusal, RefusalView, Refusals};
pub use settings::{DetailedListen, ListenSettings, OnUndecodable, PublicUrl, SourceSettings, WebhookSettings};
pub use source::SourceIntake;
pub use webhook::{WebhookLimits, router};
