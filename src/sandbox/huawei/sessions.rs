//! Listing a user's portal sessions and ending them by their ids.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::answer::Answer;
use super::super::faults::Fault;
use super::super::ledger::Effect;
use super::LIFETIME;
use super::exchange::{Context, refrained};
use super::quirks::{EmptySessions, GoneSessions, SuccessBody};
use super::refusal::Refusal;
use super::world::{Session, User};

/// The body of `batch-delete`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    session_ids: Vec<String>,
}

/// `GET …/users/{user_id}/sessions`: all at once, there are no pages.
pub(super) fn list(context: &Context<'_>, user_id: &str) -> Result<Answer, Refusal> {
    let user = user(context, user_id)?;
    let quirks = &context.world.quirks;
    let then = context.now - SignedDuration::from_secs(quirks.list_lag_s);
    let undone = matches!(context.fault, Some(Fault::StaleList));
    let stood = user.sessions_at(then, undone);
    let listed = stood.filter(|(_, session)| quirks.expired_listed || then < session.expires_at);
    let unit = if quirks.times_in_milliseconds { Timestamp::as_millisecond } else { Timestamp::as_second };
    let rows: Vec<Value> = listed.map(|(id, session)| row(user_id, id, session, unit)).collect();
    let body = match quirks.empty_sessions {
        EmptySessions::Null if rows.is_empty() => json!({"session_list": null}),
        EmptySessions::Absent if rows.is_empty() => json!({}),
        _ => json!({"session_list": rows}),
    };
    Ok(Answer::json(200, &body))
}

/// `POST …/users/{user_id}/sessions/batch-delete`: 200 without a word about the single ids.
pub(super) fn batch_delete(context: &mut Context<'_>, user_id: &str) -> Result<Answer, Refusal> {
    let ids = batch(context)?;
    let user = user(context, user_id)?;
    // Whether Huawei looks whose sessions these are is not documented. An honest client names nobody else's.
    let stranger = |id: &String| context.world.owner_of(id).is_some_and(|owner| owner != user_id);
    if context.detour || ids.iter().any(stranger) {
        return Ok(refrained(format!("end sessions of somebody else than the path names ({user_id})")));
    }
    if matches!(context.fault, Some(Fault::LyingSuccess)) {
        return Ok(done(context).effect(Effect::Pretended { user_id: user_id.to_owned() }));
    }
    let expired_too = context.world.quirks.expired_listed;
    let (known, gone): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| user.knows(id, expired_too, context.now));
    let refusal = match (context.world.quirks.gone_sessions, gone.first()) {
        (GoneSessions::Ignored, _) | (_, None) => None,
        (GoneSessions::Refused, Some(id)) => return Err(Refusal::not_found(format!("session {id}"))),
        (GoneSessions::BadRequest, Some(id)) => return Err(Refusal::new(404, "IIC.400", format!("session {id}"))),
        (GoneSessions::RefusedAfterTheOthers, Some(id)) => Some(Refusal::not_found(format!("session {id}"))),
    };
    end(context, user_id, &known, refusal)
}

/// Ends the sessions, or as many as the fault in force lets through, and answers.
fn end(context: &mut Context<'_>, user_id: &str, ids: &[String], refusal: Option<Refusal>) -> Result<Answer, Refusal> {
    let (ids, refusal) = match context.fault {
        Some(Fault::Partial { status }) => (&ids[..ids.len().div_ceil(2)], Some(Refusal::amid_the_work(*status))),
        _ => (ids, refusal),
    };
    let sessions = context.world.end_sessions(user_id, ids, context.now);
    if matches!(context.fault, Some(Fault::SignInAgain)) && sessions > 0 {
        let _ = context.world.open_session(user_id, context.now, LIFETIME);
    }
    let effect = Effect::SessionsRevoked { user_id: user_id.to_owned(), sessions };
    match refusal {
        Some(refusal) => Err(refusal.after(effect)),
        None => Ok(done(context).effect(effect)),
    }
}

/// Neither an empty batch nor a repeated id is documented; both are refused.
fn batch(context: &Context<'_>) -> Result<Vec<String>, Refusal> {
    let parsed: Result<Batch, _> = serde_json::from_slice(context.body);
    let ids = parsed.map_err(|error| Refusal::invalid(error.to_string()))?.session_ids;
    let largest = context.world.quirks.largest_batch;
    let rules = [
        (!ids.is_empty(), "session_ids is empty".to_owned()),
        (ids.len() <= largest, format!("session_ids holds more than {largest}")),
        (ids.iter().all(|id| Uuid::try_parse(id).is_ok()), "session_ids holds what is not a session id".to_owned()),
        (ids.iter().collect::<BTreeSet<_>>().len() == ids.len(), "session_ids holds an id twice".to_owned()),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, broken)) => Err(Refusal::invalid(broken)),
        None => Ok(ids),
    }
}

fn done(context: &Context<'_>) -> Answer {
    match context.world.quirks.success_body {
        SuccessBody::None => Answer::empty(200),
        SuccessBody::EmptyObject => Answer::json(200, &json!({})),
    }
}

fn user<'world>(context: &'world Context<'_>, user_id: &str) -> Result<&'world User, Refusal> {
    context.world.user(user_id).ok_or_else(|| Refusal::not_found(format!("user {user_id}")))
}

fn row(user_id: &str, id: &str, session: &Session, unit: impl Fn(Timestamp) -> i64) -> Value {
    json!({
        "creation_time": unit(session.created_at), "ip_address": "203.0.113.7", "session_id": id,
        "session_not_valid_after": unit(session.expires_at), "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
        "user_id": user_id,
    })
}
