//! Listing a user's sessions, workspace by workspace.
//!
//! Always holds: a session's id is the digits that Slack wrote, never a number that could lose some. A session that is
//! listed for somebody else is left out, and the workspace that listed it does not count as seen.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::api::{Api, Call};
use super::users::{check_user_id, is_id};
use super::{Operation, errors, own, refused};
use crate::domain::{Account, Look, Session};
use crate::provider::http::Answer;
use crate::provider::scrub::Scrub;
use crate::provider::{ListQuery, ProviderError, SessionPage, hint};

/// The largest page there is.
const LARGEST_PAGE: u32 = 1000;

/// Nobody has ten thousand sessions in a workspace.
const MOST_PAGES: usize = 10;

/// A 64-bit number has 20 digits; Slack does not say how many there may be.
const LONGEST_SESSION_ID_DIGITS: usize = 40;

/// Slack's code for an empty list.
const NONE: &str = "no_active_sessions";

#[derive(Debug, Deserialize)]
struct Listing {
    active_sessions: Vec<Row>,
    response_metadata: Option<Metadata>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Row {
    user_id: String,
    session_id: Box<RawValue>,
    team_id: String,
    created: Option<Device>,
    recent: Option<Device>,
}

/// What a session was seen on.
#[derive(Debug, Default, Deserialize)]
struct Device {
    device_hardware: Option<String>,
    os: Option<String>,
    os_version: Option<String>,
    slack_client_version: Option<String>,
    ip: Option<String>,
}

impl Row {
    /// `None`: its ids are none of Slack's.
    fn into_session(self, scrub: &Scrub) -> Option<Session> {
        let id = digits(&self.session_id)?;
        let team_id = Some(self.team_id).filter(|team| is_team_id(team))?;
        let device = self.recent.or(self.created).unwrap_or_default();
        let ip = device.ip.as_deref().and_then(|ip| scrub.word(ip));
        // A browser on a phone is a web session: what it runs on does not tell which kind it is.
        Some(Session { id, team_id: Some(team_id), ip, client: device.words(scrub), ..Session::default() })
    }
}

impl Device {
    fn words(&self, scrub: &Scrub) -> Option<String> {
        let join = |parts: [&Option<String>; 2]| {
            let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
            parts.join(" ")
        };
        let slack = self.slack_client_version.as_ref().map(|version| format!("Slack {version}"));
        let parts =
            [join([&self.device_hardware, &None]), join([&self.os, &self.os_version]), slack.unwrap_or_default()];
        let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        Some(scrub.text(&parts.join(", "))).filter(|words| !words.is_empty())
    }
}

/// The digits of an id as they were sent, as a number or in quotes.
fn digits(raw: &RawValue) -> Option<String> {
    let text = raw.get().trim();
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    is_session_id(bare).then(|| bare.to_owned())
}

/// Whether `text` can be a session's id.
pub(super) fn is_session_id(text: &str) -> bool {
    (1..=LONGEST_SESSION_ID_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether `text` can be the id of a workspace, or of an organization, which sessions may belong to as well.
pub(super) fn is_team_id(text: &str) -> bool {
    is_id(text, &['T', 'E'])
}

fn is_organization(team: &str) -> bool {
    team.starts_with('E')
}

/// One page of one workspace.
#[derive(Debug, Default)]
struct Page {
    sessions: Vec<Session>,
    next: Option<String>,
    at: Option<Timestamp>,
    is_foreign: bool,
}

/// What was seen in all workspaces.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) sessions: Vec<Session>,
    /// The workspaces that were seen to their end.
    listed: BTreeSet<String>,
    at: Option<Timestamp>,
}

impl Places {
    pub(super) fn was_listed(&self, team: &str) -> bool {
        self.listed.contains(team)
    }

    /// The same session may be listed under its workspace and under the organization.
    fn add(&mut self, page: Page) {
        self.at = self.at.or(page.at);
        for session in page.sessions {
            if !self.sessions.iter().any(|known| (&known.id, &known.team_id) == (&session.id, &session.team_id)) {
                self.sessions.push(session);
            }
        }
    }
}

impl Api {
    /// Whether every workspace was seen in which the account can have sessions, and the organization where that is
    /// looked into: everybody is in it.
    pub(super) fn is_complete(&self, places: &Places, account: &Account) -> bool {
        let organizations = self.team_ids.iter().filter(|team| is_organization(team));
        !account.teams.is_empty() && account.teams.iter().chain(organizations).all(|team| places.was_listed(team))
    }

    /// Whether the account's sessions in `team` were all seen, where a look was complete.
    pub(super) fn is_among_seen(&self, team: &str, account: &Account) -> bool {
        account.teams.iter().any(|known| known == team)
            || (is_organization(team) && self.team_ids.iter().any(|known| known == team))
    }

    /// What a look shows.
    pub(super) fn to_look(&self, places: Places, account: &Account) -> Look {
        let complete = self.is_complete(&places, account);
        Look { complete, sessions: places.sessions, at: places.at }
    }

    /// Looks into every workspace of `team_ids`. One that cannot be seen is left out, unless it is the only one.
    pub(super) async fn look(&self, account: &Account) -> Result<Places, ProviderError> {
        check_user_id(&account.id)?;
        // Many who look at the same time would each get half of a look, and none a whole one.
        self.reserve(Operation::List, self.team_ids.len())?;
        let (mut places, mut unseen) = (Places::default(), None);
        for team in &self.team_ids {
            match self.look_into(team, account, &mut places).await {
                Ok(true) => {
                    places.listed.insert(team.clone());
                }
                Ok(false) => {}
                Err(error) => {
                    let error = about_place(error)?;
                    tracing::warn!(team_id = team, code = error.report().code, "a workspace could not be looked into");
                    unseen = unseen.or(Some(error));
                }
            }
        }
        match unseen {
            Some(error) if places.sessions.is_empty() && places.listed.is_empty() => Err(error),
            _ => Ok(places),
        }
    }

    /// Whether the workspace was seen to its end.
    async fn look_into(&self, team: &str, account: &Account, places: &mut Places) -> Result<bool, ProviderError> {
        let (mut cursor, mut restarted, mut fine) = (None::<String>, false, true);
        for number in 0..MOST_PAGES {
            let call = page_call(team, account, LARGEST_PAGE, cursor.as_deref());
            let call = if number == 0 { call.counted() } else { call };
            let page = match self.page(&call, account).await {
                Err(error) if is_stale_cursor(&error) && cursor.is_some() && !restarted => {
                    (cursor, restarted) = (None, true);
                    continue;
                }
                page => page?,
            };
            fine &= !page.is_foreign;
            cursor = page.next.clone();
            places.add(page);
            if cursor.is_none() {
                return Ok(fine);
            }
        }
        Ok(false)
    }

    async fn page(&self, call: &Call, account: &Account) -> Result<Page, ProviderError> {
        let answer = self.call(call).await?;
        if errors::code_of(&answer).as_deref() == Some(NONE) {
            return Ok(Page { at: hint::time(&answer), ..Page::default() });
        }
        let listing = answer.json::<Listing>().filter(|_| errors::is_yes(&answer));
        let page = listing.and_then(|listing| listing.into_page(account, &answer));
        page.ok_or_else(|| self.error(Operation::List, &answer))
    }

    /// One page for people. Its cursor names the workspace that it stands in.
    pub(super) async fn page_for_people(
        &self,
        account: &Account,
        query: &ListQuery,
    ) -> Result<Option<SessionPage>, ProviderError> {
        let Some(first) = self.team_ids.first() else { return Ok(None) };
        check_user_id(&account.id)?;
        let (team, cursor) = match query.cursor.as_deref() {
            None => (first, None),
            Some(text) => self.place_of(text)?,
        };
        let limit = query.limit.unwrap_or(LARGEST_PAGE).clamp(1, LARGEST_PAGE);
        let page = self.page(&page_call(team, account, limit, cursor), account).await?;
        let next_cursor = match page.next {
            Some(next) => Some(format!("{team}:{next}")),
            None => self.team_after(team).map(|team| format!("{team}:")),
        };
        Ok(Some(SessionPage { sessions: page.sessions, next_cursor, total: None }))
    }

    fn place_of<'a>(&'a self, cursor: &'a str) -> Result<(&'a String, Option<&'a str>), ProviderError> {
        let (team, cursor) = cursor.split_once(':').unwrap_or_default();
        let team = self.team_ids.iter().find(|known| *known == team);
        let team = team.ok_or_else(|| refused(Operation::List, "this is no cursor of ours; begin without one"))?;
        Ok((team, Some(cursor).filter(|cursor| !cursor.is_empty())))
    }

    fn team_after(&self, team: &str) -> Option<&String> {
        self.team_ids.iter().skip_while(|known| *known != team).nth(1)
    }
}

impl Listing {
    /// `None`: it is not what Slack documents.
    fn into_page(self, account: &Account, answer: &Answer) -> Option<Page> {
        let (ours, others): (Vec<Row>, Vec<Row>) =
            self.active_sessions.into_iter().partition(|row| row.user_id == account.id);
        let sessions: Option<Vec<Session>> = ours.into_iter().map(|row| row.into_session(&answer.scrub)).collect();
        let next = self.response_metadata.and_then(|metadata| metadata.next_cursor);
        Some(Page {
            sessions: sessions?,
            // The end is an empty text as well as none.
            next: next.filter(|next| !next.is_empty()),
            at: hint::time(answer),
            is_foreign: !others.is_empty(),
        })
    }
}

fn page_call(team: &str, account: &Account, limit: u32, cursor: Option<&str>) -> Call {
    let call = Call::new(Operation::List).with("team_id", team).with("user_id", &account.id);
    let call = call.with("limit", limit.to_string());
    // A look must not keep a revocation waiting.
    match cursor {
        Some(cursor) => call.with("cursor", cursor).at_once(),
        None => call.at_once(),
    }
}

/// An error that keeps us from seeing one workspace, or given back as it is where no look is possible at all. A token
/// without the scope for looks can still end sessions, so that must not stop the jobs.
fn about_place(error: ProviderError) -> Result<ProviderError, ProviderError> {
    match error {
        ProviderError::Refused(_) | ProviderError::UnknownAccount(_) | ProviderError::Forbidden(_) => Ok(error),
        ProviderError::Unauthorized(report) if report.code.as_deref() == Some("missing_scope") => {
            Ok(ProviderError::Refused(report))
        }
        ProviderError::Throttled { .. }
        | ProviderError::Unavailable(_)
        | ProviderError::Unauthorized(_)
        | ProviderError::Misconfigured(_)
        | ProviderError::Unclear(_) => Err(error),
    }
}

fn is_stale_cursor(error: &ProviderError) -> bool {
    error.report().code.as_deref() == Some("invalid_cursor")
}

/// What is wrong with the parameters of a listing.
pub(super) fn check_list(query: &ListQuery) -> Result<(), String> {
    if query.limit.is_some_and(|limit| !(1..=LARGEST_PAGE).contains(&limit)) {
        return Err(format!("`limit` is a whole number from 1 to {LARGEST_PAGE}; left out, it is {LARGEST_PAGE}"));
    }
    let is_ours = |cursor: &str| cursor.split_once(':').is_some_and(|(team, _)| is_team_id(team));
    if query.cursor.as_deref().is_some_and(|cursor| !is_ours(cursor)) {
        return Err("`cursor` is none that a page before gave; begin without one".to_owned());
    }
    Ok(())
}

/// Why given sessions could not be seen.
pub(super) fn no_place() -> ProviderError {
    ProviderError::Refused(own(
        Operation::List,
        "given sessions are ended only after they were seen to be the account's; set `team_ids`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_every_digit_and_nothing_else_is_one() {
        for (raw, id) in [
            ("12345", Some("12345")),
            ("9223372036854775807", Some("9223372036854775807")),
            ("18446744073709551615", Some("18446744073709551615")),
            ("9007199254740993", Some("9007199254740993")),
            ("123456789012345678901234567890", Some("123456789012345678901234567890")),
            ("\"4026531840001\"", Some("4026531840001")),
            ("4.0e12", None),
            ("1.0", None),
            ("-1", None),
            ("null", None),
            ("\"\"", None),
            ("\"1,2\"", None),
            ("[1]", None),
        ] {
            let raw = RawValue::from_string(raw.to_owned()).expect("JSON");
            assert_eq!(digits(&raw).as_deref(), id, "{raw}");
        }
    }

    #[test]
    fn a_listing_is_asked_for_within_slacks_bounds() {
        let query = |limit, cursor: Option<&str>| ListQuery {
            limit,
            cursor: cursor.map(str::to_owned),
            ..ListQuery::default()
        };
        for fine in [query(None, None), query(Some(1), Some("T0123ABCD:dXNl+cg==")), query(Some(1000), Some("E0A:"))] {
            assert_eq!(check_list(&fine), Ok(()), "{fine:?}");
        }
        for wrong in [query(Some(0), None), query(Some(1001), None), query(None, Some("dXNl")), query(None, Some(":a"))]
        {
            assert!(check_list(&wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn what_a_session_runs_on_is_told_in_words_and_guessed_in_no_kind() {
        let row: Row = serde_json::from_str(
            r#"{"user_id":"W1A","session_id":7,"team_id":"E0A",
                "created":{"device_hardware":"iPhone","os":"iOS","os_version":"17","ip":"203.0.113.7"},
                "recent":{"device_hardware":"iPhone","os":"iOS","os_version":"18","slack_client_version":"24.1","ip":"203.0.113.9\u0007"}}"#,
        )
        .expect("a row");
        let session = row.into_session(&Scrub::default()).expect("a session");
        assert_eq!(session.client.as_deref(), Some("iPhone, iOS 18, Slack 24.1"));
        assert_eq!((session.ip.as_deref(), session.team_id.as_deref()), (Some("203.0.113.9"), Some("E0A")));
        assert_eq!(session.device, None);
    }
}
