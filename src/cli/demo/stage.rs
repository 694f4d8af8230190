//! Plays a scene: people move in, trouble is set, alerts are sent, jobs are watched, and what is left is looked at.

use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;
use anyhow::Context;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Running;
use super::facts::{AccountFact, Facts, counted};
use super::operator::Operator;
use super::scene::{Act, Name, Person, Scene, Trouble};
use super::sender::{Answer, Letter, Sender};
use super::tell::Timeline;
use super::watch::Watch;
use crate::cli::place::{self, Place};
use crate::sandbox::faults::Fault;

/// Where scenes are played.
pub(super) struct Stage<'a> {
    pub(super) running: &'a Running,
    pub(super) sender: Sender,
    pub(super) operator: Operator,
}

/// A scene that was played.
pub(super) struct Played<'a> {
    pub(super) name: &'static str,
    pub(super) expected: Facts,
    pub(super) seen: Facts,
    /// From the sending of the first delivery to the last revocation, by the stand-ins' own records.
    pub(super) took: Option<Duration>,
    /// What was no longer so when everything had been played.
    pub(super) changed: Vec<String>,
    pub(super) residents: Vec<Resident<'a>>,
}

/// Somebody who lives at a place.
pub(super) struct Resident<'a> {
    place: &'a Place,
    person: &'static Person,
    id: String,
}

impl Resident<'_> {
    /// Asks the stand-in.
    fn look(&self) -> AccountFact {
        let left = self.place.left_of(&self.id);
        AccountFact { provider: self.place.name(), email: self.person.email, left }
    }
}

impl Played<'_> {
    pub(super) fn is_fine(&self) -> bool {
        self.problems().is_empty()
    }

    /// What is not as it should be.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = self.seen.differences(&self.expected);
        problems.extend(self.changed.iter().cloned());
        problems
    }

    /// Whether what was seen is still so: a revocation that came late shows here.
    pub(super) fn look_again(&mut self) {
        for now in self.residents.iter().map(Resident::look) {
            if !self.seen.accounts.contains(&now) {
                self.changed.push(format!("no longer so at the end: {now}"));
            }
        }
    }
}

