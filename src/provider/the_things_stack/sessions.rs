//! A user's sessions: listed, and ended one by one.
//!
//! Always holds: a session is ended only after it was listed as this user's, under this user's id, and its own id is a
//! UUID. The server's database fails with a 500 on anything else.

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::api::Api;
use super::paging::{End, LARGEST_PAGE, List};
use super::users::{UserIds, is_user_id, unclear};
use super::{Operation, errors};
use crate::domain::{Account, Look, Outcome, Revocation, Session, SessionRef};
use crate::provider::{ListQuery, ProviderError, SessionPage};

/// 1000 sessions to a page. What lies beyond is seen once these are ended.
const MOST_PAGES: u32 = 10;

/// Sessions come and go while they are read: a list that moved is read again.
const MOST_WALKS: u32 = 3;

/// The `Date` of an answer is cut to the second. Whatever began within that second is taken to be there already: better to
/// end a session too many than to take an attacker's for a newer one.
const REST_OF_SECOND: Duration = Duration::from_micros(999_999);

/// How often what came up meanwhile is ended too. Somebody who keeps signing in must not keep us for ever.
const MOST_ROUNDS: u32 = 5;

/// One session that cannot be ended says nothing about the next; so many in a row say that the server is in trouble.
const MOST_FAILURES: u32 = 3;

/// The orders that the server takes besides its own, which is by session id.
const ORDERS: [&str; 2] = ["created_at", "-created_at"];

const TOKENS_LIVE_ON: &str = "OAuth access and refresh tokens that the user's sessions were used to get (the Console's access \
                              tokens live an hour): remove the user's OAuth authorizations, or change the password and \
                              let it revoke all access";
const KEYS_LIVE_ON: &str = "the user's API keys: delete those that may be in wrong hands";
const ABSENT_LIVE_ON: &str = "given sessions that were not listed as this account's: they are over already, or somebody else's; \
                              if they should be live, find out whose they are";
const OTHERS_LIVE_ON: &str = "the user's other sessions: only the given ones were ended";

/// One more key would be another message, such as an error that a proxy sends with a 200.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sessions {
    #[serde(default)]
    sessions: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    user_ids: UserIds,
    session_id: String,
    created_at: Option<Timestamp>,
    /// Sessions of the login page have none.
    expires_at: Option<Timestamp>,
}

impl List for Sessions {
    type Item = Listed;

    fn items(self) -> Vec<Listed> {
        self.sessions
    }

    fn id(session: &Listed) -> &str {
        &session.session_id
    }
}

impl Listed {
    /// The list is called that of active sessions, and has expired ones in it all the same.
    fn is_alive(&self, at: Option<Timestamp>) -> bool {
        self.expires_at.zip(at).is_none_or(|(expires_at, at)| expires_at > at)
    }

    fn into_session(self) -> Session {
        let Self { session_id: id, created_at, expires_at, .. } = self;
        Session { id, created_at, expires_at, ..Session::default() }
    }
}

/// The form in which the server writes session ids. Another spelling of the same UUID would not be found in a look.
fn is_session_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|id| id.hyphenated().to_string() == text)
}

/// What is wrong with the parameters of a listing.
pub(in crate::provider) fn check_list(query: &ListQuery) -> Result<(), String> {
    if query.order.as_deref().is_some_and(|order| !ORDERS.contains(&order)) {
        return Err("`order` is created_at or -created_at; left out, it is by session id".to_owned());
    }
    if query.limit.is_some_and(|limit| !(1..=LARGEST_PAGE).contains(&limit)) {
        return Err(format!("`limit` is a whole number from 1 to {LARGEST_PAGE}; left out, it is the server's own"));
    }
    if query.page == Some(0) {
        return Err("`page` counts from 1".to_owned());
    }
    Ok(())
}

/// What has become of the sessions so far.
#[derive(Debug, Default)]
struct Progress {
    /// Those that are ended, by us or by somebody else.
    over: BTreeSet<String>,
    /// How many of them we ended.
    ended: u64,
}

impl Api {
    /// Every session that is alive.
    pub(super) async fn look(&self, account: &Account) -> Result<Look, ProviderError> {
        let mut url = self.sessions_url(account)?;
        // What begins meanwhile comes last, and moves nothing.
        url.query_pairs_mut().append_pair("order", ORDERS[0]);
        let mut look = Look::default();
        for _ in 0..MOST_WALKS {
            let walk = self.walk::<Sessions>(Operation::ListSessions, &url, MOST_PAGES, |_| true).await?;
            let sessions = self.alive(account, walk.items, walk.at)?;
            let at = walk.at.and_then(|at| at.checked_add(REST_OF_SECOND).ok());
            look = Look { sessions, complete: walk.end == End::Complete, at };
            if walk.end != End::Moved {
                break;
            }
        }
        Ok(look)
    }

