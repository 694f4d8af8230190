//! The HTTP client under every provider, and the only place that makes one.
//!
//! Always holds: a call ends within its timeout, a body beyond the limit is not read, a redirect is not followed, and
//! whatever went wrong on the way is already an [`ProviderError::Unavailable`] without a secret in it. A status is not
//! judged here: that is each provider's own business.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use reqwest::{Request, RequestBuilder, Response};
use serde::de::DeserializeOwned;

use super::scrub::Scrub;
use super::{CallReport, ProviderError};
use crate::telemetry::trace::{self, Kind, Span};

/// 200 of Okta's users and 1000 of Slack's sessions, the largest pages there are, stay below it.
const LARGEST_BODY_BYTES: usize = 1 << 20;

/// For providers that list all sessions of an account on one page. Whoever signs in adds to it, and writes the user agent
/// too: a thief must not be able to make the list too long to be read.
const LARGEST_LISTING_BYTES: usize = 8 << 20;

/// A host that has not answered the handshake by then is down; the rest of `timeout` is for the answer.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

const USER_AGENT: &str = concat!("sever/", env!("CARGO_PKG_VERSION"));

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// The headers. A name may occur several times.
    pub(super) headers: HeaderMap,
    /// The whole body.
    pub(super) body: Bytes,
    /// What must not show in anything that is told about it: it may echo the credential of its call.
    pub(super) scrub: Scrub,
}

impl Answer {
    /// A header that is text; of several with this name, the first.
    #[must_use]
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as `T`, the whole of it; `None` if it is anything else, such as a proxy's HTML.
    #[must_use]
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Why a body was not read to its end.
enum Unread {
    TooLarge,
    CutOff(reqwest::Error),
}

/// A client with its limits.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    timeout: Duration,
    largest_body_bytes: usize,
}

impl Http {
    /// A client whose calls end within `timeout`. Fails where the machine offers no root certificates to trust.
    #[expect(clippy::disallowed_methods, reason = "the home of HTTP clients")]
    pub(super) fn new(timeout: Duration) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .timeout(timeout)
            .connect_timeout(timeout.min(LONGEST_CONNECT))
            .redirect(reqwest::redirect::Policy::none())
            // A call is repeated by the one who knows what it did.
            .retry(reqwest::retry::never())
            // The config says all there is to say about where calls go; the environment has no part in it.
            .no_proxy()
            .referer(false)
            .build()
            .map_err(|error| format!("the HTTP client cannot start: {}", root_cause(&error)))?;
        Ok(Self { client, timeout, largest_body_bytes: LARGEST_BODY_BYTES })
    }

    /// The same client, for lists of all sessions of an account.
    #[must_use]
    pub(super) fn reading_listings(&self) -> Self {
        Self { largest_body_bytes: LARGEST_LISTING_BYTES, ..self.clone() }
    }

    /// The client, to make requests with. They are sent by [`Self::send`].
    #[must_use]
    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Sends `request` and reads the whole answer.
    pub(super) async fn send(
        &self,
        operation: &'static str,
        request: RequestBuilder,
        scrub: &Scrub,
    ) -> Result<Answer, ProviderError> {
        let unsent = |error| unavailable(operation, None, self.explain(&error, scrub));
        let (client, request) = request.build_split();
        let request = request.map_err(unsent)?;
        // Who asks is no business of a provider's: the trace does not go with the request.
        let mut span = span(operation, &request);
        let response = client.execute(request).await;
        tell(&mut span, &response);
        let mut response = response.map_err(unsent)?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let body = self.read(response).await.map_err(|why| self.unread(operation, status, why, scrub))?;
        Ok(Answer { status, headers, body, scrub: scrub.clone() })
    }

    async fn read(&self, mut response: Response) -> Result<Bytes, Unread> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(Unread::CutOff)? {
            if body.len() + chunk.len() > self.largest_body_bytes {
                return Err(Unread::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// A yes whose body did not come is none: as far as we know the call may have worked, as where no answer came at all.
    fn unread(&self, operation: &'static str, status: StatusCode, why: Unread, scrub: &Scrub) -> ProviderError {
        match why {
            Unread::TooLarge => {
                let limit = self.largest_body_bytes >> 20;
                let words = format!("the answer is larger than {limit} MiB and was not read");
                unavailable(operation, Some(status), words)
            }
            Unread::CutOff(error) => {
                let words =
                    format!("an answer with status {} was cut off: {}", status.as_u16(), self.explain(&error, scrub));
                unavailable(operation, Some(status).filter(|status| !status.is_success()), words)
            }
        }
    }

    fn explain(&self, error: &reqwest::Error, scrub: &Scrub) -> String {
        let cause = scrub.text(&root_cause(error));
        if error.is_connect() {
            format!("no connection: {cause}")
        } else if error.is_timeout() {
            format!("no answer within {}", humantime::format_duration(self.timeout))
        } else {
            format!("the connection broke: {cause}")
        }
    }
}

/// Neither path nor query is told: they may name a person.
fn span(operation: &'static str, request: &Request) -> Span {
    let mut span = trace::call(Kind::Client, || format!("{} {operation}", request.method()));
    span.record(|said| {
        said.text("operation", operation);
        said.text("http.request.method", request.method().to_string());
        said.text("server.address", request.url().host_str().unwrap_or_default().to_owned());
        if let Some(port) = request.url().port_or_known_default() {
            said.number("server.port", port);
        }
    });
    span
}

fn tell(span: &mut Span, response: &Result<Response, reqwest::Error>) {
    span.record(|said| match response {
        Ok(response) => {
            let status = response.status();
            said.number("http.response.status_code", status.as_u16());
            if status.is_client_error() || status.is_server_error() {
                said.error(status.as_u16().to_string());
            }
        }
        Err(error) if error.is_timeout() => said.error("timeout"),
        Err(_) => said.error("connection"),
    });
}

/// The innermost cause: the outer ones repeat the URL, which may name a person.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn unavailable(operation: &'static str, status: Option<StatusCode>, message: String) -> ProviderError {
    let status = status.map(|status| status.as_u16());
    ProviderError::Unavailable(CallReport { operation, status, message, ..CallReport::default() })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What comes of a call that is answered with `head`, and then the connection ends.
    async fn answered_with(head: &'static str) -> ProviderError {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let serve = async {
            let (mut socket, _) = listener.accept().await.expect("a call");
            let mut request = [0; 1024];
            let _ = socket.read(&mut request).await.expect("a request");
            socket.write_all(head.as_bytes()).await.expect("written");
        };
        let http = Http::new(Duration::from_secs(5)).expect("a client");
        let (request, scrub) = (http.client().get(url), Scrub::default());
        let (error, ()) = tokio::join!(http.send("call", request, &scrub), serve);
        error.expect_err("half an answer")
    }

    #[tokio::test]
    async fn a_yes_that_is_cut_off_is_no_answer() {
        let error = answered_with("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").await;
        // With a status it would pass for a no, and a call that worked for one that did not.
        assert_eq!(error.report().status, None, "{error:?}");
        assert!(error.to_string().contains("200"), "{error}");
        let error = answered_with("HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\n{").await;
        assert_eq!(error.report().status, Some(500), "{error:?}");
    }
}
