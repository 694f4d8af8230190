//! Finding a user, by each of the names that one has.

use axum::http::header::IF_NONE_MATCH;
use serde_json::{Value, json};

use super::super::answer::Answer;
use super::super::ledger::Effect;
use super::exchange::Context;
use super::person::Permission;
use super::refusal::{BODY_PARAM, MISSING_ACCOUNT, Refusal, URL_PARAM};
use super::sessions::{done, millis_or_never};
use super::world::User;

const UNKNOWN_USERNAME: &str = "app.user.get_by_username.app_error";

/// Longest user name (model.UserNameMaxLength).
const LONGEST_USERNAME: usize = 64;

/// Names that nobody can have (model.IsValidUsername).
const RESERVED: [&str; 4] = ["all", "channel", "matterbot", "system"];

/// `GET /users/{user_id}`, also with `me`.
pub(super) fn read(context: &mut Context<'_>, name: &str) -> Result<Answer, Refusal> {
    let user_id = context.user_id(name)?;
    check_view(context, &user_id)?;
    let user = context.world.user(&user_id).ok_or_else(|| Refusal::api(MISSING_ACCOUNT))?;
    Ok(user_answer(context, user))
}

/// `GET /users/email/{email}`: in lower case it is looked at, and only then judged.
pub(super) fn read_by_email(context: &mut Context<'_>, email: &str) -> Result<Answer, Refusal> {
    let email = email.to_lowercase();
    if !is_email(&email) {
        return Err(Refusal::api(URL_PARAM));
    }
    if !sees_emails(context) {
        return Err(Refusal::api("api.user.get_user_by_email.permissions.app_error"));
    }
    let user = found(context, &email, |user| user.person.email == email, MISSING_ACCOUNT)?;
    Ok(user_answer(context, user))
}

/// `GET /users/username/{username}`: a name in upper case is no name, and the error speaks of the body.
pub(super) fn read_by_username(context: &mut Context<'_>, username: &str) -> Result<Answer, Refusal> {
    let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._-".contains(letter);
    let valid = username.len() <= LONGEST_USERNAME && username.chars().all(letters);
    if !valid || RESERVED.contains(&username) {
        return Err(Refusal::api(BODY_PARAM));
    }
    // Not the id that the other two answer with: it is that of a broken query, under a status of 404
    // (App.GetUserByUsername in server/channels/app/user.go).
    let user = found(context, username, |user| user.person.username == username, UNKNOWN_USERNAME)?;
    Ok(user_answer(context, user))
}

/// `DELETE /users/{user_id}`: what becomes of a path when its end is missing and its method wrong.
pub(super) fn deactivate(context: &mut Context<'_>, name: &str) -> Result<Answer, Refusal> {
    let user_id = context.user_id(name)?;
    let tripwire = Effect::Tripwire { would: format!("deactivate the account {user_id}") };
    let allowed = context.caller.reaches(context.world, &user_id);
    allowed.map_err(|refusal| refusal.recorded_as(tripwire.clone()))?;
    Ok(done(tripwire))
}

/// By a name, unless the index that is asked has not heard of the user. Who may not see somebody is not told that
/// there is nobody either.
fn found<'world>(
    context: &'world Context<'_>,
    name: &str,
    is_this: impl Fn(&User) -> bool,
    missing: &str,
) -> Result<&'world User, Refusal> {
    let hidden = context.faults.draw_hidden(context.operation);
    let is_hidden = |id: &str| hidden.iter().any(|whom| whom.as_deref().is_none_or(|whom| whom == id));
    let user = context.world.user_named(name).filter(|user| is_this(user) && !is_hidden(&user.person.id));
    check_view(context, user.map_or("", |user| &user.person.id))?;
    user.ok_or_else(|| Refusal::api(missing))
}

fn check_view(context: &Context<'_>, user_id: &str) -> Result<(), Refusal> {
    match context.caller.user_id == user_id {
        true => Ok(()),
        false => context.caller.require(context.world, Permission::ViewMembers),
    }
}

fn sees_emails(context: &Context<'_>) -> bool {
    context.world.settings.show_emails || context.caller.may(context.world, Permission::ManageSystem)
}

/// Near enough to Go's `mail.ParseAddress` for what clients get wrong.
fn is_email(text: &str) -> bool {
    let strange = |letter: char| letter.is_whitespace() || letter.is_control() || "<>(),;:\\\"[]/".contains(letter);
    match text.split_once('@') {
        Some((local, domain)) => {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !text.contains(strange)
        }
        None => false,
    }
}

/// 200, or 304 for who has it already.
fn user_answer(context: &Context<'_>, user: &User) -> Answer {
    let etag = format!("11.2.0.{}.{}", user.person.id, user.updated_at.as_millisecond());
    let held = context.call.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if held == Some(etag.as_str()) {
        return Answer::empty(304).header("etag", &etag);
    }
    let shows_email = sees_emails(context) || context.caller.user_id == user.person.id;
    Answer::json(200, &user_json(user, shows_email)).header("etag", &etag)
}

pub(super) fn user_json(user: &User, shows_email: bool) -> Value {
    let person = &user.person;
    let mut body = json!({
        "id": person.id, "create_at": user.created_at.as_millisecond(), "update_at": user.updated_at.as_millisecond(),
        "delete_at": millis_or_never(user.deleted_at), "username": person.username,
        "auth_data": "", "auth_service": person.auth_service,
        "email": if shows_email { person.email.as_str() } else { "" },
        "nickname": "", "first_name": "", "last_name": "", "position": "",
        "roles": person.role.as_str(), "locale": "en", "mfa_active": person.mfa_active,
        "disable_welcome_email": false,
    });
    // Absent, not false, for a person.
    if person.is_bot {
        body["is_bot"] = json!(true);
        body["bot_description"] = json!("");
    }
    body
}
