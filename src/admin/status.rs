//! `GET /v1/status`: what is still open, how full the budgets are, and who shares the work.

use axum::Json;
use axum::extract::State;

use super::AdminState;
use super::fault::Fault;
use super::params::NoParameters;
use crate::provider::LimitSettings;
use crate::settings::{Duration, Rate};
use crate::store::{BudgetView, ShareView, StatusView};

pub(super) async fn show(State(state): State<AdminState>, _: NoParameters) -> Result<Json<StatusView>, Fault> {
    state.status().await
}

impl AdminState {
    /// What is still open now.
    pub(super) async fn status(&self) -> Result<Json<StatusView>, Fault> {
        let budgets = self.intake.budgets();
        let used = self.operations.budget_use(&budgets).await?;
        let budgets = budgets.iter().zip(used).map(|(budget, used)| BudgetView::new(budget, used)).collect();
        let status = self.operations.status().await?;
        let workers = status.workers();
        let shares = self.providers.iter().map(|(name, info)| (name.clone(), share(info.limits, workers))).collect();
        Ok(Json(StatusView { budgets, shares, ..status }))
    }
}

/// The rate is told with a longer time, for the number would not always be whole.
fn share(limits: LimitSettings, workers: u32) -> ShareView {
    let longer = |rate: Rate| Rate { per: Duration(rate.per.0.saturating_mul(workers)), ..rate };
    let concurrency = (limits.concurrency.get() / workers).max(1);
    ShareView { workers, concurrency, rate: limits.rate.map(longer) }
}
