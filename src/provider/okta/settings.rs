//! What the config says about an Okta org, and the client that it makes.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Okta;
use super::assertion::{SigningAlgorithm, SigningKey};
use super::auth::{Auth, OauthClient};
use crate::clock::Clock;
use crate::domain::{ProviderName, ScopeKind};
use crate::provider::ListParameter;
use crate::provider::address::base_url;
use crate::provider::http::Http;
use crate::provider::kind::{ALL_AND_GIVEN, Kind};
use crate::provider::scrub::Scrub;
use crate::provider::settings::{
    CommonSettings, LimitSettings, Problem, ProofSettings, RetrySettings, default_timeout, on,
};
use crate::settings::{Duration, Secret, SecretRef};

/// Okta's domains whose `-admin` hosts are the admin console. A custom domain has no such host.
const OKTA_DOMAINS: [&str; 5] = ["okta.com", "oktapreview.com", "okta-emea.com", "okta-gov.com", "okta.mil"];

/// An Okta org.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OktaSettings {
    /// The org's URL, without a path: `https://acme.okta.com` or a custom domain. Not the admin console's.
    pub url: String,
    /// How we prove who we are.
    pub credentials: OktaCredentials,
    /// Also revoke the OAuth refresh and access tokens that Okta issued to the user. Default: true.
    #[serde(default = "on")]
    pub oauth_tokens: bool,
    /// Also forget the devices on which the user's factors are remembered. Default: false.
    #[serde(default)]
    pub forget_devices: bool,
    /// How long one call may take, in all. Default: 10s.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// How much at once, and how fast.
    #[serde(default)]
    pub limits: LimitSettings,
    /// When a failed call is tried again.
    #[serde(default)]
    pub retry: RetrySettings,
    /// When an absence is believed. Okta has no way to look at sessions.
    #[serde(default)]
    pub proof: ProofSettings,
    /// Resolves and judges, and ends nothing. Default: false.
    #[serde(default)]
    pub dry_run: bool,
}

/// How we prove who we are: one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OktaCredentials {
    /// An API token (SSWS), without the word SSWS. It acts as the admin who made it.
    ApiToken(SecretRef),
    /// A service app with its private key (OAuth client credentials with `private_key_jwt`).
    Oauth(OktaOauth),
}

/// A service app. It needs the scopes `okta.users.manage` and `okta.users.read` granted, and an admin role;
/// `okta.sessions.manage` and `okta.sessions.read` as well for rules with `scope: sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OktaOauth {
    /// The app's client id, `0oa...`.
    pub client_id: String,
    /// The app's private key in PEM: PKCS#8, or PKCS#1 (RSA), or SEC1 (EC). RSA of 2048 bits or more, or EC on P-256.
    pub private_key: SecretRef,
    /// The id (`kid`) under which the app knows the public half.
    pub key_id: String,
    /// How assertions are signed. Default: as the key allows, RS256 for RSA and ES256 for EC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<SigningAlgorithm>,
}

impl Kind for OktaSettings {
    const SCOPES: &'static [ScopeKind] = ALL_AND_GIVEN;
    const LIST_PARAMETERS: &'static [ListParameter] = &[];
}

impl OktaSettings {
    /// The settings that every kind has.
    #[must_use]
    pub fn common(&self) -> CommonSettings {
        let Self { limits, retry, proof, timeout, dry_run, .. } = *self;
        CommonSettings { limits, retry, proof, timeout, dry_run }
    }

    /// Makes the client, fetching its secrets. All problems are reported at once.
    pub fn build(&self, name: &ProviderName, clock: Arc<dyn Clock>) -> Result<Okta, Vec<Problem>> {
        let mut problems = Vec::new();
        self.common().check(&mut problems);
        let url = self.api_url().map_err(|mend| problems.push(("url".to_owned(), mend))).ok();
        let mut scrub = Scrub::default();
        let auth = self.credentials.fetch(&mut scrub, &mut problems);
        let http = Http::new(self.timeout.0).map_err(|why| problems.push(("url".to_owned(), why))).ok();
        match (url, auth, http) {
            (Some(url), Some(auth), Some(http)) if problems.is_empty() => {
                tracing::debug!(provider.name = %name, "okta client made");
                Ok(Okta::new(self, url, auth, http, scrub, clock))
            }
            _ => Err(problems),
        }
    }

