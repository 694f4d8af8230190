//! Strict stand-ins of the providers, for `sever demo`, `sever sandbox` and the tests.
//!
//! Each provider has a listener of its own, because provider URLs carry no path. They refuse what the real provider
//! would refuse, are written from the vendors' documents and not from our clients, and keep their state in memory.

mod answer;
mod body;
mod control;
mod disturb;
mod exchange;
pub mod faults;
mod handle;
pub mod huawei;
mod ids;
pub mod ledger;
pub mod mattermost;
pub mod okta;
mod parameters;
mod server;
pub mod slack;
pub mod the_things_stack;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

pub use huawei::HuaweiSandbox;
pub use mattermost::MattermostSandbox;
pub use okta::OktaSandbox;
pub use slack::SlackSandbox;
pub use the_things_stack::TtsSandbox;

use crate::clock::Clock;
use control::Control;
use server::{Bound, Listener};

/// Every provider's stand-in, each on its own port, and the control API that sets them up. Dropping it stops them.
#[derive(Debug)]
pub struct Sandbox {
    control: Listener,
    okta: OktaSandbox,
    slack: SlackSandbox,
    mattermost: MattermostSandbox,
    huawei: HuaweiSandbox,
    things: TtsSandbox,
}

impl Sandbox {
    /// Listens on `addr` for the control API and on the ports after it for Okta, Slack, Mattermost, Huawei Cloud and The
    /// Things Stack; with port 0 each gets any free port.
    ///
    /// # Errors
    /// When a port cannot be bound.
    pub async fn start(addr: SocketAddr, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let control = Bound::to(addr).await?;
        let okta = OktaSandbox::start(after(addr, 1), Arc::clone(&clock)).await?;
        let slack = SlackSandbox::start(after(addr, 2), Arc::clone(&clock)).await?;
        let mattermost = MattermostSandbox::start(after(addr, 3), Arc::clone(&clock)).await?;
        let huawei = HuaweiSandbox::start(after(addr, 4), Arc::clone(&clock)).await?;
        let things = TtsSandbox::start(after(addr, 5), clock).await?;
        let api = Control::new(okta.clone(), slack.clone(), mattermost.clone(), huawei.clone(), things.clone());
        let control = control.serve(api);
        Ok(Self { control, okta, slack, mattermost, huawei, things })
    }

    /// The stand-in of Okta.
    #[must_use]
    pub fn okta(&self) -> &OktaSandbox {
        &self.okta
    }

    /// The stand-in of Slack.
    #[must_use]
    pub fn slack(&self) -> &SlackSandbox {
        &self.slack
    }

    /// The stand-in of Mattermost.
    #[must_use]
    pub fn mattermost(&self) -> &MattermostSandbox {
        &self.mattermost
    }

    /// The stand-in of Huawei Cloud IAM Identity Center.
    #[must_use]
    pub fn huawei(&self) -> &HuaweiSandbox {
        &self.huawei
    }

    /// The stand-in of The Things Stack.
    #[must_use]
    pub fn things(&self) -> &TtsSandbox {
        &self.things
    }

    /// Base URL of the control API (`/_sandbox/...`), which is not part of any provider.
    #[must_use]
    pub fn control_url(&self) -> String {
        self.control.url()
    }

    /// Stops listening, drops open connections and waits for the calls in progress.
    pub async fn shutdown(&self) {
        self.control.shutdown().await;
        self.okta.shutdown().await;
        self.slack.shutdown().await;
        self.mattermost.shutdown().await;
        self.huawei.shutdown().await;
        self.things.shutdown().await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.control.stop();
        self.okta.stop();
        self.slack.stop();
        self.mattermost.stop();
        self.huawei.stop();
        self.things.stop();
    }
}

fn after(addr: SocketAddr, offset: u16) -> SocketAddr {
    let port = if addr.port() == 0 { 0 } else { addr.port().saturating_add(offset) };
    SocketAddr::new(addr.ip(), port)
}
