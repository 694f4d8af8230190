//! Ending sessions: all of a user with one call, or given ones after they were seen to be the account's.

use http::StatusCode;
use serde_json::json;

use super::api::{Api, Call};
use super::tokens::Tokens;
use super::users::is_id;
use super::{Operation, errors, own};
use crate::domain::{Account, Look, Outcome, Revocation, SessionRef};
use crate::provider::ProviderError;

const CACHED_LIVE_ON: &str = "what other nodes of a cluster remember of a session, until they hear of its end (10 minutes \
                              at most by default), and messages that an open app receives until it connects anew";
const OTHERS_LIVE_ON: &str =
    "the user's other sessions, and personal access tokens: only the given sessions were ended";

/// What ending given sessions came to.
#[derive(Debug, Default)]
struct Tally {
    ended: u64,
    /// Not listed: over already, or somebody else's.
    unlisted: u64,
    /// No ids of Mattermost's.
    malformed: u64,
}

impl Api {
    /// Ends every session of `account`, and where it is wanted revokes every personal access token.
    pub(super) async fn end_all(
        &self,
        account: &Account,
        seen: Option<&Look>,
        tokens_too: bool,
    ) -> Result<Revocation, ProviderError> {
        if seen.is_none_or(|look| look.sessions.is_empty()) {
            self.demand_account(account).await?;
        }
        let id = self.own_segment(account, Operation::RevokeAll)?;
        let call = Call::post(Operation::RevokeAll, self.url(&format!("/users/{id}/sessions/revoke/all")));
        let answer = self.call(&call).await?;
        if !Self::is_yes(&answer) {
            return Err(self.error(call.operation, &answer));
        }
        let mut revocation = Revocation::new(Outcome::Confirmed, None, &[CACHED_LIVE_ON]);
        if tokens_too {
            // After the call that matters most. A token that has made a session since takes it along.
            self.revoke_tokens(account).await?;
        } else {
            revocation.survives.extend(self.words_for_tokens(account).await);
        }
        Ok(revocation)
    }

    /// The call that ends everything says yes to an id that nobody has, too. A look that shows sessions is proof enough.
    async fn demand_account(&self, account: &Account) -> Result<(), ProviderError> {
        let id = self.own_segment(account, Operation::GetUser)?;
        match self.read_user(id).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => {
                let words = "Mattermost has no user with the account's id, and would say yes to it all the same";
                Err(ProviderError::UnknownAccount(own(Operation::GetUser, words)))
            }
            // Who may not read the user is told so by the call itself, for it reads the user then.
            Err(ProviderError::Forbidden(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn revoke_tokens(&self, account: &Account) -> Result<(), ProviderError> {
        for token in self.tokens(account).await?.found {
            self.revoke_token(&token.id).await?;
        }
        Ok(())
    }

    /// How many tokens live on. That they cannot be counted is no reason to end nothing.
    async fn words_for_tokens(&self, account: &Account) -> Option<String> {
        let tokens = match self.tokens(account).await {
            Ok(tokens) => tokens,
            Err(error) => {
                return Some(format!(
                    "personal access tokens, if the user has any: they could not be counted ({error}); each makes a new \
                     session when it is used; look at them in Mattermost, or set `revoke_access_tokens: true`"
                ));
            }
        };
        let active = tokens.found.iter().filter(|token| token.is_active).count();
        let more = if tokens.complete { "" } else { "more than " };
        let plural = if active == 1 { "" } else { "s" };
        (active > 0).then(|| {
            format!(
                "{more}{active} personal access token{plural} of the user: each makes a new session when it is used; \
                 revoke them in Mattermost, or set `revoke_access_tokens: true`"
            )
        })
    }

    /// Ends the given sessions that are listed as `account`'s. One that is not listed is over already or somebody else's,
    /// and Mattermost tells nobody which; it is left alone. `None`: none was listed.
    pub(super) async fn end_given(
        &self,
        account: &Account,
        given: &[SessionRef],
        seen: Option<&Look>,
        tokens_too: bool,
    ) -> Result<Option<Revocation>, ProviderError> {
        let tokens = if tokens_too { self.known_tokens(account).await? } else { None };
        let own_look = if seen.is_none() { Some(self.look(account).await?) } else { None };
        let listed: Vec<&str> =
            seen.or(own_look.as_ref()).into_iter().flat_map(|look| &look.sessions).map(|s| s.id.as_str()).collect();
        let mut ids: Vec<_> = given.iter().map(SessionRef::id).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut tally = Tally::default();
        for id in ids {
            match tokens.as_ref() {
                _ if !is_id(id) => tally.malformed += 1,
                Some(tokens) if tokens.has(id) => tally.ended += u64::from(self.revoke_token(id).await?),
                _ if listed.contains(&id) => tally.ended += u64::from(self.end_one(account, id).await?),
                _ => tally.unlisted += 1,
            }
        }
        tally.told()
    }

    async fn known_tokens(&self, account: &Account) -> Result<Option<Tokens>, ProviderError> {
        match self.tokens(account).await {
            Err(ProviderError::Forbidden(_)) => Ok(None),
            tokens => tokens.map(Some),
        }
    }

    /// Whether it was there still.
    async fn end_one(&self, account: &Account, session: &str) -> Result<bool, ProviderError> {
        let id = self.own_segment(account, Operation::RevokeSession)?;
        let call = Call::post(Operation::RevokeSession, self.url(&format!("/users/{id}/sessions/revoke")));
        let call = call.with(json!({"session_id": session}));
        let answer = self.call(&call).await?;
        // An end that came first is no failure, and no 404 either.
        let is_gone =
            answer.status == StatusCode::BAD_REQUEST && errors::id_of(&answer).as_deref() == Some(errors::SESSION_GONE);
        if Self::is_yes(&answer) || is_gone { Ok(!is_gone) } else { Err(self.error(call.operation, &answer)) }
    }
}

impl Tally {
    fn told(self) -> Result<Option<Revocation>, ProviderError> {
        let Self { ended, unlisted, malformed } = self;
        if malformed > 0 {
            let words = format!(
                "{malformed} given sessions are no sessions of Mattermost's (26 letters and digits) and were left alone; \
                 {ended} ended"
            );
            return Err(ProviderError::Refused(own(Operation::RevokeSession, &words)));
        }
        let mut revocation = Revocation::new(Outcome::Confirmed, Some(ended), &[OTHERS_LIVE_ON, CACHED_LIVE_ON]);
        if unlisted > 0 {
            let words =
                "given sessions that are not listed as the user's: over already, or somebody else's; left alone";
            revocation.survives.push(format!("{unlisted} {words}"));
        }
        Ok((ended > 0).then_some(revocation))
    }
}
