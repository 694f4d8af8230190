//! What the config says about a Mattermost server, and the client that it makes.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mattermost;
use crate::clock::Clock;
use crate::domain::{ProviderName, ScopeKind};
use crate::provider::ListParameter;
use crate::provider::address::base_url_with_path;
use crate::provider::http::Http;
use crate::provider::kind::{ALL_AND_GIVEN, Kind};
use crate::provider::scrub::Scrub;
use crate::provider::settings::{
    CommonSettings, LimitSettings, Problem, ProofSettings, RetrySettings, default_timeout,
};
use crate::settings::{Duration, Secret, SecretRef};

const TOKEN: &str = "credentials.token";

/// A Mattermost server, self-hosted or in the cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MattermostSettings {
    /// The server's URL, with its sub-path if it has one, without `/api/v4`: `https://chat.acme.com`.
    pub url: String,
    /// How we prove who we are.
    pub credentials: MattermostCredentials,
    /// Also revoke every personal access token of the user. Otherwise each makes a new session when it is used.
    /// Default: false.
    #[serde(default)]
    pub revoke_access_tokens: bool,
    /// How long one call may take, in all. Default: 10s.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// How much at once, and how fast.
    #[serde(default)]
    pub limits: LimitSettings,
    /// When a failed call is tried again.
    #[serde(default)]
    pub retry: RetrySettings,
    /// When sessions are looked at again. Give a database replica time to catch up.
    #[serde(default)]
    pub proof: ProofSettings,
    /// Resolves and judges, and ends nothing. Default: false.
    #[serde(default)]
    pub dry_run: bool,
}

/// How we prove who we are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MattermostCredentials {
    /// A personal access token of a bot or of a user for sever alone, without the word Bearer.
    pub token: SecretRef,
}

impl Kind for MattermostSettings {
    const SCOPES: &'static [ScopeKind] = ALL_AND_GIVEN;
    const LIST_PARAMETERS: &'static [ListParameter] = &[];
}

impl MattermostSettings {
    /// The settings that every kind has.
    #[must_use]
    pub fn common(&self) -> CommonSettings {
        let Self { limits, retry, proof, timeout, dry_run, .. } = *self;
        CommonSettings { limits, retry, proof, timeout, dry_run }
    }

    /// Makes the client, fetching its secrets. All problems are reported at once.
    pub fn build(&self, name: &ProviderName, clock: Arc<dyn Clock>) -> Result<Mattermost, Vec<Problem>> {
        let mut problems = Vec::new();
        self.common().check(&mut problems);
        let url = self.server_url().map_err(|mend| problems.push(("url".to_owned(), mend))).ok();
        let token = self.credentials.fetch().map_err(|mend| problems.push((TOKEN.to_owned(), mend))).ok();
        let http = Http::new(self.timeout.0).map_err(|why| problems.push(("url".to_owned(), why))).ok();
        match (url, token, http) {
            (Some(url), Some(token), Some(http)) if problems.is_empty() => {
                tracing::debug!(provider.name = %name, "mattermost client made");
                let mut scrub = Scrub::default();
                scrub.hide(&token);
                Ok(Mattermost::new(self, url, token, http, scrub, clock))
            }
            _ => Err(problems),
        }
    }

    fn server_url(&self) -> Result<reqwest::Url, String> {
        let url = base_url_with_path(&self.url).map_err(|error| error.to_string())?;
        let mut segments = url.path().split('/');
        if segments.any(|segment| segment == "api") {
            return Err("must end before /api/v4; write the server's URL with its sub-path if it has one".to_owned());
        }
        Ok(url)
    }
}

impl MattermostCredentials {
    fn fetch(&self) -> Result<Secret, String> {
        let token = self.token.resolve().map_err(|error| error.to_string())?;
        check_token(token.expose())?;
        Ok(token)
    }
}

fn check_token(text: &str) -> Result<(), String> {
    if text.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("bearer")) && text[6..].starts_with([' ', ':']) {
        return Err("begins with the word Bearer; give the token alone".to_owned());
    }
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("holds a blank, a line end or a letter beyond ASCII, which no token has; copy it again".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::provider::ProviderSettings;

    const SHORT: &str =
        "{kind: mattermost, url: 'https://chat.acme.com', credentials: {token: {value: 9xuqwrwgstrb3mz}}}";

    fn read(text: &str) -> MattermostSettings {
        match serde_saphyr::from_str(text) {
            Ok(ProviderSettings::Mattermost(settings)) => settings,
            other => panic!("{other:?}"),
        }
    }

    fn problems(settings: &MattermostSettings) -> Vec<Problem> {
        settings.build(&"chat".parse().expect("a name"), Arc::new(SystemClock::new())).err().unwrap_or_default()
    }

    #[test]
    fn what_is_left_out_has_the_documented_default() {
        let short = read(SHORT);
        assert!(!short.revoke_access_tokens && !short.dry_run);
        assert_eq!(short.timeout, Duration::from_secs(10));
        assert_eq!(problems(&short), []);
        assert!(serde_saphyr::from_str::<ProviderSettings>(&SHORT.replace("url:", "team: x, url:")).is_err());
    }

    #[test]
    fn all_problems_are_reported_at_once_with_their_mends() {
        let mut settings = read(SHORT);
        settings.url = "http://chat.acme.com".to_owned();
        settings.credentials.token = SecretRef::Env("SEVER_TEST_NOT_SET".to_owned());
        settings.proof.times = 0;
        let fields: Vec<_> = problems(&settings).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["proof.times", "url", TOKEN]);
    }

    #[test]
    fn the_url_is_the_servers_and_not_the_apis() {
        for (url, fine) in [
            ("https://acme.com/chat", true),
            ("https://acme.com/chat/", true),
            ("https://acme.com/chat/api/v4", false),
            ("https://chat.acme.com/api/v4/", false),
            ("https://chat.acme.com/a/../b", false),
            ("https://chat.acme.com?x=1", false),
        ] {
            let found = problems(&MattermostSettings { url: url.to_owned(), ..read(SHORT) });
            assert_eq!(found.is_empty(), fine, "{url}: {found:?}");
        }
    }

    #[test]
    fn a_token_is_given_alone_and_does_not_show() {
        for wrong in ["Bearer 9xuqwrwgstrb3mz", "9xuq wrwg", "9xuq\r\nX-Evil: 1", "9xuqü"] {
            let mut settings = read(SHORT);
            settings.credentials.token = SecretRef::Value(wrong.to_owned());
            let found = problems(&settings);
            assert_eq!(found.len(), 1, "{wrong}");
            assert!(!format!("{found:?}").contains("9xuq"));
        }
    }
}
