//! Who we are at Okta: an API token, or a service app with short-lived access tokens.
//!
//! Always holds: one token request is in flight at a time, and everyone who waited for it gets its answer, good or bad.
//!
//! Scopes: all four are asked for. An app without the session scopes answers `invalid_scope` to that; then the two
//! that ending everything needs are asked for alone, and the others are known to be missing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use reqwest::{RequestBuilder, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::assertion::SigningKey;
use super::{Api, Operation, errors};
use crate::provider::http::Answer;
use crate::provider::{CallReport, ProviderError, hint};
use crate::settings::Secret;

/// What ending all sessions and finding people needs.
const ESSENTIAL: [&str; 2] = ["okta.users.manage", "okta.users.read"];

/// What ending given sessions needs besides.
const FOR_SESSIONS: [&str; 2] = ["okta.sessions.manage", "okta.sessions.read"];

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Okta's tokens live an hour; one that claims more is not believed.
const LONGEST_LIFE_SECONDS: i64 = 3600;

/// Clocks this far apart are worth a word when Okta refuses an assertion.
const NOTABLE_CLOCK_SECONDS: u64 = 60;

/// The credential.
#[derive(Debug)]
pub(super) enum Auth {
    /// `Authorization: SSWS <token>`.
    ApiToken(Secret),
    /// `Authorization: Bearer <access token>`.
    Oauth(Box<OauthClient>),
}

/// A service app, and the access token it holds.
pub(super) struct OauthClient {
    client_id: String,
    key_id: String,
    key: SigningKey,
    fetched: Mutex<Option<Result<AccessToken, ProviderError>>>,
    /// How many fetches have ended. One that ended while we waited was ours as well.
    fetches: AtomicU64,
}

impl std::fmt::Debug for OauthClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OauthClient").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// An access token and what it is good for.
#[derive(Debug, Clone)]
pub(super) struct AccessToken {
    pub(super) secret: Secret,
    renew_at: Timestamp,
    /// Scopes that were asked for and not granted.
    pub(super) missing: Vec<&'static str>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    token_type: String,
    #[serde(default)]
    expires_in: i64,
    scope: Option<String>,
}

impl AccessToken {
    /// Whether single sessions can be read and ended with it.
    pub(super) fn reaches_sessions(&self) -> bool {
        !self.missing.iter().any(|scope| FOR_SESSIONS.contains(scope))
    }
}

/// Adds a credential to a request, marked so that no library prints it.
pub(super) fn authorize(request: RequestBuilder, scheme: &str, secret: &Secret) -> RequestBuilder {
    match HeaderValue::try_from(format!("{scheme} {}", secret.expose())) {
        Ok(mut value) => {
            value.set_sensitive(true);
            request.header(AUTHORIZATION, value)
        }
        // Checked when the credential was read; without one, Okta answers 401.
        Err(_) => request,
    }
}

impl OauthClient {
    pub(super) fn new(client_id: String, key_id: String, key: SigningKey) -> Self {
        Self { client_id, key_id, key, fetched: Mutex::default(), fetches: AtomicU64::new(0) }
    }

    /// The app's client id.
    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// A token that is neither old nor `refused`, the one that Okta just turned down.
    pub(super) async fn token(&self, api: &Api, refused: Option<&Secret>) -> Result<AccessToken, ProviderError> {
        let is_other = |token: &AccessToken| refused.is_none_or(|refused| refused.expose() != token.secret.expose());
        self.obtain(api, |token| api.clock.steady() < token.renew_at && is_other(token)).await
    }

    /// A token made just now, which knows what was granted or taken away since the last.
    pub(super) async fn fresh_token(&self, api: &Api) -> Result<AccessToken, ProviderError> {
        self.obtain(api, |_| false).await
    }

    async fn obtain(&self, api: &Api, will_do: impl Fn(&AccessToken) -> bool) -> Result<AccessToken, ProviderError> {
        let seen = self.fetches.load(Ordering::Acquire);
        let mut fetched = self.fetched.lock().await;
        let waited_for = self.fetches.load(Ordering::Acquire) != seen;
        match fetched.as_ref() {
            Some(Ok(token)) if will_do(token) => return Ok(token.clone()),
            Some(Err(error)) if waited_for => return Err(error.clone()),
            Some(_) | None => {}
        }
        let result = self.fetch(api).await;
        self.fetches.fetch_add(1, Ordering::Release);
        *fetched = Some(result.clone());
        result
    }

