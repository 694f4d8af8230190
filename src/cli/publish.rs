//! `sever send --amqp`: publishes a signed message, and finds what sever made of it.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use serde::de::DeserializeOwned;

use super::client::{Api, ApiError};
use super::signing::Signing;
use super::text::plain;
use super::wait::Stopwatch;
use super::{Failure, err};
use crate::clock::{Clock, SystemClock};
use crate::decode::{Decoder, Element, Fate};
use crate::domain::{Alert, SourceName};
use crate::ingest::{AmqpTls, BrokerUrl, Link, LinkError, SourceSettings};
use crate::store::{AlertReceipt, AlertView, Page, QuarantineView, Receipt, ReceiptStatus};

/// A broker confirms in milliseconds, and under load in a second.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

/// Kept by the broker over a restart (AMQP 0.9.1, `basic` class, field `delivery-mode`).
const PERSISTENT: u8 = 2;

/// Nothing is read by this connection but answers.
const NO_MESSAGES: u64 = 0;

/// Between looks at what came of a message.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);

/// Alerts in one look, and looks back from the newest: a busy service has some more before ours is seen.
const PAGE: &str = "200";
const PAGES: usize = 5;

/// Where to publish.
#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// Publish to this broker instead of posting; without a URL to that of the source in the config
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "", conflicts_with = "url")]
    amqp: Option<String>,
    /// With --amqp: the queue [default: that of the source in the config]
    #[arg(long, value_name = "NAME", requires = "amqp", conflicts_with = "exchange")]
    queue: Option<String>,
    /// With --amqp: the exchange, instead of a queue
    #[arg(long, value_name = "NAME", requires = "amqp")]
    exchange: Option<String>,
    /// With --exchange: the routing key
    #[arg(long, value_name = "KEY", requires = "exchange", default_value = "")]
    routing_key: String,
}

/// A way to a queue.
pub(super) struct Publisher {
    urls: Vec<BrokerUrl>,
    tls: AmqpTls,
    exchange: String,
    routing_key: String,
}

impl PublishArgs {
    /// Whether a message is to be published.
    pub(super) fn is_asked(&self) -> bool {
        self.amqp.is_some()
    }

    /// Where to, with what the config says about the source filling the gaps.
    pub(super) fn publisher(&self, source: Option<&SourceSettings>) -> Result<Publisher, Failure> {
        let configured = source.and_then(|source| source.amqp.as_ref());
        let urls = match self.amqp.as_deref().unwrap_or_default() {
            "" => configured.map(|amqp| amqp.urls.clone()).ok_or("the source has no `amqp` in the config; give a URL"),
            url => Ok(vec![BrokerUrl::Text(url.to_owned())]),
        };
        let place = match (&self.exchange, &self.queue, configured) {
            (Some(exchange), _, _) => Ok((exchange.clone(), self.routing_key.clone())),
            // The default exchange routes to the queue whose name is the key (AMQP 0.9.1 section 3.1.3.1).
            (None, Some(queue), _) => Ok((String::new(), queue.clone())),
            (None, None, Some(amqp)) => Ok((String::new(), amqp.queue.clone())),
            (None, None, None) => Err("say where to with --queue or --exchange"),
        };
        let wrong = |message: &str| Failure::Usage(anyhow!("{message}"));
        let (urls, (exchange, routing_key)) = (urls.map_err(wrong)?, place.map_err(wrong)?);
        for url in &urls {
            url.resolve().map_err(|message| Failure::Usage(anyhow!("the broker's URL {message}")))?;
        }
        let tls = configured.map(|amqp| amqp.tls.clone()).unwrap_or_default();
        Ok(Publisher { urls, tls, exchange, routing_key })
    }
}

