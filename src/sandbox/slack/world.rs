//! The state of the organization: people with their sessions per workspace, jobs that are due later, tokens, switches.
//!
//! What names a user or a session does not slow down with the number of people, so that a load test measures its subject.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::SignedDuration;

use super::auth::Token;
use super::jobs::{Job, Reach};
use super::person::{Person, Team, fresh_id};
use super::quota::Quota;
use super::refusal::ThrottleForm;
use super::session::{self, Device, Session};
use super::settings::Settings;

/// Everything that a call can read or change.
#[derive(Debug)]
pub(super) struct World {
    pub(super) enterprise_id: String,
    pub(super) teams: Vec<Team>,
    pub(super) tokens: HashMap<String, Token>,
    pub(super) cursors: HashMap<String, Cursor>,
    pub(super) quota: Quota,
    pub(super) switches: Switches,
    pub(super) clock_offset: SignedDuration,
    users: HashMap<String, User>,
    /// Ids in the order added.
    order: Vec<String>,
    /// Lower-case address to id.
    emails: HashMap<String, String>,
    /// User name to id.
    names: HashMap<String, String>,
    /// By number.
    sessions: BTreeMap<u64, Session>,
    /// Session id to number.
    numbers: HashMap<i64, u64>,
    next_number: u64,
    pub(super) jobs: Vec<Job>,
}

/// A person and what they hold.
#[derive(Debug)]
pub(super) struct User {
    pub(super) person: Person,
    /// By number.
    sessions: BTreeSet<u64>,
    /// As they were before the latest revocation: what a replica that lags still shows.
    before: Option<Vec<Session>>,
    pub(super) settings: Option<Settings>,
}

/// How this organization differs from the usual.
#[derive(Debug, Default)]
pub(super) struct Switches {
    pub(super) throttle_form: ThrottleForm,
    pub(super) reset_delay: SignedDuration,
    /// User id to reason.
    pub(super) bulk_failures: BTreeMap<String, String>,
    pub(super) page_cap: Option<usize>,
    pub(super) empty_pages: bool,
    pub(super) omit_last_cursor: bool,
    pub(super) list_expired: bool,
    pub(super) withhold_workspaces: bool,
    pub(super) refuse_org_lookups: bool,
    pub(super) is_business_plan: bool,
}

/// Where a listing goes on, and what it lists.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    pub(super) of: Option<(String, String)>,
    pub(super) after: u64,
    /// The page before this one was empty on purpose.
    pub(super) was_empty: bool,
}

impl World {
    /// With two workspaces and nobody in them.
    pub(super) fn new() -> Self {
        let mut world = Self {
            enterprise_id: fresh_id("E", 11),
            teams: Vec::new(),
            tokens: HashMap::new(),
            cursors: HashMap::new(),
            quota: Quota::default(),
            switches: Switches::default(),
            clock_offset: SignedDuration::ZERO,
            users: HashMap::new(),
            order: Vec::new(),
            emails: HashMap::new(),
            names: HashMap::new(),
            sessions: BTreeMap::new(),
            numbers: HashMap::new(),
            next_number: 1,
            jobs: Vec::new(),
        };
        world.add_team("Engineering");
        world.add_team("Sales");
        world
    }

    pub(super) fn add_team(&mut self, name: &str) -> String {
        let id = fresh_id("T", 11);
        self.teams.push(Team { id: id.clone(), name: name.to_owned() });
        id
    }

    /// A workspace, or the organization itself, which sessions may belong to as well.
    pub(super) fn has_team(&self, id: &str) -> bool {
        id == self.enterprise_id || self.teams.iter().any(|team| team.id == id)
    }

    /// Adds a person without sessions, or replaces the one with this id.
    pub(super) fn add(&mut self, mut person: Person) {
        let id = person.id.clone();
        if person.teams.is_empty() {
            person.teams = self.teams.first().map(|team| team.id.clone()).into_iter().collect();
        }
        self.remove(&id);
        self.emails.insert(person.email.to_lowercase(), id.clone());
        self.names.insert(person.name.clone(), id.clone());
        self.users.insert(id.clone(), User { person, sessions: BTreeSet::new(), before: None, settings: None });
        self.order.push(id);
    }

