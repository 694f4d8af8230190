//! One call to The Things Stack: route, rate limit, parameters, credential, operation.
//!
//! Parameters are judged before the credential is: the server validates a message before it is handled.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::json;

use super::super::answer::Answer;
use super::super::exchange::{Incoming, StandIn};
use super::super::faults::{Fault, Faults};
use super::super::ledger::{Effect, Ledger};
use super::caller::{self, Caller};
use super::operation::{self, Operation, Route};
use super::query::Query;
use super::quota::{LIMIT, Standing};
use super::refusal::Refusal;
use super::world::World;
use super::{credential, disturb, person, sessions, users};
use crate::clock::Clock;

/// What the listener and the handle of the tests share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) url: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) world: Mutex<World>,
    pub(super) faults: Faults<Operation>,
    pub(super) ledger: Ledger,
}

/// A call that is well-formed.
pub(super) struct Context<'call> {
    pub(super) world: &'call mut World,
    pub(super) now: Timestamp,
    pub(super) query: Query,
    pub(super) fault: Option<&'call Fault>,
    caller: Result<Caller, Refusal>,
}

impl Context<'_> {
    /// Who calls, or what is wrong with the credential.
    pub(super) fn caller(&self) -> Result<&Caller, Refusal> {
        self.caller.as_ref().map_err(Clone::clone)
    }
}

impl StandIn for State {
    type Operation = Operation;

    fn operation(&self, call: &Incoming) -> Option<Operation> {
        match operation::route(&call.method, &call.path) {
            Ok(Route::Call { operation, .. }) => Some(operation),
            Ok(Route::Tripwire { .. }) | Err(_) => None,
        }
    }

    fn faults(&self) -> &Faults<Operation> {
        &self.faults
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn answer(&self, call: &Incoming, fault: Option<&Fault>) -> Answer {
        let mut world = self.world();
        let now = self.clock.now();
        let route = operation::route(&call.method, &call.path);
        let standing = spend(&mut world, call, &route, now);
        let throttled = standing.as_ref().filter(|standing| standing.exceeded).map(Standing::refusal);
        let answer = match (fault.and_then(disturb::instead), throttled) {
            (Some(answer), _) => answer,
            (None, Some(refusal)) => refusal.into_answer(),
            (None, None) => self.process(&mut world, call, route, fault, now).unwrap_or_else(Refusal::into_answer),
        };
        stamped(answer, standing, now)
    }
}

impl State {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn process(
        &self,
        world: &mut World,
        call: &Incoming,
        route: Result<Route, Refusal>,
        fault: Option<&Fault>,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let (operation, ids) = match route? {
            Route::Call { operation, ids } => (operation, ids),
            Route::Tripwire { would } => return Ok(sprung(would)),
        };
        check_body(call)?;
        let query = Query::parse(&call.query, operation)?;
        check_user_id(&ids)?;
        let caller = caller::authenticate(world, &call.headers, now);
        let warning = caller.as_ref().ok().and_then(|caller| caller.warning);
        let mut context = Context { world, now, query, fault, caller };
        let answer = self.perform(&mut context, operation, &ids).unwrap_or_else(Refusal::into_answer);
        Ok(warning.into_iter().fold(answer, |answer, warning| answer.header("x-warning", warning)))
    }

    fn perform(&self, context: &mut Context<'_>, operation: Operation, ids: &[String]) -> Result<Answer, Refusal> {
        match (operation, ids) {
            (Operation::ListSessions, [user]) => sessions::list(context, user),
            (Operation::DeleteSession, [user, session]) => sessions::delete(context, user, session),
            (Operation::AuthInfo, []) => Ok(Answer::json(200, &context.caller()?.auth_info(context.world))),
            (Operation::SearchUsers, []) => users::search(context, &self.faults),
            (Operation::ListUsers, []) => users::list(context, &self.faults),
            (Operation::GetUser, [user]) => users::read(context, user),
            _ => Err(Refusal::plain(5, "Not Found")),
        }
    }
}

/// Success, as it would look from outside, and nothing done.
fn sprung(would: &str) -> Answer {
    Answer::json(200, &json!({})).effect(Effect::Tripwire { would: would.to_owned() })
}

/// None of the operations takes a body. The gateway would not read it; refusing shows a client that means something
/// by it.
fn check_body(call: &Incoming) -> Result<(), Refusal> {
    match call.body.is_empty() {
        true => Ok(()),
        false => Err(Refusal::plain(3, "a request body is not allowed")),
    }
}

/// The first id of every path is a user's.
fn check_user_id(ids: &[String]) -> Result<(), Refusal> {
    let fault = ids.first().and_then(|id| person::id_fault(id));
    fault.map_or(Ok(()), |reason| Err(Refusal::validation("user_id", reason)))
}

/// Counts a call of an operation, by the id of its credential, whether that is good or not, and by the entity.
fn spend(world: &mut World, call: &Incoming, route: &Result<Route, Refusal>, now: Timestamp) -> Option<Standing> {
    let Ok(Route::Call { operation, ids }) = route else { return None };
    let token = credential::shown(&call.headers).ok().flatten();
    // Without a credential the address counts, and here every client has the same.
    let who = token.map_or_else(|| "127.0.0.1".to_owned(), |token| token.id.to_owned());
    world.quota.spend(&(*operation, who, ids.first().cloned().unwrap_or_default()), now)
}

/// Adds the headers that stand on every answer, apart from those that a fault has set or left out.
fn stamped(answer: Answer, standing: Option<Standing>, now: Timestamp) -> Answer {
    if !answer.hints {
        return answer;
    }
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap_or_default();
    let answer = answer.header("date", &date);
    match standing.filter(|_| !answer.headers.contains_key(LIMIT)) {
        Some(standing) => standing.stamp(answer),
        None => answer,
    }
}
