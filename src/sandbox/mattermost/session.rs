//! The rows of the session table that belong to one user, and what a database replica shows of them.
//!
//! A row stays until it is revoked or a clean-up job takes it; expiry alone leaves it in place.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// Mattermost's default for sign-ins (ServiceSettings.SessionLengthWebInHours, 30 days).
pub(super) const SIGN_IN_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Sessions of personal access tokens live for a hundred years.
pub(super) const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(100 * 365 * 24);

/// Above this the least recently used go (server/channels/app/session.go, MM-55320).
pub(super) const MOST_SESSIONS: usize = 500;

/// How somebody came to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// A browser.
    Web,
    /// The mobile app.
    Mobile,
    /// An app that the user let in by OAuth.
    OAuth,
}

/// What a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    SignIn(Device),
    /// Of a personal access token, made by its first use.
    AccessToken {
        token_id: String,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) token: String,
    pub(super) csrf: String,
    pub(super) kind: Kind,
    pub(super) created_at: Timestamp,
    pub(super) last_activity_at: Timestamp,
    /// `None` is never.
    pub(super) expires_at: Option<Timestamp>,
}

impl Session {
    pub(super) fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }

    pub(super) fn is_oauth(&self) -> bool {
        self.kind == Kind::SignIn(Device::OAuth)
    }
}

/// A row that was removed, for the replica that has not heard of it.
#[derive(Debug)]
struct Removed {
    session: Session,
    at: Timestamp,
}

/// The rows of one user.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    rows: BTreeMap<String, Session>,
    /// Oldest first. Those of the latest removal stay; older ones stay as long as the replica lags.
    removed: Vec<Removed>,
    latest_removal: usize,
}

impl Sessions {
    pub(super) fn insert(&mut self, session: Session) {
        self.rows.insert(session.id.clone(), session);
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Session> {
        self.rows.get_mut(id)
    }

    /// Every row, expired ones too.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Session> {
        self.rows.values()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whose turn it is when there are too many.
    pub(super) fn least_recently_used(&self) -> Option<String> {
        self.rows().min_by_key(|session| session.last_activity_at).map(|session| session.id.clone())
    }

    /// Takes rows away in one go; those that were there.
    pub(super) fn remove(&mut self, ids: &[String], now: Timestamp, lag: SignedDuration) -> Vec<Session> {
        self.removed.retain(|removed| now < removed.at + lag);
        let taken: Vec<Session> = ids.iter().filter_map(|id| self.rows.remove(id)).collect();
        self.removed.extend(taken.iter().map(|session| Removed { session: session.clone(), at: now }));
        self.latest_removal = taken.len();
        taken
    }

    /// What a replica shows that is this far behind.
    pub(super) fn replica(&self, now: Timestamp, lag: SignedDuration) -> Vec<Session> {
        let then = now - lag;
        let present = self.rows().filter(|session| session.created_at <= then);
        let gone = self.removed.iter().filter(|removed| then < removed.at && removed.session.created_at <= then);
        present.chain(gone.map(|removed| &removed.session)).cloned().collect()
    }

    /// How things stood before the latest removal.
    pub(super) fn before_latest_removal(&self) -> Vec<Session> {
        let latest = self.removed.len().saturating_sub(self.latest_removal);
        self.rows().chain(self.removed[latest..].iter().map(|removed| &removed.session)).cloned().collect()
    }
}
