//! One call to Mattermost: quota, route, headers, session, parameters, operation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::json;

use super::super::answer::Answer;
use super::super::exchange::{Incoming, StandIn};
use super::super::faults::{Fault, Faults};
use super::super::ledger::Ledger;
use super::super::parameters::Parameters;
use super::auth::{self, Caller, Shown};
use super::body;
use super::operation::{self, Operation, Route};
use super::rate::{LimitBy, Standing};
use super::refusal::{Refusal, URL_PARAM};
use super::world::World;
use super::{disturb, id, login, sessions, tokens, users};
use crate::clock::Clock;

/// ServiceSettings.MaximumURLLength
const LONGEST_URL: usize = 2048;

/// What the listener and the handle of the tests share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) url: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) world: Mutex<World>,
    pub(super) faults: Faults<Operation>,
    pub(super) ledger: Ledger,
}

/// A call whose caller is known.
pub(super) struct Context<'call> {
    pub(super) world: &'call mut World,
    pub(super) call: &'call Incoming,
    pub(super) operation: Operation,
    pub(super) caller: Caller,
    pub(super) now: Timestamp,
    pub(super) fault: Option<&'call Fault>,
    pub(super) faults: &'call Faults<Operation>,
    pub(super) parameters: Parameters,
}

impl Context<'_> {
    /// Report success and do nothing.
    pub(super) fn pretends(&self) -> bool {
        matches!(self.fault, Some(Fault::LyingSuccess))
    }

    /// The id in the path; `me` is the caller.
    pub(super) fn user_id(&self, name: &str) -> Result<String, Refusal> {
        let user_id = if name == "me" { &self.caller.user_id } else { name };
        match id::is_valid(user_id) {
            true => Ok(user_id.to_owned()),
            false => Err(Refusal::api(URL_PARAM)),
        }
    }
}

impl StandIn for State {
    type Operation = Operation;

    fn operation(&self, call: &Incoming) -> Option<Operation> {
        let subpath = self.world().settings.subpath.clone();
        operation::route(&call.method, &call.path, &subpath).ok().map(|route| route.operation)
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

    fn withholds_query(&self, call: &Incoming) -> bool {
        call.query.contains("token")
    }

    fn answer(&self, call: &Incoming, fault: Option<&Fault>) -> Answer {
        let mut world = self.world();
        let now = self.now(&world);
        let shown = auth::shown(&call.headers, query_token(call));
        let standings = spend(&mut world, call, shown.as_ref(), now);
        let language = call.headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let answer = match fault.and_then(|fault| disturb::instead(fault, &world.settings, language, now)) {
            Some(answer) => answer,
            None if standings.iter().any(|standing| standing.exceeded()) => disturb::limit_exceeded(),
            None => {
                let answer = self.process(&mut world, call, shown.as_ref(), fault, now);
                answer.unwrap_or_else(|refusal| refusal.into_answer(&world.settings, language))
            }
        };
        stamped(answer, call, &standings, now)
    }
}

impl State {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time at the server, whose clock may differ from ours.
    pub(super) fn now(&self, world: &World) -> Timestamp {
        self.clock.now() + world.settings.clock_offset
    }

