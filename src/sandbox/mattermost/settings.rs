//! The settings of the server that change what the API does, and the age of what the replica shows.

use jiff::SignedDuration;

/// As a fresh server has them, apart from personal access tokens, which are on here.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// `/chat`; empty at the root.
    pub(super) subpath: String,
    /// ServiceSettings.EnableUserAccessTokens
    pub(super) access_tokens: bool,
    /// PrivacySettings.ShowEmailAddress
    pub(super) show_emails: bool,
    /// ServiceSettings.EnforceMultifactorAuthentication
    pub(super) enforce_mfa: bool,
    /// ServiceSettings.ExperimentalEnableHardenedMode
    pub(super) hardened: bool,
    /// ServiceSettings.EnableDeveloper
    pub(super) developer: bool,
    /// How far the database replica is behind.
    pub(super) replica_lag: SignedDuration,
    /// How far the server's clock runs ahead of ours.
    pub(super) clock_offset: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            subpath: String::new(),
            access_tokens: true,
            show_emails: true,
            enforce_mfa: false,
            hardened: false,
            developer: false,
            replica_lag: SignedDuration::ZERO,
            clock_offset: SignedDuration::ZERO,
        }
    }
}
