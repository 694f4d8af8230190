//! `api.test` and `auth.test`: is Slack there, and whose token is this.

use serde_json::json;

use super::super::ledger::Effect;
use super::exchange::{Context, Reply};
use super::refusal::Refusal;

/// Says back what it was told, as an error if that was asked for.
pub(super) fn api_test(context: &Context<'_>) -> Result<Reply, Refusal> {
    let fields = json!({"args": context.arguments.all()});
    Ok(match context.arguments.text("error")? {
        None => Reply::ok(fields),
        Some(code) => Reply::failed(200, code, fields, Effect::None),
    })
}

/// Bots have a `bot_id`; tokens of a single workspace are no `is_enterprise_install`.
pub(super) fn auth_test(context: &Context<'_>) -> Result<Reply, Refusal> {
    let gone = || Refusal::code("account_inactive");
    let owner = context.world.user(context.caller()).ok_or_else(gone)?;
    let home = context.team_of_token().or(owner.person.teams.first().map(String::as_str));
    let team = context.world.teams.iter().find(|team| Some(team.id.as_str()) == home).ok_or_else(gone)?;
    let mut fields = json!({
        "url": format!("{}/", context.url), "team": team.name, "team_id": team.id,
        "user": owner.person.name, "user_id": owner.person.id,
        "enterprise_id": context.world.enterprise_id,
        "is_enterprise_install": context.team_of_token().is_none(),
    });
    if let Some(bot_id) = context.token.as_ref().and_then(|token| token.bot_id.as_ref()) {
        fields["bot_id"] = json!(bot_id);
    }
    Ok(Reply::ok(fields))
}
