//! Listing and ending portal sessions.
//!
//! There is no call that ends all: they are listed, ended in batches, and listed again until none is left. A batch is
//! refused or taken as a whole, and its answer tells nothing about any one session, so what counts is the next list.

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Operation;
use super::api::{Api, Call};
use super::errors::{Said, unexpected};
use super::users::user_segment;
use crate::domain::{Account, Look, Outcome, Revocation, Session, SessionRef};
use crate::provider::http::Answer;
use crate::provider::{ProviderError, hint};

/// How many ids a call takes is not documented; this many are few enough for any gateway.
const BATCH: usize = 20;

/// New sessions may begin in between. After so many rounds the looks that follow tell what is left.
const MOST_ROUNDS: usize = 5;

/// One session that is not taken fails its whole batch, which is then tried in halves: so many refusals find one or two
/// among 20, and a service that refuses everything is not asked for ever.
const MOST_REFUSALS: usize = 16;

/// Milliseconds since 1970 above this, seconds below: as seconds it is the year 5138, as milliseconds 1973.
const SMALLEST_MILLISECONDS: i64 = 100_000_000_000;

/// `Date` is cut to the second, and a session's time may have milliseconds: what began within that second was there already.
const REST_OF_SECOND: Duration = Duration::from_millis(999);

const CONSOLE_LIVES_ON: &str = "console sessions that the user opened from the portal, until the permission set's \
                                session duration is over: remove the user's account assignments to cut those";
const SIGN_IN_LIVES_ON: &str =
    "the password and its second factors: disable the user or reset the password, or a thief signs in again";
const KEYS_LIVE_ON: &str = "IAM users and access keys of the same person, which IAM Identity Center does not govern";
const OTHER_SESSIONS_LIVE_ON: &str = "the user's other portal sessions: only the given sessions were ended";

#[derive(Deserialize)]
struct Listing {
    session_list: Option<Vec<Entry>>,
    page_info: Option<PageInfo>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct PageInfo {
    next_marker: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    session_id: String,
    user_id: Option<String>,
    creation_time: Option<Value>,
    session_not_valid_after: Option<Value>,
    ip_address: Option<String>,
    user_agent: Option<String>,
}

#[derive(Serialize)]
struct Batch<'a> {
    session_ids: &'a [String],
}

impl Listing {
    /// The list; where it is missing, nothing else may be there that would explain why.
    fn entries(self) -> Option<Vec<Entry>> {
        match self.session_list {
            Some(entries) => Some(entries),
            None if self.rest.keys().all(|key| key == "request_id") => Some(Vec::new()),
            None => None,
        }
    }
}

impl Api {
    /// The sessions of `account` that are alive.
    pub(super) async fn look(&self, account: &Account) -> Result<Look, ProviderError> {
        let operation = Operation::ListSessions;
        let path = format!("/users/{}/sessions", user_segment(&account.id)?);
        let answer = self.call(&Call::get(operation, path, &[])).await?;
        if answer.status != StatusCode::OK {
            return Err(self.error(operation, &answer));
        }
        self.read_look(account, &answer).ok_or_else(|| unexpected(operation, &answer))
    }

    fn read_look(&self, account: &Account, answer: &Answer) -> Option<Look> {
        let listing = answer.json::<Listing>().filter(|_| Said::read(answer).code.is_none())?;
        // There is no paging today; a page that points on would not be all.
        let complete =
            listing.page_info.as_ref().and_then(|info| info.next_marker.as_deref()).is_none_or(str::is_empty);
        let at = hint::time(answer);
        let mut ids = BTreeSet::new();
        let mut sessions = Vec::new();
        for entry in listing.entries()? {
            let session = self.session(account, entry)?;
            // Without the provider's time nothing has run out: ours may be ahead.
            if session.expires_at.zip(at).is_none_or(|(end, now)| end > now) && ids.insert(session.id.clone()) {
                sessions.push(session);
            }
        }
        Some(Look { sessions, complete, at: at.and_then(|at| at.checked_add(REST_OF_SECOND).ok()) })
    }

    /// `None`: it makes no sense, or is another user's.
    fn session(&self, account: &Account, entry: Entry) -> Option<Session> {
        let theirs = entry.user_id.is_none_or(|id| id.is_empty() || id == account.id);
        let fine = !entry.session_id.trim().is_empty() && !entry.session_id.chars().any(char::is_control);
        (theirs && fine).then(|| Session {
            id: entry.session_id,
            created_at: time(entry.creation_time.as_ref()),
            expires_at: time(entry.session_not_valid_after.as_ref()),
            ip: entry.ip_address.and_then(|ip| self.scrub.word(&ip)),
            // The visitor wrote it.
            client: entry.user_agent.map(|agent| self.scrub.text(&agent)).filter(|agent| !agent.is_empty()),
            ..Session::default()
        })
    }

    /// Ends every session of `account`. `None`: there is none.
    pub(super) async fn end_all(
        &self,
        account: &Account,
        seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        let survives = [CONSOLE_LIVES_ON, SIGN_IN_LIVES_ON, KEYS_LIVE_ON];
        self.end(account, seen, |_| true, &survives).await
    }

