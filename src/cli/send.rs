//! `sever send`: signs a body and posts or publishes it, as a source of alerts does, and waits for what comes of it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use http::StatusCode;

use super::client::{ADMIN_URL, Answer, Api, ApiError, BaseUrl, Http, TokenFile};
use super::publish::{PublishArgs, Sought};
use super::signing::{Signing, SigningArgs};
use super::source::read_body;
use super::text::plain_json;
use super::tls::ClientTls;
use super::wait::{self, Stopwatch};
use super::{Failure, Outcome, block_on, err, out, receipt};
use crate::domain::SourceName;
use crate::settings;
use crate::store::{Receipt, ReceiptStatus};

/// When a refusal does not say when to come back.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(1);

/// Arguments of `sever send`.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// The body; - is standard input
    #[arg(value_name = "BODY", default_value = "-")]
    body: PathBuf,
    #[command(flatten)]
    signing: SigningArgs,
    /// The alert listener
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: BaseUrl,
    #[command(flatten)]
    publish: PublishArgs,
    /// Wait until every job is done, dead, held or cancelled; fail unless every one is done well
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "wait")]
    timeout: settings::Duration,
    /// With --wait: the admin listener
    #[arg(long, value_name = "URL", default_value = ADMIN_URL, requires = "wait")]
    admin_url: BaseUrl,
    #[command(flatten)]
    token: TokenFile,
    #[command(flatten)]
    tls: ClientTls,
    /// Print the receipt as JSON, and with --wait the jobs in a second line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &SendArgs) -> Outcome {
    let signing = args.signing.prepare(|source| args.url.alerts(source?))?;
    if args.publish.is_asked() {
        return publish(args, &signing);
    }
    let Some(source) = signing.source.clone() else {
        return Err(Failure::Usage(anyhow!("--scheme needs --source too: it says where to send to")));
    };
    let delivery = Delivery { args, body: read_body(&args.body)?, signing, source };
    // Told before anything is sent.
    let api = args.wait.then(|| Api::new(&args.admin_url, &args.token, &args.tls)).transpose()?;
    block_on(send(&delivery, api))?
}

fn publish(args: &SendArgs, signing: &Signing) -> Outcome {
    let publisher = args.publish.publisher(signing.settings.as_ref())?;
    let body = read_body(&args.body)?;
    // Told before anything is sent.
    let waiting = args.wait.then(|| -> Result<_, Failure> {
        let (Some(name), Some(settings)) = (&signing.source, &signing.settings) else {
            return Err(Failure::Usage(anyhow!("--wait needs the source's config: name both, and no --scheme")));
        };
        Ok((Sought::new(name, settings, &body, signing.id())?, Api::new(&args.admin_url, &args.token, &args.tls)?))
    });
    let waiting = waiting.transpose()?;
    block_on(async {
        let watch = Stopwatch::start(args.timeout.0);
        publisher.publish(signing, &body).await?;
        err(&format!("sever: the broker has delivery {} on disk", signing.id()));
        let Some((sought, api)) = waiting else { return Ok(()) };
        let receipt = sought.receipt(&api, &watch).await?;
        if args.json {
            out(&plain_json(&serde_json::to_string(&receipt).map_err(anyhow::Error::from)?));
        }
        told(args, &receipt)?;
        wait::until_settled(&api, &receipt, &watch, args.json).await
    })?
}

async fn send(delivery: &Delivery<'_>, api: Option<Api>) -> Outcome {
    let args = delivery.args;
    let watch = Stopwatch::start(args.timeout.0);
    let answer = delivery.post(&watch).await?;
    let receipt: Receipt = answer.read()?;
    if args.json {
        out(&answer.json());
    }
    told(args, &receipt)?;
    match api {
        Some(api) => wait::until_settled(&api, &receipt, &watch, args.json).await,
        None => Ok(()),
    }
}

fn told(args: &SendArgs, receipt: &Receipt) -> Outcome {
    if !args.json {
        receipt::sheet(receipt).print();
    }
    if receipt.status == ReceiptStatus::Quarantined {
        let message = "the delivery is kept, and nothing was done; `sever quarantine list` has the reason";
        return Err(Failure::Failed(anyhow!(message)));
    }
    Ok(())
}

/// A body on its way.
struct Delivery<'a> {
    args: &'a SendArgs,
    body: Vec<u8>,
    signing: Signing,
    source: SourceName,
}

impl Delivery<'_> {
    /// Posts it; with `--wait`, again for as long as sever asks for patience and there is time.
    async fn post(&self, watch: &Stopwatch) -> Result<Answer, Failure> {
        let http = Http::new(&self.args.url, &self.args.tls)?;
        loop {
            let error = match self.post_once(&http).await? {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = match &error {
                ApiError::Refused { retry_after, .. } if self.args.wait && error.may_pass() => {
                    retry_after.unwrap_or(DEFAULT_PATIENCE).max(DEFAULT_PATIENCE)
                }
                _ => return Err(error.into()),
            };
            if pause > watch.left() {
                return Err(error.into());
            }
            err(&format!("sever: {error}; trying again in {} s", pause.as_secs()));
            tokio::time::sleep(pause).await;
        }
    }

    /// Signed anew each time, for the time of signing ages; the id stays, so that a repeat is known as one.
    async fn post_once(&self, http: &Http) -> Result<Result<Answer, ApiError>, Failure> {
        let mut request = http.post(&format!("/v1/alerts/{}", self.source));
        for (name, value) in self.signing.sign(&self.body)? {
            request = request.header(name, value);
        }
        let request = request.header("content-type", "application/json").body(self.body.clone());
        Ok(http.send(request, |status| self.mend(status)).await)
    }

    fn mend(&self, status: StatusCode) -> Option<String> {
        let source = &self.source;
        match status {
            StatusCode::UNAUTHORIZED => Some(format!("`sever refusals {source}` tells which check failed")),
            StatusCode::NOT_FOUND => Some(format!("is {source} in the config, and --url the alert listener?")),
            StatusCode::UNPROCESSABLE_ENTITY => Some("`sever quarantine list` has the reason".to_owned()),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Some(format!("raise sources.{source}.webhook.max_body in the config, or send less"))
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE if !self.args.wait => {
                Some("--wait repeats it".to_owned())
            }
            _ => None,
        }
    }
}
