//! Every route, in one table, with the role that it takes.

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};

use super::fault::Fault;
use super::guard::{self, Caller};
use super::settings::Role::{self, Operator, Viewer};
use super::{AdminState, alerts, audit, jobs, metrics, providers, quarantine, revocations, sessions, sources, status};

/// A route as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with variable parts in braces.
    pub path: &'static str,
    /// The least role that it takes.
    pub role: Role,
}

struct Entry {
    route: Route,
    handler: MethodRouter<AdminState>,
}

fn look(role: Role, path: &'static str, handler: MethodRouter<AdminState>) -> Entry {
    Entry { route: Route { method: Method::GET, path, role }, handler }
}

/// Whoever only looks changes nothing, so there is no choice of role.
fn change(path: &'static str, handler: MethodRouter<AdminState>) -> Entry {
    Entry { route: Route { method: Method::POST, path, role: Operator }, handler }
}

fn table() -> Vec<Entry> {
    vec![
        look(Viewer, "/v1/status", get(status::show)),
        look(Viewer, "/v1/alerts", get(alerts::list)),
        look(Viewer, "/v1/alerts/{id}", get(alerts::show)),
        change("/v1/alerts/{id}/replay", post(alerts::replay)),
        look(Viewer, "/v1/jobs", get(jobs::list)),
        look(Viewer, "/v1/jobs/{id}", get(jobs::show)),
        change("/v1/jobs/{id}/requeue", post(jobs::requeue)),
        change("/v1/jobs/{id}/cancel", post(jobs::cancel)),
        change("/v1/jobs/{id}/approve", post(jobs::approve)),
        look(Viewer, "/v1/quarantine", get(quarantine::list)),
        look(Operator, "/v1/quarantine/{id}", get(quarantine::show)),
        change("/v1/quarantine/{id}/replay", post(quarantine::replay)),
        look(Viewer, "/v1/providers", get(providers::list)),
        change("/v1/providers/{name}/pause", post(providers::pause)),
        change("/v1/providers/{name}/resume", post(providers::resume)),
        change("/v1/pause", post(providers::pause_all)),
        change("/v1/resume", post(providers::resume_all)),
        // Addresses and devices of people, and calls at the provider.
        look(Operator, "/v1/providers/{name}/sessions", get(sessions::list)),
        change("/v1/revocations", post(revocations::create)),
        look(Viewer, "/v1/sources/{name}/refusals", get(sources::refusals)),
        look(Viewer, "/v1/audit", get(audit::list)),
        look(Viewer, "/metrics", get(metrics::scrape)),
    ]
}

/// Every route.
#[must_use]
pub fn routes() -> Vec<Route> {
    table().into_iter().map(|entry| entry.route).collect()
}

/// The operator API.
pub fn router(state: AdminState) -> Router {
    let mut router = Router::new();
    for Entry { route, handler } in table() {
        let needed = route.role;
        let authorize =
            move |caller: Caller, request: Request, next: Next| guard::authorize(needed, caller, request, next);
        router = router.route(route.path, handler.route_layer(from_fn(authorize)));
    }
    // The last layer is the outermost.
    router
        .fallback(|| async { Fault::NotFound("there is nothing at this path".to_owned()) })
        .method_not_allowed_fallback(|| async { Fault::Method })
        .layer(from_fn_with_state(state.clone(), guard::authenticate))
        .layer(from_fn_with_state(state.clone(), guard::check_host))
        .layer(from_fn_with_state(state.clone(), guard::observe))
        .with_state(state)
}
