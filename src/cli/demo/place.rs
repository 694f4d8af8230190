//! The providers' stand-ins as the demo sees them: where people live, what is left of them, what can go wrong.
//!
//! One more provider is one more variant; the scenes then play there too.

use jiff::Timestamp;

use super::scene::{Person, Trouble};
use crate::cli::init::random_word;
use crate::domain::Outcome;
use crate::sandbox::faults::{Fault, Injection};
use crate::sandbox::ledger::Effect;
use crate::sandbox::okta::{self, Operation};
use crate::sandbox::{OktaSandbox, Sandbox};

/// Who created our API token at Okta.
const OKTA_ADMIN: &str = "admin@example.com";

/// One provider's stand-in.
pub(super) enum Place {
    Okta(OktaSandbox),
}

/// What is left of a person there, as the stand-in itself has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) sessions: usize,
    pub(super) tokens: usize,
    /// Revocations that reached the person.
    pub(super) calls: usize,
}

impl Place {
    /// Every provider that has a stand-in.
    pub(super) fn all(sandbox: &Sandbox) -> Vec<Self> {
        vec![Self::Okta(sandbox.okta().clone())]
    }

    /// The provider's name in the config.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Okta(_) => "okta",
        }
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Okta(okta) => okta.url(),
        }
    }

    /// The best that can be seen there: whether it lets us look after the revocation.
    pub(super) fn best(&self) -> Outcome {
        match self {
            Self::Okta(_) => Outcome::Confirmed,
        }
    }

    /// Makes the stand-in take a fresh credential, which it returns.
    pub(super) fn admit_us(&self) -> anyhow::Result<String> {
        let token = random_word()?;
        match self {
            Self::Okta(okta) => {
                okta.add_person(okta::Person::new(OKTA_ADMIN));
                okta.accept_ssws(&token, OKTA_ADMIN);
            }
        }
        Ok(token)
    }

    /// Its entry under `providers:`. Waits are short, so that nobody waits for the demo.
    pub(super) fn settings(&self, credential: &str) -> String {
        let (name, url) = (self.name(), self.url());
        let credentials = match self {
            Self::Okta(_) => format!("kind: okta\n    credentials: {{api_token: {{file: {credential}}}}}"),
        };
        format!(
            "  {name}:\n    {credentials}\n    url: {url}\n    \
             retry: {{first: 300ms, factor: 2, longest: 5s}}\n    proof: {{after: 500ms}}\n"
        )
    }

    /// Somebody lives here from now on, signed in and with the tokens of one client. Returns the id.
    pub(super) fn move_in(&self, person: &Person) -> String {
        match self {
            Self::Okta(okta) => {
                let newcomer = okta::Person::new(person.login).email(person.email);
                let id = newcomer.id.clone();
                okta.add_person(newcomer);
                (0..person.sessions).for_each(|_| drop(okta.sign_in(&id)));
                okta.issue_tokens(&id, "mail-app");
                id
            }
        }
    }

    /// Asks the stand-in, by the person's id.
    pub(super) fn left_of(&self, id: &str) -> Left {
        match self {
            Self::Okta(okta) => {
                Left { sessions: okta.sessions_of(id), tokens: okta.tokens_of(id), calls: okta.revocations_of(id) }
            }
        }
    }

    /// When the person's sessions were ended, by the stand-in's own record.
    pub(super) fn revoked_at(&self, id: &str) -> Option<Timestamp> {
        match self {
            Self::Okta(okta) => okta
                .ledger()
                .into_iter()
                .find(|call| matches!(&call.effect, Effect::UserRevoked { user_id, .. } if user_id == id))
                .map(|call| call.at),
        }
    }

    /// Lets the next revocation go wrong.
    pub(super) fn strike(&self, trouble: Trouble) {
        let fault = match trouble {
            Trouble::Throttled { reset_in_s } => Fault::RateLimit { reset_in_s },
            Trouble::AnswerLost => Fault::LostAfter,
        };
        match self {
            Self::Okta(okta) => okta.faults().inject(Injection::once(fault).on(Operation::RevokeUserSessions)),
        }
    }
}