    fn remove(&mut self, id: &str) {
        let Some(old) = self.users.remove(id) else { return };
        self.emails.remove(&old.person.email.to_lowercase());
        self.names.remove(&old.person.name);
        self.order.retain(|known| known != id);
        old.sessions.iter().for_each(|number| self.forget(*number));
    }

    /// Everybody, in the order added.
    pub(super) fn users(&self) -> impl Iterator<Item = &User> {
        self.order.iter().filter_map(|id| self.users.get(id))
    }

    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id)
    }

    pub(super) fn user_mut(&mut self, id: &str) -> Option<&mut User> {
        self.users.get_mut(id)
    }

    pub(super) fn user_with_email(&self, email: &str) -> Option<&User> {
        self.users.get(self.emails.get(&email.to_lowercase())?)
    }

    /// For tests, which name people as they like: id, user name or e-mail address. A stranger's name is taken for an id.
    pub(super) fn id_of(&self, name: &str) -> String {
        let by_name = || self.users.get(self.names.get(name)?);
        let user = self.user(name).or_else(by_name).or_else(|| self.user_with_email(name));
        user.map_or_else(|| name.to_owned(), |user| user.person.id.clone())
    }

    /// The id of the new session; `None` when there is no such user or team.
    pub(super) fn open_session(&mut self, user_id: &str, team_id: &str, device: Device) -> Option<i64> {
        let is_known_team = self.has_team(team_id);
        let user = self.users.get_mut(user_id).filter(|_| is_known_team)?;
        let (number, id) = (self.next_number, session::fresh_id());
        self.next_number += 1;
        user.sessions.insert(number);
        self.numbers.insert(id, number);
        let (user_id, team_id) = (user_id.to_owned(), team_id.to_owned());
        let (has_expired, has_changed) = (false, false);
        self.sessions.insert(number, Session { number, id, user_id, team_id, device, has_expired, has_changed });
        Some(id)
    }

    pub(super) fn session(&self, id: i64) -> Option<&Session> {
        self.sessions.get(self.numbers.get(&id)?)
    }

    pub(super) fn session_mut(&mut self, id: i64) -> Option<&mut Session> {
        self.sessions.get_mut(self.numbers.get(&id)?)
    }

    /// Everybody's, those after `number`.
    pub(super) fn sessions_after(&self, number: u64) -> impl Iterator<Item = &Session> {
        self.sessions.range(number + 1..).map(|(_, session)| session)
    }

    /// One user's, in the order in which they began.
    pub(super) fn sessions_of(&self, user_id: &str) -> impl Iterator<Item = &Session> {
        let numbers = self.users.get(user_id).into_iter().flat_map(|user| &user.sessions);
        numbers.filter_map(|number| self.sessions.get(number))
    }

    /// What a replica that has not seen the user's latest revocation shows.
    pub(super) fn sessions_before(&self, user_id: &str) -> Vec<&Session> {
        match self.users.get(user_id).and_then(|user| user.before.as_ref()) {
            Some(before) => before.iter().collect(),
            None => self.sessions_of(user_id).collect(),
        }
    }

    /// Ends at most this many of the sessions that `reach` means; those that were alive.
    pub(super) fn end(&mut self, user_id: &str, reach: Reach, most: usize) -> Vec<Session> {
        let before: Vec<Session> = self.sessions_of(user_id).cloned().collect();
        let meant = before.iter().filter(|session| reach.means(session.device));
        let ended: Vec<Session> = meant.take(most).cloned().collect();
        self.drop_all(user_id, before, &ended);
        ended.into_iter().filter(|session| !session.has_expired).collect()
    }

    /// Ends one session.
    pub(super) fn end_one(&mut self, session: &Session) {
        let before = self.sessions_of(&session.user_id).cloned().collect();
        self.drop_all(&session.user_id, before, std::slice::from_ref(session));
    }

    fn drop_all(&mut self, user_id: &str, before: Vec<Session>, ended: &[Session]) {
        ended.iter().for_each(|session| self.forget(session.number));
        if let Some(user) = self.users.get_mut(user_id) {
            user.sessions.retain(|number| !ended.iter().any(|session| session.number == *number));
            user.before = Some(before);
        }
    }

    fn forget(&mut self, number: u64) {
        if let Some(session) = self.sessions.remove(&number) {
            self.numbers.remove(&session.id);
        }
    }
}
