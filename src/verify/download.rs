//! What authentication fetches from elsewhere, behind a seam: the certificates of Amazon SNS, and its confirmations.
//!
//! Who calls has checked that the address is the vendor's. What is fetched is short, soon there, and nowhere else: a
//! redirect is not followed.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::StatusCode;

/// A certificate with its chain has some 6 KiB, the answer to a confirmation less than one.
const LARGEST_BYTES: usize = 64 << 10;

/// The sender waits meanwhile: SNS gives up after 15 seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Fetches an address by GET.
#[async_trait]
pub trait Download: Send + Sync {
    /// The body of an answer with status 200, or why there is none.
    async fn get(&self, url: &str) -> Result<Bytes, DownloadError>;
}

/// Why nothing was fetched. Holds nothing of an answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DownloadError(pub String);

/// By HTTPS.
#[derive(Debug)]
pub struct HttpDownload(reqwest::Client);

impl HttpDownload {
    /// Fails where the machine offers no root certificates to trust.
    pub fn new() -> Result<Self, String> {
        Self::build(true)
    }

    #[expect(clippy::disallowed_methods, reason = "provider::http is of another stage; this is the one client here")]
    fn build(https_only: bool) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("sever/", env!("CARGO_PKG_VERSION")))
            .timeout(LONGEST_WAIT)
            .https_only(https_only)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .build();
        client.map(Self).map_err(|error| format!("the HTTP client cannot start: {}", root_cause(&error)))
    }
}

#[async_trait]
impl Download for HttpDownload {
    async fn get(&self, url: &str) -> Result<Bytes, DownloadError> {
        let mut answer = self.0.get(url).send().await.map_err(broken)?;
        if answer.status() != StatusCode::OK {
            return Err(DownloadError(format!("the answer was {}", answer.status())));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > LARGEST_BYTES {
                return Err(DownloadError("the answer is larger than 64 KiB and was not read".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

fn broken(error: reqwest::Error) -> DownloadError {
    DownloadError(root_cause(&error))
}

/// The innermost cause: the outer ones repeat the address, which may hold a token.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::response::Redirect;
    use axum::routing::get;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    /// A server on this machine, and what it has to be asked for.
    async fn server() -> (JoinSet<()>, String) {
        let app = Router::new()
            .route("/fine", get(|| async { "here" }))
            .route("/large", get(|| async { "x".repeat(LARGEST_BYTES + 1) }))
            .route("/moved", get(|| async { Redirect::temporary("/fine") }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, app).await.expect("a server") });
        (task, url)
    }

    #[tokio::test]
    async fn only_a_short_answer_from_the_very_place_is_taken() {
        let (_server, url) = server().await;
        let plain = HttpDownload::build(false).expect("a client");
        assert_eq!(plain.get(&format!("{url}/fine")).await.expect("an answer"), "here");
        for (path, why) in [("large", "larger"), ("moved", "307"), ("missing", "404")] {
            let error = plain.get(&format!("{url}/{path}")).await.expect_err("refused").to_string();
            assert!(error.contains(why), "{path}: {error}");
        }
        let secure = HttpDownload::new().expect("a client");
        assert!(secure.get(&format!("{url}/fine")).await.is_err(), "not without TLS");
    }
}
