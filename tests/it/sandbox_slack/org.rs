//! An organization to test against, and a client that sends exactly what a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sever::clock::{Clock, ManualClock};
use sever::sandbox::SlackSandbox;
use sever::sandbox::slack::{Device, Person, Role};

pub(super) const TOKEN: &str = "xoxp-1234567890-example";
pub(super) const AUTH: (&str, &str) = ("authorization", "Bearer xoxp-1234567890-example");
pub(super) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(super) const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
pub(super) const START_S: i64 = 1_795_299_247;

pub(super) const RESET: &str = "admin.users.session.reset";
pub(super) const BULK: &str = "admin.users.session.resetBulk";
pub(super) const INVALIDATE: &str = "admin.users.session.invalidate";
pub(super) const LIST: &str = "admin.users.session.list";

/// Names and values, of a form or of headers.
pub(super) type Fields<'a> = Vec<(&'a str, &'a str)>;

/// An organization with an admin, who owns the token, the primary owner, a bot, and Ana, who is signed in on the web and
/// on her phone in one workspace, and on the web in another.
pub(super) struct Org {
    pub(super) slack: SlackSandbox,
    pub(super) clock: Arc<ManualClock>,
    client: reqwest::Client,
    pub(super) ana: String,
    pub(super) owner: String,
    pub(super) bot: String,
    pub(super) teams: [String; 2],
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII").to_owned()).unwrap_or_default()
    }

    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("ASCII").to_owned()).collect()
    }

    /// `ok` for a success, else the error.
    pub(super) fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        match body["ok"].as_bool() {
            Some(true) => "ok".to_owned(),
            _ => body["error"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// Of `active_sessions`.
    pub(super) fn session_ids(&self) -> Vec<String> {
        let body = self.json();
        let rows = body["active_sessions"].as_array().unwrap_or_else(|| panic!("no list: {body}"));
        rows.iter().map(|row| row["session_id"].as_i64().expect("an integer").to_string()).collect()
    }

    pub(super) fn next_cursor(&self) -> String {
        self.json()["response_metadata"]["next_cursor"].as_str().unwrap_or_default().to_owned()
    }
}

impl Org {
    pub(super) async fn start() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(START_S).expect("a valid time")));
        let any_port: SocketAddr = ([127, 0, 0, 1], 0).into();
        let slack = SlackSandbox::start(any_port, Arc::clone(&clock) as Arc<dyn Clock>).await.expect("a free port");
        let teams = slack.teams();
        let teams = [teams[0].id.clone(), teams[1].id.clone()];
        let ana = Person::new("Ana.Silva@example.com").name("ana").team(&teams[0]).team(&teams[1]);
        let owner = Person::new("owner@example.com").role(Role::PrimaryOwner);
        let bot = Person::new("bot@example.com").bot();
        let ids = [&ana, &owner, &bot].map(|person| person.id.clone());
        for person in [Person::new("admin@example.com").role(Role::OrgAdmin), ana, owner, bot] {
            slack.add_person(person);
        }
        slack.accept_token(TOKEN, "admin@example.com");
        slack.sign_in_to("ana", &teams[0], Device::Web);
        slack.sign_in_to("ana", &teams[0], Device::Mobile);
        slack.sign_in_to("ana", &teams[1], Device::Web);
        let [ana, owner, bot] = ids;
        Self { slack, clock, client: client(), ana, owner, bot, teams }
    }

    pub(super) async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> reqwest::Result<Reply> {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.slack.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = if body.is_empty() { request } else { request.body(body.to_owned()) };
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Reply { status, headers, text: answer.text().await? })
    }

    pub(super) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.try_send(method, path, headers, body).await.expect("an answer")
    }

    /// With a form, as a right client sends it.
    pub(super) async fn form(&self, method: &str, fields: &[(&str, &str)]) -> Reply {
        self.form_with(TOKEN, method, fields).await
    }

    pub(super) async fn form_with(&self, token: &str, method: &str, fields: &[(&str, &str)]) -> Reply {
        let bearer = format!("Bearer {token}");
        self.send("POST", &format!("/api/{method}"), &[FORM, ("authorization", &bearer)], &encoded(fields)).await
    }

    /// With a JSON object, as a right client sends it.
    pub(super) async fn object(&self, method: &str, body: &Value) -> Reply {
        self.send("POST", &format!("/api/{method}"), &[JSON, AUTH], &body.to_string()).await
    }

    pub(super) async fn reset(&self) -> Reply {
        self.form(RESET, &[("user_id", &self.ana)]).await
    }

    /// Ends one of Ana's sessions in the first workspace.
    pub(super) async fn invalidate(&self, session_id: &str) -> Reply {
        let fields = [("session_id", session_id), ("team_id", &self.teams[0]), ("user_id", &self.ana)];
        self.form(INVALIDATE, &fields).await
    }

    /// Ana's sessions in the first workspace.
    pub(super) async fn list(&self) -> Reply {
        self.form(LIST, &[("team_id", &self.teams[0]), ("user_id", &self.ana)]).await
    }

    /// A call to each method that succeeds, or would if somebody had a session.
    pub(super) fn right_calls(&self) -> Vec<(&'static str, Value)> {
        let session: i64 = self.slack.session_ids_in("ana", &self.teams[0])[0].parse().expect("a number");
        let (ana, team) = (&self.ana, &self.teams[0]);
        vec![
            ("api.test", json!({"foo": "bar"})),
            ("auth.test", json!({})),
            ("users.lookupByEmail", json!({"email": "ana.silva@example.com"})),
            ("users.info", json!({"user": ana})),
            (LIST, json!({"team_id": team, "user_id": ana, "limit": 10})),
            ("admin.users.session.getSettings", json!({"user_ids": [ana]})),
            ("admin.users.session.setSettings", json!({"user_ids": [ana], "duration": 28_800})),
            ("admin.users.session.clearSettings", json!({"user_ids": [ana]})),
            (INVALIDATE, json!({"session_id": session, "team_id": team, "user_id": ana})),
            (RESET, json!({"user_id": ana, "web_only": true})),
            (BULK, json!({"user_ids": [ana, ana], "mobile_only": false})),
        ]
    }
}

/// The fields of a right call as a form.
pub(super) fn as_form(body: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    body.as_object().expect("an object").iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

pub(super) fn encoded<N: AsRef<str>, V: AsRef<str>>(fields: &[(N, V)]) -> String {
    let escaped = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string().replace("%5F", "_")
    };
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", escaped(name.as_ref()), escaped(value.as_ref())));
    pairs.collect::<Vec<_>>().join("&")
}

#[expect(clippy::disallowed_methods, reason = "the stand-in is driven without our own client")]
fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    builder.timeout(Duration::from_secs(10)).build().expect("a client")
}
