//! One call to Okta: quota, route, headers, credential, parameters, operation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::super::answer::Answer;
use super::super::exchange::{Incoming, StandIn};
use super::super::faults::{Fault, Faults};
use super::super::ledger::Ledger;
use super::super::parameters::Parameters;
use super::auth::{self, Caller};
use super::operation::{self, Operation, Route};
use super::quota::Standing;
use super::refusal::Refusal;
use super::world::World;
use super::{disturb, sessions, token, users};
use crate::clock::Clock;
use crate::sandbox::ids;

/// What the listener and the handle of the tests share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) url: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) world: Mutex<World>,
    pub(super) faults: Faults<Operation>,
    pub(super) ledger: Ledger,
}

/// A call that is authorized and well-formed.
pub(super) struct Context<'call> {
    pub(super) world: &'call mut World,
    pub(super) url: &'call str,
    pub(super) query: &'call str,
    pub(super) now: Timestamp,
    /// Report success and do nothing.
    pub(super) pretend: bool,
    caller: Caller,
    parameters: Parameters,
}

impl Context<'_> {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)
    }

    pub(super) fn boolean(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        let value = self.parameters.boolean(name, default);
        value.ok_or_else(|| Refusal::api("E0000001", format!("{name}: neither true nor false")))
    }

    /// Whom a user segment of the path means: `me` is the owner of the API token, and nobody to a service app.
    pub(super) fn meant<'name>(&'name self, segment: &'name str) -> &'name str {
        if segment == "me" { self.caller.me().unwrap_or_default() } else { segment }
    }
}

impl StandIn for State {
    type Operation = Operation;

    fn operation(&self, call: &Incoming) -> Option<Operation> {
        operation::route(&call.method, &call.path).ok().map(|route| route.operation)
    }

    fn faults(&self) -> &Faults<Operation> {
        &self.faults
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn now(&self) -> Timestamp {
        self.now(&self.world())
    }

    /// A wrong client may put its assertion into the query of the token endpoint.
    fn withholds_query(&self, call: &Incoming) -> bool {
        call.path.starts_with("/oauth2")
    }

    fn answer(&self, call: &Incoming, fault: Option<&Fault>) -> Answer {
        let mut world = self.world();
        let now = self.now(&world);
        let route = operation::route(&call.method, &call.path);
        let standing = world.quota.spend(route.as_ref().ok().map(|route| route.operation), now);
        let answer = match fault.and_then(|fault| disturb::instead(fault, now)) {
            Some(answer) => answer,
            None if standing.exceeded => Refusal::api("E0000047", "").into_answer(),
            None => {
                let pretend = matches!(fault, Some(Fault::LyingSuccess));
                self.process(&mut world, call, route, now, pretend).unwrap_or_else(Refusal::into_answer)
            }
        };
        stamped(answer, standing, now)
    }
}

impl State {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time at Okta, whose clock may differ from ours.
    pub(super) fn now(&self, world: &World) -> Timestamp {
        self.clock.now() + world.clock_offset
    }

    fn process(
        &self,
        world: &mut World,
        call: &Incoming,
        route: Result<Route, Refusal>,
        now: Timestamp,
        pretend: bool,
    ) -> Result<Answer, Refusal> {
        let Route { operation, ids } = route?;
        check_accept(&call.headers)?;
        let Some(needed) = operation.permission() else { return token::issue(world, call, &self.url, now) };
        let caller = auth::authorize(world, &call.headers, needed, now)?;
        check_body(call)?;
        let parsed = Parameters::parse(&call.query, operation.parameters());
        let parameters = parsed.map_err(|reason| Refusal::api("E0000001", reason))?;
        let mut context = Context { world, url: &self.url, query: &call.query, now, pretend, caller, parameters };
        self.perform(&mut context, operation, &ids)
    }

    fn perform(&self, context: &mut Context<'_>, operation: Operation, ids: &[String]) -> Result<Answer, Refusal> {
        match (operation, ids) {
            (Operation::RevokeUserSessions, [user]) => sessions::revoke_all(context, user),
            (Operation::GetSession, [session]) => sessions::read_one(context, session),
            (Operation::RevokeSession, [session]) => sessions::revoke_one(context, session),
            (Operation::ListUsers, []) => users::list(context, &self.faults),
            (Operation::GetUser, [user]) => users::read(context, user),
            (Operation::ListUserClients, [user]) => sessions::list_clients(context, user),
            (Operation::RevokeTokensForUserAndClient, [user, client]) => sessions::revoke_client(context, user, client),
            _ => Err(Refusal::api("E0000008", "")),
        }
    }
}

/// Stricter than Okta, which takes wildcards: its documents tell clients to send this header.
fn check_accept(headers: &HeaderMap) -> Result<(), Refusal> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut media = values.flat_map(|value| value.split(',')).filter_map(|one| one.split(';').next());
    match media.any(|one| one.trim() == "application/json") {
        true => Ok(()),
        false => Err(Refusal::api("E0000122", "")),
    }
}

/// None of the operations behind a credential takes a body.
fn check_body(call: &Incoming) -> Result<(), Refusal> {
    let media = call.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let is_json = |value: &str| value.split(';').next().is_some_and(|media| media.trim() == "application/json");
    if media.is_some_and(|value| !is_json(value)) {
        return Err(Refusal::api("E0000012", ""));
    }
    match call.body.is_empty() {
        true => Ok(()),
        false => Err(Refusal::api("E0000001", "a request body is not allowed")),
    }
}

/// Adds the headers that stand on every answer, apart from those that a fault has set or left out.
fn stamped(answer: Answer, standing: Standing, now: Timestamp) -> Answer {
    let answer = answer.header("x-okta-request-id", &ids::random("", 27));
    if !answer.hints {
        return answer;
    }
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap_or_default();
    let answer = answer.header("date", &date);
    if answer.headers.contains_key("x-rate-limit-limit") {
        return answer;
    }
    let answer = answer.header("x-rate-limit-limit", &standing.limit.to_string());
    let answer = answer.header("x-rate-limit-remaining", &standing.remaining.to_string());
    answer.header("x-rate-limit-reset", &standing.resets_at_s.to_string())
}
