//! What the config says about a network of The Things Stack, and the client that it makes.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TheThingsStack;
use crate::clock::Clock;
use crate::domain::{ProviderName, ScopeKind};
use crate::provider::address::base_url;
use crate::provider::http::Http;
use crate::provider::kind::{ALL_AND_GIVEN, Kind};
use crate::provider::scrub::Scrub;
use crate::provider::settings::{
    CommonSettings, LimitSettings, Problem, ProofSettings, RetrySettings, default_timeout,
};
use crate::provider::{ListParameter, ListQuery};
use crate::settings::{Duration, Secret, SecretRef};

/// A network of The Things Stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TheThingsStackSettings {
    /// The URL of its Identity Server, without a path: `https://eu1.cloud.thethings.network` or your own host. No other
    /// cluster answers.
    pub url: String,
    /// How we prove who we are.
    pub credentials: TheThingsStackCredentials,
    /// Also send the optional parameter `user_ids.email` when sessions are listed or ended. The server ignores it, and
    /// proxies log it. Default: false.
    #[serde(default)]
    pub send_email: bool,
    /// How long one call may take, in all. Default: 10s.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// How much at once, and how fast.
    #[serde(default)]
    pub limits: LimitSettings,
    /// When a failed call is tried again.
    #[serde(default)]
    pub retry: RetrySettings,
    /// When sessions are looked at again after they were ended.
    #[serde(default)]
    pub proof: ProofSettings,
    /// Resolves and judges, and ends nothing. Default: false.
    #[serde(default)]
    pub dry_run: bool,
}

/// How we prove who we are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TheThingsStackCredentials {
    /// A personal API key of an admin, `NNSXS.…`, with the right to everything on users (RIGHT_USER_ALL). The Identity
    /// Server has to run with `is.admin-rights.all: true`.
    pub api_key: SecretRef,
}

impl Kind for TheThingsStackSettings {
    const SCOPES: &'static [ScopeKind] = ALL_AND_GIVEN;
    const LIST_PARAMETERS: &'static [ListParameter] =
        &[ListParameter::Order, ListParameter::Limit, ListParameter::Page];

    fn check_list(query: &ListQuery) -> Result<(), String> {
        super::check_list(query)
    }
}

impl TheThingsStackSettings {
    /// The settings that every kind has.
    #[must_use]
    pub fn common(&self) -> CommonSettings {
        let Self { limits, retry, proof, timeout, dry_run, .. } = *self;
        CommonSettings { limits, retry, proof, timeout, dry_run }
    }

    /// Makes the client, fetching its secrets. All problems are reported at once.
    pub fn build(&self, name: &ProviderName, clock: Arc<dyn Clock>) -> Result<TheThingsStack, Vec<Problem>> {
        let mut problems = Vec::new();
        self.common().check(&mut problems);
        let url = base_url(&self.url).map_err(|error| problems.push(("url".to_owned(), error.to_string()))).ok();
        let mut scrub = Scrub::default();
        let key = self.credentials.fetch(&mut scrub);
        let key = key.map_err(|mend| problems.push(("credentials.api_key".to_owned(), mend))).ok();
        let http = Http::new(self.timeout.0).map_err(|why| problems.push(("url".to_owned(), why))).ok();
        match (url, key, http) {
            (Some(url), Some(key), Some(http)) if problems.is_empty() => {
                tracing::debug!(provider.name = %name, "the_things_stack client made");
                Ok(TheThingsStack::new(self, url, key, http, scrub, clock))
            }
            _ => Err(problems),
        }
    }
}

impl TheThingsStackCredentials {
    fn fetch(&self, scrub: &mut Scrub) -> Result<Secret, String> {
        let key = self.api_key.resolve().map_err(|error| error.to_string())?;
        check_key(key.expose()).map_err(str::to_owned)?;
        scrub.hide(&key);
        // The last part is the secret one, and says enough without the others.
        if let Some((_, secret)) = key.expose().rsplit_once('.') {
            scrub.hide(&Secret::new(secret));
        }
        Ok(key)
    }
}

