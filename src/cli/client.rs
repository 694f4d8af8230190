//! Asking sever over HTTP, for every command that does.
//!
//! Always holds: a call ends within its time, no redirect is followed, the token goes nowhere but into its header, and
//! whatever goes wrong comes out as one sentence that says how to mend it, safe to print.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use reqwest::RequestBuilder;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::text::{Sheet, plain, plain_json};
use super::tls::ClientTls;
use super::{Failure, Outcome, err, out};
use crate::domain::SourceName;
use crate::ingest::Problem;
use crate::settings::{Secret, SecretRef};

/// Where `sever init` has the admin listener.
pub(super) const ADMIN_URL: &str = "http://127.0.0.1:8081";

/// Where `sever init` puts the operator's token.
const USUAL_TOKEN_FILE: &str = "secrets/oncall";

/// Longer than any listing takes; a person is waiting.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A host that has not answered the handshake by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Above the largest body of a delivery (64 MiB), written as JSON.
const LARGEST_ANSWER_BYTES: usize = 256 << 20;

/// How often `--watch` looks.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Where the admin API is, and how to show what it says.
#[derive(Debug, Args)]
pub(super) struct Remote {
    /// The admin listener
    #[arg(long, value_name = "URL", default_value = ADMIN_URL)]
    url: BaseUrl,
    #[command(flatten)]
    token: TokenFile,
    #[command(flatten)]
    tls: ClientTls,
    /// Print the API's JSON as it is
    #[arg(long)]
    json: bool,
}

/// The operator's token.
#[derive(Debug, Args)]
pub(super) struct TokenFile {
    /// The file with a token of `admin.tokens` [default: ./secrets/oncall if it is there]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Remote {
    /// The API, or why it cannot be asked.
    pub(super) fn api(&self) -> Result<Api, Failure> {
        Api::new(&self.url, &self.token, &self.tls)
    }

    /// Prints the answer: as it came, or as `sheet` shows it.
    pub(super) fn print<T: DeserializeOwned>(&self, answer: &Answer, sheet: impl FnOnce(&T) -> Sheet) -> Outcome {
        if self.json {
            out(&answer.json());
        } else {
            sheet(&answer.read()?).print();
        }
        Ok(())
    }

    /// Whether programs read what is printed.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }
}

/// Looks again and again.
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Show it anew every 2 s, until interrupted
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

impl Watch {
    /// Shows what `look` finds: once, or until interrupted. While sever does not answer, says so and keeps looking.
    pub(super) async fn show<T: DeserializeOwned>(
        &self,
        remote: &Remote,
        look: impl AsyncFn() -> Result<Answer, ApiError>,
        sheet: impl Fn(&T) -> Sheet,
    ) -> Outcome {
        if !self.watch {
            return remote.print(&look().await?, sheet);
        }
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            let found = look().await.and_then(|answer| answer.read());
            clear();
            match found {
                Ok(found) => sheet(&found).print(),
                Err(error) if error.may_pass() => err(&format!("sever: {error}")),
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                _ = &mut interrupted => return Ok(()),
                () = tokio::time::sleep(WATCH_INTERVAL) => {}
            }
        }
    }
}

/// Clears the screen and goes to its first place (ECMA-48, ED and CUP); a file gets an empty line.
fn clear() {
    use std::io::IsTerminal;
    out(if std::io::stdout().is_terminal() { "\u{1b}[2J\u{1b}[H" } else { "" });
}