impl Publisher {
    /// Publishes at the first broker that answers, and returns once it has the message on disk.
    pub(super) async fn publish(&self, signing: &Signing, body: &[u8]) -> Result<(), Failure> {
        let link = self.connect().await?;
        let place = link.address().to_string();
        let failed = |error: &LinkError| Failure::Failed(anyhow!("{place}: {}", plain(&error.to_string())));
        let channel = link.channel().await.map_err(|error| failed(&error))?;
        let confirming = self.confirmed(&channel, signing, body);
        let Ok(confirmation) = tokio::time::timeout(CONFIRM_TIMEOUT, confirming).await else {
            return Err(Failure::Failed(anyhow!(late(&link, signing))));
        };
        let outcome = judge(confirmation?.map_err(|error| failed(&error))?, &self.target());
        link.close().await;
        outcome
    }

    async fn connect(&self) -> Result<Link, Failure> {
        let mut last = None;
        for url in &self.urls {
            let place = url.resolve().map(|address| address.to_string()).unwrap_or_default();
            match Link::open(url, &self.tls, "sever send", NO_MESSAGES).await {
                Ok(link) => return Ok(link),
                Err(error) => last = Some(format!("{place}: {}", plain(&error.to_string()))),
            }
            if let (Some(text), true) = (&last, self.urls.len() > 1) {
                err(&format!("sever: {text}"));
            }
        }
        Err(Failure::Failed(anyhow!("{}; is the broker running there?", last.unwrap_or_default())))
    }

    /// Inner error: the broker's. Outer: the body cannot be signed.
    async fn confirmed(
        &self,
        channel: &Channel,
        signing: &Signing,
        body: &[u8],
    ) -> Result<Result<Confirmation, LinkError>, Failure> {
        let properties = properties(signing, &signing.sign(body)?);
        let publish = async {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let (exchange, key) = (self.exchange.as_str().into(), self.routing_key.as_str().into());
            channel.basic_publish(exchange, key, options, body, properties).await?.await
        };
        Ok(publish.await.map_err(LinkError::from))
    }

    fn target(&self) -> String {
        match self.exchange.as_str() {
            "" => format!("the queue {:?}", self.routing_key),
            exchange => format!("the exchange {exchange:?} with the key {:?}", self.routing_key),
        }
    }
}

fn late(link: &Link, signing: &Signing) -> String {
    let place = link.address();
    if link.is_blocked() {
        return format!("{place} takes no messages now, for it is short of memory or disk; mend that, then send again");
    }
    let id = signing.id();
    format!("{place} did not confirm in time and may have the message or not; send it again with --id {id}")
}

/// What cannot be routed is returned and confirmed all the same (RabbitMQ, "Consumer acknowledgements and publisher
/// confirms").
fn judge(confirmation: Confirmation, target: &str) -> Result<(), Failure> {
    let failed = |message: String| Err(Failure::Failed(anyhow!(message)));
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
            failed(format!("{target} leads nowhere; is the queue declared and bound?"))
        }
        Confirmation::Nack(None) => failed(format!("the broker refused the message; is {target} full?")),
        Confirmation::NotRequested => failed("the broker confirms nothing; is it RabbitMQ?".to_owned()),
    }
}

fn properties(signing: &Signing, headers: &[(HeaderName, HeaderValue)]) -> BasicProperties {
    let table = headers.iter().fold(FieldTable::default(), |mut table, (name, value)| {
        table.insert(name.as_str().into(), AMQPValue::LongString(value.as_bytes().to_vec().into()));
        table
    });
    let now = u64::try_from(SystemClock::new().now().as_second()).unwrap_or_default();
    let properties = BasicProperties::default()
        .with_headers(table)
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_timestamp(now);
    // Only a signed id may stand there.
    let is_signed = headers.iter().any(|(_, value)| value.as_bytes() == signing.id().as_bytes());
    if is_signed { properties.with_message_id(signing.id().into()) } else { properties }
}

fn alert_of(element: Element) -> Option<Box<Alert>> {
    match element.fate {
        Fate::Alert(alert) => Some(alert),
        Fate::Skipped | Fate::Bad(_) => None,
    }
}

