//! Ending sessions: all of one user, all of many users, one.

use serde_json::{Value, json};

use super::super::ledger::Effect;
use super::exchange::{Context, Reply};
use super::jobs::{Job, Reach};
use super::person::Role;
use super::refusal::Refusal;
use super::session::{Device, Session};

/// `admin.users.session.reset`. Succeeds as well for somebody without sessions (not documented).
pub(super) fn reset(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let user_id = context.arguments.required("user_id")?.to_owned();
    let reach = reach(context)?;
    check_resettable(context, &user_id)?;
    if context.pretends() {
        return Ok(Reply::done(Effect::Pretended { user_id }));
    }
    if let Some(status) = context.partial() {
        let effect = reset_half(context, &user_id, reach);
        // "It's possible some aspect of the operation succeeded before the error was raised."
        return Ok(Reply::failed(status, "fatal_error", json!({}), effect));
    }
    if context.world.switches.reset_delay.is_positive() {
        start(context, &user_id, reach);
        return Ok(Reply::done(Effect::Enqueued { user_id }));
    }
    let ended = context.world.end(&user_id, reach, usize::MAX);
    if context.signs_in_again() {
        context.world.sign_in_again(&ended);
    }
    Ok(Reply::done(ended_effect(user_id, reach, ended.len())))
}

fn reset_half(context: &mut Context<'_>, user_id: &str, reach: Reach) -> Effect {
    let half = context.world.sessions_of(user_id).count().div_ceil(2);
    let sessions = context.world.end(user_id, reach, half).len();
    Effect::SessionsRevoked { user_id: user_id.to_owned(), sessions }
}

fn ended_effect(user_id: String, reach: Reach, sessions: usize) -> Effect {
    match reach {
        // It ends neither tokens of apps nor anything a device remembers.
        Reach::All => Effect::UserRevoked { user_id, sessions, tokens: 0, devices: 0 },
        Reach::Only(_) => Effect::SessionsRevoked { user_id, sessions },
    }
}

/// `admin.users.session.resetBulk`: success means that the job was taken. Whoever cannot be reset at all (unknown, a
/// bot, the primary owner) spoils the call for everybody: the codes stand among its errors, so it was chosen so.
pub(super) fn reset_bulk(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let named = context.arguments.ids("user_ids")?;
    let reach = reach(context)?;
    named.iter().try_for_each(|user_id| check_resettable(context, user_id))?;
    if context.pretends() {
        return Ok(Reply::done(Effect::BulkEnqueued { user_ids: named, pretended: true }));
    }
    let (mut taken, failed) = split_failing(context, named);
    let status = context.partial();
    if status.is_some() {
        taken.truncate(taken.len().div_ceil(2));
    }
    taken.iter().for_each(|user_id| start(context, user_id, reach));
    context.world.settle(context.now);
    let effect = Effect::BulkEnqueued { user_ids: taken, pretended: false };
    Ok(match status {
        Some(status) => Reply::failed(status, "fatal_error", json!({}), effect),
        None if failed.is_empty() => Reply::done(effect),
        None => {
            let fields = json!({"failed_user_ids": failed});
            Reply::failed(200, "failed_for_some_users", fields, effect)
        }
    })
}

/// Those that the switch lets fail, with their reasons. The name of the field is not documented for this method; it is
/// that of the same error of `admin.conversations.invite`.
fn split_failing(context: &Context<'_>, named: Vec<String>) -> (Vec<String>, serde_json::Map<String, Value>) {
    let reasons = &context.world.switches.bulk_failures;
    let (failing, taken): (Vec<String>, Vec<String>) = named.into_iter().partition(|id| reasons.contains_key(id));
    let failed = failing.into_iter().map(|id| (id.clone(), json!(reasons[&id]))).collect();
    (taken, failed)
}

fn start(context: &mut Context<'_>, user_id: &str, reach: Reach) {
    let due = context.now + context.world.switches.reset_delay;
    let signs_in_again = context.signs_in_again();
    context.world.jobs.push(Job { user_id: user_id.to_owned(), reach, due, signs_in_again });
}

/// `admin.users.session.invalidate`. Old documents demand the team and know no user, new ones demand the user and can do
/// without the team: all three are demanded here, which refuses what either would.
pub(super) fn invalidate(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let session_id = context.arguments.integer("session_id")?;
    let session_id = session_id.ok_or_else(|| Refusal::arguments("missing required field: session_id"))?;
    let team_id = context.arguments.required("team_id")?.to_owned();
    let user_id = context.arguments.required("user_id")?.to_owned();
    check_owner(context, &user_id, "cannot_invalidate_primary_owner")?;
    let session = context.world.session(session_id).filter(|session| session.team_id == team_id).cloned();
    let Some(session) = session else { return Err(Refusal::code("session_not_found")) };
    if session.user_id != user_id {
        return Ok(somebody_elses(&session, &user_id));
    }
    if session.has_expired {
        return Err(Refusal::code("session_expired"));
    }
    if context.pretends() {
        return Ok(Reply::done(Effect::Pretended { user_id }));
    }
    context.world.end_one(&session);
    if context.signs_in_again() {
        context.world.sign_in_again(std::slice::from_ref(&session));
    }
    let effect = Effect::SessionRevoked { user_id, session_id: session_id.to_string() };
    Ok(match context.partial() {
        Some(status) => Reply::failed(status, "fatal_error", json!({}), effect),
        None => Reply::done(effect),
    })
}

/// Under the old contract, which did not ask whose session it is, this would have ended it.
fn somebody_elses(session: &Session, user_id: &str) -> Reply {
    let would = format!("end a session of {} in the name of {user_id}", session.user_id);
    Reply::failed(200, "session_not_found", json!({}), Effect::Tripwire { would })
}

fn check_resettable(context: &Context<'_>, user_id: &str) -> Result<(), Refusal> {
    match context.world.user(user_id).is_some_and(|user| user.person.is_bot) {
        true => Err(Refusal::code("cannot_reset_bot")),
        false => check_owner(context, user_id, "cannot_reset_primary_owner"),
    }
}

/// Only the primary owner touches the primary owner's sessions. An admin's own may be ended like any other's; the token
/// lives on (not documented).
fn check_owner(context: &Context<'_>, user_id: &str, refusal: &str) -> Result<(), Refusal> {
    let user = context.world.user(user_id).ok_or_else(|| Refusal::code("user_not_found"))?;
    match user.person.role == Role::PrimaryOwner && context.caller() != user_id {
        true => Err(Refusal::code(refusal)),
        false => Ok(()),
    }
}

/// Both flags at once is not documented, and refused.
fn reach(context: &Context<'_>) -> Result<Reach, Refusal> {
    let mobile_only = context.arguments.boolean("mobile_only")?.unwrap_or(false);
    let web_only = context.arguments.boolean("web_only")?.unwrap_or(false);
    match (mobile_only, web_only) {
        (false, false) => Ok(Reach::All),
        (true, false) => Ok(Reach::Only(Device::Mobile)),
        (false, true) => Ok(Reach::Only(Device::Web)),
        (true, true) => Err(Refusal::arguments("mobile_only and web_only exclude each other")),
    }
}
