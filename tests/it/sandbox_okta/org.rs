//! An organisation to test against, and a client that sends exactly what a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sever::clock::{Clock, ManualClock};
use sever::sandbox::Sandbox;
use sever::sandbox::okta::{App, OktaSandbox, Person};

pub(super) const SSWS: &str = "00QCjAl4MlV-WPXM_example";
pub(super) const JSON: (&str, &str) = ("accept", "application/json");
pub(super) const AUTH: (&str, &str) = ("authorization", "SSWS 00QCjAl4MlV-WPXM_example");
pub(super) const ALL_SCOPES: &str = "okta.users.read okta.users.manage okta.sessions.read okta.sessions.manage";
pub(super) const START_S: i64 = 1_795_299_247;

/// An organisation with an admin, who owns the API token, and Ana, who is signed in twice.
pub(super) struct Org {
    pub(super) sandbox: Sandbox,
    pub(super) clock: Arc<ManualClock>,
    pub(super) client: reqwest::Client,
    pub(super) ana: String,
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

    /// `errorCode` of the API or `error` of the token endpoint; empty where there is neither.
    pub(super) fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        body["errorCode"].as_str().or(body["error"].as_str()).unwrap_or_default().to_owned()
    }

    pub(super) fn logins(&self) -> Vec<String> {
        let body = self.json();
        let users = body.as_array().expect("a list").iter();
        users.map(|user| user["profile"]["login"].as_str().expect("a login").to_owned()).collect()
    }
}

impl Org {
    pub(super) async fn start() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(START_S).expect("a valid time")));
        let any_port: SocketAddr = ([127, 0, 0, 1], 0).into();
        let sandbox = Sandbox::start(any_port, Arc::clone(&clock) as Arc<dyn Clock>).await.expect("a free port");
        let ana = Person::new("ana@example.com").email("Ana.Silva@Example.com").name("Ana", "Silva");
        let org = Self { sandbox, clock, client: client(), ana: ana.id.clone() };
        org.okta().add_person(Person::new("admin@example.com"));
        org.okta().accept_ssws(SSWS, "admin@example.com");
        org.okta().add_person(ana);
        org.okta().sign_in(&org.ana);
        org.okta().sign_in(&org.ana);
        org
    }

    pub(super) fn okta(&self) -> &OktaSandbox {
        self.sandbox.okta()
    }

    pub(super) async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> reqwest::Result<Reply> {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.okta().url()));
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

    /// With the headers that a right client sends.
    pub(super) async fn call(&self, method: &str, path: &str) -> Reply {
        self.send(method, path, &[JSON, AUTH], "").await
    }

    pub(super) fn revoke_path(&self) -> String {
        format!("/api/v1/users/{}/sessions?oauthTokens=true&forgetDevices=false", self.ana)
    }

    pub(super) async fn revoke(&self) -> Reply {
        self.call("DELETE", &self.revoke_path()).await
    }

    pub(super) async fn with_token(&self, method: &str, path: &str, token: &str) -> Reply {
        self.send(method, path, &[JSON, ("authorization", &format!("Bearer {token}"))], "").await
    }

    pub(super) async fn token_form(&self, fields: &[(&str, &str)]) -> Reply {
        let body =
            fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&");
        let form = ("content-type", "application/x-www-form-urlencoded");
        self.send("POST", "/oauth2/v1/token", &[JSON, form], &body).await
    }

    pub(super) async fn token(&self, assertion: &str, scope: &str) -> Reply {
        self.token_form(&fields(assertion, scope)).await
    }

    pub(super) fn claims(&self, client_id: &str) -> Value {
        let (now, url) = (self.clock.now().as_second(), self.okta().url());
        json!({"iss": client_id, "sub": client_id, "aud": format!("{url}/oauth2/v1/token"), "iat": now, "exp": now + 300,
               "jti": uuid::Uuid::now_v7().to_string()})
    }

    /// Registers a service app with everything granted, and signs for it.
    pub(super) fn service_app(&self) -> Signer {
        let (app, private_pem) = App::with_fresh_key("0oa1service");
        let signer = Signer { app: app.clone(), private_pem };
        self.okta().register_app(app);
        signer
    }

    pub(super) async fn access_token(&self, signer: &Signer, scope: &str) -> String {
        let reply = self.token(&signer.sign(&self.claims(&signer.app.client_id)), scope).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["access_token"].as_str().expect("a token").to_owned()
    }
}

pub(super) struct Signer {
    pub(super) app: App,
    pub(super) private_pem: String,
}

impl Signer {
    /// With another JWT library than the stand-in's own check.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        header.kid = Some(self.app.key_id.clone());
        let key = jsonwebtoken::EncodingKey::from_ec_pem(self.private_pem.as_bytes()).expect("a PKCS #8 key");
        jsonwebtoken::encode(&header, claims, &key).expect("signed")
    }
}

#[expect(clippy::disallowed_methods, reason = "the stand-in is driven without our own client")]
pub(super) fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    builder.timeout(Duration::from_secs(10)).build().expect("a client")
}

pub(super) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub(super) fn fields<'a>(assertion: &'a str, scope: &'a str) -> [(&'static str, &'a str); 4] {
    [
        ("grant_type", "client_credentials"),
        ("scope", scope),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ]
}

pub(super) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

pub(super) fn next_link(reply: &Reply) -> Option<String> {
    let lines = reply.all("link").join(", ");
    let next = lines.split(", ").find(|link| link.ends_with("rel=\"next\""))?;
    Some(next.split_once('<')?.1.split_once('>')?.0.to_owned())
}
