//! Stub.
use crate::clock::Clock;
use crate::domain::*;
use crate::ingest::Intake;
use crate::provider::ProviderKind;
use crate::store::*;
use crate::telemetry::Metrics;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
/// Stub.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// l
    pub listen: SocketAddrString,
    /// t
    #[serde(default)]
    pub tokens: Vec<serde_json::Value>,
}
type SocketAddrString = String;
/// Stub.
#[derive(Clone)]
pub struct Tokens;
impl Tokens {
    /// n
    pub fn new(_: &AdminSettings) -> Result<Self, Vec<(String, String)>> {
        Ok(Self)
    }
}
/// Stub.
#[derive(Clone)]
pub struct AdminState;
/// Stub.
pub struct ProviderInfo {
    /// n
    pub name: ProviderName,
    /// k
    pub kind: ProviderKind,
    /// d
    pub dry_run: bool,
}
impl AdminState {
    /// n
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        _: Arc<dyn JobStore>,
        _: Arc<dyn Operations>,
        _: Arc<Intake>,
        _: Vec<ProviderInfo>,
        _: Vec<SourceName>,
        _: Arc<Metrics>,
        _: Arc<dyn Clock>,
        _: Tokens,
        _: &AdminSettings,
    ) -> Self {
        Self
    }
    /// l
    pub fn listening_on(self, _: SocketAddr) -> Self {
        self
    }
}
/// r
pub fn router(_: AdminState) -> axum::Router {
    axum::Router::new()
}
