//! Senders: each alert again and again, to whichever replica, until it is acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use lapin::types::AMQPValue;
use serde_json::{Value, json};

use super::faults::Faults;
use super::scene::{REPLICAS, Scene};
use crate::support::broker::Outgoing;
use crate::testapp::uuid;

pub(super) const SENDERS: u64 = 16;
/// The mean pause of a sender between two alerts: with all of them at most 64 alerts a second, and far fewer while things
/// break.
const PAUSE_MS: u64 = 250;

/// What an alert asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Ends sessions at the two providers that are well.
    Ordinary,
    /// At every provider.
    Everywhere,
    /// By a source that has a budget.
    Budgeted,
    /// Names somebody who is never touched.
    Protected,
}

/// An alert that was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) alert: String,
    pub(super) kind: Kind,
    /// Provider to the id of the account there.
    pub(super) accounts: BTreeMap<&'static str, String>,
}

/// An alert in the making.
struct Letter {
    id: String,
    source: &'static str,
    body: Value,
}

impl Kind {
    fn draw(random: &mut Rng) -> Self {
        match random.u32(0..40) {
            0..4 => Self::Everywhere,
            4..7 => Self::Budgeted,
            7 => Self::Protected,
            _ => Self::Ordinary,
        }
    }

    fn providers(self) -> &'static [&'static str] {
        match self {
            Self::Everywhere => &["okta", "chat", "busy", "gone", "liar"],
            Self::Ordinary | Self::Budgeted | Self::Protected => &["okta", "chat"],
        }
    }
}

/// Sends alerts, each about people of its own, until faults end.
pub(super) async fn send(scene: &Scene, faults: &Faults, mut random: Rng) {
    let client = client();
    let mut number = 0;
    while !faults.are_over() {
        number += 1;
        let kind = Kind::draw(&mut random);
        let name = format!("{:x}-{number}", random.u32(..));
        let (letter, sent) = letter(scene, &mut random, kind, &name);
        deliver(scene, &client, &mut random, &letter, kind).await;
        scene.sent.lock().await.push(sent);
        tokio::time::sleep(Duration::from_millis(random.u64(0..2 * PAUSE_MS))).await;
    }
}

/// So many alerts at once, each about somebody new, by webhook.
pub(super) async fn burst(scene: &Scene, random: &mut Rng, kind: Kind, people: usize) -> Vec<Sent> {
    let (client, run) = (client(), random.u64(..));
    let send = async |(number, mut random): (usize, Rng)| {
        let (letter, sent) = letter(scene, &mut random, kind, &format!("{run:x}-{number}"));
        post(scene, &client, &mut random, &letter).await;
        sent
    };
    let randoms: Vec<_> = (0..people).map(|number| (number, random.fork())).collect();
    let sent = join_all(randoms.into_iter().map(send)).await;
    scene.sent.lock().await.extend(sent.iter().cloned());
    sent
}

fn letter(scene: &Scene, random: &mut Rng, kind: Kind, name: &str) -> (Letter, Sent) {
    let prefix = if kind == Kind::Protected { "breakglass" } else { "person" };
    let email = format!("{prefix}-{name}@example.com");
    let accounts = scene.sign_in(&email, kind.providers());
    let subject = if random.bool() { json!({"email": email}) } else { json!({"ids": accounts}) };
    let word = if kind == Kind::Everywhere { "account_compromised" } else { "session_stolen" };
    let id = format!("alert-{name}");
    let body = json!({"id": id, "kind": word, "severity": "critical", "occurred_at": "2026-11-21T21:59:30Z",
        "subjects": [subject]});
    let source = if kind == Kind::Budgeted { "small" } else { "edr" };
    (Letter { id: uuid(), source, body }, Sent { alert: id, kind, accounts })
}

/// By webhook, by the queue, or by both doors at once; some are sent once more when all is said.
async fn deliver(scene: &Scene, client: &reqwest::Client, random: &mut Rng, letter: &Letter, kind: Kind) {
    // The budget is the webhook source's.
    let door = if kind == Kind::Budgeted { 0 } else { random.u32(0..10) };
    let mut other = random.fork();
    match door {
        0..7 => post(scene, client, random, letter).await,
        7..9 => publish(scene, letter).await,
        _ => {
            tokio::join!(post(scene, client, &mut other, letter), publish(scene, letter));
        }
    }
    if door < 7 && random.u32(0..20) == 0 {
        post(scene, client, random, letter).await;
    }
}

async fn post(scene: &Scene, client: &reqwest::Client, random: &mut Rng, letter: &Letter) {
    let body = letter.body.to_string();
    for _ in 0..6000 {
        let replica = *scene.replicas[random.usize(0..REPLICAS)].lock().await;
        if let Some(address) = replica {
            let url = format!("http://{address}/v1/alerts/{}", letter.source);
            let headers = scene.signed(&letter.id, &body).into_iter().collect();
            match client.post(url).headers(headers).body(body.clone()).send().await {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) if answer.status() == 503 => {}
                Ok(answer) => panic!("{} to an honest sender: {:?}", answer.status(), answer.text().await),
                // Refused by the dead, or unanswered by those that hang.
                Err(_) => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(random.u64(20..100))).await;
    }
    panic!("{} was never taken", letter.id);
}

async fn publish(scene: &Scene, letter: &Letter) {
    let body = letter.body.to_string();
    let mut message = Outgoing::new(&letter.body, scene.signed(&letter.id, &body));
    message = message.header("content-type", AMQPValue::LongString("application/json".into()));
    scene.publish(&message).await;
}

#[expect(clippy::disallowed_methods, reason = "a sender of alerts, not a client of a provider")]
fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().expect("a client")
}