    async fn fetch(&self, api: &Api) -> Result<AccessToken, ProviderError> {
        let every: Vec<_> = ESSENTIAL.into_iter().chain(FOR_SESSIONS).collect();
        match self.request(api, &every).await {
            Err(ProviderError::Misconfigured(report)) if report.code.as_deref() == Some("invalid_scope") => {
                let mut token = self.request(api, &ESSENTIAL).await?;
                token.missing = FOR_SESSIONS.to_vec();
                Ok(token)
            }
            result => result,
        }
    }

    async fn request(&self, api: &Api, scopes: &[&'static str]) -> Result<AccessToken, ProviderError> {
        let url = api.url("/oauth2/v1/token");
        let asked_at = api.clock.steady();
        let assertion = self.assertion(api, &url)?;
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", &scopes.join(" ")),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion.expose()),
        ];
        let request = api.http.client().post(url).form(&form);
        let scrub = api.scrub.with(&assertion);
        let answer = api.send(Operation::Token, request, &scrub).await?;
        if answer.status != http::StatusCode::OK {
            let clocks = self.clocks_apart(api, &answer);
            return Err(errors::classify_token(&answer, api.asked_wait(&answer), clocks.as_deref()));
        }
        read_token(&answer, asked_at, scopes).map_err(|why| refuse(&answer, why))
    }

    fn assertion(&self, api: &Api, url: &Url) -> Result<Secret, ProviderError> {
        let made = self.key.assertion(&self.client_id, &self.key_id, url.as_str(), api.clock.now());
        made.map_err(|_| {
            let message = "the private key cannot sign".to_owned();
            let operation = Operation::Token.as_str();
            ProviderError::Misconfigured(CallReport { operation, message, ..CallReport::default() })
        })
    }

    fn clocks_apart(&self, api: &Api, answer: &Answer) -> Option<String> {
        let seconds = hint::date(answer)?.abs_diff(api.clock.now().as_second());
        (seconds > NOTABLE_CLOCK_SECONDS).then(|| format!("this machine's clock and Okta's are {seconds} s apart"))
    }
}

enum BadToken {
    Unexpected,
    Dpop,
}

fn refuse(answer: &Answer, why: BadToken) -> ProviderError {
    match why {
        BadToken::Unexpected => errors::unexpected(Operation::Token, answer),
        BadToken::Dpop => {
            let (operation, status) = (Operation::Token.as_str(), Some(answer.status.as_u16()));
            let message = errors::DPOP.to_owned();
            ProviderError::Misconfigured(CallReport { operation, status, message, ..CallReport::default() })
        }
    }
}

fn read_token(answer: &Answer, asked_at: Timestamp, scopes: &[&'static str]) -> Result<AccessToken, BadToken> {
    let token: TokenAnswer = answer.json().ok_or(BadToken::Unexpected)?;
    if token.token_type.eq_ignore_ascii_case("dpop") {
        return Err(BadToken::Dpop);
    }
    let fits_header = !token.access_token.is_empty() && token.access_token.bytes().all(|b| b.is_ascii_graphic());
    if !fits_header || !token.token_type.eq_ignore_ascii_case("bearer") {
        return Err(BadToken::Unexpected);
    }
    let granted = token.scope.as_deref().map(|scope| scope.split_whitespace().collect::<Vec<_>>());
    let lacks = |scope: &&str| granted.as_ref().is_some_and(|granted| !granted.contains(scope));
    let missing = scopes.iter().copied().filter(lacks).collect();
    let renew_at = asked_at.saturating_add(useful_life(token.expires_in)).unwrap_or(asked_at);
    Ok(AccessToken { secret: Secret::new(&token.access_token), renew_at, missing })
}

/// Nine tenths of the life it claims, so that none runs out on its way.
fn useful_life(expires_in: i64) -> Duration {
    let seconds = u64::try_from(expires_in.clamp(0, LONGEST_LIFE_SECONDS)).unwrap_or(0);
    Duration::from_secs(seconds * 9 / 10)
}
