//! One call to Huawei: host, size, route, signature, throttling, content, permission, parameters, operation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use uuid::Uuid;

use super::super::answer::Answer;
use super::super::exchange::{Incoming, StandIn};
use super::super::faults::{Fault, Faults};
use super::super::ledger::{Effect, Ledger};
use super::super::parameters::Parameters;
use super::operation::{self, Operation, Route};
use super::refusal::Refusal;
use super::world::World;
use super::{auth, disturb, instances, sessions, users};
use crate::clock::Clock;

/// The gateway documents refusals for size and no sizes; these were chosen, below what the listener itself reads.
const LARGEST_URI_BYTES: usize = 8 * 1024;
const LARGEST_HEADER_BYTES: usize = 32 * 1024;
const LARGEST_BODY_BYTES: usize = 256 * 1024;

/// `user_id` has at most 47 characters (API pages).
const LONGEST_USER_ID: usize = 47;

/// `d-` and ten more (API pages).
const IDENTITY_STORE_ID_LENGTH: usize = 12;

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
    pub(super) body: &'call [u8],
    pub(super) now: Timestamp,
    pub(super) fault: Option<&'call Fault>,
    /// See [`Route::detour`].
    pub(super) detour: bool,
    parameters: Parameters,
}

impl Context<'_> {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)
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

    fn answer(&self, call: &Incoming, fault: Option<&Fault>) -> Answer {
        let mut world = self.world();
        let now = self.now(&world);
        let instead = fault.and_then(disturb::instead);
        let outcome = instead.unwrap_or_else(|| self.process(&mut world, call, now, fault));
        let request_id = Uuid::new_v4().simple().to_string();
        let answer = outcome.unwrap_or_else(|refusal| refusal.into_answer(world.quirks.error_shape, &request_id));
        let answer = answer.header("x-request-id", &request_id).header("server", "api-gateway");
        // The one hint that Huawei's answers have: its clock.
        if matches!(fault, Some(Fault::ThrottleWithoutHint)) { answer } else { dated(answer, now) }
    }
}

impl State {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time at Huawei, whose clock may differ from ours.
    pub(super) fn now(&self, world: &World) -> Timestamp {
        self.clock.now() + world.clock_offset
    }

    fn process(
        &self,
        world: &mut World,
        call: &Incoming,
        now: Timestamp,
        fault: Option<&Fault>,
    ) -> Result<Answer, Refusal> {
        check_host(world, call)?;
        check_sizes(call)?;
        let Route { operation, ids, detour } = operation::route(&call.method, &call.path)?;
        let access_key = auth::authenticate(world, call, now)?;
        auth::admit(world, &access_key)?;
        world.quota.spend(&access_key, operation, now)?;
        check_content(call, operation)?;
        auth::authorize(world, &access_key, operation)?;
        let parameters = Parameters::parse(&call.query, operation.parameters()).map_err(Refusal::invalid)?;
        let mut context = Context { world, body: &call.body, now, fault, detour, parameters };
        self.perform(&mut context, operation, &ids)
    }

    fn perform(&self, context: &mut Context<'_>, operation: Operation, ids: &[String]) -> Result<Answer, Refusal> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        if let Some(store) = ids.first() {
            check_store(context.world, store)?;
        }
        match (operation, ids.get(1..).unwrap_or_default()) {
            (Operation::ListSessions, [user]) => sessions::list(context, checked(user)?),
            (Operation::BatchDeleteSessions, [user]) => sessions::batch_delete(context, checked(user)?),
            (Operation::GetUserId, []) => users::user_id(context, &self.faults),
            (Operation::ListUsers, []) => users::list(context, &self.faults),
            (Operation::DescribeUser, [user]) => users::describe(context, checked(user)?),
            (Operation::DisableUser, [user]) => Ok(refrained(format!("disable the user {user}"))),
            (Operation::ListInstances, []) => instances::list(context),
            _ => Err(Refusal::no_such_api()),
        }
    }
}

/// Success as seen from outside, for what must not happen.
pub(super) fn refrained(would: String) -> Answer {
    Answer::empty(200).effect(Effect::Tripwire { would })
}

fn check_host(world: &World, call: &Incoming) -> Result<(), Refusal> {
    let host = call.headers.get("host").and_then(|value| value.to_str().ok());
    match host.is_some_and(|host| world.hosts.contains(host)) {
        true => Ok(()),
        false => Err(Refusal::no_such_api()),
    }
}

fn check_sizes(call: &Incoming) -> Result<(), Refusal> {
    let header_bytes: usize = call.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let sizes = [
        (call.path.len() + call.query.len() > LARGEST_URI_BYTES, 414),
        (header_bytes > LARGEST_HEADER_BYTES, 494),
        (call.body.len() > LARGEST_BODY_BYTES, 413),
    ];
    sizes.iter().find(|(exceeded, _)| *exceeded).map_or(Ok(()), |(_, status)| Err(Refusal::bad_request(*status)))
}

/// The SDK sends the media type on every call, GET included, and nobody has shown that the API goes without.
fn check_content(call: &Incoming, operation: Operation) -> Result<(), Refusal> {
    let media = call.headers.get("content-type").and_then(|value| value.to_str().ok());
    let is_json = |value: &str| value.split(';').next().is_some_and(|media| media.trim() == "application/json");
    if !media.is_some_and(is_json) {
        return Err(Refusal::invalid("Content-Type is not application/json"));
    }
    match operation.takes_body() || call.body.is_empty() {
        true => Ok(()),
        false => Err(Refusal::invalid("a request body is not allowed")),
    }
}

fn check_store(world: &World, id: &str) -> Result<(), Refusal> {
    let well_formed = id.starts_with("d-") && id.len() == IDENTITY_STORE_ID_LENGTH;
    match id == world.identity_store_id && !world.quirks.not_enabled {
        true => Ok(()),
        false if well_formed => Err(Refusal::not_found(format!("identity store {id}"))),
        false => Err(Refusal::invalid("identity_store_id")),
    }
}

fn checked(user_id: &str) -> Result<&str, Refusal> {
    match user_id.chars().count() <= LONGEST_USER_ID {
        true => Ok(user_id),
        false => Err(Refusal::invalid("user_id")),
    }
}

fn dated(answer: Answer, now: Timestamp) -> Answer {
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap_or_default();
    answer.header("date", &date)
}
