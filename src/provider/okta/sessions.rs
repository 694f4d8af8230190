//! Ending sessions: all of a user, or given ones after reading whose they are.

use http::StatusCode;
use serde::Deserialize;

use super::api::{Api, Call};
use super::auth::Auth;
use super::users::{is_path_safe, own, unclear};
use super::{Operation, errors};
use crate::domain::{Account, Outcome, Revocation, SessionRef, check_identifier};
use crate::provider::ProviderError;
use crate::provider::address::segment;

/// Okta's code for a thing that is not there.
const NOT_FOUND: &str = "E0000007";

const APPS_LIVE_ON: &str = "sessions that web or native apps made for themselves: sign the user out of each app";
const LOCAL_TOKENS_LIVE_ON: &str =
    "access tokens that an API checks by itself, without asking Okta, until they expire (an hour by default)";
const TOKENS_LIVE_ON: &str =
    "OAuth refresh and access tokens that Okta issued to the user: `oauth_tokens` is off; end all sessions with it on";
const DEVICES_LIVE_ON: &str =
    "remembered devices: on those, no second factor is asked for at the next sign-in; `forget_devices` ends that";
const OTHER_SESSIONS_LIVE_ON: &str = "the user's other sessions, and OAuth tokens: only the given sessions were ended";

#[derive(Deserialize)]
struct Session {
    id: String,
    #[serde(rename = "userId")]
    user_id: String,
}

/// What became of one given session.
enum Fate {
    Ended,
    Gone,
    NotTheirs,
}

impl Api {
    /// Ends every session of `account`. Only a 204 is a yes.
    pub(super) async fn end_all(
        &self,
        account: &Account,
        oauth_tokens: bool,
        forget_devices: bool,
    ) -> Result<Revocation, ProviderError> {
        check_identifier(&account.id).map_err(|error| unclear(&format!("the account's id {error}")))?;
        let id = segment(&account.id).ok().filter(|_| is_path_safe(&account.id));
        let id = id.ok_or_else(|| unclear("the account's id would be read as another path"))?;
        let mut url = self.url(&format!("/api/v1/users/{id}/sessions"));
        // Both always: the default of `forgetDevices` is not the same in Okta's two engines.
        url.set_query(Some(&format!("oauthTokens={oauth_tokens}&forgetDevices={forget_devices}")));
        let call = Call::delete(Operation::RevokeSessions, url);
        let answer = self.call(&call).await?;
        if answer.status != StatusCode::NO_CONTENT {
            return Err(self.error(call.operation, &answer));
        }
        let mut survives = vec![APPS_LIVE_ON, LOCAL_TOKENS_LIVE_ON];
        survives.extend((!oauth_tokens).then_some(TOKENS_LIVE_ON));
        survives.extend((!forget_devices).then_some(DEVICES_LIVE_ON));
        Ok(confirmed(None, &survives))
    }

    /// Ends the given sessions that are `account`'s. One that is not is left alone, and the job is refused after the
    /// others were ended. `None`: all were gone already.
    pub(super) async fn end_given(
        &self,
        account: &Account,
        sessions: &[SessionRef],
    ) -> Result<Option<Revocation>, ProviderError> {
        self.demand_session_scopes().await?;
        let mut ids: Vec<_> = sessions.iter().map(SessionRef::id).collect();
        ids.sort_unstable();
        ids.dedup();
        let (mut ended, mut not_theirs) = (0_u64, 0_u64);
        for id in ids {
            match self.end_one(account, id).await? {
                Fate::Ended => ended += 1,
                Fate::Gone => {}
                Fate::NotTheirs => not_theirs += 1,
            }
        }
        if not_theirs > 0 {
            let words = format!(
                "{not_theirs} given sessions are not known to be this account's and were left alone; {ended} ended"
            );
            return Err(ProviderError::Refused(own(Operation::ReadSession, &words)));
        }
        Ok((ended > 0).then(|| confirmed(Some(ended), &[OTHER_SESSIONS_LIVE_ON, APPS_LIVE_ON])))
    }

    async fn end_one(&self, account: &Account, id: &str) -> Result<Fate, ProviderError> {
        // An id that would be read as another path, or as our own session, is certainly not theirs.
        let Some(segment) = segment(id).ok().filter(|_| check_identifier(id).is_ok() && is_path_safe(id)) else {
            return Ok(Fate::NotTheirs);
        };
        let url = self.url(&format!("/api/v1/sessions/{segment}"));
        let Some(session) = self.read_session(Call::get(Operation::ReadSession, url.clone())).await? else {
            return Ok(Fate::Gone);
        };
        if session.id != id || session.user_id != account.id {
            return Ok(Fate::NotTheirs);
        }
        let call = Call::delete(Operation::RevokeSession, url);
        let answer = self.call(&call).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(Fate::Ended),
            StatusCode::NOT_FOUND if is_gone(&answer) => Ok(Fate::Gone),
            _ => Err(self.error(call.operation, &answer)),
        }
    }

    async fn read_session(&self, call: Call) -> Result<Option<Session>, ProviderError> {
        let answer = self.call(&call).await?;
        match answer.status {
            StatusCode::OK => match answer.json() {
                Some(session) => Ok(Some(session)),
                None => Err(self.error(call.operation, &answer)),
            },
            StatusCode::NOT_FOUND if is_gone(&answer) => Ok(None),
            _ => Err(self.error(call.operation, &answer)),
        }
    }

    /// An app without the session scopes can still end everything; only this job cannot be done.
    async fn demand_session_scopes(&self) -> Result<(), ProviderError> {
        let Auth::Oauth(app) = &self.auth else { return Ok(()) };
        // Where they are missing, they may have been granted since.
        if app.token(self, None).await?.reaches_sessions() || app.fresh_token(self).await?.reaches_sessions() {
            return Ok(());
        }
        let words = "the app lacks okta.sessions.read or okta.sessions.manage, so given sessions cannot be ended; \
                     grant both to the app in Okta, or use `scope: all`";
        Err(ProviderError::Refused(own(Operation::ReadSession, words)))
    }
}

/// A 404 of Okta's own about the session; a proxy's 404 says nothing.
fn is_gone(answer: &crate::provider::http::Answer) -> bool {
    errors::code_of(answer).as_deref() == Some(NOT_FOUND)
}

fn confirmed(sessions_ended: Option<u64>, survives: &[&str]) -> Revocation {
    Revocation::new(Outcome::Confirmed, sessions_ended, survives)
}
