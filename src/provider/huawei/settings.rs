//! What the config says about an identity store of IAM Identity Center, and the client that it makes.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HuaweiIdentityCenter;
use super::api::Api;
use super::sign::Keys;
use crate::clock::Clock;
use crate::domain::{ProviderName, ScopeKind};
use crate::provider::ListParameter;
use crate::provider::address::base_url;
use crate::provider::hint::Bounds;
use crate::provider::http::Http;
use crate::provider::kind::{ALL_AND_GIVEN, Kind};
use crate::provider::pace::Pace;
use crate::provider::scrub::Scrub;
use crate::provider::settings::{
    CommonSettings, LimitSettings, Problem, ProofSettings, RetrySettings, default_timeout,
};
use crate::settings::{Duration, Secret, SecretRef};

/// The host of instances, which has no users and no sessions.
const INSTANCES_HOST: &str = "identitycenter.";

/// `d-` and ten letters or digits.
const STORE_ID_BYTES: usize = 12;

const LONGEST_ATTRIBUTE_PATH: usize = 255;
const LONGEST_ISSUER: usize = 100;

/// An identity store of Huawei Cloud IAM Identity Center.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HuaweiSettings {
    /// The API's URL, without a path, in the region in which IAM Identity Center is enabled:
    /// `https://identitystore.cn-north-4.myhuaweicloud.com`.
    pub url: String,
    /// How we prove who we are.
    pub credentials: HuaweiCredentials,
    /// The identity store's id: `d-` and 10 letters or digits. The console shows it under Settings.
    pub identity_store_id: String,
    /// What the API calls the attribute that holds the user name. Default: `user_name`.
    #[serde(default = "user_name")]
    pub attribute_path: String,
    /// The issuer of external ids, where users come from another identity provider. With it, an id in an alert may
    /// also be an external id. Default: none, and ids are user ids alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id_issuer: Option<String>,
    /// Sent as `X-Project-Id` with every call: the id of the region's project. Default: not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// How long one call may take, in all. Default: 10s.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// How much at once, and how fast.
    #[serde(default)]
    pub limits: LimitSettings,
    /// When a failed call is tried again.
    #[serde(default)]
    pub retry: RetrySettings,
    /// When sessions are looked at again after they were ended, and when an absence is believed.
    #[serde(default)]
    pub proof: ProofSettings,
    /// Resolves and judges, and ends nothing. Default: false.
    #[serde(default)]
    pub dry_run: bool,
}

/// An access key of the organization's management account or of a delegated administrator's. A policy has to allow it
/// `IdentityCenter:user:list`, `describe`, `getUserId`, `listSessions` and `batchDeleteSession`, and
/// `organizations:delegatedAdministrators:list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HuaweiCredentials {
    /// The access key id (AK).
    pub access_key: SecretRef,
    /// The secret access key (SK).
    pub secret_key: SecretRef,
    /// The security token, with temporary credentials. Replace all three before they run out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_token: Option<SecretRef>,
}

fn user_name() -> String {
    "user_name".to_owned()
}

impl Kind for HuaweiSettings {
    const SCOPES: &'static [ScopeKind] = ALL_AND_GIVEN;
    const LIST_PARAMETERS: &'static [ListParameter] = &[];
}

impl HuaweiSettings {
    /// The settings that every kind has.
    #[must_use]
    pub fn common(&self) -> CommonSettings {
        let Self { limits, retry, proof, timeout, dry_run, .. } = *self;
        CommonSettings { limits, retry, proof, timeout, dry_run }
    }

