//! What the config says about a Slack organization, and the client that it makes.

use std::num::NonZeroU32;
use std::sync::Arc;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Slack;
use super::api::Api;
use super::bulk::GATHER;
use super::looks::{check_list, is_team_id};
use super::quota::{Quota, SESSION_CALLS_A_MINUTE};
use super::token::{Token, check_token};
use crate::clock::Clock;
use crate::domain::{ProviderName, ScopeKind};
use crate::provider::address::base_url_with_path;
use crate::provider::hint::Bounds;
use crate::provider::http::Http;
use crate::provider::kind::Kind;
use crate::provider::pace::Pace;
use crate::provider::scrub::Scrub;
use crate::provider::settings::{
    CommonSettings, LimitSettings, Problem, ProofSettings, RetrySettings, default_timeout,
};
use crate::provider::{ListParameter, ListQuery};
use crate::settings::{Duration, Rate, SecretRef};

/// Slack's own hosts, which serve the API under `/api` and web pages elsewhere.
const SLACK_DOMAINS: [&str; 2] = ["slack.com", "slack-gov.com"];

/// A Slack Enterprise organization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackSettings {
    /// The API's URL. Default: `https://slack.com/api`; GovSlack has `https://slack-gov.com/api`.
    #[serde(default = "default_url")]
    pub url: String,
    /// How we prove who we are.
    pub credentials: SlackCredentials,
    /// The workspaces (`T...`) whose sessions are looked at, and the organization's own id (`E...`), to which sessions
    /// may belong as well. Without all of an account's workspaces, the outcome is at best `accepted`; without any there
    /// are no looks, and given sessions cannot be ended. Default: none.
    #[serde(default)]
    pub team_ids: Vec<String>,
    /// How long one call may take, in all. Default: 10s.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// How much at once, and how fast.
    #[serde(default)]
    pub limits: SlackLimits,
    /// When a failed call is tried again.
    #[serde(default)]
    pub retry: RetrySettings,
    /// When sessions are looked at again, and when an absence is believed.
    #[serde(default)]
    pub proof: ProofSettings,
    /// Resolves and judges, and ends nothing. Default: false.
    #[serde(default)]
    pub dry_run: bool,
}

/// How we prove who we are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackCredentials {
    /// The user token (`xoxp-...`) of an app that an Org Admin or Org Owner installed on the whole organization, with
    /// the user scopes `admin.users:write`, `admin.users:read`, `users:read` and `users:read.email`. Where it is
    /// rotated, its file is read again once Slack turns it down.
    pub token: SecretRef,
}

/// How much is asked of Slack at once, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SlackLimits {
    /// Jobs that may be at work there at the same time, over all replicas. Those that cannot be done singly within Slack's rate go out
    /// together, which needs many at work. Default: 100.
    pub concurrency: NonZeroU32,
    /// Calls of each method by itself that may go out in any such stretch of time, over all replicas. Default: what Slack's tiers allow:
    /// `20/1m` for methods that list and end sessions, 50 and 100 a minute for those that find people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

impl Default for SlackLimits {
    fn default() -> Self {
        Self { concurrency: NonZeroU32::MIN.saturating_add(99), rate: None }
    }
}

fn default_url() -> String {
    "https://slack.com/api".to_owned()
}

impl Kind for SlackSettings {
    const SCOPES: &'static [ScopeKind] = &[ScopeKind::All, ScopeKind::Web, ScopeKind::Mobile, ScopeKind::Sessions];
    const LIST_PARAMETERS: &'static [ListParameter] = &[ListParameter::Limit, ListParameter::Cursor];

    fn check_list(query: &ListQuery) -> Result<(), String> {
        check_list(query)
    }
}

impl SlackSettings {
    /// The settings that every kind has.
    #[must_use]
    pub fn common(&self) -> CommonSettings {
        let Self { limits, retry, proof, timeout, dry_run, .. } = *self;
        let limits = LimitSettings { concurrency: limits.concurrency, rate: limits.rate };
        CommonSettings { limits, retry, proof, timeout, dry_run }
    }

    /// Makes the client, fetching its secrets. All problems are reported at once.
    pub fn build(&self, name: &ProviderName, clock: Arc<dyn Clock>) -> Result<Slack, Vec<Problem>> {
        let api = self.api(clock)?;
        tracing::debug!(provider.name = %name, "slack client made");
        Ok(Slack::new(api, GATHER))
    }

    pub(super) fn api(&self, clock: Arc<dyn Clock>) -> Result<Api, Vec<Problem>> {
        let mut problems = Vec::new();
        self.common().check(&mut problems);
        let url = self.api_url().map_err(|mend| problems.push(("url".to_owned(), mend))).ok();
        self.check_teams(&mut problems);
        let mut scrub = Scrub::default();
        let token = self.credentials.fetch(&mut scrub).map_err(|mend| problems.push(mend)).ok();
        let http = Http::new(self.timeout.0).map_err(|why| problems.push(("url".to_owned(), why))).ok();
        match (url, token, http) {
            (Some(base), Some(token), Some(http)) if problems.is_empty() => {
                let (pace, quota) = (Pace::new(None, Arc::clone(&clock)), Quota::new(self.limits.rate, clock));
                let (team_ids, bounds) = (self.team_ids.clone(), Bounds::new(self.retry.longest.0));
                Ok(Api { base, token, team_ids, http, pace, quota, bounds, scrub })
            }
            _ => Err(problems),
        }
    }

    fn api_url(&self) -> Result<Url, String> {
        let url = base_url_with_path(&self.url).map_err(|error| error.to_string())?;
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let is_slacks = SLACK_DOMAINS
            .iter()
            .any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
        match url.path().trim_end_matches('/') {
            "/api" => Ok(url),
            _ if is_slacks => Err(format!("is not the API; write https://{host}/api")),
            _ => Ok(url),
        }
    }

