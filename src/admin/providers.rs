//! `/v1/providers`: what keeps each from being called, and the switches that do.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::fault::Fault;
use super::guard::Caller;
use super::jobs::Reason;
use super::params::{NoParameters, Segment, no_such};
use super::{AdminState, ProviderInfo};
use crate::domain::{CircuitState, JobState, ProviderName};
use crate::store::{GateView, Page, StatusView};

/// A provider as operators see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderView {
    /// Its name in the config.
    pub name: ProviderName,
    /// What the config says about it.
    #[serde(flatten)]
    pub info: ProviderInfo,
    /// Why it is not called now; empty: it is. A gate without `provider` stops all of them.
    pub gates: Vec<GateView>,
    /// Whether it is left alone because it fails.
    pub circuit: CircuitState,
    /// Its jobs by state. Behind a closed gate, queued jobs count as held.
    pub jobs: BTreeMap<JobState, u64>,
}

impl ProviderView {
    fn new(name: &ProviderName, info: ProviderInfo, status: &StatusView) -> Self {
        let concerns = |gate: &&GateView| gate.provider.as_ref().is_none_or(|closed| closed == name);
        Self {
            name: name.clone(),
            info,
            gates: status.gates.iter().filter(concerns).cloned().collect(),
            circuit: status.circuit(name),
            jobs: status.jobs.get(name).cloned().unwrap_or_default(),
        }
    }
}

pub(super) async fn list(State(state): State<AdminState>, _: NoParameters) -> Result<Json<Page<ProviderView>>, Fault> {
    let status = state.operations.status().await?;
    let items = state.providers.iter().map(|(name, info)| ProviderView::new(name, *info, &status)).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

pub(super) async fn pause(
    State(state): State<AdminState>,
    name: Segment,
    caller: Caller,
    _: NoParameters,
    Body(reason): Body<Reason>,
) -> Result<Json<ProviderView>, Fault> {
    let (name, info) = state.provider(&name)?;
    state.operations.pause(Some(name.clone()), caller.actor(), reason.checked()?).await?;
    Ok(Json(ProviderView::new(&name, info, &state.operations.status().await?)))
}

pub(super) async fn resume(
    State(state): State<AdminState>,
    name: Segment,
    caller: Caller,
    _: NoParameters,
    Body(reason): Body<Reason>,
) -> Result<Json<ProviderView>, Fault> {
    let (name, info) = state.provider(&name)?;
    reason.checked()?;
    state.operations.resume(Some(name.clone()), caller.actor()).await?;
    Ok(Json(ProviderView::new(&name, info, &state.operations.status().await?)))
}

pub(super) async fn pause_all(
    State(state): State<AdminState>,
    caller: Caller,
    _: NoParameters,
    Body(reason): Body<Reason>,
) -> Result<Json<StatusView>, Fault> {
    state.operations.pause(None, caller.actor(), reason.checked()?).await?;
    state.status().await
}

pub(super) async fn resume_all(
    State(state): State<AdminState>,
    caller: Caller,
    _: NoParameters,
    Body(reason): Body<Reason>,
) -> Result<Json<StatusView>, Fault> {
    reason.checked()?;
    state.operations.resume(None, caller.actor()).await?;
    state.status().await
}

impl AdminState {
    /// The provider of this name, or 404.
    pub(super) fn provider(&self, name: &Segment) -> Result<(ProviderName, ProviderInfo), Fault> {
        let name: ProviderName = name.named("provider")?;
        let info = self.providers.get(&name).copied().ok_or_else(|| no_such("provider", &name))?;
        Ok((name, info))
    }
}