/// A URL to which paths are added.
#[derive(Debug, Clone)]
pub(super) struct BaseUrl(String);

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = reqwest::Url::parse(text).map_err(|error| format!("{error}; write {ADMIN_URL}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(format!("it begins with neither http:// nor https://; write {ADMIN_URL}"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err("write scheme, host, port and path, and nothing else".to_owned());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl BaseUrl {
    /// Where deliveries of this source are posted to.
    pub(super) fn alerts(&self, source: &SourceName) -> Option<Uri> {
        format!("{}/v1/alerts/{source}", self.0).parse().ok()
    }
}

/// Why a call brought nothing. Each text is one sentence with its mend.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// Nobody answered.
    #[error("{0}")]
    Unreachable(String),
    /// Sever said no.
    #[error("{sentence}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// When to come back, if it says.
        retry_after: Option<Duration>,
        /// How many they are, where another number was expected.
        count: Option<u64>,
        /// Its words, with the mend.
        sentence: String,
    },
    /// The answer is not one of sever's.
    #[error("{0}")]
    Strange(String),
}

impl ApiError {
    /// Whether the same call may succeed later, with nothing changed.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => {
                matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Strange(_) => false,
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Failed(anyhow::Error::new(error))
    }
}

/// What sever said, when it was a yes.
#[derive(Debug)]
pub(super) struct Answer(String);

impl Answer {
    /// As `T`.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_str(&self.0).map_err(|error| {
            let error = plain(&error.to_string());
            ApiError::Strange(format!("the answer is not as this version of sever expects ({error}); use --json"))
        })
    }

    /// As it came, in a form that no terminal obeys.
    #[must_use]
    pub(super) fn json(&self) -> String {
        plain_json(self.0.trim_end())
    }
}

/// A client of one listener.
pub(super) struct Http {
    client: reqwest::Client,
    base: BaseUrl,
}

impl Http {
    /// A client that goes nowhere else.
    #[expect(clippy::disallowed_methods, reason = "asks sever itself, never a provider; the limits are the same")]
    pub(super) fn new(base: &BaseUrl, tls: &ClientTls) -> Result<Self, Failure> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("sever/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            // A token must not pass through whatever the environment names as a proxy.
            .no_proxy()
            .referer(false);
        let client =
            tls.add_to(builder)?.build().map_err(|error| anyhow!("the HTTP client cannot start: {}", cause(&error)))?;
        Ok(Self { client, base: base.clone() })
    }

    /// A POST to this path.
    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base.0))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base.0))
    }

    /// Sends the request. `mend` says what to do about a status.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        mend: impl Fn(StatusCode) -> Option<String>,
    ) -> Result<Answer, ApiError> {
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > LARGEST_ANSWER_BYTES {
                return Err(self.strange(status));
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            let problem = serde_json::from_slice::<Problem>(&body).map_err(|_| self.strange(status))?;
            let (count, sentence) = (problem.count, sentence(&problem, mend(status)));
            return Err(ApiError::Refused { status, retry_after, count, sentence });
        }
        let text = String::from_utf8(body).map_err(|_| self.strange(status))?;
        serde_json::from_str::<IgnoredAny>(&text).map_err(|_| self.strange(status))?;
        Ok(Answer(text))
    }

    /// Looks at another service's API, as this user; `None`: there is no such thing.
    pub(super) async fn look(&self, path: &str, (user, password): (&str, &str)) -> Result<Option<Value>, ApiError> {
        let request = self.get(path).basic_auth(user, Some(password));
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        match response.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let base = &self.base.0;
                let message = format!("{base} refuses the user of the broker's URL; give it the tag `monitoring`");
                return Err(ApiError::Strange(message));
            }
            status if !status.is_success() => return Err(self.strange(status)),
            _ => {}
        }
        let status = response.status();
        Ok(Some(response.json().await.map_err(|_| self.strange(status))?))
    }

    fn unreachable(&self, error: &reqwest::Error) -> ApiError {
        let base = &self.base.0;
        let reason = cause(error);
        ApiError::Unreachable(if reason.to_ascii_lowercase().contains("certificate") {
            format!(
                "no TLS connection to {base} came about ({reason}); name with --ca who signed its certificate, and with \
                 --cert and --key our own if it asks for one"
            )
        } else if error.is_timeout() {
            format!("{base} did not answer in time; is sever serving there, and is the way to it open?")
        } else if error.is_connect() {
            format!(
                "nobody answers at {base} ({}); is sever serving there? name another place by its URL",
                cause(error)
            )
        } else {
            format!("the answer of {base} broke off ({}); try again", cause(error))
        })
    }

    fn strange(&self, status: StatusCode) -> ApiError {
        let (base, status) = (&self.base.0, status.as_u16());
        ApiError::Strange(format!("{base} answered {status}, and not as sever does; is it the right URL?"))
    }
}

