//! A message by HTTP.
//!
//! Always holds: an attempt ends within its time, no redirect is followed, of the answer only a little is read and nothing
//! told, and no error names the URL.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};
use reqwest::Url;

use super::Trouble;

/// Nobody reads the answer; as much of it is taken as lets the connection be used again.
const MOST_READ_BYTES: usize = 16 * 1024;

/// Posts to one address.
pub(super) struct Webhook {
    client: reqwest::Client,
    url: Url,
}

impl Webhook {
    #[expect(
        clippy::disallowed_methods,
        reason = "goes to whoever is told, never to a provider; the limits are the same"
    )]
    pub(super) fn new(url: Url, timeout: Duration) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("sever/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .build()
            .map_err(|_| "the HTTP client cannot start".to_owned())?;
        Ok(Self { client, url })
    }

    /// Posts the message. Any 2xx is a yes.
    pub(super) async fn send(&self, headers: &[(HeaderName, HeaderValue)], body: String) -> Result<(), Trouble> {
        let request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json").body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let mut response = request.send().await.map_err(|error| unreachable(&error))?;
        let (status, wait) = (response.status(), retry_after(response.headers()));
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > MOST_READ_BYTES {
                break;
            }
        }
        match status {
            status if status.is_success() => Ok(()),
            // Standard Webhooks: the receiver is gone and wants no more.
            StatusCode::GONE => {
                Err(Trouble { is_final: true, ..Trouble::new("the receiver answered 410: it is gone") })
            }
            status => Err(Trouble { wait, ..Trouble::new(format!("the receiver answered {}", status.as_u16())) }),
        }
    }
}

fn unreachable(error: &reqwest::Error) -> Trouble {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Trouble::new(if error.is_timeout() {
        "the receiver did not answer in time".to_owned()
    } else if std::ptr::addr_eq(cause, std::ptr::from_ref(error)) {
        // Its own text would name the URL.
        "the request failed".to_owned()
    } else {
        format!("no answer: {cause}")
    })
}

fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