    fn check_teams(&self, problems: &mut Vec<Problem>) {
        let mut problem = |mend: String| problems.push(("team_ids".to_owned(), mend));
        for (at, team) in self.team_ids.iter().enumerate() {
            if !is_team_id(team) {
                problem(format!(
                    "{team:?} is no id of a workspace; those begin with T, as in the URL of the web client"
                ));
            } else if self.team_ids[..at].contains(team) {
                problem(format!("{team} is there twice"));
            }
        }
        let most = self.limits.rate.map_or(SESSION_CALLS_A_MINUTE, |rate| rate.count.get() as usize);
        if self.team_ids.len() > most {
            problem(format!("a look takes a call for each, and only {most} may be made at once; name no more of them"));
        }
    }
}

impl SlackCredentials {
    fn fetch(&self, scrub: &mut Scrub) -> Result<Token, Problem> {
        let problem = |mend: String| ("credentials.token".to_owned(), mend);
        let secret = self.token.resolve().map_err(|error| problem(error.to_string()))?;
        scrub.hide(&secret);
        check_token(&secret).map_err(problem)?;
        Ok(Token::new(self.token.clone(), secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::provider::ProviderSettings;

    const SAMPLE: &str = "
kind: slack
credentials: {token: {value: xoxp-1-secret}}
team_ids: [T0123ABCD]
";

    fn read(text: &str) -> Result<SlackSettings, String> {
        match serde_saphyr::from_str(text) {
            Ok(ProviderSettings::Slack(settings)) => Ok(settings),
            Ok(other) => panic!("not Slack: {other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn problems(change: impl FnOnce(&mut SlackSettings)) -> Vec<Problem> {
        let mut settings = read(SAMPLE).expect("the sample");
        change(&mut settings);
        settings.build(&"slack".parse().expect("a name"), Arc::new(SystemClock::new())).err().unwrap_or_default()
    }

    #[test]
    fn what_is_left_out_has_the_documented_default() {
        let settings = read(SAMPLE).expect("the sample");
        let common = settings.common();
        assert_eq!((settings.url.as_str(), common.limits.concurrency.get()), ("https://slack.com/api", 100));
        assert_eq!((common.limits.rate, common.timeout, common.dry_run), (None, Duration::from_secs(10), false));
        assert_eq!(problems(|_| {}), []);
        let rate = read(&format!("{SAMPLE}limits: {{rate: 40/1m}}\n")).expect("settings").common().limits;
        assert_eq!((rate.concurrency.get(), rate.rate), (100, Some("40/1m".parse().expect("a rate"))));
        let bare = read("{kind: slack, credentials: {token: {env: T}}}").expect("settings");
        assert!(bare.team_ids.is_empty());
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        for (wrong, key) in [
            (format!("{SAMPLE}team_id: T1\n"), "team_id"),
            (format!("{SAMPLE}limits: {{concurency: 1}}\n"), "concurency"),
            (SAMPLE.replace("{token:", "{tokens:"), "tokens"),
        ] {
            let error = read(&wrong).expect_err("a slip");
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn the_schema_knows_every_key() {
        let schema = serde_json::to_value(schemars::schema_for!(ProviderSettings)).expect("a schema");
        let validator = jsonschema::validator_for(&schema).expect("a valid schema");
        let mut sample: serde_json::Value = serde_saphyr::from_str(SAMPLE).expect("the sample");
        assert!(validator.is_valid(&sample), "{schema:#}");
        sample["limits"] = serde_json::json!({"rate": "20/1m"});
        assert!(validator.is_valid(&sample));
        sample["team"] = "T1".into();
        assert!(!validator.is_valid(&sample));
    }

    #[test]
    fn all_problems_are_reported_at_once_with_their_mends() {
        let found = problems(|settings| {
            settings.url = "http://slack.com/api".to_owned();
            settings.credentials.token = SecretRef::Value("xoxb-1-secret".to_owned());
            settings.team_ids = vec!["acme".to_owned(), "T1A".to_owned(), "T1A".to_owned()];
            settings.proof.times = 0;
        });
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["proof.times", "url", "team_ids", "team_ids", "credentials.token"]);
        assert!(!format!("{found:?}").contains("xoxb-1"));
    }

    #[test]
    fn the_api_is_under_its_path() {
        for (url, right) in [
            ("https://slack.com", Some("https://slack.com/api")),
            ("https://acme.slack.com/", Some("https://acme.slack.com/api")),
            ("https://slack-gov.com/admin", Some("https://slack-gov.com/api")),
            ("https://slack.com/api/", None),
            ("https://notslack.com", None),
            ("http://127.0.0.1:9/api", None),
        ] {
            let found = problems(|settings| settings.url = url.to_owned());
            assert_eq!(found.len(), usize::from(right.is_some()), "{url}: {found:?}");
            assert!(right.is_none_or(|right| found[0].1.ends_with(right)), "{found:?}");
        }
    }

    #[test]
    fn a_look_has_to_fit_into_the_rate() {
        let teams = |count: usize| (0..count).map(|number| format!("T{number:04}")).collect::<Vec<_>>();
        assert_eq!(problems(|settings| settings.team_ids = teams(20)), []);
        assert_eq!(problems(|settings| settings.team_ids = teams(21)).len(), 1);
        let slower = |settings: &mut SlackSettings| {
            settings.team_ids = teams(6);
            settings.limits.rate = Some("5/1m".parse().expect("a rate"));
        };
        assert_eq!(problems(slower).len(), 1);
    }
}
