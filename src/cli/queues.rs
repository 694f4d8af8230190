//! `sever check --online` for queues: can we get there, is the queue there, and where do rejected messages go?

use serde_json::Value;

use super::client::{BaseUrl, Http};
use super::text::plain;
use super::tls::ClientTls;
use super::{Failure, err, out};
use crate::domain::SourceName;
use crate::ingest::{Address, AmqpSettings, BrokerUrl, Link, LinkError, dead_letter_queue, look};

/// What bounds a queue: any of them (RabbitMQ, "Queue length limit" and "Time-to-live").
const BOUNDS: [&str; 4] = ["max-length", "max-length-bytes", "message-ttl", "expires"];

/// Looks at every broker of a source; whether all is as it should be. Changes nothing there.
pub(super) async fn check(name: &SourceName, settings: &AmqpSettings) -> bool {
    let mut fine = true;
    for (position, address) in settings.addresses() {
        if let Err(error) = check_broker(name, settings, &settings.urls[position], &address).await {
            err(&format!("{name}: {address}: {}", plain(&error.to_string())));
            fine = false;
        }
    }
    match &settings.management {
        Some(management) => fine & check_policies(name, settings, management).await,
        None if settings.declare => fine,
        None => {
            out(&format!(
                "{name}: unchecked: where rejected messages go; set `amqp.management`, or look with \
                 `rabbitmqctl list_queues name arguments effective_policy_definition`"
            ));
            fine
        }
    }
}

async fn check_broker(
    name: &SourceName,
    settings: &AmqpSettings,
    url: &BrokerUrl,
    address: &Address,
) -> Result<(), LinkError> {
    let link = Link::open(url, &settings.tls, "sever check", 0).await?;
    let user = address.credentials().0;
    out(&format!("{name}: {address}: signed in as {}", plain(user)));
    let queues = [Some(settings.queue.clone()), settings.declare.then(|| dead_letter_queue(&settings.queue))];
    for queue in queues.into_iter().flatten() {
        // A queue that is not there ends the channel.
        match look(&link.channel().await?, &queue).await {
            Ok(waiting) => out(&format!("{name}: {address}: queue {queue:?} is there, {waiting} messages wait")),
            Err(LinkError::Absent(_)) if settings.declare => {
                out(&format!("{name}: {address}: queue {queue:?} will be declared when sever serves"));
            }
            Err(error) => return Err(error),
        }
    }
    link.close().await;
    Ok(())
}

async fn check_policies(name: &SourceName, settings: &AmqpSettings, management: &str) -> bool {
    match Management::new(settings, management) {
        Ok(management) => match management.check(&settings.queue).await {
            Ok(findings) => {
                findings.iter().for_each(|finding| out(&format!("{name}: {}", plain(&finding.text))));
                !findings.iter().any(|finding| finding.is_fault)
            }
            Err(error) => {
                err(&format!("{name}: {error}"));
                false
            }
        },
        Err(_) => {
            err(&format!("{name}: amqp.management is not a URL; write https://broker:15671"));
            false
        }
    }
}

/// Something to tell.
struct Finding {
    text: String,
    is_fault: bool,
}

impl Finding {
    fn note(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_fault: false }
    }

    fn fault(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_fault: true }
    }
}

/// RabbitMQ's management API.
struct Management {
    http: Http,
    address: Address,
}

impl Management {
    fn new(settings: &AmqpSettings, url: &str) -> Result<Self, Failure> {
        let wrong = |message: String| Failure::Usage(anyhow::anyhow!(message));
        let base: BaseUrl = url.parse().map_err(wrong)?;
        let address = settings.urls.first().map_or_else(|| Err(String::new()), |url| url.resolve()).map_err(wrong)?;
        Ok(Self { http: Http::new(&base, &ClientTls::default())?, address })
    }

    async fn check(&self, name: &str) -> anyhow::Result<Vec<Finding>> {
        let Some(queue) = self.queue(name).await? else {
            return Ok(vec![Finding::fault(format!("queue {name:?} is not known to the management API"))]);
        };
        let mut findings = Vec::new();
        if queue["type"] != "quorum" {
            findings.push(Finding::note("the queue is no quorum queue: it is lost with its node"));
        }
        if setting(&queue, "delivery-limit").is_null() {
            let text = "no `delivery-limit` is set, which RabbitMQ before 4.0 takes for none: a message that ends our \
                        connection would come again for ever";
            findings.push(Finding::note(text));
        }
        let exchange = setting(&queue, "dead-letter-exchange");
        let Some(exchange) = exchange.as_str() else {
            findings.push(Finding::fault("missing: a dead-letter exchange; rejected messages are lost"));
            return Ok(findings);
        };
        let key = setting(&queue, "dead-letter-routing-key").as_str().unwrap_or(name).to_owned();
        let targets = self.targets(exchange, key).await?;
        if targets.is_empty() {
            let text =
                format!("missing: a queue bound to the dead-letter exchange {exchange:?}; rejected messages are lost");
            findings.push(Finding::fault(text));
        }
        for target in targets {
            findings.push(self.judge_target(&target).await?);
        }
        Ok(findings)
    }

    async fn judge_target(&self, target: &str) -> anyhow::Result<Finding> {
        Ok(match self.queue(target).await? {
            None => Finding::fault(format!("missing: the dead-letter queue {target:?}; rejected messages are lost")),
            Some(queue) if BOUNDS.iter().all(|bound| setting(&queue, bound).is_null()) => Finding::note(format!(
                "unbounded: the dead-letter queue {target:?}, which anybody who may publish can fill; set max-length"
            )),
            Some(_) => Finding::note(format!("dead letters go to {target:?}, which is bounded")),
        })
    }

    /// The queues that an exchange leads to, whatever their keys: a key pattern is the operator's to know.
    async fn targets(&self, exchange: &str, key: String) -> anyhow::Result<Vec<String>> {
        if exchange.is_empty() {
            return Ok(vec![key]);
        }
        let bindings = self.get(&format!("exchanges/{}/{}/bindings/source", self.vhost(), segment(exchange))).await?;
        let bindings = bindings.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
        let to_queue = |binding: &&Value| binding["destination_type"] == "queue";
        let mut queues: Vec<_> = bindings
            .iter()
            .filter(to_queue)
            .filter_map(|found| Some(found["destination"].as_str()?.to_owned()))
            .collect();
        queues.sort();
        queues.dedup();
        Ok(queues)
    }

    async fn queue(&self, name: &str) -> anyhow::Result<Option<Value>> {
        self.get(&format!("queues/{}/{}", self.vhost(), segment(name))).await
    }

    async fn get(&self, path: &str) -> anyhow::Result<Option<Value>> {
        Ok(self.http.look(&format!("/api/{path}"), self.address.credentials()).await?)
    }

    fn vhost(&self) -> String {
        segment(self.address.vhost())
    }
}

fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// An argument of the queue or, where there is none, what its policies come to.
fn setting<'a>(queue: &'a Value, key: &str) -> &'a Value {
    let argument = &queue["arguments"][format!("x-{key}")];
    if argument.is_null() { &queue["effective_policy_definition"][key] } else { argument }
}