/// `NNSXS`, the key's id, and its secret. How long each is has changed before and is the server's business.
fn check_key(text: &str) -> Result<(), &'static str> {
    let (scheme, rest) = text.split_once(' ').unwrap_or(("", text));
    if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
        return Err("begins with the word Bearer; give the key alone");
    }
    let parts: Vec<&str> = text.split('.').collect();
    let is_part = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !parts.iter().all(is_part) {
        return Err("holds a letter that no API key has, such as a blank or a line end; copy it again");
    }
    match parts[..] {
        ["NNSXS", _, _] => Ok(()),
        ["NNSXS", _] => Err("is the first half of an API key; the whole has three parts with dots between them"),
        _ => Err("is no API key; those have three parts with dots between them, and the first is NNSXS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::provider::ProviderSettings;

    const KEY: &str = "NNSXS.IDIDIDIDIDID.SECRETSECRETSECRET";
    const SAMPLE: &str = "
kind: the_things_stack
url: https://eu1.cloud.thethings.network
credentials: {api_key: {value: NNSXS.IDIDIDIDIDID.SECRETSECRETSECRET}}
send_email: false
limits: {concurrency: 8}
retry: {first: 1s, factor: 2, longest: 5m, give_up_after: 24h}
proof: {after: 2s, times: 3}
timeout: 10s
";

    fn read(text: &str) -> Result<TheThingsStackSettings, String> {
        match serde_saphyr::from_str(text) {
            Ok(ProviderSettings::TheThingsStack(settings)) => Ok(settings),
            Ok(other) => panic!("another kind: {other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn problems(settings: &TheThingsStackSettings) -> Vec<Problem> {
        let name = "lorawan".parse().expect("a name");
        settings.build(&name, Arc::new(SystemClock::new())).err().unwrap_or_default()
    }

    #[test]
    fn what_is_left_out_has_the_documented_default() {
        let short = format!(
            "{{kind: the_things_stack, url: 'https://eu1.cloud.thethings.network', \
                             credentials: {{api_key: {{value: {KEY}}}}}}}"
        );
        let short = read(&short).expect("settings");
        assert_eq!(Ok(&short), read(SAMPLE).as_ref());
        assert!(!short.send_email && !short.dry_run);
        assert_eq!(problems(&short), []);
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        for (slip, name) in [
            (format!("{SAMPLE}sendemail: true\n"), "sendemail"),
            (SAMPLE.replace("api_key", "api_token"), "api_token"),
            (format!("{SAMPLE}team_ids: [a]\n"), "team_ids"),
        ] {
            assert!(read(&slip).expect_err("a slip").contains(name), "{slip}");
        }
        assert!(read(&SAMPLE.replace("credentials:", "# credentials:")).expect_err("none").contains("credentials"));
    }

    #[test]
    fn the_schema_knows_every_key_and_no_other() {
        let schema = serde_json::to_value(schemars::schema_for!(ProviderSettings)).expect("a schema");
        let validator = jsonschema::validator_for(&schema).expect("a valid schema");
        let sample: serde_json::Value = serde_saphyr::from_str(SAMPLE).expect("the sample");
        assert!(validator.is_valid(&sample), "{schema:#}");
        let mut slipped = sample;
        slipped["forget_devices"] = true.into();
        assert!(!validator.is_valid(&slipped), "a key of another kind was taken");
    }

    #[test]
    fn all_problems_are_reported_at_once_with_their_mends() {
        let mut settings = read(SAMPLE).expect("the sample");
        settings.url = "https://eu1.cloud.thethings.network/api/v3".to_owned();
        settings.credentials.api_key = SecretRef::Value("NNSXS.IDID".to_owned());
        settings.proof.times = 0;
        let found = problems(&settings);
        let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["proof.times", "url", "credentials.api_key"]);
        assert!(found[1].1.contains("remove the path"), "{found:?}");
    }

    #[test]
    fn a_key_is_given_whole_and_alone_and_does_not_show() {
        for wrong in [
            "Bearer NNSXS.IDIDIDIDIDID.SECRETSECRETSECRET",
            "NNSXS.IDIDIDIDIDID",
            "NNSXS.IDIDIDIDIDID.",
            "NNSXS..SECRETSECRETSECRET",
            "NNSXS.IDIDIDIDIDID.SECRETSECRETSECRET.MORE",
            "MFRWG.IDIDIDIDIDID.SECRETSECRETSECRET",
            "NNSXS.IDIDIDIDIDID.SECRETSECRET\r\nX-Evil: 1",
            "NNSXS.IDIDIDIDIDID.SECRETSECRÉT",
            "IDIDIDIDIDID",
        ] {
            let mut settings = read(SAMPLE).expect("the sample");
            settings.credentials.api_key = SecretRef::Value(wrong.to_owned());
            let found = problems(&settings);
            assert_eq!(found.len(), 1, "{wrong}");
            assert!(!format!("{found:?}").contains("IDID"), "{found:?}");
        }
        let settings = read(SAMPLE).expect("the sample");
        let name = "lorawan".parse().expect("a name");
        let built = settings.build(&name, Arc::new(SystemClock::new())).expect("a client");
        assert!(!format!("{settings:?} {built:?}").contains("SECRET"));
    }
}