/// What is looked for: a queue gives no receipt, so the alerts are found by their ids.
pub(super) struct Sought {
    source: SourceName,
    issuer: String,
    alerts: Vec<String>,
    delivery_id: String,
}

impl Sought {
    /// The alerts in this body.
    pub(super) fn new(name: &SourceName, source: &SourceSettings, body: &[u8], id: &str) -> Result<Self, Failure> {
        let decoder = Decoder::new(source.format, source.alert.as_ref());
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let read = decoder.ok().and_then(|decoder| decoder.explain(body, &headers, SystemClock::new().now()).ok());
        let alerts: Vec<_> = read.into_iter().flatten().filter_map(alert_of).collect();
        if alerts.is_empty() {
            return Err(Failure::Usage(anyhow!("the body holds no alert of this source's format")));
        }
        Ok(Self {
            source: name.clone(),
            issuer: source.issuer.clone().unwrap_or_else(|| name.to_string()),
            alerts: alerts.into_iter().map(|alert| alert.id).collect(),
            delivery_id: id.to_owned(),
        })
    }

    /// Waits until every one of them is stored, and makes a receipt of what they are.
    pub(super) async fn receipt(&self, api: &Api, watch: &Stopwatch) -> Result<Receipt, Failure> {
        loop {
            match self.look(api).await {
                Ok(Some(receipt)) => return Ok(receipt),
                Err(error) if !error.may_pass() => return Err(error.into()),
                Ok(None) | Err(_) if watch.left().is_zero() => return Err(self.lost()),
                Ok(None) | Err(_) => tokio::time::sleep(LOOK_INTERVAL.min(watch.left())).await,
            }
        }
    }

    fn lost(&self) -> Failure {
        let source = &self.source;
        Failure::Failed(anyhow!(
            "the broker has the message, and sever has not stored its alert yet; is {source} consumed (`/readyz` of the \
             alert listener tells), and what does `sever refusals {source}` say?"
        ))
    }

    async fn look(&self, api: &Api) -> Result<Option<Receipt>, ApiError> {
        let kept: Vec<QuarantineView> = newest(api, "/v1/quarantine", 1).await?;
        if kept.iter().any(|kept| kept.source == self.source && kept.delivery_id == self.delivery_id) {
            return Ok(Some(self.receipt_of(ReceiptStatus::Quarantined, Vec::new())));
        }
        let known: Vec<AlertView> = newest(api, "/v1/alerts", PAGES).await?;
        let mine = |alert: &&AlertView| alert.issuer == self.issuer && self.alerts.contains(&alert.external_id);
        let found: Vec<_> = known.iter().filter(mine).map(alert_receipt).collect();
        let status = if found.iter().any(|alert| !alert.jobs.is_empty()) {
            ReceiptStatus::Accepted
        } else {
            ReceiptStatus::Ignored
        };
        Ok((found.len() >= self.alerts.len()).then(|| self.receipt_of(status, found)))
    }

    fn receipt_of(&self, status: ReceiptStatus, alerts: Vec<AlertReceipt>) -> Receipt {
        Receipt { status, delivery_id: self.delivery_id.clone(), alerts, quarantined: Vec::new(), not_kept: None }
    }
}

async fn newest<T: DeserializeOwned>(api: &Api, path: &str, pages: usize) -> Result<Vec<T>, ApiError> {
    let (mut items, mut cursor) = (Vec::new(), None);
    for _ in 0..pages {
        let query = [("limit", PAGE.to_owned())].into_iter().chain(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: Page<T> = api.get(path, &query.collect::<Vec<_>>()).await?.read()?;
        items.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(items)
}

fn alert_receipt(alert: &AlertView) -> AlertReceipt {
    AlertReceipt {
        id: alert.id,
        external_id: alert.external_id.clone(),
        jobs: alert.jobs.clone(),
        skipped: alert.skipped.clone(),
    }
}
