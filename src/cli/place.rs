//! The providers' stand-ins as `sever demo` and `sever sandbox` see them: where people live, what is left of them.
//!
//! One more provider is one more variant; the scenes that play everywhere then play there too.

use jiff::Timestamp;

use super::init::random_word;
use crate::domain::Outcome;
use crate::sandbox::faults::{Fault, Injection};
use crate::sandbox::ledger::{Call, Effect};
use crate::sandbox::{HuaweiSandbox, MattermostSandbox, OktaSandbox, Sandbox, SlackSandbox, TtsSandbox};
use crate::sandbox::{huawei, mattermost, okta, slack, the_things_stack};

/// Who our credential belongs to at each provider.
pub(in crate::cli) const ADMIN: &str = "admin@example.com";

/// One provider's stand-in.
pub(in crate::cli) enum Place {
    Okta(OktaSandbox),
    Slack(SlackSandbox),
    Mattermost(MattermostSandbox),
    Huawei(HuaweiSandbox),
    TheThingsStack(TtsSandbox),
}

/// Somebody who is to live there.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Person<'n> {
    pub(in crate::cli) email: &'n str,
    /// At Okta, where it may differ from the address.
    pub(in crate::cli) login: &'n str,
    pub(in crate::cli) sessions: usize,
}

/// What is left of a person there, as the stand-in itself has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Left {
    pub(in crate::cli) sessions: usize,
    pub(in crate::cli) tokens: usize,
    /// Revocations that reached the person.
    pub(in crate::cli) calls: usize,
}

impl Place {
    /// Every provider that has a stand-in. Slack has two workspaces.
    pub(in crate::cli) fn all(sandbox: &Sandbox) -> Vec<Self> {
        sandbox.slack().add_team("Second workspace");
        vec![
            Self::Okta(sandbox.okta().clone()),
            Self::Slack(sandbox.slack().clone()),
            Self::Mattermost(sandbox.mattermost().clone()),
            Self::Huawei(sandbox.huawei().clone()),
            Self::TheThingsStack(sandbox.things().clone()),
        ]
    }

