//! Ending sessions: all of a user, those of one kind, or given ones after they were seen to be the user's.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::api::{Api, Call};
use super::bulk::Reach;
use super::looks::{Places, is_session_id, is_team_id, no_place};
use super::users::check_user_id;
use super::{Operation, errors, refused};
use crate::domain::{Account, Look, Outcome, Revocation, Session, SessionRef};
use crate::provider::ProviderError;

/// Slack's codes for a session that ended before.
const GONE: [&str; 2] = ["session_not_found", "session_expired"];

const APPS_LIVE_ON: &str =
    "OAuth tokens of apps that the user installed, and API tokens of the user: revoke them in the admin's list of apps";
const SIGN_IN_LIVES_ON: &str =
    "the way in: the user can sign in again; change the password or suspend the user at the identity provider";
const OTHER_KINDS_LIVE_ON: &str = "sessions of the other kind (web or mobile): end those with `scope: all`";
const OTHER_SESSIONS_LIVE_ON: &str = "the user's other sessions: only the given ones were ended";

impl Api {
    /// Asks Slack to end all sessions within `reach`, without waiting for our turn. Slack's yes means that it has begun.
    pub(super) async fn reset(&self, account: &Account, reach: Reach) -> Result<(), ProviderError> {
        let mut call = Call::new(Operation::Reset).with("user_id", check_user_id(&account.id)?).at_once();
        if let Some(flag) = reach.flag() {
            call = call.with(flag, "true");
        }
        self.ask::<IgnoredAny>(&call).await.map(|_| ())
    }

    /// Ends the given sessions that are `account`'s. Where it cannot be seen whether one is, it is left alone, and the
    /// job is refused after the others were ended. `None`: all were gone already.
    pub(super) async fn end_given(
        &self,
        account: &Account,
        given: &[SessionRef],
        seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        if self.team_ids.is_empty() {
            return Err(no_place());
        }
        let view = self.view(account, given, seen).await?;
        let mut theirs: Vec<&Session> = given.iter().flat_map(|given| view.find(given)).collect();
        theirs.sort_by_key(|session| (&session.id, &session.team_id));
        theirs.dedup();
        let mut ended = 0_u64;
        for session in theirs {
            ended += u64::from(self.end_one(account, session).await?);
        }
        let unseen = given.iter().filter(|given| view.may_hide(given)).count();
        if unseen > 0 {
            let words = format!(
                "{unseen} given sessions could not be seen to be this account's and were left alone; {ended} ended; \
                 are their workspaces among `team_ids`?"
            );
            return Err(refused(Operation::List, &words));
        }
        let survives = [OTHER_SESSIONS_LIVE_ON, APPS_LIVE_ON, SIGN_IN_LIVES_ON];
        Ok((ended > 0).then(|| Revocation::new(Outcome::Confirmed, Some(ended), &survives)))
    }

    /// What is known of the account's sessions: what was `seen`, if that tells the fate of each given one.
    async fn view<'l>(
        &'l self,
        account: &'l Account,
        given: &[SessionRef],
        seen: Option<&'l Look>,
    ) -> Result<View<'l>, ProviderError> {
        if let Some(look) = seen {
            let sessions = Cow::Borrowed(look.sessions.as_slice());
            let view = View { api: self, account, sessions, places: None, is_complete: look.complete };
            if !given.iter().any(|given| view.may_hide(given)) {
                return Ok(view);
            }
        }
        let places = self.look(account).await?;
        let (is_complete, sessions) = (self.is_complete(&places, account), Cow::Owned(places.sessions.clone()));
        Ok(View { api: self, account, sessions, places: Some(places), is_complete })
    }

    /// Whether it was there to end. Session and workspace belong together, as the listing has them.
    async fn end_one(&self, account: &Account, session: &Session) -> Result<bool, ProviderError> {
        let call = Call::new(Operation::Invalidate)
            .with("session_id", &session.id)
            .with("team_id", session.team_id.as_deref().unwrap_or_default())
            .with("user_id", check_user_id(&account.id)?);
        let answer = self.call(&call).await?;
        if errors::is_yes(&answer) {
            return Ok(true);
        }
        match errors::code_of(&answer) {
            Some(code) if GONE.contains(&code.as_str()) => Ok(false),
            _ => Err(self.error(call.operation, &answer)),
        }
    }
}

/// The account's sessions, and how far one can see.
struct View<'l> {
    api: &'l Api,
    account: &'l Account,
    sessions: Cow<'l, [Session]>,
    places: Option<Places>,
    is_complete: bool,
}

impl View<'_> {
    /// The account's sessions that are meant; without a workspace several can be.
    fn find<'a>(&'a self, given: &'a SessionRef) -> impl Iterator<Item = &'a Session> {
        let team = team_of(given);
        let is_meant = move |session: &&Session| {
            session.id == given.id()
                && session.team_id.as_deref().is_some_and(|theirs| team.is_none_or(|team| team == theirs))
        };
        self.sessions.iter().filter(is_meant)
    }

    /// Whether it may be alive somewhere that was not seen. What cannot be an id of Slack's is nobody's.
    fn may_hide(&self, given: &SessionRef) -> bool {
        if self.find(given).next().is_some() {
            return false;
        }
        match team_of(given) {
            _ if !is_session_id(given.id()) => true,
            Some(team) => !self.covers(team),
            None => !self.is_complete,
        }
    }

    /// Whether every session of the account in this workspace was seen.
    fn covers(&self, team: &str) -> bool {
        let was_listed = self.places.as_ref().is_some_and(|places| places.was_listed(team));
        is_team_id(team) && (was_listed || (self.is_complete && self.api.is_among_seen(team, self.account)))
    }
}

fn team_of(given: &SessionRef) -> Option<&str> {
    match given {
        SessionRef::Id(_) => None,
        SessionRef::InTeam(session) => Some(&session.team_id),
    }
}

/// What Slack's yes to a reset amounts to: it has begun, and says nothing of how many sessions there were.
pub(super) fn begun(reach: Reach) -> Revocation {
    let mut survives = vec![APPS_LIVE_ON, SIGN_IN_LIVES_ON];
    survives.extend(reach.flag().map(|_| OTHER_KINDS_LIVE_ON));
    Revocation::new(Outcome::Accepted, None, &survives)
}
