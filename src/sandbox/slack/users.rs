//! Finding users: by address and by id. There is no method that takes a user name.

use serde_json::{Value, json};

use super::auth::Permission;
use super::exchange::{Context, Reply};
use super::operation::Operation;
use super::refusal::Refusal;
use super::world::User;

/// `users.lookupByEmail`. Its error is `users_not_found`, in the plural. Nobody who is deactivated is found (commonly
/// reported); upper and lower case are one.
pub(super) fn lookup(context: &Context<'_>) -> Result<Reply, Refusal> {
    let hidden = context.faults.draw_hidden(Operation::LookupByEmail);
    let user = context.world.user_with_email(context.arguments.required("email")?);
    let is_hidden = |user: &User| hidden.iter().any(|whom| whom.as_deref().is_none_or(|id| id == user.person.id));
    let found = user
        .filter(|user| !user.person.is_deleted && !user.person.is_bot && is_visible(context, user) && !is_hidden(user));
    found.map(|user| described(context, user)).ok_or_else(|| Refusal::code("users_not_found"))
}

/// `users.info`. Deactivated users are shown, and so are bots.
pub(super) fn info(context: &Context<'_>) -> Result<Reply, Refusal> {
    context.arguments.boolean("include_locale")?;
    let user = context.world.user(context.arguments.required("user")?).filter(|user| is_visible(context, user));
    user.map(|user| described(context, user)).ok_or_else(|| Refusal::code("user_not_found"))
}

/// A token of one workspace sees nobody outside it.
fn is_visible(context: &Context<'_>, user: &User) -> bool {
    context.team_of_token().is_none_or(|team| user.person.teams.iter().any(|one| one == team))
}

fn described(context: &Context<'_>, user: &User) -> Reply {
    let mut shown = user_json(user);
    // The address is a scope of its own.
    if context.token.as_ref().is_some_and(|token| token.has(Permission::UsersReadEmail)) && !user.person.is_bot {
        shown["profile"]["email"] = json!(user.person.email);
    }
    if !context.world.switches.withhold_workspaces {
        shown["enterprise_user"] = json!({
            "id": user.person.id, "enterprise_id": context.world.enterprise_id, "teams": user.person.teams,
        });
    }
    if context.arguments.boolean("include_locale").ok().flatten() == Some(true) {
        shown["locale"] = json!("en-US");
    }
    Reply::ok(json!({"user": shown}))
}

fn user_json(user: &User) -> Value {
    let person = &user.person;
    json!({
        "id": person.id, "team_id": person.teams.first(), "name": person.name, "real_name": person.real_name,
        "deleted": person.is_deleted, "is_bot": person.is_bot,
        "profile": {"real_name": person.real_name, "display_name": person.name},
    })
}