    /// One page, as the server cuts it.
    pub(super) async fn one_page(&self, account: &Account, query: &ListQuery) -> Result<SessionPage, ProviderError> {
        check_list(query).map_err(|words| ProviderError::Refused(Operation::ListSessions.own(&words)))?;
        let mut url = self.sessions_url(account)?;
        let (limit, page) = (query.limit.map(|n| n.to_string()), query.page.map(|n| n.to_string()));
        let given = [("order", &query.order), ("limit", &limit), ("page", &page)];
        for (name, value) in given.into_iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value))) {
            url.query_pairs_mut().append_pair(name, value);
        }
        let page = self.page::<Sessions>(Operation::ListSessions, url).await?;
        let sessions = self.alive(account, page.items, page.at)?;
        Ok(SessionPage { sessions, next_cursor: None, total: page.total })
    }

    /// Those that are alive. One that is not this user's, or has no id that could be called, makes no sense.
    fn alive(
        &self,
        account: &Account,
        listed: Vec<Listed>,
        at: Option<Timestamp>,
    ) -> Result<Vec<Session>, ProviderError> {
        let is_usable = |it: &Listed| it.user_ids.user_id == account.id && is_session_id(&it.session_id);
        if listed.iter().all(is_usable) {
            return Ok(listed.into_iter().filter(|it| it.is_alive(at)).map(Listed::into_session).collect());
        }
        let words = "unexpected answer: a session of somebody else, or one without a UUID, is listed";
        Err(ProviderError::Unavailable(Operation::ListSessions.own(words)))
    }

    /// Ends every session: what was seen, and then whatever is listed, until there is nothing new.
    pub(super) async fn end_all(
        &self,
        account: &Account,
        seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        let mut progress = Progress::default();
        let mut look = match seen {
            Some(look) => look.clone(),
            None => self.look(account).await?,
        };
        for _ in 0..MOST_ROUNDS {
            let ids = look.sessions.iter().map(|session| session.id.as_str());
            let new: Vec<&str> = ids.filter(|id| !progress.over.contains(*id)).collect();
            // What is listed although it is over shows in the look that follows every yes.
            if new.is_empty() && look.complete {
                return Ok(progress.to_end(Outcome::Confirmed));
            }
            self.end(account, &new, &mut progress).await?;
            look = match self.look(account).await {
                Ok(look) => look,
                // All that was listed is ended, and whether that is all is what the next look is for.
                Err(_) if progress.ended > 0 => return Ok(progress.to_end(Outcome::Accepted)),
                Err(error) => return Err(error),
            };
        }
        Ok(progress.to_end(Outcome::Accepted))
    }

    /// Ends the given sessions that are listed as `account`'s. What is not listed is gone: the server knows a session
    /// by its user only, so somebody else's cannot be told from none. `None`: all were gone already.
    pub(super) async fn end_given(
        &self,
        account: &Account,
        sessions: &[SessionRef],
        seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        let given: BTreeSet<&str> = sessions.iter().map(SessionRef::id).collect();
        let look = match seen {
            Some(look) => look.clone(),
            None => self.look(account).await?,
        };
        let (theirs, others): (Vec<&str>, Vec<&str>) =
            given.into_iter().partition(|id| look.sessions.iter().any(|session| session.id == *id));
        let mut progress = Progress::default();
        self.end(account, &theirs, &mut progress).await?;
        let (absent, wrong): (Vec<&str>, Vec<&str>) = others.into_iter().partition(|id| is_session_id(id));
        if !wrong.is_empty() {
            return Err(ProviderError::Refused(Operation::ListSessions.own(&format!(
                "{} given sessions are not this account's, for their ids are no UUIDs in lower case; they were left alone, \
                 and {} ended",
                wrong.len(),
                progress.ended
            ))));
        }
        if !absent.is_empty() && !look.complete {
            let words =
                "the list of sessions could not be read in whole, so it is not known whether given ones are gone";
            return Err(ProviderError::Unavailable(Operation::ListSessions.own(words)));
        }
        let mut survives = vec![OTHERS_LIVE_ON, TOKENS_LIVE_ON, KEYS_LIVE_ON];
        survives.extend((!absent.is_empty()).then_some(ABSENT_LIVE_ON));
        Ok((progress.ended > 0).then(|| Revocation::new(Outcome::Confirmed, Some(progress.ended), &survives)))
    }

    /// Ends these, which were listed as the account's. A failure does not keep the others alive, unless it is likely to
    /// be the same with each.
    async fn end(&self, account: &Account, ids: &[&str], progress: &mut Progress) -> Result<(), ProviderError> {
        let (mut first, mut in_a_row) = (None, 0);
        for id in ids {
            let error = match self.end_one(account, id).await {
                Ok(ended) => {
                    progress.ended += u64::from(ended);
                    progress.over.insert((*id).to_owned());
                    in_a_row = 0;
                    continue;
                }
                Err(error) => error,
            };
            in_a_row += 1;
            let is_of_this_one = matches!(&error, ProviderError::Unavailable(report) if report.status.is_some());
            if !is_of_this_one || in_a_row == MOST_FAILURES {
                return Err(error);
            }
            first = first.or(Some(error));
        }
        first.map_or(Ok(()), Err)
    }

    /// Ends one; false: it was gone already.
    async fn end_one(&self, account: &Account, id: &str) -> Result<bool, ProviderError> {
        if !is_session_id(id) {
            let words = "a session whose id is no UUID was not ended";
            return Err(ProviderError::Refused(Operation::DeleteSession.own(words)));
        }
        let mut url = self.sessions_url(account)?;
        url.set_path(&format!("{}/{id}", url.path()));
        let answer = self.delete(Operation::DeleteSession, url).await?;
        match answer.status {
            // Of the messages that there are, only the empty one says yes here.
            StatusCode::OK if answer.json::<Map<String, Value>>().is_some_and(|body| body.is_empty()) => Ok(true),
            StatusCode::NOT_FOUND if errors::is_gone(&answer) => Ok(false),
            _ => Err(self.error(Operation::DeleteSession, &answer)),
        }
    }

    /// Where the sessions of `account` are.
    fn sessions_url(&self, account: &Account) -> Result<Url, ProviderError> {
        if !is_user_id(&account.id) {
            return Err(unclear("the account's id is none that a user of The Things Stack can have"));
        }
        let mut url = self.url(&format!("/users/{}/sessions", account.id));
        let email = account.identifiers.iter().find(|name| name.contains('@')).filter(|_| self.send_email);
        if let Some(email) = email {
            url.query_pairs_mut().append_pair("user_ids.email", email);
        }
        Ok(url)
    }
}

