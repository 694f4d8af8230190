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
    /// Nobody can tell now, because something that is needed could not be fetched: the sender should come back.
    #[error("the delivery cannot be judged now: {0}")]
    Undecided(Reason),
}

impl VerifyError {
    /// Which check failed, for the log and the list of refusals; never for the sender.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Forged(reason) | Self::Stale { reason, .. } | Self::Undecided(reason) => *reason,
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
    /// What the transport gives as the id is not the one that is signed.
    IdMismatch,
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
    /// The part of the body that the signature needs is not of the scheme's shape.
    MalformedBody,
    /// It is none of the secrets.
    CredentialMismatch,
    /// `Content-Digest` is not the digest of the body, or of no kind that we know.
    DigestMismatch,
    /// The signature does not cover what it has to, or covers what the delivery does not have.
    ComponentMissing,
    /// The sender names another algorithm than the key has.
    UnsupportedAlgorithm,
    /// The sender names a key that we do not have.
    UnknownKey,
    /// The topic is none of `topic_arns`.
    TopicNotAllowed,
    /// The certificate is not where SNS keeps its certificates.
    UntrustedCertUrl,
    /// The subscription would be confirmed elsewhere than at SNS.
    UntrustedSubscribeUrl,
    /// The certificate is not one of SNS, or not of this time.
    UntrustedCertificate,
    /// The source takes deliveries from holders of a client certificate alone, and none was shown.
    ClientCertificateMissing,
    /// The client certificate is for nobody who may deliver to this source.
    ClientCertificateMismatch,
    /// The client certificate expired after the connection was made.
    ClientCertificateExpired,
    /// The certificate could not be fetched now.
    CertificateUnavailable,
    /// The subscription could not be confirmed now.
    ConfirmationUnavailable,
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
            Self::IdMismatch => "id_mismatch",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::MalformedSignature => "malformed_signature",
            Self::UnknownVersion => "unknown_version",
            Self::SignatureMismatch => "signature_mismatch",
            Self::TimestampStale => "timestamp_stale",
            Self::TimestampFuture => "timestamp_future",
            Self::MalformedBody => "malformed_body",
            Self::CredentialMismatch => "credential_mismatch",
            Self::DigestMismatch => "digest_mismatch",
            Self::ComponentMissing => "component_missing",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::UnknownKey => "unknown_key",
            Self::TopicNotAllowed => "topic_not_allowed",
            Self::UntrustedCertUrl => "untrusted_cert_url",
            Self::UntrustedSubscribeUrl => "untrusted_subscribe_url",
            Self::UntrustedCertificate => "untrusted_certificate",
            Self::ClientCertificateMissing => "client_certificate_missing",
            Self::ClientCertificateMismatch => "client_certificate_mismatch",
            Self::ClientCertificateExpired => "client_certificate_expired",
            Self::CertificateUnavailable => "certificate_unavailable",
            Self::ConfirmationUnavailable => "confirmation_unavailable",
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