    fn api_url(&self) -> Result<reqwest::Url, String> {
        let url = base_url(&self.url).map_err(|error| error.to_string())?;
        match api_host(url.host_str().unwrap_or_default()) {
            Some(host) => Err(format!("is the admin console, which is not the API; write https://{host}")),
            None => Ok(url),
        }
    }
}

/// The API's host, where `host` is that of the admin console.
fn api_host(host: &str) -> Option<String> {
    let (org, domain) = host.trim_end_matches('.').split_once('.')?;
    let org = org.strip_suffix("-admin")?;
    OKTA_DOMAINS.contains(&domain).then(|| format!("{org}.{domain}"))
}

impl OktaCredentials {
    fn fetch(&self, scrub: &mut Scrub, problems: &mut Vec<Problem>) -> Option<Auth> {
        match self {
            Self::ApiToken(reference) => {
                let token = fetch("credentials.api_token", reference, scrub, problems)?;
                let fine = check_token(&token).map_err(|mend| problems.push(("credentials.api_token".into(), mend)));
                fine.ok().map(|()| Auth::ApiToken(token))
            }
            Self::Oauth(app) => app.fetch(scrub, problems).map(|app| Auth::Oauth(Box::new(app))),
        }
    }
}

impl OktaOauth {
    fn fetch(&self, scrub: &mut Scrub, problems: &mut Vec<Problem>) -> Option<OauthClient> {
        let before = problems.len();
        for (field, value) in [("client_id", &self.client_id), ("key_id", &self.key_id)] {
            if value.is_empty() || value.chars().any(|c| c.is_whitespace() || c.is_control()) {
                problems.push((format!("credentials.oauth.{field}"), "is empty or holds blanks".to_owned()));
            }
        }
        let field = "credentials.oauth.private_key";
        let pem = fetch(field, &self.private_key, scrub, problems)?;
        let key =
            SigningKey::read(&pem, self.algorithm).map_err(|mend| problems.push((field.to_owned(), mend))).ok()?;
        (problems.len() == before).then(|| OauthClient::new(self.client_id.clone(), self.key_id.clone(), key))
    }
}

fn fetch(field: &str, reference: &SecretRef, scrub: &mut Scrub, problems: &mut Vec<Problem>) -> Option<Secret> {
    let secret = reference.resolve().map_err(|error| problems.push((field.to_owned(), error.to_string()))).ok()?;
    scrub.hide(&secret);
    Some(secret)
}

