//! TLS on the listeners: who gets a connection, whose certificate counts, and files that change meanwhile.

mod clients;
mod config;
mod docs;
mod files;
mod handshakes;

use std::net::SocketAddr;

use reqwest::{Certificate, Client, Identity};
use serde_json::Value;
use sever::app::Addresses;
use sever::clock::Clock;
use sever::verify::Signer;

use crate::support::pki::{Authority, Pki};
use crate::testapp::{CONFIG, TestApp, by_email, signing, uuid};

const OPERATOR: &str = "operator-token-0123456789abcdef";

/// A service whose listeners speak TLS, and the authorities around it.
struct Scene {
    pki: Pki,
    ours: Authority,
    app: TestApp,
    at: Addresses,
}

impl Scene {
    async fn start() -> Self {
        Self::limited("").await
    }

    /// Where clients are asked for certificates of our authority, on both listeners.
    async fn with_ca(source: &str) -> Self {
        Self::set_up("", source, |pki| {
            std::fs::copy(pki.path("ca.pem"), pki.path("clients.pem")).expect("copied");
            format!(", client_ca: {}", pki.text("clients.pem"))
        })
        .await
    }

    /// `limits` is what stands in `listen` besides.
    async fn limited(limits: &str) -> Self {
        Self::set_up(limits, "", |_| String::new()).await
    }

    async fn set_up(limits: &str, source: &str, more: impl FnOnce(&Pki) -> String) -> Self {
        let pki = Pki::new();
        let ours = pki.authority("ca");
        pki.server("server", &ours);
        let more = more(&pki);
        let config = config(&pki, limits, &more, source);
        let app = TestApp::with(&config).await;
        let at = app.app.start().await.expect("it starts");
        Self { pki, ours, app, at }
    }

    /// Trusts our authority, and shows the certificate of this file.
    fn client(&self, shown: Option<&str>) -> Client {
        self.client_of("ca.pem", shown)
    }

    #[expect(clippy::disallowed_methods, reason = "a sender of alerts, not a client of a provider")]
    fn client_of(&self, ca: &str, shown: Option<&str>) -> Client {
        let ca = Certificate::from_pem(&self.pki.read(ca)).expect("a certificate");
        let builder = Client::builder().no_proxy().tls_certs_only([ca]);
        let builder = match shown {
            Some(name) => {
                let both = [self.pki.read(&format!("{name}.pem")), self.pki.read(&format!("{name}.key"))].concat();
                builder.identity(Identity::from_pem(&both).expect("an identity"))
            }
            None => builder,
        };
        builder.build().expect("a client")
    }

    /// A well signed alert, with more headers.
    async fn deliver(&self, client: &Client, more: &[(&str, &str)]) -> Result<(u16, Value), reqwest::Error> {
        let body = by_email(&uuid(), "ana@example.com").to_string();
        let mut request = client.post(url(self.at.alerts, "/v1/alerts/edr")).header("content-type", "application/json");
        let signer = Signer::new(&signing()).expect("a signer");
        for (name, value) in signer.sign(&uuid(), self.app.clock.now(), body.as_bytes()).expect("signed") {
            request = request.header(name, value);
        }
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let answer = request.body(body).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    async fn ready(&self) -> Value {
        let answer = self.client(None).get(url(self.at.alerts, "/readyz")).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    fn last_refusal(&self) -> String {
        let source = "edr".parse().expect("a name");
        self.app.app.intake.refusals().of(&source)[0].reason.clone()
    }
}

fn url(at: SocketAddr, path: &str) -> String {
    format!("https://{at}{path}")
}

/// `more` is what stands in `tls` of both listeners besides certificate and key, `source` what stands in the source.
fn config(pki: &Pki, limits: &str, more: &str, source: &str) -> String {
    let (cert, key) = (pki.text("server.pem"), pki.text("server.key"));
    let listeners = format!(
        "listen: {{address: 127.0.0.1:0{limits}, tls: {{cert: {cert}, key: {key}{more}}}}}\n\
         admin:\n  listen: 127.0.0.1:0\n  tls: {{cert: {cert}, key: {{file: {key}}}{more}}}\n  \
         tokens: [{{name: oncall, role: operator, secret: {{value: {OPERATOR}}}}}]"
    );
    CONFIG.replace("listen: 127.0.0.1:0", &listeners).replace("providers:", &format!("{source}\nproviders:"))
}
