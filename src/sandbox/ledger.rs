//! What reached a stand-in and what it did, call by call, refused ones too.
//!
//! Headers and request bodies are not kept, so no credential is.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

/// Older calls are forgotten first, so that a sandbox that runs for days stays small.
const CALLS_KEPT: usize = 100_000;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// When it came, by the stand-in's clock.
    pub at: Timestamp,
    /// As sent.
    pub method: String,
    /// As sent, still percent-encoded.
    pub path: String,
    /// As sent, without the question mark; `[withheld]` where a query could carry a credential.
    pub query: String,
    /// `None`: the connection was closed without an answer.
    pub status: Option<u16>,
    /// The provider's own code, where the answer had one.
    pub error_code: Option<String>,
    /// Size of the request's body, in bytes.
    pub body_len: usize,
    /// What the call changed, whether or not the answer said so.
    pub effect: Effect,
}

/// What a call changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// Nothing: it was refused, it only read, or it got lost on the way in.
    #[default]
    None,
    /// All of a user's sessions were ended, possibly none.
    UserRevoked {
        /// Whose.
        user_id: String,
        /// Sessions ended.
        sessions: usize,
        /// Refresh and access tokens ended.
        tokens: usize,
        /// Remembered devices forgotten.
        devices: usize,
    },
    /// One session was ended.
    SessionRevoked {
        /// Whose.
        user_id: String,
        /// Which.
        session_id: String,
    },
    /// A client's refresh tokens for a user were ended.
    ClientTokensRevoked {
        /// Whose.
        user_id: String,
        /// Of which client.
        client_id: String,
        /// How many.
        tokens: usize,
    },
    /// Some of a user's sessions were ended: by their ids, or those of one kind of device.
    SessionsRevoked {
        /// Whose.
        user_id: String,
        /// How many of them were alive.
        sessions: usize,
    },
    /// The request was taken; the sessions end later.
    Enqueued {
        /// Whose.
        user_id: String,
    },
    /// The request to end the sessions of several people was taken.
    BulkEnqueued {
        /// Whose, those left out for a failure of their own not counted.
        user_ids: Vec<String>,
        /// Nothing will come of it.
        pretended: bool,
    },
    /// How long sessions of these people may last was changed; no session was ended.
    SettingsChanged {
        /// Whose.
        user_ids: Vec<String>,
    },
    /// A personal access token was ended.
    AccessTokenRevoked {
        /// Whose.
        user_id: String,
        /// Which.
        token_id: String,
    },
    /// A call that no honest client makes: it would have reached everybody, or somebody else than it names. It did nothing
    /// here.
    Tripwire {
        /// What it would have done.
        would: String,
    },
    /// Success was reported and nothing was done.
    Pretended {
        /// Whose sessions are still alive.
        user_id: String,
    },
    /// A service app got an access token.
    TokenIssued {
        /// Which app.
        client_id: String,
    },
}

impl Effect {
    /// Whether a revocation, real or pretended, reached this user.
    #[must_use]
    pub fn reached(&self, user_id: &str) -> bool {
        match self {
            Self::BulkEnqueued { user_ids, .. } => user_ids.iter().any(|id| id == user_id),
            other => other.revoked_user() == Some(user_id),
        }
    }

    /// The one user whom a revocation reached, real or pretended.
    #[must_use]
    pub fn revoked_user(&self) -> Option<&str> {
        match self {
            Self::None
            | Self::TokenIssued { .. }
            | Self::Tripwire { .. }
            | Self::BulkEnqueued { .. }
            | Self::SettingsChanged { .. } => None,
            Self::UserRevoked { user_id, .. }
            | Self::SessionsRevoked { user_id, .. }
            | Self::Enqueued { user_id }
            | Self::AccessTokenRevoked { user_id, .. }
            | Self::SessionRevoked { user_id, .. }
            | Self::ClientTokensRevoked { user_id, .. }
            | Self::Pretended { user_id } => Some(user_id),
        }
    }
}

/// The calls of one stand-in, oldest first.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<VecDeque<Call>>);

impl Ledger {
    /// Writes a call down.
    pub fn record(&self, call: Call) {
        let mut calls = self.lock();
        if calls.len() == CALLS_KEPT {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    /// Every call that is kept.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().iter().cloned().collect()
    }

    /// How many revocations reached this user, real and pretended.
    #[must_use]
    pub fn revocations_of(&self, user_id: &str) -> usize {
        self.lock().iter().filter(|call| call.effect.reached(user_id)).count()
    }

    /// What would have reached somebody whom no honest client means.
    #[must_use]
    pub fn tripwires(&self) -> Vec<Call> {
        self.lock().iter().filter(|call| matches!(call.effect, Effect::Tripwire { .. })).cloned().collect()
    }

    /// Forgets every call.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
