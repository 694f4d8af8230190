//! The demo's HTTP client.

use std::time::Duration;

use anyhow::Context;

/// Nothing on this machine takes longer.
const TIMEOUT: Duration = Duration::from_secs(10);

#[expect(clippy::disallowed_methods, reason = "the demo plays a sender and an operator, who are outside the service")]
pub(super) fn client() -> anyhow::Result<reqwest::Client> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::none());
    client.build().context("the HTTP client cannot start")
}
