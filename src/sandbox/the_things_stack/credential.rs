//! Bearer tokens, `<kind>.<id>.<secret>`, and what the server keeps of each.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::right::{Right, Rights};
use crate::sandbox::ids;

/// `NNSXS`: base32 of `key`.
pub(super) const API_KEY: &str = "NNSXS";
/// `MFRWG`: base32 of `acc`.
pub(super) const ACCESS_TOKEN: &str = "MFRWG";
/// `ONSXG`: base32 of `ses`.
pub(super) const SESSION_TOKEN: &str = "ONSXG";
/// Refresh tokens and authorization codes: well-formed, and good for no call.
const UNSUPPORTED: [&str; 2] = ["OJSWM", "MF2XI"];

/// A token that the server knows, by the id in its middle.
#[derive(Debug)]
pub(super) struct Credential {
    pub(super) secret: String,
    pub(super) holder: Holder,
    /// Of an API key or access token; a session's are all rights.
    pub(super) rights: Rights,
    /// Taken away again by a test, also from what other rights imply.
    pub(super) denied: Rights,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
}

/// For whom a credential speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    User(String),
    Entity(Entity),
    Client { user_id: String, client_id: String },
    Session { user_id: String, session_id: String },
}

/// What else than a user can own an API key. Such keys have no right on any user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entity {
    /// An application, by its id.
    Application(String),
    /// An organization, by its id.
    Organization(String),
}

impl Credential {
    pub(super) fn new(secret: &str, holder: Holder, now: Timestamp) -> Self {
        let (rights, denied) = (Rights::from([Right::All]), Rights::new());
        Self { secret: secret.to_owned(), holder, rights, denied, created_at: now, expires_at: None }
    }
}

impl Holder {
    /// The user behind it.
    pub(super) fn user_id(&self) -> Option<&str> {
        match self {
            Self::User(user_id) | Self::Client { user_id, .. } | Self::Session { user_id, .. } => Some(user_id),
            Self::Entity(_) => None,
        }
    }

    /// `EntityIdentifiers` of the owner of an API key.
    pub(super) fn entity_ids(&self) -> Value {
        match self {
            Self::Entity(Entity::Application(id)) => json!({"application_ids": {"application_id": id}}),
            Self::Entity(Entity::Organization(id)) => json!({"organization_ids": {"organization_id": id}}),
            Self::User(id) | Self::Client { user_id: id, .. } | Self::Session { user_id: id, .. } => {
                json!({"user_ids": {"user_id": id}})
            }
        }
    }
}

/// A token as it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'header> {
    pub(super) kind: &'header str,
    pub(super) id: &'header str,
    pub(super) secret: &'header str,
}

impl<'header> Token<'header> {
    /// `None` for anything but three parts of a known kind.
    pub(super) fn parse(text: &'header str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let [kind, id, secret] = parts.as_slice() else { return None };
        let is_known = [API_KEY, ACCESS_TOKEN, SESSION_TOKEN].contains(kind) || UNSUPPORTED.contains(kind);
        is_known.then_some(Self { kind, id, secret })
    }
}

/// The token of a call. Without a header, or with a login of one word only, the caller is simply nobody
/// (`rpcmetadata`). Two headers are refused; what the real server makes of them was not verified.
pub(super) fn shown(headers: &HeaderMap) -> Result<Option<Token<'_>>, Refusal> {
    let unsupported = || Refusal::named("unsupported_authorization", json!({}));
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(first), None) = (values.next(), values.next()) else {
        return if headers.contains_key(AUTHORIZATION) { Err(unsupported()) } else { Ok(None) };
    };
    let Some((scheme, text)) = first.to_str().unwrap_or_default().split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unsupported());
    }
    match Token::parse(text) {
        Some(token) if UNSUPPORTED.contains(&token.kind) => Err(unsupported()),
        // 400, although everything else about credentials is 401 or 403.
        token => token.map(Some).ok_or_else(|| Refusal::named("token", json!({}))),
    }
}

/// A fresh token of this kind. Real ones are base32 of 24 and 32 bytes, and so as long as these.
pub(super) fn fresh(kind: &str, id: Option<&str>) -> String {
    let id = id.map_or_else(|| ids::random("", 39).to_uppercase(), str::to_owned);
    format!("{kind}.{id}.{}", ids::random("", 52).to_uppercase())
}
