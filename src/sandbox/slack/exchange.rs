//! One call to Slack: method, body, token, rate limit, arguments, operation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};

use super::super::answer::Answer;
use super::super::exchange::{Incoming, StandIn};
use super::super::faults::{Fault, Faults};
use super::super::ledger::{Effect, Ledger};
use super::super::parameters::pairs;
use super::arguments::Arguments;
use super::auth::{self, Token};
use super::operation::{self, Operation};
use super::refusal::{Refusal, json_answer};
use super::world::World;
use super::{disturb, identity, listing, sessions, settings, tripwire, users};
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

/// A call that is authorized and names only arguments that the method takes.
pub(super) struct Context<'call> {
    pub(super) world: &'call mut World,
    pub(super) url: &'call str,
    pub(super) now: Timestamp,
    /// The token, except where a method asks for none.
    pub(super) token: Option<Token>,
    pub(super) arguments: Arguments,
    pub(super) fault: Option<&'call Fault>,
    pub(super) faults: &'call Faults<Operation>,
}

/// What a method answers: the fields, without `ok` where the call succeeded.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) fields: Value,
    /// `None`: success.
    pub(super) code: Option<String>,
    pub(super) effect: Effect,
}

impl Context<'_> {
    /// Report success and do nothing.
    pub(super) fn pretends(&self) -> bool {
        matches!(self.fault, Some(Fault::LyingSuccess))
    }

    /// The status under which the call fails after half of it.
    pub(super) fn partial(&self) -> Option<u16> {
        match self.fault {
            Some(Fault::Partial { status }) => Some(*status),
            _ => None,
        }
    }

    pub(super) fn signs_in_again(&self) -> bool {
        matches!(self.fault, Some(Fault::SignInAgain))
    }

    /// Whose token this is; nobody's where none is asked for.
    pub(super) fn caller(&self) -> &str {
        self.token.as_ref().map_or("", |token| token.owner.as_str())
    }

    /// The one workspace that a token is for.
    pub(super) fn team_of_token(&self) -> Option<&str> {
        self.token.as_ref().and_then(|token| token.team_id.as_deref())
    }
}

impl Reply {
    pub(super) fn ok(fields: Value) -> Self {
        Self { status: 200, fields, code: None, effect: Effect::None }
    }

    pub(super) fn done(effect: Effect) -> Self {
        Self { effect, ..Self::ok(json!({})) }
    }

    /// A failure that comes after something was done.
    pub(super) fn failed(status: u16, code: &str, fields: Value, effect: Effect) -> Self {
        Self { status, fields, code: Some(code.to_owned()), effect }
    }

    fn into_answer(self, warning: Option<&str>) -> Answer {
        let Self { status, mut fields, code, effect } = self;
        let answer = match code {
            Some(code) => super::refusal::failed(status, &code, fields),
            None => {
                fields["ok"] = json!(true);
                if let Some(warning) = warning {
                    fields["warning"] = json!(warning);
                    fields["response_metadata"]["warnings"] = json!([warning]);
                }
                json_answer(status, &fields)
            }
        };
        answer.effect(effect)
    }
}

impl StandIn for State {
    type Operation = Operation;

    fn operation(&self, call: &Incoming) -> Option<Operation> {
        operation::route(&call.path).ok()
    }

    fn faults(&self) -> &Faults<Operation> {
        &self.faults
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn now(&self) -> Timestamp {
        self.clock.now() + self.lock().clock_offset
    }

    /// A wrong client may put its token, or its app's secret, into a query.
    fn withholds_query(&self, call: &Incoming) -> bool {
        let is_secret = |name: &str| ["token", "secret"].iter().any(|word| name.to_lowercase().contains(word));
        pairs(&call.query).map_or(true, |pairs| pairs.iter().any(|(name, _)| is_secret(name)))
    }

    fn answer(&self, call: &Incoming, fault: Option<&Fault>) -> Answer {
        let (mut world, now) = self.settled();
        let answer = match fault.and_then(|fault| disturb::instead(fault, world.switches.throttle_form)) {
            Some(answer) => answer,
            None => self.process(&mut world, call, fault, now).unwrap_or_else(Refusal::into_answer),
        };
        stamped(answer, now)
    }
}

impl State {
    /// The world as it is at this moment: what is due has happened.
    pub(super) fn settled(&self) -> (MutexGuard<'_, World>, Timestamp) {
        let mut world = self.lock();
        let now = self.clock.now() + world.clock_offset;
        world.settle(now);
        (world, now)
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn process(
        &self,
        world: &mut World,
        call: &Incoming,
        fault: Option<&Fault>,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let operation = operation::route(&call.path)?;
        // Documents are silent about other HTTP methods: under them there is no such Web API method here.
        if !operation.takes(&call.method) {
            return Err(Refusal::code("unknown_method"));
        }
        let arguments = Arguments::read(call, operation)?;
        let of_form = arguments.token.as_deref();
        let token = match operation.needs_token() {
            true => Some(auth::identify(world, &call.headers, of_form, now)?),
            false => None,
        };
        let scopes = token.as_ref().map(Token::scopes);
        let faults = &self.faults;
        let context = Context { world, url: &self.url, now, token, arguments, fault, faults };
        let answer = context.run(operation).unwrap_or_else(Refusal::into_answer);
        Ok(with_scopes(answer, operation, scopes))
    }
}

impl Context<'_> {
    fn run(mut self, operation: Operation) -> Result<Answer, Refusal> {
        if let Some(token) = &self.token {
            auth::permit(self.world, token, operation)?;
        }
        if let Some(after_s) = self.world.quota.spend(operation, self.now) {
            return Err(Refusal::Throttled { form: self.world.switches.throttle_form, after_s });
        }
        self.arguments.check_names(operation.arguments())?;
        let warning = self.arguments.warning;
        Ok(self.perform(operation)?.into_answer(warning))
    }

    fn perform(&mut self, operation: Operation) -> Result<Reply, Refusal> {
        match operation {
            Operation::ApiTest => identity::api_test(self),
            Operation::AuthTest => identity::auth_test(self),
            Operation::LookupByEmail => users::lookup(self),
            Operation::UsersInfo => users::info(self),
            Operation::SessionReset => sessions::reset(self),
            Operation::SessionResetBulk => sessions::reset_bulk(self),
            Operation::SessionInvalidate => sessions::invalidate(self),
            Operation::SessionList => listing::list(self),
            Operation::GetSettings => settings::get(self),
            Operation::SetSettings => settings::set(self),
            Operation::ClearSettings => settings::clear(self),
            Operation::AuthRevoke | Operation::AppsUninstall | Operation::UsersRemove => {
                Ok(tripwire::spring(operation))
            }
        }
    }
}

fn with_scopes(answer: Answer, operation: Operation, scopes: Option<String>) -> Answer {
    let Some(scopes) = scopes else { return answer };
    let answer = answer.header("x-oauth-scopes", &scopes);
    match operation.permission().and_then(auth::Permission::scope) {
        Some(needed) => answer.header("x-accepted-oauth-scopes", needed),
        None => answer,
    }
}

/// Adds what stands on every answer, apart from what a fault has left out.
fn stamped(answer: Answer, now: Timestamp) -> Answer {
    let answer = answer.header("x-slack-req-id", &ids::random("", 32));
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap_or_default();
    if answer.hints { answer.header("date", &date) } else { answer }
}
