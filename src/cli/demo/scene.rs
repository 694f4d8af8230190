//! The scenes, as a table: who is there, what is sent, what goes wrong, and what must be seen in the end.

use std::time::Duration;

use super::facts::{AccountFact, Facts, JobFact};
use crate::cli::place::{Left, Place};
use crate::domain::{AttemptClass, Outcome};

/// One story, from an alert to what is left.
pub(super) struct Scene {
    pub(super) name: &'static str,
    /// What the audience should know, in a sentence.
    pub(super) story: &'static str,
    pub(super) people: &'static [Person],
    /// The kind of the alert, by which the config chooses the providers.
    pub(super) kind: &'static str,
    /// The providers where people live, by name; empty: all of them.
    pub(super) at: &'static [&'static str],
    pub(super) severity: &'static str,
    pub(super) trouble: Option<Trouble>,
    /// What the sender does, each with the answer it must get.
    pub(super) acts: &'static [(Act, &'static str)],
    pub(super) ending: Ending,
}

/// Somebody whom the alert names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    pub(super) email: &'static str,
    pub(super) login: &'static str,
    pub(super) named_by: Name,
    /// 0: nobody of this name lives anywhere.
    pub(super) sessions: usize,
}

/// How the alert names a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Email,
    Login,
    Id,
}

/// What goes wrong at the providers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    Throttled { reset_in_s: i64 },
    AnswerLost,
}

/// What the sender does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// A signed alert.
    Send,
    /// The same delivery again, byte for byte.
    Repeat,
    /// An alert signed with a key that is not ours.
    Forge,
    /// Signed, but no alert.
    Garble,
}

/// How every job of a scene must end.
pub(super) enum Ending {
    /// Sessions ended: the classes of the attempts, the calls that had to be repeated, and never before this long.
    Revoked { attempts: &'static [AttemptClass], repeated: u32, not_before: Duration },
    /// Given up at once, nothing touched.
    Protected,
    /// Looked for twice.
    UnknownAccount,
    /// No job, nothing touched.
    NoJob,
    /// No job, and the delivery is kept for a person.
    Quarantined,
}

const OK: &[AttemptClass] = &[AttemptClass::Ok];

const AT_ONCE: Ending = Ending::Revoked { attempts: OK, repeated: 0, not_before: Duration::ZERO };

const ACCEPTED: &[(Act, &str)] = &[(Act::Send, "202 accepted")];

/// Somebody whose login is the address.
const fn by_email(email: &'static str, sessions: usize) -> Person {
    Person { email, login: email, named_by: Name::Email, sessions }
}

/// A scene of one critical alert that is accepted and carried out at once; the table says what is different.
const fn plain(name: &'static str, story: &'static str, people: &'static [Person]) -> Scene {
    Scene {
        name,
        story,
        people,
        kind: "session_stolen",
        at: &["okta"],
        severity: "critical",
        trouble: None,
        acts: ACCEPTED,
        ending: AT_ONCE,
    }
}

/// In the order in which they are played.
pub(super) const SCENES: &[Scene] = &[
    Scene {
        kind: "account_compromised",
        at: &[],
        ..plain(
            "one person, five providers",
            "Zoe's laptop is in wrong hands: her sessions end everywhere at once, and each provider is asked whether they did.",
            &[by_email("zoe@example.com", 4)],
        )
    },
    plain(
        "stolen session",
        "Ana's session cookie is for sale; she is named by her e-mail address.",
        &[by_email("ana@example.com", 3)],
    ),
    plain(
        "two people",
        "One alert names two people, one by login and one by the provider's id.",
        &[
            Person { email: "bruno@example.com", login: "bkessler@corp.example", named_by: Name::Login, sessions: 2 },
            Person { email: "carla@example.com", login: "cdiaz@corp.example", named_by: Name::Id, sessions: 1 },
        ],
    ),
    Scene {
        trouble: Some(Trouble::Throttled { reset_in_s: 2 }),
        ending: Ending::Revoked {
            attempts: &[AttemptClass::Throttled, AttemptClass::Ok],
            repeated: 0,
            // The reset time is in whole seconds, and names the second in which the two seconds end.
            not_before: Duration::from_millis(1500),
        },
        ..plain(
            "throttled provider",
            "The provider answers 429 and names a time two seconds away; it is asked again then, not before.",
            &[by_email("dora@example.com", 2)],
        )
    },
    Scene {
        trouble: Some(Trouble::AnswerLost),
        ending: Ending::Revoked {
            attempts: &[AttemptClass::Unavailable, AttemptClass::Ok],
            repeated: 1,
            not_before: Duration::ZERO,
        },
        ..plain(
            "lost answer",
            "The provider ends the sessions, but its answer gets lost: the call is repeated, and the job says so.",
            &[by_email("emil@example.com", 2)],
        )
    },
    Scene {
        ending: Ending::Protected,
        ..plain(
            "protected account",
            "The config protects breakglass-*: an alert about such an account is recorded, and nothing is touched.",
            &[by_email("breakglass-1@example.com", 2)],
        )
    },
    Scene {
        acts: &[(Act::Forge, "401 not-authenticated")],
        ending: Ending::NoJob,
        ..plain("forged delivery", "Somebody without the key sends an alert.", &[by_email("fay@example.com", 2)])
    },
    Scene {
        acts: &[(Act::Send, "202 accepted"), (Act::Repeat, "200 duplicate")],
        ..plain(
            "repeated delivery",
            "The sender delivers the same alert twice: one revocation.",
            &[by_email("gil@example.com", 2)],
        )
    },
    Scene {
        ending: Ending::UnknownAccount,
        ..plain(
            "unknown person",
            "Nobody has this address. A search may lag, so only a second look is believed.",
            &[by_email("nobody@example.com", 0)],
        )
    },
    Scene {
        severity: "medium",
        acts: &[(Act::Send, "202 ignored")],
        ending: Ending::NoJob,
        ..plain(
            "no rule matches",
            "An alert of medium severity; the rule asks for high.",
            &[by_email("hana@example.com", 2)],
        )
    },
    Scene {
        acts: &[(Act::Garble, "422 quarantined")],
        ending: Ending::Quarantined,
        ..plain(
            "undecodable body",
            "Signed, but not an alert: kept for a person to look at and replay.",
            &[by_email("ivo@example.com", 2)],
        )
    },
];

impl Scene {
    /// What must be seen with people living at these places.
    pub(super) fn expected(&self, places: &[Place]) -> Facts {
        let mut facts = Facts {
            answers: self.acts.iter().map(|(_, answer)| (*answer).to_owned()).collect(),
            quarantined: usize::from(matches!(self.ending, Ending::Quarantined)),
            ..Facts::default()
        };
        for place in places.iter().filter(|place| self.plays_at(place)) {
            for person in self.people {
                facts.jobs.extend(self.job(place));
                if person.sessions > 0 {
                    facts.accounts.push(self.account(place, person));
                }
            }
        }
        facts.sort();
        facts
    }