impl<'a> Stage<'a> {
    pub(super) async fn play(&self, number: usize, scene: &'static Scene) -> anyhow::Result<Played<'a>> {
        let mut timeline = Timeline::open(number, scene, Arc::clone(&self.running.clock));
        let residents = self.move_in(scene);
        for account in residents.iter().map(Resident::look) {
            timeline.say(
                account.provider,
                &format!("{}: {} alive", account.email, counted(account.left.sessions, "session")),
            );
        }
        if let Some(trouble) = scene.trouble {
            self.running.places.iter().for_each(|place| place.strike(fault_of(trouble)));
        }
        let kept_before = self.operator.quarantine().await?.len();
        let (mut seen, sent_at) = self.perform(number, scene, &residents, &mut timeline).await?;
        seen.quarantined = self.operator.quarantine().await?.len().saturating_sub(kept_before);
        seen.accounts = residents.iter().map(Resident::look).collect();
        seen.sort();
        let took = revoked_after(&residents, sent_at);
        seen.early = took.is_some_and(|took| took < scene.not_before());
        let expected = scene.expected(&self.running.places);
        timeline.close(&seen, &seen.differences(&expected));
        Ok(Played { name: scene.name, expected, seen, took, changed: Vec::new(), residents })
    }

    fn move_in(&self, scene: &'static Scene) -> Vec<Resident<'a>> {
        let places = self.running.places.iter().filter(|place| scene.plays_at(place));
        let at = |place: &'a Place| {
            let people = scene.people.iter().filter(|person| person.sessions > 0);
            people.map(move |person| Resident { place, person, id: place.move_in(&resident(person)) })
        };
        places.flat_map(at).collect()
    }

    /// Does what the sender does, and watches what comes of it. Answers also when the first delivery was sent.
    async fn perform(
        &self,
        number: usize,
        scene: &Scene,
        residents: &[Resident<'_>],
        timeline: &mut Timeline,
    ) -> anyhow::Result<(Facts, Timestamp)> {
        let started_at = self.running.clock.now();
        let body = alert(number, scene, residents, started_at).to_string().into_bytes();
        let (mut seen, mut sent_at, mut watch) = (Facts::default(), None, Watch::new(&self.operator));
        let mut letter = None;
        for (act, _) in scene.acts {
            let (what, next) = self.letter(*act, &format!("msg_demo_{number}"), &body, letter.take())?;
            timeline.send(what);
            let answer = self.sender.post(&next).await?;
            letter = Some(next);
            sent_at = sent_at.or(Some(answer.sent_at));
            seen.answers.push(answer.word());
            self.tell_answer(timeline, &answer).await?;
            watch.add(&answer.jobs());
            watch.until_settled(timeline).await?;
        }
        seen.jobs = watch.facts();
        Ok((seen, sent_at.unwrap_or(started_at)))
    }

    fn letter(&self, act: Act, id: &str, body: &[u8], last: Option<Letter>) -> anyhow::Result<(&'static str, Letter)> {
        Ok(match act {
            Act::Send => ("signed alert sent", self.sender.sign(id, body)?),
            Act::Repeat => ("same delivery sent again", last.context("there is no delivery to repeat")?),
            Act::Forge => ("alert sent, signed with another key", self.sender.forge(id, body)?),
            Act::Garble => ("signed, but not an alert, sent", self.sender.sign(id, br#"{"message":"ivo looks odd"}"#)?),
        })
    }

    async fn tell_answer(&self, timeline: &mut Timeline, answer: &Answer) -> anyhow::Result<()> {
        timeline.say("sever", &answer.summary());
        for reason in answer.skipped() {
            timeline.say("sever", &reason);
        }
        if answer.status == StatusCode::UNPROCESSABLE_ENTITY
            && let Some(kept) = self.operator.quarantine().await?.first()
        {
            timeline.say("sever", &format!("kept for a person: {}", kept.reason));
        }
        Ok(())
    }
}

fn fault_of(trouble: Trouble) -> Fault {
    match trouble {
        Trouble::Throttled { reset_in_s } => Fault::RateLimit { reset_in_s },
        Trouble::AnswerLost => Fault::LostAfter,
    }
}

fn resident(person: &'static Person) -> place::Person<'static> {
    place::Person { email: person.email, login: person.login, sessions: person.sessions }
}

/// The alert in sever's own format.
fn alert(number: usize, scene: &Scene, residents: &[Resident<'_>], now: Timestamp) -> Value {
    let subjects: Vec<Value> = scene.people.iter().map(|person| subject(person, residents)).collect();
    json!({
        "id": format!("demo-{number}"), "kind": scene.kind, "severity": scene.severity,
        "occurred_at": now.to_string(), "subjects": subjects, "reason": scene.story,
    })
}

fn subject(person: &Person, residents: &[Resident<'_>]) -> Value {
    match person.named_by {
        Name::Email => json!({"email": person.email}),
        Name::Login => json!({"username": person.login}),
        Name::Id => {
            let theirs = residents.iter().filter(|resident| resident.person.email == person.email);
            let ids: Value =
                theirs.map(|resident| (resident.place.name(), Value::from(resident.id.as_str()))).collect();
            json!({"ids": ids})
        }
    }
}

/// How long it took until the last of them had been signed out; `None` while anybody has not.
fn revoked_after(residents: &[Resident<'_>], sent_at: Timestamp) -> Option<Duration> {
    let times = residents.iter().map(|resident| resident.place.revoked_at(&resident.id));
    let last = times.collect::<Option<Vec<Timestamp>>>()?.into_iter().max()?;
    Some(Duration::try_from(last.duration_since(sent_at)).unwrap_or_default())
}