impl Progress {
    /// What ending everything has come to. `None`: there was nothing.
    fn to_end(&self, outcome: Outcome) -> Option<Revocation> {
        let survives = [TOKENS_LIVE_ON, KEYS_LIVE_ON];
        (!self.over.is_empty()).then(|| Revocation::new(outcome, Some(self.ended), &survives))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_spelling_is_a_session_id() {
        let id = "857c66da-304a-4378-b71f-03f2e94ff947";
        assert!(is_session_id(id));
        let upper = id.to_uppercase();
        let (plain, braced, urn) = (id.replace('-', ""), format!("{{{id}}}"), format!("urn:uuid:{id}"));
        for wrong in ["", "s1", "..", &id[1..], &upper, &plain, &braced, &urn] {
            assert!(!is_session_id(wrong), "{wrong:?} was taken");
        }
    }

    #[test]
    fn parameters_of_a_listing_are_those_that_the_server_takes() {
        let query = |order: Option<&str>, limit, page| ListQuery {
            order: order.map(str::to_owned),
            limit,
            page,
            ..ListQuery::default()
        };
        for fine in [
            query(None, None, None),
            query(Some("created_at"), Some(1), Some(1)),
            query(Some("-created_at"), Some(1000), Some(u32::MAX)),
        ] {
            assert_eq!(check_list(&fine), Ok(()), "{fine:?}");
        }
        for (wrong, name) in [
            (query(Some(""), None, None), "order"),
            (query(Some("session_id"), None, None), "order"),
            (query(Some("+created_at"), None, None), "order"),
            (query(None, Some(0), None), "limit"),
            (query(None, Some(1001), None), "limit"),
            (query(None, None, Some(0)), "page"),
        ] {
            assert!(check_list(&wrong).is_err_and(|words| words.contains(name)), "{wrong:?}");
        }
    }
}