    /// Makes the client, fetching its secrets. All problems are reported at once.
    pub fn build(&self, name: &ProviderName, clock: Arc<dyn Clock>) -> Result<HuaweiIdentityCenter, Vec<Problem>> {
        let mut problems = Vec::new();
        self.common().check(&mut problems);
        let base = self.api_url().map_err(|mend| problems.push(("url".to_owned(), mend))).ok();
        let mut scrub = Scrub::default();
        let keys = self.credentials.fetch(&mut scrub, &mut problems);
        self.check_names(&mut problems);
        let http = Http::new(self.timeout.0).map_err(|why| problems.push(("url".to_owned(), why))).ok();
        let (Some(base), Some(keys), Some(http), true) = (base, keys, http, problems.is_empty()) else {
            return Err(problems);
        };
        tracing::debug!(provider.name = %name, "huawei client made");
        let api = Api {
            base,
            keys,
            store: self.identity_store_id.clone(),
            attribute_path: self.attribute_path.clone(),
            external_id_issuer: self.external_id_issuer.clone(),
            project_id: self.project_id.clone(),
            http,
            pace: Pace::new(self.limits.rate, Arc::clone(&clock)),
            bounds: Bounds::new(self.retry.longest.0),
            scrub,
            clock,
            ahead_s: AtomicI64::new(0),
        };
        Ok(HuaweiIdentityCenter { api })
    }

    fn api_url(&self) -> Result<reqwest::Url, String> {
        let url = base_url(&self.url).map_err(|error| error.to_string())?;
        if url.host_str().is_some_and(|host| host.starts_with(INSTANCES_HOST)) {
            let right = "write the one of users, https://identitystore.REGION.myhuaweicloud.com";
            return Err(format!("is the host of instances, which has no sessions; {right}"));
        }
        Ok(url)
    }

    fn check_names(&self, problems: &mut Vec<Problem>) {
        let mut demand = |fine: bool, field: &str, mend: &str| {
            if !fine {
                problems.push((field.to_owned(), mend.to_owned()));
            }
        };
        let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric());
        let store = &self.identity_store_id;
        let is_store = store.len() == STORE_ID_BYTES && store.strip_prefix("d-").is_some_and(is_plain);
        demand(
            is_store,
            "identity_store_id",
            "is not `d-` and 10 letters or digits; the console shows it under Settings",
        );
        let fits = |text: &str, longest: usize| {
            (1..=longest).contains(&text.chars().count()) && text.trim() == text && !text.chars().any(char::is_control)
        };
        let path = &self.attribute_path;
        demand(fits(path, LONGEST_ATTRIBUTE_PATH), "attribute_path", "has to hold 1 to 255 characters; try user_name");
        let issuer = self.external_id_issuer.as_deref();
        let mend = "has to hold 1 to 100 characters: the issuer of the external ids";
        demand(issuer.is_none_or(|issuer| fits(issuer, LONGEST_ISSUER)), "external_id_issuer", mend);
        let project = self.project_id.as_deref();
        let is_project = |id: &str| (1..=64).contains(&id.len()) && is_plain(id);
        demand(project.is_none_or(is_project), "project_id", "is no id of a project: 32 letters and digits");
    }
}

impl HuaweiCredentials {
    fn fetch(&self, scrub: &mut Scrub, problems: &mut Vec<Problem>) -> Option<Keys> {
        let access_key = fetch("access_key", &self.access_key, scrub, problems);
        let secret_key = fetch("secret_key", &self.secret_key, scrub, problems);
        let security_token = match &self.security_token {
            Some(reference) => fetch("security_token", reference, scrub, problems).map(Some),
            None => Some(None),
        };
        let (access_key, secret_key, security_token) = (access_key?, secret_key?, security_token?);
        if access_key.expose().contains(',') {
            problems.push(("credentials.access_key".to_owned(), "holds a comma; copy it again".to_owned()));
            return None;
        }
        Some(Keys { access_key, secret_key, security_token })
    }
}

fn fetch(field: &str, reference: &SecretRef, scrub: &mut Scrub, problems: &mut Vec<Problem>) -> Option<Secret> {
    let field = format!("credentials.{field}");
    let mut refuse = |mend: String| problems.push((field.clone(), mend));
    let secret = reference.resolve().map_err(|error| refuse(error.to_string())).ok()?;
    if !secret.expose().bytes().all(|b| b.is_ascii_graphic()) {
        refuse("holds a blank, a line end or a letter beyond ASCII, which no key has; copy it again".to_owned());
        return None;
    }
    scrub.hide(&secret);
    Some(secret)
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
