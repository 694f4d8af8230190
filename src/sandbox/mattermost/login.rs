//! `POST /users/login`: a password for a session, whose token comes in a header.

use jiff::Timestamp;

use super::super::answer::Answer;
use super::super::exchange::Incoming;
use super::body;
use super::operation::Operation;
use super::person::Person;
use super::refusal::Refusal;
use super::session::Device;
use super::users;
use super::world::{User, World};

/// The code of everybody's second factor here.
const MFA_CODE: &str = "123456";

/// The user, and the session's token in the header `Token`.
pub(super) fn login(world: &mut World, call: &Incoming, now: Timestamp) -> Result<Answer, Refusal> {
    let members = body::members(call, Operation::Login)?;
    let member = |name: &str| members.get(name).map(String::as_str).unwrap_or_default();
    if member("password").is_empty() {
        return Err(Refusal::api("api.user.login.blank_pwd.app_error"));
    }
    let name = member("login_id").to_lowercase();
    let user = world.user_named(&name).or_else(|| world.user(&name));
    let user_id = check(user, member("password"), member("token"))?.id.clone();
    let device = if member("device_id").is_empty() { Device::Web } else { Device::Mobile };
    let session = world.sign_in(&user_id, device, now);
    let (Some(session), Some(user)) = (session, world.user(&user_id)) else { return Err(wrong()) };
    Ok(Answer::json(200, &users::user_json(user, true)).header("token", &session.token))
}

/// A stranger and a wrong password are not told apart.
fn check<'world>(user: Option<&'world User>, password: &str, code: &str) -> Result<&'world Person, Refusal> {
    let user = user.ok_or_else(wrong)?;
    let person = &user.person;
    if person.is_bot {
        return Err(Refusal::api("api.user.login.bot_login_forbidden.app_error"));
    }
    if !["", "email", "ldap"].contains(&person.auth_service.as_str()) {
        return Err(Refusal::api("api.user.login.use_auth_service.app_error"));
    }
    if !person.password.as_ref().is_some_and(|known| known.is(password)) {
        return Err(wrong());
    }
    if person.mfa_active && code != MFA_CODE {
        return Err(Refusal::api("mfa.validate_token.authenticate.app_error"));
    }
    match user.deleted_at {
        Some(_) => Err(Refusal::api("api.user.login.inactive.app_error")),
        None => Ok(person),
    }
}

fn wrong() -> Refusal {
    Refusal::api("api.user.login.invalid_credentials_email_username")
}