fn check_token(token: &Secret) -> Result<(), String> {
    let text = token.expose();
    if text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("ssws")) && text[4..].starts_with([' ', ':']) {
        return Err("begins with the word SSWS; give the token alone".to_owned());
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

    const SAMPLE: &str = "
kind: okta
url: https://acme.okta.com
credentials: {api_token: {value: 00QCjAl4MlV-WPXM}}
limits: {concurrency: 8, rate: 600/1m}
retry: {first: 1s, factor: 2, longest: 5m, give_up_after: 24h}
proof: {after: 2s, times: 3}
timeout: 10s
";

    fn read(text: &str) -> Result<ProviderSettings, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    fn problems(url: &str, credentials: OktaCredentials) -> Vec<Problem> {
        let mut settings = okta();
        settings.url = url.to_owned();
        settings.credentials = credentials;
        build(&settings)
    }

    fn okta() -> OktaSettings {
        let ProviderSettings::Okta(settings) = read(SAMPLE).expect("the sample") else { panic!("not Okta") };
        settings
    }

    fn build(settings: &OktaSettings) -> Vec<Problem> {
        let name = "okta".parse().expect("a name");
        settings.build(&name, Arc::new(SystemClock::new())).err().unwrap_or_default()
    }

    fn token(text: &str) -> OktaCredentials {
        OktaCredentials::ApiToken(SecretRef::Value(text.to_owned()))
    }

    #[test]
    fn what_is_left_out_has_the_documented_default() {
        let short = "{kind: okta, url: 'https://acme.okta.com', credentials: {api_token: {value: 00QCjAl4MlV-WPXM}}}";
        let ProviderSettings::Okta(mut short) = read(short).expect("settings") else { panic!("not Okta") };
        assert!(short.oauth_tokens && !short.forget_devices && !short.dry_run);
        assert_eq!(short.limits.rate, None);
        short.limits.rate = okta().limits.rate;
        assert_eq!(short, okta());
        assert_eq!(build(&short), []);
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let at_top = format!("{SAMPLE}oauth_token: true\n");
        let error = read(&at_top).expect_err("a slip");
        assert!(error.contains("oauth_token") && error.contains("line 9"), "{error}");
        let kind_last = format!("{}kind: okta\n", SAMPLE.replace("kind: okta\n", ""));
        assert_eq!(read(&kind_last), read(SAMPLE));
        assert!(read(&SAMPLE.replace("kind: okta\n", "")).expect_err("no kind").contains("kind"));
        assert!(read(&format!("{SAMPLE}kind: okta\n")).is_err(), "two kinds");
        let within = SAMPLE.replace("concurrency", "concurency");
        assert!(read(&within).expect_err("a slip").contains("concurency"));
        let two = SAMPLE.replace("{api_token:", "{oauth: {client_id: a, private_key: {env: K}, key_id: k}, api_token:");
        assert!(read(&two).is_err());
        let slip = "{kind: okta, url: u, credentials: {oauth: {client_id: a, private_key: {env: K}, kid: k}}}";
        assert!(read(slip).expect_err("a slip").contains("kid"));
        assert!(read(&SAMPLE.replace("kind: okta", "kind: octa")).expect_err("a slip").contains("octa"));
    }

    #[test]
    fn the_schema_knows_every_key_and_no_other() {
        let schema = serde_json::to_value(schemars::schema_for!(ProviderSettings)).expect("a schema");
        let validator = jsonschema::validator_for(&schema).expect("a valid schema");
        let sample: serde_json::Value = serde_saphyr::from_str(SAMPLE).expect("the sample");
        assert!(validator.is_valid(&sample), "{schema:#}");
        for slip in ["oauth_token", "Kind"] {
            let mut slipped = sample.clone();
            slipped[slip] = true.into();
            assert!(!validator.is_valid(&slipped), "{slip} was taken");
        }
        let text = schema.to_string();
        let keys = ["oauth_tokens", "forget_devices", "give_up_after", "private_key", "key_id", "concurrency", "okta"];
        assert!(keys.iter().all(|key| text.contains(key)));
    }

    #[test]
    fn all_problems_are_reported_at_once_with_their_mends() {
        let mut settings = okta();
        settings.url = "http://acme.okta.com".to_owned();
        settings.credentials = OktaCredentials::ApiToken(SecretRef::Env("SEVER_TEST_NOT_SET".to_owned()));
        settings.retry.factor = f64::NAN;
        settings.proof.times = 0;
        let fields: Vec<_> = build(&settings).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["retry.factor", "proof.times", "url", "credentials.api_token"]);
    }

    #[test]
    fn the_admin_console_is_not_the_api() {
        for (host, right) in [
            ("acme-admin.okta.com", Some("https://acme.okta.com")),
            ("ACME-admin.oktapreview.com", Some("https://acme.oktapreview.com")),
            ("acme-admin.okta-emea.com.", Some("https://acme.okta-emea.com")),
            ("acme-admin.okta-gov.com", Some("https://acme.okta-gov.com")),
            ("login-admin.acme.com", None),
            ("acme.okta.com", None),
        ] {
            let found = problems(&format!("https://{host}"), token("00QCjAl4MlV-WPXM"));
            assert_eq!(found.len(), usize::from(right.is_some()), "{host}: {found:?}");
            assert!(right.is_none_or(|right| found[0].1.ends_with(right)), "{found:?}");
        }
    }

    #[test]
    fn a_token_is_given_alone_and_does_not_show() {
        for wrong in ["SSWS 00QCjAl4MlV-WPXM", "00QC jAl4MlV", "00QCjAl4\r\nX-Evil: 1", "00QCjAl4Mlü"] {
            let found = problems("https://acme.okta.com", token(wrong));
            assert_eq!(found.len(), 1, "{wrong}");
            assert!(!format!("{found:?}").contains("00QC"));
        }
        let name = "okta".parse().expect("a name");
        let built = okta().build(&name, Arc::new(SystemClock::new())).expect("a client");
        assert!(!format!("{built:?}").contains("00QC"));
    }

    #[test]
    fn a_bad_key_or_id_is_a_problem() {
        let app = OktaOauth {
            client_id: String::new(),
            private_key: SecretRef::Value("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".to_owned()),
            key_id: "k 1".to_owned(),
            algorithm: None,
        };
        let fields: Vec<_> = problems("https://acme.okta.com", OktaCredentials::Oauth(app)).into_iter().collect();
        let fields: Vec<_> =
            fields.iter().map(|(field, _)| field.rsplit_once('.').map_or("", |(_, last)| last)).collect();
        assert_eq!(fields, ["client_id", "key_id", "private_key"]);
    }
}
