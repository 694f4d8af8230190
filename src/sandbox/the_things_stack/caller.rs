//! Who is calling, with which rights. Sources: `entity_access.go`, `rights.go` and `pkg/auth/rights/require.go`.

use axum::http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::credential::{self, ACCESS_TOKEN, API_KEY, Credential, Holder, Token};
use super::person::{Person, State};
use super::refusal::Refusal;
use super::right::{self, Right, Rights};
use super::world::{ClientState, World, micros};

/// Somebody, or nobody.
#[derive(Debug, Default)]
pub(super) struct Caller {
    /// The user whose credential it is.
    pub(super) user_id: Option<String>,
    /// On the user's own account.
    own: Rights,
    /// On everybody's account.
    universal: Rights,
    pub(super) is_admin: bool,
    /// `X-Warning`, when the account is not in order.
    pub(super) warning: Option<&'static str>,
    /// What `auth_info` says of the credential: the name of the access method and its contents.
    access: Option<(&'static str, Value)>,
}

/// Checks the credential of a call. Nobody is not an error.
pub(super) fn authenticate(world: &World, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Refusal> {
    let Some(token) = credential::shown(headers)? else { return Ok(Caller::default()) };
    let unknown =
        || Refusal::unknown_credential(if token.kind == API_KEY { "api_key_not_found" } else { "token_not_found" });
    let known = world.credentials.get(token.id).filter(|known| kind_of(&known.holder) == token.kind);
    let known = known.filter(|known| is_held(world, &known.holder)).ok_or_else(unknown)?;
    if known.secret != token.secret {
        return Err(Refusal::named("invalid_authorization", json!({})));
    }
    check_lifetime(world, known, token, now)?;
    check_client(world, &known.holder)?;
    Ok(caller(world, known, token))
}

fn kind_of(holder: &Holder) -> &'static str {
    match holder {
        Holder::User(_) | Holder::Entity(_) => API_KEY,
        Holder::Client { .. } => ACCESS_TOKEN,
        Holder::Session { .. } => credential::SESSION_TOKEN,
    }
}

/// A credential dies with its user, and a session token with its session; an access token outlives the session it was
/// made in.
fn is_held(world: &World, holder: &Holder) -> bool {
    match holder {
        Holder::Entity(_) => true,
        Holder::User(user_id) | Holder::Client { user_id, .. } => world.user(user_id).is_some(),
        Holder::Session { user_id, session_id } => {
            world.user(user_id).is_some_and(|user| user.sessions.contains_key(session_id))
        }
    }
}

fn check_lifetime(world: &World, known: &Credential, token: Token<'_>, now: Timestamp) -> Result<(), Refusal> {
    let of_session = match &known.holder {
        Holder::Session { user_id, session_id } => {
            world.user(user_id).and_then(|user| user.sessions.get(session_id)).and_then(|session| session.expires_at)
        }
        _ => None,
    };
    match known.expires_at.or(of_session).is_some_and(|end| end < now) {
        true if token.kind == API_KEY => Err(Refusal::named("api_key_expired", json!({}))),
        true => Err(Refusal::named("token_expired", json!({}))),
        false => Ok(()),
    }
}

fn check_client(world: &World, holder: &Holder) -> Result<(), Refusal> {
    let Holder::Client { client_id, .. } = holder else { return Ok(()) };
    match world.clients.get(client_id) {
        None => Ok(()),
        Some(ClientState::Rejected) => Err(Refusal::named("oauth_client_rejected", json!({}))),
        Some(ClientState::Suspended) => Err(Refusal::named("oauth_client_suspended", json!({}))),
    }
}

fn caller(world: &World, known: &Credential, token: Token<'_>) -> Caller {
    let granted: Rights = right::implied(&known.rights).difference(&known.denied).copied().collect();
    let person = known.holder.user_id().and_then(|id| world.user(id)).map(|user| &user.person);
    let is_admin = person.is_some_and(|person| person.admin && person.state == State::Approved);
    let universal = if is_admin { right::of_admins(world.admin_rights_all) } else { Rights::new() };
    let universal = universal.intersection(&granted).copied().collect();
    let restriction = person.and_then(|person| restriction(world, person));
    let (left, warning) = restriction.map_or((None, None), |(left, warning)| (Some(left), Some(warning)));
    let own = kept(granted, left);
    Caller {
        user_id: known.holder.user_id().map(str::to_owned),
        access: Some(access(world, known, token, &own)),
        own,
        universal: kept(universal, left),
        is_admin,
        warning,
    }
}

fn kept(rights: Rights, left: Option<&[Right]>) -> Rights {
    rights.into_iter().filter(|right| left.is_none_or(|left| left.contains(right))).collect()
}

/// What is left to an account that is not in order.
fn restriction(world: &World, person: &Person) -> Option<(&'static [Right], &'static str)> {
    const PENDING: &[Right] = &[Right::UserInfo, Right::UserSettingsBasic, Right::UserDelete];
    match person.state {
        State::Requested => Some((PENDING, "Restricted rights while account pending")),
        State::Rejected => Some((&[Right::UserInfo, Right::UserDelete], "Restricted rights after account rejection")),
        State::Suspended => Some((&[Right::UserInfo], "Restricted rights after account suspension")),
        State::Approved | State::Flagged if world.email_validation_required && !person.email_validated => {
            Some((PENDING, "Restricted rights until email address validated"))
        }
        State::Approved | State::Flagged => None,
    }
}

fn access(world: &World, known: &Credential, token: Token<'_>, rights: &Rights) -> (&'static str, Value) {
    let listed = listed(world, rights);
    let mut body = match &known.holder {
        Holder::User(_) | Holder::Entity(_) => json!({"id": token.id, "rights": listed}),
        Holder::Client { user_id, client_id } => json!({
            "user_ids": {"user_id": user_id}, "client_ids": {"client_id": client_id}, "id": token.id,
            "rights": listed, "created_at": micros(known.created_at),
        }),
        Holder::Session { user_id, session_id } => {
            json!({"user_ids": {"user_id": user_id}, "session_id": session_id, "created_at": micros(known.created_at)})
        }
    };
    if let Some(end) = known.expires_at {
        body["expires_at"] = json!(micros(end));
    }
    match known.holder {
        Holder::Client { .. } => ("oauth_access_token", body),
        Holder::Session { .. } => ("user_session", body),
        _ => ("api_key", json!({"api_key": body, "entity_ids": known.holder.entity_ids()})),
    }
}

fn listed(world: &World, rights: &Rights) -> Value {
    let one = |right: &Right| if world.enums_as_numbers { json!(right.number()) } else { json!(right.as_str()) };
    rights.iter().map(one).collect()
}

impl Caller {
    /// The body of `auth_info`: `{}` for nobody, and default values left out.
    pub(super) fn auth_info(&self, world: &World) -> Value {
        let mut body = Map::new();
        body.extend(self.access.as_ref().map(|(name, access)| ((*name).to_owned(), access.clone())));
        if !self.universal.is_empty() {
            body.insert("universal_rights".to_owned(), json!({"rights": listed(world, &self.universal)}));
        }
        if self.is_admin {
            body.insert("is_admin".to_owned(), json!(true));
        }
        Value::Object(body)
    }

    /// Whether no credential was shown.
    pub(super) fn is_nobody(&self) -> bool {
        self.access.is_none()
    }

    /// Whether the caller has `needed` on this user. Only admins learn that there is no such user.
    pub(super) fn require(&self, world: &World, user_id: &str, needed: Right) -> Result<(), Refusal> {
        if world.user(user_id).is_none() {
            return Err(match self.is_admin {
                true => Refusal::named("user_not_found", json!({"user_id": user_id})),
                false => Refusal::named("no_user_rights", json!({"uid": user_id})),
            });
        }
        let own = self.user_id.as_deref() == Some(user_id);
        let rights: Rights =
            if own { self.own.union(&self.universal).copied().collect() } else { self.universal.clone() };
        match rights.contains(&needed) {
            true => Ok(()),
            false if rights.is_empty() => Err(Refusal::named("no_user_rights", json!({"uid": user_id}))),
            false => {
                let attributes = json!({"uid": user_id, "missing": [needed.as_str()]});
                Err(Refusal::named("insufficient_user_rights", attributes))
            }
        }
    }
}
