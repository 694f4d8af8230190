//! What the tests of this folder share: a client of a scripted server, and answers as Slack words them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::ManualClock;
use crate::domain::{Account, RevokeRequest, Scope, SessionRef, Subject, TeamSession};
use crate::provider::script::{Canned, Seen, Server};
use crate::provider::slack::{Slack, SlackSettings};

pub(super) const TOKEN: &str = "xoxp-1-canary-0123456789";
pub(super) const ANA: &str = "W0123ANA";
pub(super) const BOB: &str = "U0123BOB";
pub(super) const TEAM: &str = "T0123ABCD";
pub(super) const OTHER_TEAM: &str = "T0456EFGH";

/// Long enough for calls that are made together to meet.
const GATHER: Duration = Duration::from_millis(150);

/// A scripted Slack, our client of it, and the clock that both its waits and its minute are counted by.
pub(super) struct World {
    pub(super) server: Server,
    pub(super) slack: Slack,
    pub(super) clock: Arc<ManualClock>,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(json!({"team_ids": [TEAM]})).await
    }

    pub(super) async fn with(more: Value) -> Self {
        let server = Server::start().await;
        let clock = Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH));
        let mut settings = json!({"credentials": {"token": {"value": TOKEN}}, "timeout": "700ms"});
        settings["url"] = format!("{}/api", server.url()).into();
        for (key, value) in more.as_object().expect("settings") {
            settings[key] = value.clone();
        }
        let settings: SlackSettings = serde_json::from_value(settings).expect("settings");
        let api = settings.api(clock.clone()).expect("a client");
        Self { slack: Slack::new(api, GATHER), server, clock }
    }

    /// The requests to `method`.
    pub(super) fn calls(&self, method: &str) -> Vec<Seen> {
        let is_it = |seen: &Seen| seen.line.split(['?', ' ']).nth(1) == Some(&format!("/api/{method}"));
        self.server.seen().into_iter().filter(is_it).collect()
    }

    /// The forms that went to `method`.
    pub(super) fn forms(&self, method: &str) -> Vec<Value> {
        self.calls(method).iter().map(|seen| form(&seen.body)).collect()
    }
}

/// A form or a query as an object.
pub(super) fn form(text: &str) -> Value {
    let url = reqwest::Url::parse(&format!("http://x/?{text}")).expect("a form");
    url.query_pairs().map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))).collect()
}

pub(super) fn ok() -> Canned {
    Canned::new(200, r#"{"ok":true}"#)
}

pub(super) fn no(code: &str) -> Canned {
    Canned::new(200, json!({"ok": false, "error": code}).to_string())
}

pub(super) fn json_answer(body: &Value) -> Canned {
    Canned::new(200, body.to_string())
}

pub(super) fn user(id: &str, email: &str, teams: &[&str]) -> Canned {
    let (name, profile) = (email.split('@').next().expect("a name"), json!({"email": email}));
    let enterprise = json!({"id": id, "enterprise_id": "E0123", "teams": teams});
    json_answer(&json!({"ok": true, "user": {"id": id, "team_id": TEAM, "name": name, "deleted": false,
        "is_bot": false, "profile": profile, "enterprise_user": enterprise}}))
}

pub(super) fn row(id: u64, user: &str, team: &str) -> Value {
    json!({"user_id": user, "session_id": id, "team_id": team,
        "created": {"device_hardware": "Mac", "os": "Mac OS", "os_version": "14.5", "ip": "203.0.113.7"}})
}

pub(super) fn page(rows: &[Value], next: &str) -> Canned {
    json_answer(&json!({"ok": true, "active_sessions": rows, "response_metadata": {"next_cursor": next}}))
}

pub(super) fn account(id: &str) -> Account {
    Account { teams: vec![TEAM.to_owned()], ..Account::new(id, vec![id.to_owned()]) }
}

pub(super) fn by_id(id: &str) -> Subject {
    Subject { id: Some(id.to_owned()), ..Subject::default() }
}

pub(super) fn by_email(email: &str) -> Subject {
    Subject { email: Some(email.to_owned()), ..Subject::default() }
}

pub(super) fn all() -> RevokeRequest {
    RevokeRequest::new(Scope::All)
}

pub(super) fn given(sessions: &[(&str, Option<&str>)]) -> RevokeRequest {
    let reference = |(id, team): &(&str, Option<&str>)| match team {
        None => SessionRef::Id((*id).to_owned()),
        Some(team) => SessionRef::InTeam(TeamSession { id: (*id).to_owned(), team_id: (*team).to_owned() }),
    };
    RevokeRequest::new(Scope::Sessions(sessions.iter().map(reference).collect()))
}
