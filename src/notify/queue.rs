//! A message by AMQP: persistent, mandatory and confirmed, with the headers that a webhook would have.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::Mutex;

use super::Trouble;
use super::settings::TargetAmqp;
use crate::ingest::{Link, LinkError};
use crate::store::Message;

/// Kept by the broker over a restart (AMQP 0.9.1, `basic` class, field `delivery-mode`).
const PERSISTENT: u8 = 2;

/// Nothing is read by this connection but answers.
const NO_MESSAGES: u64 = 0;

/// Publishes to one place. The connection is kept, and made anew after anything went wrong.
pub(super) struct Queue {
    settings: TargetAmqp,
    timeout: Duration,
    open: Mutex<Option<(Link, Channel)>>,
}

impl Queue {
    /// Calls nobody yet.
    pub(super) fn new(settings: TargetAmqp, timeout: Duration) -> Self {
        Self { settings, timeout, open: Mutex::new(None) }
    }

    /// Publishes the message, and returns once the broker has it on disk.
    pub(super) async fn send(
        &self,
        headers: &[(HeaderName, HeaderValue)],
        message: &Message,
        now: u64,
    ) -> Result<(), Trouble> {
        let publishing = self.publish(properties(headers, message, now), &message.body);
        match tokio::time::timeout(self.timeout, publishing).await {
            Ok(Ok(confirmation)) => self.judge(confirmation),
            Ok(Err(error)) => Err(Trouble::new(format!("the broker: {error}"))),
            Err(_) => Err(Trouble::new("the broker did not confirm in time")),
        }
    }

    /// The connection is put back only where it worked; a call that was given up takes it along.
    async fn publish(&self, properties: BasicProperties, body: &str) -> Result<Confirmation, LinkError> {
        let mut open = self.open.lock().await;
        let (link, channel) = match open.take() {
            Some(open) => open,
            None => self.connect().await?,
        };
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let (exchange, key) = (self.settings.exchange.as_str().into(), self.settings.routing_key.as_str().into());
        let confirmation = channel.basic_publish(exchange, key, options, body.as_bytes(), properties).await?.await?;
        *open = Some((link, channel));
        Ok(confirmation)
    }

    async fn connect(&self) -> Result<(Link, Channel), LinkError> {
        let mut last = LinkError::Config("`urls` names no broker".to_owned());
        for url in &self.settings.urls {
            match Link::open(url, &self.settings.tls, "sever notify", NO_MESSAGES).await {
                Ok(link) => {
                    let channel = link.channel().await?;
                    channel.confirm_select(ConfirmSelectOptions::default()).await?;
                    return Ok((link, channel));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// What cannot be routed is returned and confirmed all the same (RabbitMQ, "Consumer acknowledgements and publisher
    /// confirms").
    fn judge(&self, confirmation: Confirmation) -> Result<(), Trouble> {
        let TargetAmqp { exchange, routing_key, .. } = &self.settings;
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(Trouble::new(format!(
                "the exchange {exchange:?} leads nowhere with the key {routing_key:?}; is the queue declared and bound?"
            ))),
            Confirmation::Nack(None) => Err(Trouble::new("the broker refused the message; is the queue full?")),
            Confirmation::NotRequested => Err(Trouble::new("the broker confirms nothing; is it RabbitMQ?")),
        }
    }
}

fn properties(headers: &[(HeaderName, HeaderValue)], message: &Message, now: u64) -> BasicProperties {
    let table = headers.iter().fold(FieldTable::default(), |mut table, (name, value)| {
        table.insert(name.as_str().into(), AMQPValue::LongString(value.as_bytes().to_vec().into()));
        table
    });
    BasicProperties::default()
        .with_headers(table)
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(message.id.as_str().into())
        .with_type(message.kind.as_str().into())
        .with_timestamp(now)
}
