//! `GET /v1/status`: what is still open, and how full the budgets are.

use axum::Json;
use axum::extract::State;

use super::AdminState;
use super::fault::Fault;
use super::params::NoParameters;
use crate::store::{BudgetView, StatusView};

pub(super) async fn show(State(state): State<AdminState>, _: NoParameters) -> Result<Json<StatusView>, Fault> {
    state.status().await
}

impl AdminState {
    /// What is still open now.
    pub(super) async fn status(&self) -> Result<Json<StatusView>, Fault> {
        let budgets = self.intake.budgets();
        let used = self.operations.budget_use(&budgets).await?;
        let budgets = budgets.iter().zip(used).map(|(budget, used)| BudgetView::new(budget, used)).collect();
        Ok(Json(StatusView { budgets, ..self.operations.status().await? }))
    }
}
