//! `GET /metrics`, here and, without a token, on a listener of its own where the config asks for one.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::AdminState;
use super::fault::Fault;
use super::gauges::Gauges;

/// OpenMetrics 1.0, section "Overall structure".
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn scrape(State(state): State<AdminState>) -> Result<Response, Fault> {
    exposition(&state.gauges).await
}

/// Only `GET /metrics`. Metrics name providers and sources, and no person.
pub fn metrics_router(gauges: Arc<Gauges>) -> Router {
    let scrape = |State(gauges): State<Arc<Gauges>>| async move { exposition(&gauges).await };
    Router::new()
        .route("/metrics", get(scrape))
        .fallback(|| async { Fault::NotFound("there is nothing but /metrics".to_owned()) })
        .method_not_allowed_fallback(|| async { Fault::Method })
        .with_state(gauges)
}

async fn exposition(gauges: &Gauges) -> Result<Response, Fault> {
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], gauges.render().await?).into_response())
}