    /// Ends those of the given sessions that are listed as `account`'s. There is no other way to see whose a session is:
    /// one that is not listed is gone, or somebody else's, and is left alone.
    pub(super) async fn end_given(
        &self,
        account: &Account,
        given: &[SessionRef],
        seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        let given: BTreeSet<&str> = given.iter().map(SessionRef::id).collect();
        let own_look = if seen.is_none() { Some(self.look(account).await?) } else { None };
        let seen = seen.or(own_look.as_ref());
        let listed = seen.map(ids).unwrap_or_default();
        let unlisted = given.iter().filter(|id| !listed.contains(**id)).count();
        let survives = [OTHER_SESSIONS_LIVE_ON, CONSOLE_LIVES_ON, SIGN_IN_LIVES_ON, KEYS_LIVE_ON];
        let mut ended = self.end(account, seen, |id| given.contains(id), &survives).await?;
        if let Some(revocation) = ended.as_mut().filter(|_| unlisted > 0) {
            let words =
                "given sessions that are not listed as the user's: over already, or somebody else's; left alone";
            revocation.survives.push(format!("{unlisted} {words}"));
        }
        Ok(ended)
    }

    /// Rounds of ending and listing. A session that stays listed is not ended twice: the looks that follow judge it.
    async fn end(
        &self,
        account: &Account,
        seen: Option<&Look>,
        is_meant: impl Fn(&str) -> bool,
        survives: &[&str],
    ) -> Result<Option<Revocation>, ProviderError> {
        let mut open = match seen {
            Some(look) => ids(look),
            None => ids(&self.look(account).await?),
        };
        let (mut asked, mut seen_gone) = (BTreeSet::new(), false);
        for _ in 0..MOST_ROUNDS {
            open.retain(|id| is_meant(id));
            let fresh: Vec<String> = open.difference(&asked).cloned().collect();
            seen_gone = open.is_empty();
            if fresh.is_empty() {
                break;
            }
            self.delete(account, &fresh).await?;
            asked.extend(fresh);
            // They are ended, as far as the provider says; that it cannot be seen just now does not undo it.
            let Ok(look) = self.look(account).await else { break };
            open = ids(&look);
        }
        let outcome = if seen_gone { Outcome::Confirmed } else { Outcome::Accepted };
        // What stays listed may be gone all the same, or not: then nobody knows how many ended.
        let ended = u64::try_from(asked.len()).ok().filter(|_| asked.is_disjoint(&open));
        Ok((!asked.is_empty()).then(|| Revocation::new(outcome, ended, survives)))
    }

    /// Ends these sessions, as many as the provider lets go; fails if it holds on to any.
    async fn delete(&self, account: &Account, sessions: &[String]) -> Result<(), ProviderError> {
        let mut pending: Vec<Vec<String>> = sessions.chunks(BATCH).rev().map(<[_]>::to_vec).collect();
        let (mut refusal, mut refusals) = (None, 0);
        while let Some(batch) = pending.pop() {
            let Some((error, left)) = self.delete_batch(account, &batch).await? else { continue };
            refusals += 1;
            let may_be_one_of_them = matches!(error.report().status, Some(400 | 404)) && batch.len() > 1;
            if refusals > MOST_REFUSALS {
                return Err(error);
            } else if left.is_empty() {
                // Gone already.
            } else if left.len() < batch.len() {
                pending.push(left);
            } else if may_be_one_of_them {
                let (one, other) = left.split_at(left.len() / 2);
                pending.extend([other.to_vec(), one.to_vec()]);
            } else {
                refusal.get_or_insert(error);
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// `None`: yes. Otherwise why not, and which of them are still listed: that a session is gone may be the reason, and
    /// which code says so is not documented; and what failed within the service may have worked all the same.
    async fn delete_batch(
        &self,
        account: &Account,
        batch: &[String],
    ) -> Result<Option<(ProviderError, Vec<String>)>, ProviderError> {
        let operation = Operation::DeleteSessions;
        let path = format!("/users/{}/sessions/batch-delete", user_segment(&account.id)?);
        let answer = self.call(&Call::post(operation, path, &Batch { session_ids: batch })).await?;
        if is_yes(&answer) {
            return Ok(None);
        }
        let error = self.error(operation, &answer);
        let never_reached_it = answer.status.is_redirection() || matches!(answer.status.as_u16(), 401 | 403 | 429);
        if never_reached_it {
            return Err(error);
        }
        let open = ids(&self.look(account).await?);
        Ok(Some((error, batch.iter().filter(|id| open.contains(*id)).cloned().collect())))
    }
}

/// 200 without a body, as documented, or with an empty object.
fn is_yes(answer: &Answer) -> bool {
    let is_empty = answer.body.iter().all(u8::is_ascii_whitespace);
    answer.status == StatusCode::OK
        && (is_empty || answer.json::<Map<String, Value>>().is_some_and(|map| map.is_empty()))
}

fn ids(look: &Look) -> BTreeSet<String> {
    look.sessions.iter().map(|session| session.id.clone()).collect()
}

/// A time in seconds, as in Huawei's sample of a session, or in milliseconds, as in its other answers.
fn time(value: Option<&Value>) -> Option<Timestamp> {
    let number = value?.as_i64().filter(|number| *number > 0)?;
    if number >= SMALLEST_MILLISECONDS {
        Timestamp::from_millisecond(number).ok()
    } else {
        Timestamp::from_second(number).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_seconds_or_milliseconds() {
        let at = |value: Value| time(Some(&value)).map(|time| time.as_millisecond());
        assert_eq!(at(json!(1_753_858_567)), Some(1_753_858_567_000));
        assert_eq!(at(json!(1_753_858_567_123_i64)), Some(1_753_858_567_123));
        for nonsense in
            [json!(0), json!(-5), json!("1753858567"), json!(1.5), json!(null), json!(u64::MAX), json!(i64::MAX)]
        {
            assert_eq!(at(nonsense.clone()), None, "{nonsense}");
        }
        assert_eq!(time(None), None);
    }
}
