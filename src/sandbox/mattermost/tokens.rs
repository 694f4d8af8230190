//! Personal access tokens, which outlive every session.

use serde_json::{Value, json};

use super::super::answer::Answer;
use super::super::ledger::Effect;
use super::body;
use super::exchange::Context;
use super::person::Permission;
use super::refusal::Refusal;
use super::sessions::{done, finish, millis_or_never};
use super::world::AccessToken;

/// Tokens on a page by default, and at most (server/channels/web/params.go).
const DEFAULT_PER_PAGE: usize = 60;
const MOST_PER_PAGE: usize = 200;

/// `GET /users/{user_id}/tokens`: without their values.
pub(super) fn list(context: &mut Context<'_>, user: &str) -> Result<Answer, Refusal> {
    let user_id = context.user_id(user)?;
    context.caller.require(context.world, Permission::ReadUserAccessToken)?;
    context.caller.reaches_or_manages_bot(context.world, &user_id)?;
    let per_page = number(context, "per_page").unwrap_or(DEFAULT_PER_PAGE).min(MOST_PER_PAGE);
    let skipped = number(context, "page").unwrap_or(0).saturating_mul(per_page);
    let ids = context.world.user(&user_id).map(|user| user.token_ids.as_slice()).unwrap_or_default();
    let page = ids.iter().skip(skipped).take(per_page);
    let tokens: Value = page.filter_map(|id| context.world.token(id)).map(token_json).collect();
    Ok(Answer::json(200, &tokens))
}

/// `POST /users/tokens/revoke`
pub(super) fn revoke(context: &mut Context<'_>) -> Result<Answer, Refusal> {
    let token = named(context)?;
    if context.pretends() {
        return Ok(done(Effect::Pretended { user_id: token.user_id }));
    }
    context.world.end_token(&token.id, context.now);
    finish(context, Effect::AccessTokenRevoked { user_id: token.user_id, token_id: token.id })
}

/// `POST /users/tokens/disable`: the token stays, and stays listed.
pub(super) fn disable(context: &mut Context<'_>) -> Result<Answer, Refusal> {
    let token = named(context)?;
    if context.pretends() {
        return Ok(done(Effect::Pretended { user_id: token.user_id }));
    }
    context.world.end_token_session(&token.id, context.now);
    if let Some(token) = context.world.token_mut(&token.id) {
        token.is_active = false;
    }
    finish(context, Effect::AccessTokenRevoked { user_id: token.user_id, token_id: token.id })
}

/// The token that the body names. Is it named, may they, is there such a token, do they reach its owner: in this order.
fn named(context: &Context<'_>) -> Result<AccessToken, Refusal> {
    let id = body::required(context.call, context.operation, "token_id")?;
    context.caller.require(context.world, Permission::RevokeUserAccessToken)?;
    let missing = || Refusal::api("app.user_access_token.get_by_user.app_error");
    let token = context.world.token(&id).ok_or_else(missing)?;
    context.caller.reaches_or_manages_bot(context.world, &token.user_id)?;
    Ok(token.clone())
}

/// A number that counts for nothing when it is none. `per_page=0` is none either (not verified).
fn number(context: &Context<'_>, name: &str) -> Option<usize> {
    let number = context.parameters.get(name)?.parse().ok()?;
    (number > 0).then_some(number)
}

fn token_json(token: &AccessToken) -> Value {
    json!({
        "id": token.id, "user_id": token.user_id, "description": "", "is_active": token.is_active,
        "expires_at": millis_or_never(token.expires_at),
    })
}