    /// The provider's name in the config.
    pub(in crate::cli) fn name(&self) -> &'static str {
        match self {
            Self::Okta(_) => "okta",
            Self::Slack(_) => "slack",
            Self::Mattermost(_) => "chat",
            Self::Huawei(_) => "cloud",
            Self::TheThingsStack(_) => "lorawan",
        }
    }

    pub(in crate::cli) fn url(&self) -> String {
        match self {
            Self::Okta(okta) => okta.url(),
            Self::Slack(slack) => slack.url(),
            Self::Mattermost(chat) => chat.url(),
            Self::Huawei(cloud) => cloud.url(),
            Self::TheThingsStack(things) => things.url(),
        }
    }

    /// The best that can be seen there: whether it lets us look after the revocation.
    pub(in crate::cli) fn best(&self) -> Outcome {
        match self {
            Self::Okta(_) => Outcome::Confirmed,
            Self::Slack(_) | Self::Mattermost(_) | Self::Huawei(_) | Self::TheThingsStack(_) => Outcome::Verified,
        }
    }

    /// How many revoking calls it takes to end so many sessions.
    pub(in crate::cli) fn calls_for(&self, sessions: usize) -> usize {
        match self {
            Self::Okta(_) | Self::Slack(_) | Self::Mattermost(_) | Self::Huawei(_) => 1,
            Self::TheThingsStack(_) => sessions,
        }
    }

    /// The tokens of apps that a newcomer has.
    pub(in crate::cli) fn tokens_of_newcomer(&self) -> usize {
        match self {
            Self::Okta(_) => 2,
            Self::Slack(_) | Self::Mattermost(_) | Self::Huawei(_) | Self::TheThingsStack(_) => 0,
        }
    }

    /// Makes the stand-in take fresh secrets, which it returns, in the order of [`Self::settings`].
    pub(in crate::cli) fn admit_us(&self) -> anyhow::Result<Vec<String>> {
        Ok(match self {
            Self::Okta(okta) => {
                let token = random_word()?;
                okta.add_person(okta::Person::new(ADMIN));
                okta.accept_ssws(&token, ADMIN);
                vec![token]
            }
            Self::Slack(slack) => {
                let token = format!("xoxp-{}", random_word()?);
                slack.add_person(slack::Person::new(ADMIN).role(slack::Role::PrimaryOwner));
                slack.accept_token(&token, ADMIN);
                vec![token]
            }
            Self::Mattermost(chat) => {
                chat.add_person(mattermost::Person::new("admin").role(mattermost::Role::SystemAdmin));
                vec![chat.issue_token("admin").1]
            }
            Self::Huawei(cloud) => {
                let keys = vec![random_word()?, random_word()?];
                cloud.accept_key(&keys[0], &keys[1]);
                keys
            }
            Self::TheThingsStack(things) => {
                things.add_person(the_things_stack::Person::new("admin").admin());
                things.give_admins_all_rights(true);
                vec![things.issue_key("admin")]
            }
        })
    }

    /// Its entry under `providers:`, with references to the secrets. Waits are short, so that nobody waits for the demo.
    pub(in crate::cli) fn settings(&self, secrets: &[String]) -> String {
        let (name, url) = (self.name(), self.url());
        let secret = |position: usize| secrets.get(position).map_or("", String::as_str);
        let own = match self {
            Self::Okta(_) => format!("kind: okta\n    credentials: {{api_token: {}}}", secret(0)),
            Self::Slack(slack) => {
                let teams: Vec<String> = slack.teams().into_iter().map(|team| team.id).collect();
                let teams = teams.join(", ");
                format!("kind: slack\n    credentials: {{token: {}}}\n    team_ids: [{teams}]", secret(0))
            }
            Self::Mattermost(_) => format!("kind: mattermost\n    credentials: {{token: {}}}", secret(0)),
            Self::Huawei(cloud) => {
                let (access, key, store) = (secret(0), secret(1), cloud.identity_store_id());
                format!(
                    "kind: huawei_identity_center\n    credentials: {{access_key: {access}, secret_key: {key}}}\n    \
                     identity_store_id: {store}"
                )
            }
            Self::TheThingsStack(_) => format!("kind: the_things_stack\n    credentials: {{api_key: {}}}", secret(0)),
        };
        // Slack's methods are below a path.
        let url = if matches!(self, Self::Slack(_)) { format!("{url}/api") } else { url };
        format!(
            "  {name}:\n    {own}\n    url: {url}\n    \
             retry: {{first: 300ms, factor: 2, longest: 5s}}\n    proof: {{after: 500ms}}\n"
        )
    }

    /// Somebody lives here from now on, signed in and, at Okta, with the tokens of one client. Returns the id.
    pub(in crate::cli) fn move_in(&self, person: &Person<'_>) -> String {
        let sessions = 0..person.sessions;
        match self {
            Self::Okta(okta) => {
                let newcomer = okta::Person::new(person.login).email(person.email);
                let id = newcomer.id.clone();
                okta.add_person(newcomer);
                sessions.for_each(|_| drop(okta.sign_in(&id)));
                okta.issue_tokens(&id, "mail-app");
                id
            }
            Self::Slack(slack) => {
                let teams: Vec<String> = slack.teams().into_iter().map(|team| team.id).collect();
                let newcomer = teams.iter().fold(slack::Person::new(person.email), |it, team| it.team(team));
                let id = newcomer.id.clone();
                slack.add_person(newcomer);
                let devices = [slack::Device::Web, slack::Device::Mobile].into_iter().cycle();
                let places = teams.iter().cycle().zip(devices).take(person.sessions);
                places.for_each(|(team, device)| drop(slack.sign_in_to(&id, team, device)));
                id
            }
            Self::Mattermost(chat) => {
                let newcomer = mattermost::Person::new(person.email);
                let id = newcomer.id.clone();
                chat.add_person(newcomer);
                sessions.for_each(|_| drop(chat.sign_in(&id)));
                id
            }
            Self::Huawei(cloud) => {
                let newcomer = huawei::Person::new(person.email);
                let id = newcomer.id.clone();
                cloud.add_person(newcomer);
                sessions.for_each(|_| drop(cloud.sign_in(&id)));
                id
            }
            Self::TheThingsStack(things) => {
                let newcomer = the_things_stack::Person::new(person.email);
                let id = newcomer.id.clone();
                things.add_person(newcomer);
                sessions.for_each(|_| drop(things.sign_in(&id)));
                id
            }
        }
    }

    /// Asks the stand-in, by the person's id.
    pub(in crate::cli) fn left_of(&self, id: &str) -> Left {
        let (sessions, tokens, calls) = match self {
            Self::Okta(okta) => (okta.sessions_of(id), okta.tokens_of(id), okta.revocations_of(id)),
            Self::Slack(slack) => (slack.sessions_of(id), 0, slack.revocations_of(id)),
            Self::Mattermost(chat) => (chat.sessions_of(id), 0, chat.revocations_of(id)),
            Self::Huawei(cloud) => (cloud.sessions_of(id), 0, cloud.revocations_of(id)),
            Self::TheThingsStack(things) => (things.sessions_of(id), 0, things.revocations_of(id)),
        };
        Left { sessions, tokens, calls }
    }

    /// When the person's sessions were ended, by the stand-in's own record: the first call that ended all of them, or the
    /// last of those that ended one each.
    pub(in crate::cli) fn revoked_at(&self, id: &str) -> Option<Timestamp> {
        let calls = self.ledger();
        let ended_all =
            calls.iter().find(|call| matches!(&call.effect, Effect::UserRevoked { user_id, .. } if user_id == id));
        let last = || calls.iter().rev().find(|call| call.effect.revoked_user() == Some(id));
        ended_all.or_else(last).map(|call| call.at)
    }

    fn ledger(&self) -> Vec<Call> {
        match self {
            Self::Okta(okta) => okta.ledger(),
            Self::Slack(slack) => slack.ledger(),
            Self::Mattermost(chat) => chat.ledger(),
            Self::Huawei(cloud) => cloud.ledger(),
            Self::TheThingsStack(things) => things.ledger(),
        }
    }

    /// Lets the next revocation go wrong, at Okta.
    pub(in crate::cli) fn strike(&self, fault: Fault) {
        if let Self::Okta(okta) = self {
            okta.faults().inject(Injection::once(fault).on(okta::Operation::RevokeUserSessions));
        }
    }
}