    /// Whether people live there in this scene.
    pub(super) fn plays_at(&self, place: &Place) -> bool {
        self.at.is_empty() || self.at.contains(&place.name())
    }

    fn job(&self, place: &Place) -> Option<JobFact> {
        let (end, attempts, repeated) = match &self.ending {
            Ending::Revoked { attempts, repeated, .. } => {
                // Where it can be seen, a look follows.
                let look = (place.best() == Outcome::Verified).then_some(AttemptClass::Ok);
                let attempts = attempts.iter().copied().chain(look).collect();
                (place.best().to_string(), attempts, *repeated)
            }
            Ending::Protected => ("dead: protected".to_owned(), Vec::new(), 0),
            Ending::UnknownAccount => {
                (Outcome::UnknownAccount.to_string(), vec![AttemptClass::Absent, AttemptClass::Absent], 0)
            }
            Ending::NoJob | Ending::Quarantined => return None,
        };
        Some(JobFact { provider: place.name().to_owned(), end, attempts, repeated })
    }

    fn account(&self, place: &Place, person: &Person) -> AccountFact {
        let left = match &self.ending {
            Ending::Revoked { repeated, .. } => {
                Left { sessions: 0, tokens: 0, calls: place.calls_for(person.sessions) + *repeated as usize }
            }
            Ending::Protected | Ending::UnknownAccount | Ending::NoJob | Ending::Quarantined => {
                Left { sessions: person.sessions, tokens: place.tokens_of_newcomer(), calls: 0 }
            }
        };
        AccountFact { provider: place.name(), email: person.email, left }
    }

    /// How early a revocation would be too early.
    pub(super) fn not_before(&self) -> Duration {
        match &self.ending {
            Ending::Revoked { not_before, .. } => *not_before,
            Ending::Protected | Ending::UnknownAccount | Ending::NoJob | Ending::Quarantined => Duration::ZERO,
        }
    }
}
