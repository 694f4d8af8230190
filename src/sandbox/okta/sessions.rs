//! Ending and reading sessions, and ending what apps hold for a user.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::answer::Answer;
use super::super::ledger::Effect;
use super::exchange::Context;
use super::refusal::Refusal;
use super::world::{GrantKind, Session, User};

/// `DELETE /api/v1/users/{userId}/sessions`. Ends nothing for a login: the path takes an id, or `me`.
pub(super) fn revoke_all(context: &mut Context<'_>, user_id: &str) -> Result<Answer, Refusal> {
    let default_forget = !context.world.classic_engine;
    let oauth_tokens = context.boolean("oauthTokens", false)?;
    let forget_devices = context.boolean("forgetDevices", default_forget)?;
    let (now, pretend) = (context.now, context.pretend);
    let user = user_mut(context, user_id)?;
    let user_id = user.person.id.clone();
    if pretend {
        return Ok(Answer::done(Effect::Pretended { user_id }));
    }
    let tokens = if oauth_tokens { user.end_grants(|_| true) } else { 0 };
    let devices = if forget_devices { std::mem::take(&mut user.devices) } else { 0 };
    let sessions = context.world.end_sessions(&user_id, now);
    Ok(Answer::done(Effect::UserRevoked { user_id, sessions, tokens, devices }))
}

/// `DELETE /api/v1/sessions/{sessionId}`.
pub(super) fn revoke_one(context: &mut Context<'_>, session_id: &str) -> Result<Answer, Refusal> {
    let user_id = session(context, session_id)?.0.person.id.clone();
    if context.pretend {
        return Ok(Answer::done(Effect::Pretended { user_id }));
    }
    context.world.end_session(session_id);
    Ok(Answer::done(Effect::SessionRevoked { user_id, session_id: session_id.to_owned() }))
}

/// `GET /api/v1/sessions/{sessionId}`.
pub(super) fn read_one(context: &Context<'_>, session_id: &str) -> Result<Answer, Refusal> {
    let (user, held) = session(context, session_id)?;
    Ok(Answer::json(200, &session_json(context.url, session_id, user, held)))
}

/// `GET /api/v1/users/{userId}/clients`: the clients with tokens for this user.
pub(super) fn list_clients(context: &mut Context<'_>, user_id: &str) -> Result<Answer, Refusal> {
    let base = format!("{}/api/v1/users/{user_id}/clients", context.url);
    let user = user_mut(context, user_id)?;
    let mut ids: Vec<&str> = user.grants.iter().map(|grant| grant.client_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let clients: Value = ids.iter().map(|id| client_json(&base, id)).collect();
    Ok(Answer::json(200, &clients))
}

/// `DELETE /api/v1/users/{userId}/clients/{clientId}/tokens`: refresh tokens only.
pub(super) fn revoke_client(context: &mut Context<'_>, user_id: &str, client_id: &str) -> Result<Answer, Refusal> {
    let pretend = context.pretend;
    let user = user_mut(context, user_id)?;
    let user_id = user.person.id.clone();
    if !user.grants.iter().any(|grant| grant.client_id == client_id) {
        return Err(Refusal::not_found(client_id, "PublicClientApp"));
    }
    if pretend {
        return Ok(Answer::done(Effect::Pretended { user_id }));
    }
    let tokens = user.end_grants(|grant| grant.client_id == client_id && grant.kind == GrantKind::Refresh);
    Ok(Answer::done(Effect::ClientTokensRevoked { user_id, client_id: client_id.to_owned(), tokens }))
}

/// The user of a path that takes an id. `me` is the owner of the API token here too, which is the trap for a client
/// that puts untrusted text into this path.
fn user_mut<'world>(context: &'world mut Context<'_>, user_id: &str) -> Result<&'world mut User, Refusal> {
    let id = context.meant(user_id).to_owned();
    context.world.user_mut(&id).ok_or_else(|| Refusal::not_found(user_id, "User"))
}

fn session<'world>(context: &'world Context<'_>, id: &str) -> Result<(&'world User, Session), Refusal> {
    context.world.session(id, context.now).ok_or_else(|| Refusal::not_found(id, "Session"))
}

fn session_json(url: &str, id: &str, user: &User, session: Session) -> Value {
    let (created, expires) = (millis(session.created_at), millis(session.expires_at));
    json!({
        "id": id, "login": user.person.login, "userId": user.person.id, "status": "ACTIVE",
        "createdAt": created, "expiresAt": expires,
        "lastPasswordVerification": created, "lastFactorVerification": created,
        "amr": ["pwd"], "idp": {"id": "01a2bcdef3GHIJKLMNOP", "type": "OKTA"},
        "_links": {"self": {"href": format!("{url}/api/v1/sessions/{id}"), "hints": {"allow": ["GET", "DELETE"]}}},
    })
}

fn client_json(base: &str, id: &str) -> Value {
    json!({
        "client_id": id, "client_name": id, "client_uri": null, "logo_uri": null,
        "_links": {
            "grants": {"href": format!("{base}/{id}/grants")},
            "tokens": {"href": format!("{base}/{id}/tokens"), "hints": {"allow": ["GET", "DELETE"]}},
        },
    })
}

/// RFC 3339 with three digits of fraction, as Okta writes times.
pub(super) fn millis(at: Timestamp) -> String {
    format!("{at:.3}")
}
