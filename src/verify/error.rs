//! What is told about a delivery that did not pass, and about settings that cannot work.
//!
//! Nothing in here holds a header value, a body or a secret, so all of it may be logged.

use super::Verified;

/// Why a delivery did not pass, named for what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nothing says that it is from the source: refuse it and keep nothing.
    #[error("the delivery is not authentic: {0}")]
    Forged(Reason),
    /// It is from the source and its signed time is outside the window: a webhook refuses it, a queue quarantines it.
    #[error("the delivery is authentic but not fresh: {reason}")]
    Stale {
        /// [`Reason::TimestampStale`] or [`Reason::TimestampFuture`].
        reason: Reason,
        /// What a quarantine keeps.
        verified: Box<Verified>,
    },
}

impl VerifyError {
    /// Which check failed, for the log and the list of refusals; never for the sender.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Forged(reason) | Self::Stale { reason, .. } => *reason,
        }
    }
}

/// Which check failed. The codes are stable: they are logged and listed under the source's refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No body, which no sender means.
    EmptyBody,
    /// A header that the scheme needs is absent or empty.
    MissingHeader,
    /// A header that the scheme needs occurs twice: two readers could see different ones.
    DuplicateHeader,
    /// A header is not of the scheme's shape, or not ASCII.
    MalformedHeader,
    /// The id is not 1 to 256 of `A-Z a-z 0-9 _ -`.
    MalformedId,
    /// The time is not written as the scheme writes it.
    MalformedTimestamp,
    /// The signature is not the strict encoding of a MAC of the right length.
    MalformedSignature,
    /// No signature of a version that we have keys for.
    UnknownVersion,
    /// No key makes any of the signatures.
    SignatureMismatch,
    /// Signed longer ago than the tolerance.
    TimestampStale,
    /// Signed further ahead of our clock than the tolerance.
    TimestampFuture,
}

impl Reason {
    /// The stable code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EmptyBody => "empty_body",
            Self::MissingHeader => "missing_header",
            Self::DuplicateHeader => "duplicate_header",
            Self::MalformedHeader => "malformed_header",
            Self::MalformedId => "malformed_id",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::MalformedSignature => "malformed_signature",
            Self::UnknownVersion => "unknown_version",
            Self::SignatureMismatch => "signature_mismatch",
            Self::TimestampStale => "timestamp_stale",
            Self::TimestampFuture => "timestamp_future",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Reason {}

/// Why a verifier cannot be made from its settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct VerifierProblem {
    /// The key below `verify`, for example `secrets[1]`.
    pub field: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl VerifierProblem {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}
