//! Listing and ending sessions.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::answer::Answer;
use super::super::faults::Fault;
use super::super::ledger::Effect;
use super::body;
use super::exchange::Context;
use super::person::{Permission, Person};
use super::refusal::{Refusal, URL_PARAM};
use super::session::{Device, Kind, Session};

/// `GET /users/{user_id}/sessions`: newest activity first, read from the replica, expired rows too.
pub(super) fn list(context: &mut Context<'_>, user: &str) -> Result<Answer, Refusal> {
    let user_id = context.user_id(user)?;
    context.caller.reaches(context.world, &user_id)?;
    let (now, lag) = (context.now, context.world.settings.replica_lag);
    let Some(user) = context.world.user(&user_id) else { return Ok(Answer::json(200, &json!([]))) };
    let mut sessions = match context.fault {
        Some(Fault::StaleList) => user.sessions.before_latest_removal(),
        _ => user.sessions.replica(now, lag),
    };
    sessions.sort_by_key(|session| std::cmp::Reverse(session.last_activity_at));
    let rows: Value = sessions.iter().map(|session| session_json(&user.person, session)).collect();
    Ok(Answer::json(200, &rows))
}

/// `POST /users/{user_id}/sessions/revoke/all`. Nobody asks whether the user exists; which sessions there are is read
/// from the replica, so that one made a moment ago is missed.
pub(super) fn revoke_all(context: &mut Context<'_>, user: &str) -> Result<Answer, Refusal> {
    let user_id = context.user_id(user)?;
    context.caller.reaches(context.world, &user_id)?;
    if context.pretends() {
        return Ok(done(Effect::Pretended { user_id }));
    }
    let (now, lag) = (context.now, context.world.settings.replica_lag);
    let known = context.world.user(&user_id).map(|user| user.sessions.replica(now, lag)).unwrap_or_default();
    let part = if let Some(Fault::Partial { .. }) = context.fault { known.len().div_ceil(2) } else { known.len() };
    let ids: Vec<String> = known.into_iter().take(part).map(|session| session.id).collect();
    let ended = context.world.end(&user_id, &ids, now);
    let sessions = ended.iter().filter(|session| session.is_alive(now)).count();
    // The access data of OAuth apps goes with their sessions.
    let tokens = ended.iter().filter(|session| session.is_oauth()).count();
    sign_in_again(context, &user_id, sessions);
    finish(context, Effect::UserRevoked { user_id, sessions, tokens, devices: 0 })
}

/// `POST /users/{user_id}/sessions/revoke`. May they, is it said which, is there such a session, is it the user's: in
/// this order. The store takes a session token for an id.
pub(super) fn revoke_one(context: &mut Context<'_>, user: &str) -> Result<Answer, Refusal> {
    let user_id = context.user_id(user)?;
    context.caller.reaches(context.world, &user_id)?;
    let name = body::required(context.call, context.operation, "session_id")?;
    let found = context.world.session_mut(&name).map(|(owner, session)| (owner.to_owned(), session.id.clone()));
    let (owner, session_id) = found.ok_or_else(|| Refusal::api("app.session.get.app_error"))?;
    if owner != user_id {
        return Err(Refusal::api(URL_PARAM));
    }
    if context.pretends() {
        return Ok(done(Effect::Pretended { user_id }));
    }
    context.world.end(&user_id, std::slice::from_ref(&session_id), context.now);
    sign_in_again(context, &user_id, 1);
    finish(context, Effect::SessionRevoked { user_id, session_id })
}

/// `POST /users/sessions/revoke/all`: what becomes of the path above when the user is missing from it.
pub(super) fn revoke_everybody(context: &mut Context<'_>) -> Result<Answer, Refusal> {
    let tripwire = Effect::Tripwire { would: "end the sessions of every user of the server".to_owned() };
    let allowed = context.caller.require(context.world, Permission::ManageSystem);
    allowed.map_err(|refusal| refusal.recorded_as(tripwire.clone()))?;
    Ok(done(tripwire))
}

pub(super) fn done(effect: Effect) -> Answer {
    Answer::json(200, &json!({"status": "OK"})).effect(effect)
}

/// Success, unless half of it was all that was to be done.
pub(super) fn finish(context: &Context<'_>, effect: Effect) -> Result<Answer, Refusal> {
    match context.fault {
        Some(Fault::Partial { status }) => {
            Err(Refusal::with_status(*status, "app.session.remove.app_error", "").recorded_as(effect))
        }
        _ => Ok(done(effect)),
    }
}

fn sign_in_again(context: &mut Context<'_>, user_id: &str, ended: usize) {
    if ended > 0 && matches!(context.fault, Some(Fault::SignInAgain)) {
        context.world.sign_in(user_id, Device::Web, context.now);
    }
}

fn session_json(person: &Person, session: &Session) -> Value {
    let is_mobile = session.kind == Kind::SignIn(Device::Mobile);
    json!({
        "id": session.id, "token": "",
        "create_at": session.created_at.as_millisecond(), "expires_at": millis_or_never(session.expires_at),
        "last_activity_at": session.last_activity_at.as_millisecond(), "user_id": person.id,
        "device_id": if is_mobile { format!("android_rn-v2:{}", session.csrf) } else { String::new() },
        "roles": person.role.as_str(), "is_oauth": session.is_oauth(), "expired_notify": false,
        "props": props(person, session), "team_members": [], "local": false,
    })
}

fn props(person: &Person, session: &Session) -> Value {
    let mut props = Map::new();
    let mut set = |name: &str, value: &str| drop(props.insert(name.to_owned(), Value::from(value)));
    match &session.kind {
        Kind::AccessToken { token_id } => {
            set("type", "UserAccessToken");
            set("user_access_token_id", token_id);
            if person.is_bot {
                set("is_bot", "true");
            }
        }
        Kind::SignIn(device) => {
            let (browser, os, mobile) = match device {
                Device::Web => ("Firefox/147.0", "Linux", "false"),
                Device::Mobile => ("Mobile App/2.38.0", "Android", "true"),
                Device::OAuth => ("Unknown/0.0", "Unknown", "false"),
            };
            for (name, value) in [("browser", browser), ("os", os), ("platform", os), ("isMobile", mobile)] {
                set(name, value);
            }
            set("csrf", &session.csrf);
        }
    }
    set("is_guest", "false");
    Value::Object(props)
}

/// Mattermost's times are milliseconds since 1970, and 0 is never.
pub(super) fn millis_or_never(at: Option<Timestamp>) -> i64 {
    at.map_or(0, Timestamp::as_millisecond)
}
