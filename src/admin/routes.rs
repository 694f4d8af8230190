//! Every route, in one table, with the role that it takes.

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};
use schemars::JsonSchema;

use super::bulk::{self, BulkRequest};
use super::fault::Fault;
use super::guard::{self, Caller};
use super::jobs::{Approval, Reason};
use super::openapi::{Says, shape};
use super::params::{CURSOR, LIMIT, Parameter};
use super::providers::ProviderView;
use super::quarantine::QuarantineDetail;
use super::revocations::RevocationRequest;
use super::sessions::SessionListing;
use super::settings::Role::{self, Operator, Viewer};
use super::{
    AdminState, alerts, audit, jobs, metrics, openapi, providers, quarantine, revocations, sessions, sources, status,
};
use crate::audit::{Seal, Signed, Stub};
use crate::ingest::RefusalView;
use crate::store::{AlertView, AuditView, BulkDone, JobDetail, JobView, Page, QuarantineView, Receipt, StatusView};

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
    says: Says,
}

fn look(role: Role, path: &'static str, handler: MethodRouter<AdminState>, summary: &'static str) -> Entry {
    let route = Route { method: Method::GET, path, role };
    Entry { route, handler, says: Says { summary, ..Says::default() } }
}

/// Whoever only looks changes nothing, so there is no choice of role.
fn change(path: &'static str, handler: MethodRouter<AdminState>, summary: &'static str) -> Entry {
    let route = Route { method: Method::POST, path, role: Operator };
    Entry { route, handler, says: Says { summary, ..Says::default() } }
}

impl Entry {
    fn query(mut self, query: &'static [Parameter]) -> Self {
        self.says.query = query;
        self
    }

    fn headers(mut self, headers: &'static [Parameter]) -> Self {
        self.says.headers = headers;
        self
    }

    fn takes<T: JsonSchema>(mut self) -> Self {
        self.says.body = Some(shape::<T>);
        self
    }

    fn answers<T: JsonSchema>(self) -> Self {
        self.answers_with::<T>(200)
    }

    fn answers_with<T: JsonSchema>(mut self, status: u16) -> Self {
        self.says.answers.push((status, Some(shape::<T>)));
        self
    }

    fn answers_text(mut self) -> Self {
        self.says.answers.push((200, None));
        self
    }

    fn asks_provider(mut self) -> Self {
        self.says.asks_provider = true;
        self
    }
}

const PAGED: &[Parameter] = &[CURSOR, LIMIT];

fn table() -> Vec<Entry> {
    vec![
        look(Viewer, "/v1/status", get(status::show), "What is still open.").answers::<StatusView>(),
        look(Viewer, "/v1/alerts", get(alerts::list), "Alerts, newest first.")
            .query(PAGED)
            .answers::<Page<AlertView>>(),
        look(Viewer, "/v1/alerts/{id}", get(alerts::show), "An alert with its jobs as they are now.")
            .answers::<AlertView>(),
        change("/v1/alerts/{id}/replay", post(alerts::replay), "Decodes and plans its delivery again.")
            .answers::<Receipt>(),
        look(Viewer, "/v1/jobs", get(jobs::list), "Jobs, newest first.").query(jobs::LISTED).answers::<Page<JobView>>(),
        look(Viewer, "/v1/jobs/{id}", get(jobs::show), "A job with every attempt.").answers::<JobDetail>(),
        change("/v1/jobs/{id}/requeue", post(jobs::requeue), "Makes a job that has ended, or is held, due now.")
            .takes::<Reason>()
            .answers::<JobDetail>(),
        change("/v1/jobs/{id}/cancel", post(jobs::cancel), "Ends a job that no worker holds.")
            .takes::<Reason>()
            .answers::<JobDetail>(),
        change("/v1/jobs/{id}/approve", post(jobs::approve), "Lets a held job go on.")
            .takes::<Approval>()
            .answers::<JobDetail>(),
        change("/v1/jobs/approve", post(bulk::approve), "Lets every held job that a filter picks go on.")
            .takes::<BulkRequest>()
            .answers::<BulkDone>(),
        change("/v1/jobs/requeue", post(bulk::requeue), "Makes every ended or held job that a filter picks due now.")
            .takes::<BulkRequest>()
            .answers::<BulkDone>(),
        change("/v1/jobs/cancel", post(bulk::cancel), "Ends every open job that a filter picks and no worker holds.")
            .takes::<BulkRequest>()
            .answers::<BulkDone>(),
        look(Viewer, "/v1/quarantine", get(quarantine::list), "Deliveries that are kept, newest first.")
            .query(PAGED)
            .answers::<Page<QuarantineView>>(),
        look(
            Operator,
            "/v1/quarantine/{id}",
            get(quarantine::show),
            "One of them with its body; the reading is recorded.",
        )
        .answers::<QuarantineDetail>(),
        change("/v1/quarantine/{id}/replay", post(quarantine::replay), "Decodes and plans it again.")
            .answers::<Receipt>(),
        look(Viewer, "/v1/providers", get(providers::list), "The providers, and what keeps each from being called.")
            .answers::<Page<ProviderView>>(),
        change("/v1/providers/{name}/pause", post(providers::pause), "Stops calls to a provider.")
            .takes::<Reason>()
            .answers::<ProviderView>(),
        change("/v1/providers/{name}/resume", post(providers::resume), "Lets them go on.")
            .takes::<Reason>()
            .answers::<ProviderView>(),
        change("/v1/pause", post(providers::pause_all), "Stops calls to all providers.")
            .takes::<Reason>()
            .answers::<StatusView>(),
        change("/v1/resume", post(providers::resume_all), "Lets them go on.").takes::<Reason>().answers::<StatusView>(),
        // Addresses and devices of people, and calls at the provider.
        look(
            Operator,
            "/v1/providers/{name}/sessions",
            get(sessions::list),
            "A person's sessions, as the provider has them.",
        )
        .query(sessions::LISTED)
        .asks_provider()
        .answers::<SessionListing>(),
        change("/v1/revocations", post(revocations::create), "Ends a person's sessions without an alert.")
            .headers(revocations::HEADERS)
            .takes::<RevocationRequest>()
            .answers_with::<Receipt>(202)
            .answers::<Receipt>(),
        look(Viewer, "/v1/sources/{name}/refusals", get(sources::refusals), "The last refusals, newest first.")
            .answers::<Page<RefusalView>>(),
        look(Viewer, "/v1/audit", get(audit::list), "The audit record, oldest first.")
            .query(audit::LISTED)
            .answers::<Page<AuditView>>(),
        look(Viewer, "/v1/audit/seals", get(audit::seals), "Seals of the audit record, newest first.")
            .query(audit::SEALS)
            .answers::<Page<Signed<Seal>>>(),
        look(Viewer, "/v1/audit/stubs", get(audit::stubs), "What stands for rows that were removed from it.")
            .answers::<Page<Signed<Stub>>>(),
        look(Viewer, "/openapi.json", get(openapi::show), "This description.").answers::<serde_json::Value>(),
        look(Viewer, "/metrics", get(metrics::scrape), "Metrics, in the OpenMetrics text format.").answers_text(),
    ]
}

/// Every route, with what is said about it.
pub(super) fn said() -> Vec<(Route, Says)> {
    table().into_iter().map(|entry| (entry.route, entry.says)).collect()
}

/// Every route.
#[must_use]
pub fn routes() -> Vec<Route> {
    table().into_iter().map(|entry| entry.route).collect()
}

/// The operator API.
pub fn router(state: AdminState) -> Router {
    let mut router = Router::new();
    for Entry { route, handler, .. } in table() {
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
