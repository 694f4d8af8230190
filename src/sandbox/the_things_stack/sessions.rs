//! Listing a user's sessions and ending one. There is no call that ends all.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::answer::Answer;
use super::super::faults::Fault;
use super::super::ledger::Effect;
use super::exchange::Context;
use super::refusal::Refusal;
use super::right::Right;
use super::world::{Session, micros};

/// Longer session ids are refused before the database sees them (`user.proto`).
const LONGEST_ID: usize = 64;

/// `GET /users/{user_id}/sessions`. Expired sessions are listed, too, and the e-mail parameter is ignored.
pub(super) fn list(context: &mut Context<'_>, user_id: &str) -> Result<Answer, Refusal> {
    let order = context.query.order(&["created_at"])?;
    let page = context.query.page(context.world.default_limit)?;
    context.caller()?.require(context.world, user_id, Right::UserAll)?;
    let user = context.world.user(user_id).ok_or_else(|| unknown_user(user_id))?;
    let lagging = user.last_ended.as_ref().filter(|_| matches!(context.fault, Some(Fault::StaleList)));
    let mut rows: Vec<(&str, Session)> = user.sessions.iter().map(|(id, session)| (id.as_str(), *session)).collect();
    rows.extend(lagging.map(|(id, session)| (id.as_str(), *session)));
    rows.sort_unstable_by_key(|(id, session)| {
        ((order.field == "created_at").then_some(session.created_at), (*id).to_owned())
    });
    if order.descending {
        rows.reverse();
    }
    let shown: Vec<Value> =
        rows.iter().skip(page.skip).take(page.take).map(|(id, session)| session_json(user_id, id, *session)).collect();
    Ok(listing("sessions", shown, rows.len()))
}

/// `DELETE /users/{user_id}/sessions/{session_id}`. The user and the session are looked up together; the e-mail
/// parameter is ignored.
pub(super) fn delete(context: &mut Context<'_>, user_id: &str, session_id: &str) -> Result<Answer, Refusal> {
    if session_id.chars().count() > LONGEST_ID {
        return Err(Refusal::validation("session_id", "value length must be at most 64 runes"));
    }
    context.caller()?.require(context.world, user_id, Right::UserAll)?;
    // PostgreSQL fails to read anything else as a UUID, and takes capitals and forms without hyphens.
    let is_urn = session_id.starts_with("urn:");
    let parsed = Uuid::parse_str(session_id).ok().filter(|_| !is_urn);
    let id = parsed.ok_or_else(|| Refusal::named("driver", json!({})))?.to_string();
    let user = context.world.user_mut(user_id).ok_or_else(|| unknown_user(user_id))?;
    let session = *user.sessions.get(&id).ok_or_else(|| unknown_session(user_id, session_id))?;
    let answer = Answer::json(200, &json!({}));
    let user_id = user_id.to_owned();
    if matches!(context.fault, Some(Fault::LyingSuccess)) {
        return Ok(answer.effect(Effect::Pretended { user_id }));
    }
    user.sessions.remove(&id);
    user.last_ended = Some((id.clone(), session));
    Ok(aftermath(context, answer, &user_id).effect(Effect::SessionRevoked { user_id, session_id: id }))
}

/// What a fault makes of a call that was carried out. The larger half of one session is that session.
fn aftermath(context: &mut Context<'_>, answer: Answer, user_id: &str) -> Answer {
    match context.fault {
        Some(Fault::SignInAgain) => {
            context.world.open_session(user_id, context.now, None);
            answer
        }
        Some(Fault::Partial { status }) => Refusal::of_code("internal").into_answer_with(*status),
        _ => answer,
    }
}

/// A page, with the total over all pages. An empty list is left out like every default value.
pub(super) fn listing(name: &str, rows: Vec<Value>, total: usize) -> Answer {
    let mut body = Map::new();
    if !rows.is_empty() {
        body.insert(name.to_owned(), Value::Array(rows));
    }
    Answer::json(200, &Value::Object(body)).header("x-total-count", &total.to_string())
}

fn session_json(user_id: &str, id: &str, session: Session) -> Value {
    let created = micros(session.created_at);
    let mut body = json!({
        "user_ids": {"user_id": user_id}, "session_id": id, "created_at": created, "updated_at": created,
    });
    if let Some(end) = session.expires_at {
        body["expires_at"] = json!(micros(end));
    }
    body
}

fn unknown_user(user_id: &str) -> Refusal {
    Refusal::named("user_not_found", json!({"user_id": user_id}))
}

fn unknown_session(user_id: &str, session_id: &str) -> Refusal {
    Refusal::named("user_session_not_found", json!({"user_id": user_id, "session_id": session_id}))
}