    fn process(
        &self,
        world: &mut World,
        call: &Incoming,
        shown: Option<&Shown>,
        fault: Option<&Fault>,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let Route { operation, names } = operation::route(&call.method, &call.path, &world.settings.subpath)?;
        check_headers(call)?;
        if !operation.needs_login() {
            check_query(call, operation)?;
            return without_login(world, operation, call, now);
        }
        let caller = auth::authenticate(world, shown, now)?;
        let is_me = operation == Operation::GetUser && names == ["me"];
        if !is_me && caller.lacks_mfa(world) {
            return Err(Refusal::api("api.context.mfa_required.app_error"));
        }
        let parameters = check_query(call, operation)?;
        body::check_absent(call, operation)?;
        let faults = &self.faults;
        perform(&mut Context { world, call, operation, caller, now, fault, faults, parameters }, &names)
    }
}

fn without_login(world: &mut World, operation: Operation, call: &Incoming, now: Timestamp) -> Result<Answer, Refusal> {
    match operation {
        Operation::Login => login::login(world, call, now),
        _ => {
            body::check_absent(call, operation)?;
            Ok(Answer::json(200, &json!({"status": "OK"})))
        }
    }
}

fn perform(context: &mut Context<'_>, names: &[String]) -> Result<Answer, Refusal> {
    match (context.operation, names) {
        (Operation::RevokeAllSessions, [user]) => sessions::revoke_all(context, user),
        (Operation::RevokeSession, [user]) => sessions::revoke_one(context, user),
        (Operation::GetSessions, [user]) => sessions::list(context, user),
        (Operation::GetUser, [user]) => users::read(context, user),
        (Operation::GetUserByEmail, [email]) => users::read_by_email(context, email),
        (Operation::GetUserByUsername, [username]) => users::read_by_username(context, username),
        (Operation::GetUserAccessTokensForUser, [user]) => tokens::list(context, user),
        (Operation::RevokeUserAccessToken, []) => tokens::revoke(context),
        (Operation::DisableUserAccessToken, []) => tokens::disable(context),
        (Operation::RevokeSessionsFromAllUsers, []) => sessions::revoke_everybody(context),
        (Operation::DeleteUser, [user]) => users::deactivate(context, user),
        _ => Err(Refusal::api(super::refusal::UNKNOWN_PATH)),
    }
}

/// Counts the call once or, by user, twice: at the door by its token, and behind it by the user.
fn spend(world: &mut World, call: &Incoming, shown: Option<&Shown>, now: Timestamp) -> Vec<Standing> {
    let Some(limiter) = &mut world.limiter else { return Vec::new() };
    let by_user = shown.filter(|_| limiter.by == LimitBy::User);
    let key = match (&limiter.by, by_user) {
        (_, Some(shown)) => shown.token.clone(),
        (LimitBy::Header(name), None) => header(&call.headers, name).to_lowercase(),
        (LimitBy::User | LimitBy::RemoteAddress, None) => "the caller's address".to_owned(),
    };
    let at_the_door = limiter.spend(&key, now);
    let Some(shown) = by_user.filter(|_| !at_the_door.exceeded()) else { return vec![at_the_door] };
    // Callers without a session share one counter.
    let user_id = auth::authenticate(world, Some(shown), now).map(|caller| caller.user_id).unwrap_or_default();
    let behind_it = world.limiter.as_mut().map(|limiter| limiter.spend(&user_id, now));
    std::iter::once(at_the_door).chain(behind_it).collect()
}

fn query_token(call: &Incoming) -> Option<String> {
    Parameters::parse(&call.query, &["access_token"]).ok()?.get("access_token").map(ToOwned::to_owned)
}

fn check_headers(call: &Incoming) -> Result<(), Refusal> {
    if call.path.len() + call.query.len() > LONGEST_URL {
        return Err(Refusal::api("basic_security_check.url.too_long_error"));
    }
    let accept = header(&call.headers, ACCEPT.as_str());
    if !accept.split(',').any(is_json) {
        return Err(Refusal::api("sandbox.accept.not_json"));
    }
    let content_type = header(&call.headers, CONTENT_TYPE.as_str());
    match (call.body.is_empty() && content_type.is_empty()) || is_json(&content_type) {
        true => Ok(()),
        false => Err(Refusal::api("sandbox.content_type.not_json")),
    }
}

fn is_json(media: &str) -> bool {
    media.split(';').next().is_some_and(|media| media.trim() == "application/json")
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// `access_token` may stand on every call of an OAuth app.
fn check_query(call: &Incoming, operation: Operation) -> Result<Parameters, Refusal> {
    let allowed = [operation.parameters(), &["access_token"]].concat();
    Parameters::parse(&call.query, &allowed).map_err(|reason| Refusal::detailed(URL_PARAM, reason))
}

/// Adds the headers that stand on every answer, apart from those that a fault has set or left out.
fn stamped(answer: Answer, call: &Incoming, standings: &[Standing], now: Timestamp) -> Answer {
    let answer = answer.header("x-request-id", &id::fresh()).header("x-version-id", "11.2.0.11.2.0.sandbox.false");
    let answer = if call.method == "GET" { answer.header("expires", "0") } else { answer };
    if !answer.hints {
        return answer;
    }
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap_or_default();
    let answer = answer.header("date", &date);
    if answer.headers.contains_key(super::rate::RESET) {
        return answer;
    }
    standings.iter().fold(answer, |answer, standing| standing.stamp(answer))
}
