//! The admin listener: what operators see and do.
//!
//! Every request passes the same guards, in this order: it names a host that is ours, it carries a token, and the
//! token's role suffices for the route. `routes.rs` has the routes in one table, each with the role that it takes.

mod alerts;
mod audit;
mod body;
mod bulk;
mod fault;
mod gauges;
mod guard;
mod hosts;
mod jobs;
mod metrics;
mod openapi;
mod params;
mod providers;
mod quarantine;
mod replay;
mod revocations;
mod routes;
mod sessions;
mod settings;
mod sources;
mod status;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::domain::{ProviderName, SourceName};
use crate::ingest::Intake;
use crate::provider::{LimitSettings, ProviderKind, Providers};
use crate::store::Operations;

pub use bulk::{BulkFilter, BulkRequest};
pub use gauges::Gauges;
pub use hosts::Hosts;
pub use jobs::{Approval, Reason};
pub use metrics::metrics_router;
pub use openapi::document as openapi;
pub use providers::ProviderView;
pub use quarantine::{BodyEncoding, HeaderView, QuarantineDetail};
pub use revocations::RevocationRequest;
pub use routes::{Route, router, routes};
pub use sessions::SessionListing;
pub use settings::{AdminSettings, HostName, MetricsSettings, Role, TokenSettings};
pub use tokens::Tokens;

/// What the operator API works on. Cheap to clone.
#[derive(Clone)]
pub struct AdminState {
    /// What operators see and do in the store.
    pub operations: Arc<dyn Operations>,
    /// Plans replays, and remembers refusals.
    pub intake: Arc<Intake>,
    /// The configured providers.
    pub providers: Arc<BTreeMap<ProviderName, ProviderInfo>>,
    /// Their clients.
    pub clients: Arc<Providers>,
    /// The configured sources.
    pub sources: Arc<BTreeSet<SourceName>>,
    /// The gauges that are set when scraped, and every other metric.
    pub gauges: Arc<Gauges>,
    /// Who may look in.
    pub tokens: Arc<Tokens>,
    /// Under which names we are asked.
    pub hosts: Arc<Hosts>,
    /// Times each request.
    pub clock: Arc<dyn Clock>,
}

/// What the config says about a provider, as far as operators see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderInfo {
    /// Which kind it is.
    pub kind: ProviderKind,
    /// Whether nothing is sent there.
    pub dry_run: bool,
    /// How much at once, and how fast, over all processes that share the work.
    pub limits: LimitSettings,
}
