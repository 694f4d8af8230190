//! What the demo knows of the service it knows as an operator does: over the operator API, with a token.

use std::net::SocketAddr;

use anyhow::Context;
use serde::de::DeserializeOwned;

use super::folder::Folder;
use super::http;
use crate::domain::JobId;
use crate::store::{JobDetail, Page, QuarantineView};

/// Asks the operator API.
pub(super) struct Operator {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Operator {
    pub(super) fn new(folder: &Folder, admin: SocketAddr) -> anyhow::Result<Self> {
        let token = std::fs::read_to_string(folder.operator_token()).context("the operator's token cannot be read")?;
        Ok(Self { client: http::client()?, url: format!("http://{admin}"), token: token.trim_end().to_owned() })
    }

    /// A job with every attempt.
    pub(super) async fn job(&self, job: JobId) -> anyhow::Result<JobDetail> {
        self.get(&format!("/v1/jobs/{job}")).await
    }

    /// Deliveries that are kept for a person, newest first.
    pub(super) async fn quarantine(&self) -> anyhow::Result<Vec<QuarantineView>> {
        let page: Page<QuarantineView> = self.get("/v1/quarantine").await?;
        Ok(page.items)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let response = request.send().await.and_then(reqwest::Response::error_for_status);
        let answer = response.with_context(|| format!("the operator API did not give {path}"))?;
        answer.json().await.with_context(|| format!("the operator API gave something else than {path}"))
    }
}
