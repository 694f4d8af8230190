//! The token endpoint of the org authorization server: client credentials with `private_key_jwt`, and nothing else.
//!
//! Source: Okta guide "Implement OAuth for Okta with a service app". Errors are in OAuth's shape (RFC 6749, 5.2).

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::answer::Answer;
use super::super::exchange::Incoming;
use super::super::ledger::Effect;
use super::super::parameters::Parameters;
use super::assertion::{self, Algorithm};
use super::refusal::Refusal;
use super::world::{AccessToken, World};
use crate::sandbox::ids;

/// Access tokens for Okta's API live one hour, always.
const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(1);

const FIELDS: [&str; 4] = ["grant_type", "scope", "client_assertion_type", "client_assertion"];
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A service app, as an administrator registers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Client id, `0oa…`.
    pub client_id: String,
    /// The `kid` of its key.
    pub key_id: String,
    /// The public key, PEM (`BEGIN PUBLIC KEY`).
    pub public_key_pem: String,
    /// The only algorithm accepted with this key.
    pub algorithm: Algorithm,
    /// Scopes that a super admin granted.
    pub granted_scopes: Vec<String>,
    /// Whether tokens are only issued with a proof of possession, which the stand-in cannot check and so refuses.
    pub requires_dpop: bool,
    /// Whether an admin role is assigned; scopes without one are worth nothing.
    pub has_admin_role: bool,
}

impl App {
    /// An app with all four scopes, an admin role and a fresh ES256 key; and that key, PEM (PKCS #8).
    #[must_use]
    pub fn with_fresh_key(client_id: &str) -> (Self, String) {
        let key = assertion::FreshKey::generate();
        let scopes = ["okta.users.read", "okta.users.manage", "okta.sessions.read", "okta.sessions.manage"];
        let app = Self {
            client_id: client_id.to_owned(),
            key_id: ids::random("", 16),
            public_key_pem: key.public_pem,
            algorithm: Algorithm::Es256,
            granted_scopes: scopes.map(str::to_owned).to_vec(),
            requires_dpop: false,
            has_admin_role: true,
        };
        (app, key.private_pem)
    }
}

/// `POST /oauth2/v1/token`.
pub(super) fn issue(world: &mut World, call: &Incoming, url: &str, now: Timestamp) -> Result<Answer, Refusal> {
    let form = form(call)?;
    let client = assertion::Expected { audience: format!("{url}/oauth2/v1/token"), now };
    let app = client.verify(world, required(&form, "client_assertion")?).map_err(invalid_client)?;
    if app.requires_dpop {
        return Err(invalid_dpop_proof(call));
    }
    let scopes = granted(&app, required(&form, "scope")?)?;
    Ok(issued(world, &app.client_id, scopes, now))
}

/// The body's fields. A query string is refused, although the Go SDK sends one: the guide puts them in the body.
fn form(call: &Incoming) -> Result<Parameters, Refusal> {
    if !call.query.is_empty() {
        return Err(invalid_request("parameters belong in the body"));
    }
    if call.headers.contains_key(AUTHORIZATION) {
        return Err(invalid_client("private_key_jwt is the only method of client authentication".to_owned()));
    }
    let text = std::str::from_utf8(&call.body).map_err(|_| invalid_request("the body is not UTF-8"))?;
    if !has_form_type(call) {
        return Err(invalid_request("the content type must be application/x-www-form-urlencoded"));
    }
    if text.split('&').any(|pair| pair.starts_with("client_secret=")) {
        return Err(invalid_client("private_key_jwt is the only method of client authentication".to_owned()));
    }
    let form = Parameters::parse(text, &FIELDS).map_err(invalid_request)?;
    check_types(form)
}

fn check_types(form: Parameters) -> Result<Parameters, Refusal> {
    if required(&form, "grant_type")? != "client_credentials" {
        return Err(Refusal::oauth(400, "unsupported_grant_type", "only client_credentials is supported"));
    }
    if required(&form, "client_assertion_type")? != ASSERTION_TYPE {
        return Err(invalid_request("client_assertion_type is not jwt-bearer"));
    }
    Ok(form)
}

fn has_form_type(call: &Incoming) -> bool {
    let value = call.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|media| media.trim() == "application/x-www-form-urlencoded")
}

fn required<'form>(form: &'form Parameters, name: &str) -> Result<&'form str, Refusal> {
    form.get(name).ok_or_else(|| invalid_request(format!("{name} is missing")))
}

fn granted(app: &App, scope: &str) -> Result<Vec<String>, Refusal> {
    let scopes: Vec<String> = scope.split(' ').filter(|one| !one.is_empty()).map(str::to_owned).collect();
    match scopes.iter().find(|one| !app.granted_scopes.contains(one)) {
        Some(stranger) => Err(Refusal::oauth(400, "invalid_scope", format!("{stranger} is not granted to the app"))),
        None if scopes.is_empty() => Err(Refusal::oauth(400, "invalid_scope", "no scope is asked for")),
        None => Ok(scopes),
    }
}

fn issued(world: &mut World, client_id: &str, scopes: Vec<String>, now: Timestamp) -> Answer {
    let token = format!("eyJ{}", ids::random("", 120));
    let body = json!({
        "token_type": "Bearer", "expires_in": TOKEN_LIFETIME.as_secs(),
        "access_token": token, "scope": scopes.join(" "),
    });
    let client_id = client_id.to_owned();
    let granted = AccessToken { client_id: client_id.clone(), scopes, expires_at: now + TOKEN_LIFETIME };
    world.access_tokens.insert(token, granted);
    Answer::json(200, &body).header("cache-control", "no-cache, no-store").effect(Effect::TokenIssued { client_id })
}

fn invalid_dpop_proof(call: &Incoming) -> Refusal {
    let reason = match call.headers.contains_key("dpop") {
        true => "the stand-in cannot check DPoP proofs",
        false => "The DPoP proof JWT header is missing.",
    };
    Refusal::oauth(400, "invalid_dpop_proof", reason)
}

fn invalid_request(description: impl Into<String>) -> Refusal {
    Refusal::oauth(400, "invalid_request", description)
}

fn invalid_client(description: String) -> Refusal {
    Refusal::oauth(401, "invalid_client", description)
}
