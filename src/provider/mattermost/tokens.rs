//! Personal access tokens: they are no sessions, but each makes a new one at the next request, however often its sessions
//! are ended.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::api::{Api, Call};
use super::users::is_id;
use super::{Operation, errors};
use crate::domain::{Account, Look, Session};
use crate::provider::ProviderError;

/// The server's largest page.
const PAGE_LENGTH: usize = 200;

/// Nobody has more than so many pages of them.
const MOST_PAGES: usize = 10;

/// A token, as far as we read it. Its secret is never listed.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Token {
    pub(super) id: String,
    user_id: String,
    #[serde(default = "yes")]
    pub(super) is_active: bool,
}

fn yes() -> bool {
    true
}

/// The tokens of an account.
#[derive(Debug)]
pub(super) struct Tokens {
    /// Each once.
    pub(super) found: Vec<Token>,
    /// Whether there are no others.
    pub(super) complete: bool,
}

impl Tokens {
    pub(super) fn has(&self, id: &str) -> bool {
        self.found.iter().any(|token| token.id == id)
    }
}

impl Api {
    /// Every token of `account`, also those that are switched off: their owner could switch them on again.
    pub(super) async fn tokens(&self, account: &Account) -> Result<Tokens, ProviderError> {
        let mut tokens = Tokens { found: Vec::new(), complete: false };
        for page in 0..MOST_PAGES {
            let found = self.page_of_tokens(account, page).await?;
            tokens.complete = found.len() < PAGE_LENGTH;
            for token in found {
                // Pages move while tokens come and go.
                if !tokens.has(&token.id) {
                    tokens.found.push(token);
                }
            }
            if tokens.complete {
                break;
            }
        }
        Ok(tokens)
    }

    async fn page_of_tokens(&self, account: &Account, page: usize) -> Result<Vec<Token>, ProviderError> {
        let id = self.own_segment(account, Operation::ListTokens)?;
        let mut url = self.url(&format!("/users/{id}/tokens"));
        url.set_query(Some(&format!("page={page}&per_page={PAGE_LENGTH}")));
        let call = Call::get(Operation::ListTokens, url);
        let (found, answer) = self.read::<Vec<Token>>(&call).await?;
        let is_theirs = |token: &Token| token.user_id == account.id && is_id(&token.id);
        if found.iter().all(is_theirs) { Ok(found) } else { Err(errors::unexpected(call.operation, &answer)) }
    }

    /// Adds the tokens to what was seen, as sessions that have yet to begin. Where we may not see them, the look is not
    /// complete.
    pub(super) async fn look_at_tokens(&self, account: &Account, look: &mut Look) -> Result<(), ProviderError> {
        let tokens = match self.tokens(account).await {
            Err(ProviderError::Forbidden(_)) => Tokens { found: Vec::new(), complete: false },
            tokens => tokens?,
        };
        look.complete &= tokens.complete;
        look.sessions.extend(tokens.found.into_iter().map(Token::into_session));
        Ok(())
    }

    /// Revokes a token, and with it the sessions that it made. Whether it was there still.
    pub(super) async fn revoke_token(&self, id: &str) -> Result<bool, ProviderError> {
        let call = Call::post(Operation::RevokeToken, self.url("/users/tokens/revoke"));
        let call = call.with(json!({"token_id": id}));
        let answer = self.call(&call).await?;
        let is_gone =
            answer.status == StatusCode::NOT_FOUND && errors::id_of(&answer).as_deref() == Some(errors::TOKEN_GONE);
        if Self::is_yes(&answer) || is_gone { Ok(!is_gone) } else { Err(self.error(call.operation, &answer)) }
    }
}

impl Token {
    fn into_session(self) -> Session {
        let state = if self.is_active { "" } else { ", switched off" };
        let client = Some(format!("personal access token itself{state}: makes sessions"));
        Session { id: self.id, client, ..Session::default() }
    }
}
