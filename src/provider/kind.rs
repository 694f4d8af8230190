//! The kinds of provider, in one table. Whoever adds a kind adds a line to it; what sets the kind apart stands with its
//! settings, as [`Kind`].

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de};

use super::huawei::HuaweiSettings;
use super::mattermost::MattermostSettings;
use super::okta::OktaSettings;
use super::settings::{CommonSettings, Problem};
use super::slack::SlackSettings;
use super::the_things_stack::TheThingsStackSettings;
use super::{ListParameter, ListQuery, Provider};
use crate::clock::Clock;
use crate::domain::{ProviderName, ScopeKind};

/// What is so of every provider of a kind.
pub(super) trait Kind {
    /// The sessions that it can end. A rule that asks for others is a config error.
    const SCOPES: &'static [ScopeKind];

    /// What a listing of sessions takes there; empty also where there is no listing.
    const LIST_PARAMETERS: &'static [ListParameter];

    /// What is wrong with the values of `query`, which has none but [`Self::LIST_PARAMETERS`], in words for people.
    fn check_list(_query: &ListQuery) -> Result<(), String> {
        Ok(())
    }
}

/// What most kinds can end.
pub(super) const ALL_AND_GIVEN: &[ScopeKind] = &[ScopeKind::All, ScopeKind::Sessions];

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($settings:ty),)+) => {
        /// The kinds of provider, as named in the config.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ProviderKind { $($(#[$doc])* $kind,)+ }

        /// One provider, by its kind. It is read in `tagged.rs`.
        #[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum ProviderSettings { $($(#[$doc])* $kind($settings),)+ }

        impl ProviderKind {
            /// What a listing of sessions takes here; empty also where there is no listing.
            #[must_use]
            pub fn list_parameters(self) -> &'static [ListParameter] {
                match self { $(Self::$kind => <$settings>::LIST_PARAMETERS,)+ }
            }

            /// What is wrong with the values of `query`, which has none but [`Self::list_parameters`], in words for people.
            pub fn check_list(self, query: &ListQuery) -> Result<(), String> {
                match self { $(Self::$kind => <$settings>::check_list(query),)+ }
            }

            /// Whether it can end the sessions of this scope. A rule that asks for another is a config error.
            #[must_use]
            pub fn supports(self, scope: ScopeKind) -> bool {
                match self { $(Self::$kind => <$settings>::SCOPES.contains(&scope),)+ }
            }
        }

        impl ProviderSettings {
            /// Which kind it is.
            #[must_use]
            pub fn kind(&self) -> ProviderKind {
                match self { $(Self::$kind(_) => ProviderKind::$kind,)+ }
            }

            /// The settings that every kind has.
            #[must_use]
            pub fn common(&self) -> CommonSettings {
                match self { $(Self::$kind(settings) => settings.common(),)+ }
            }

            /// Makes the client, fetching its secrets. All problems are reported at once.
            pub fn build(&self, name: &ProviderName, clock: Arc<dyn Clock>) -> Result<Arc<dyn Provider>, Vec<Problem>> {
                match self { $(Self::$kind(settings) => Ok(Arc::new(settings.build(name, clock)?)),)+ }
            }

            /// The settings of this kind.
            pub(super) fn read<'de, D: de::Deserializer<'de>>(kind: ProviderKind, from: D) -> Result<Self, D::Error> {
                match kind { $(ProviderKind::$kind => <$settings>::deserialize(from).map(Self::$kind),)+ }
            }
        }
    };
}

kinds! {
    /// Huawei Cloud IAM Identity Center.
    HuaweiIdentityCenter(HuaweiSettings),
    /// Mattermost, self-hosted or in the cloud.
    Mattermost(MattermostSettings),
    /// Okta Workforce and Customer Identity.
    Okta(OktaSettings),
    /// Slack, Enterprise organizations.
    Slack(SlackSettings),
    /// The Things Stack for LoRaWAN.
    TheThingsStack(TheThingsStackSettings),
}