/// The innermost reason, without the URL.
fn cause(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    plain(&reason.to_string())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The problem's own words, and what to do about it.
fn sentence(problem: &Problem, mend: Option<String>) -> String {
    let words = match &problem.detail {
        Some(detail) => format!("{}: {detail}", problem.title),
        None => problem.title.clone(),
    };
    plain(&mend.map_or(words.clone(), |mend| format!("{words}; {mend}")))
}

/// The admin API.
pub(super) struct Api {
    http: Http,
    authorization: HeaderValue,
}

impl Api {
    /// With the token that the arguments name.
    pub(super) fn new(base: &BaseUrl, token: &TokenFile, tls: &ClientTls) -> Result<Self, Failure> {
        let token = token.read()?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| Failure::Usage(anyhow!("the token file holds more than a token; it has one line of text")))?;
        authorization.set_sensitive(true);
        Ok(Self { http: Http::new(base, tls)?, authorization })
    }

    /// Looks.
    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Answer, ApiError> {
        self.send(path, self.http.get(path).query(query)).await
    }

    /// Changes something.
    pub(super) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer, ApiError> {
        self.post_with(path, body, &[]).await
    }

    /// Changes something, with more headers.
    pub(super) async fn post_with(
        &self,
        path: &str,
        body: &impl Serialize,
        headers: &[(&'static str, &str)],
    ) -> Result<Answer, ApiError> {
        let request = self.http.post(path).json(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(path, request).await
    }

    async fn send(&self, path: &str, request: RequestBuilder) -> Result<Answer, ApiError> {
        let request = request.header(header::AUTHORIZATION, self.authorization.clone());
        self.http.send(request, |status| mend(path, status)).await
    }
}

/// What an operator does about a refusal.
fn mend(path: &str, status: StatusCode) -> Option<String> {
    let kind = path.split('/').nth(2).unwrap_or_default();
    let mend = match (status, kind) {
        (StatusCode::UNAUTHORIZED, _) => "name the file of a token that sever knows with --token-file",
        (StatusCode::FORBIDDEN, _) => "ask with another token (--token-file) or under another name (--url)",
        (StatusCode::NOT_FOUND, "jobs") => "`sever jobs --all` lists those that there are",
        (StatusCode::NOT_FOUND, "alerts") => "`sever alerts` lists those that there are",
        (StatusCode::NOT_FOUND, "quarantine") => "`sever quarantine list` lists those that there are",
        (StatusCode::NOT_FOUND, "providers") => "`sever providers` lists those that there are",
        (StatusCode::NOT_FOUND, "sources") => "`sources` in the config has the names",
        (StatusCode::NOT_FOUND, _) => "is --url the admin listener of a sever of this version?",
        (StatusCode::CONFLICT, "jobs") => "`sever jobs show ID` tells how it stands",
        (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => "wait a few seconds",
        _ => return None,
    };
    Some(mend.to_owned())
}

impl TokenFile {
    fn read(&self) -> Result<Secret, Failure> {
        let usual = Path::new(USUAL_TOKEN_FILE);
        let path = match &self.token_file {
            Some(path) => path,
            None if usual.exists() => usual,
            None => {
                let message = "no token: name the file of one with --token-file, or go where `sever init` wrote \
                               secrets/oncall";
                return Err(Failure::Usage(anyhow!(message)));
            }
        };
        SecretRef::File(path.to_owned()).resolve().map_err(|error| Failure::Usage(anyhow!(error)))
    }
}
