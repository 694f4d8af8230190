//! Whose certificate lets them deliver to a source.

use std::time::Duration;

use rcgen::{DnType, DnValue, SanType, date_time_ymd};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{OPERATOR, Scene, url};

async fn scene(subjects: &str) -> Scene {
    Scene::with_ca(&format!("    client_subjects: {subjects}")).await
}

impl Scene {
    async fn refused(&self, shown: Option<&str>, more: &[(&str, &str)], reason: &str) -> Value {
        let (status, body) = self.deliver(&self.client(shown), more).await.expect("an answer");
        assert_eq!((status, self.last_refusal().as_str()), (401, reason), "{shown:?}: {body}");
        body
    }

    async fn accepted(&self, shown: &str) {
        let (status, body) = self.deliver(&self.client(Some(shown)), &[]).await.expect("an answer");
        assert_eq!(status, 202, "{shown}: {body}");
    }
}

#[tokio::test]
async fn only_the_named_subject_may_deliver() {
    let scene = scene(r#"["CN=edr,O=Acme"]"#).await;
    let (pki, ours) = (&scene.pki, &scene.ours);
    pki.client("edr", ours, ("edr", "Acme"), |_| ());
    pki.client("printable", ours, ("x", ""), |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        let text = |text: &str| DnValue::PrintableString(text.try_into().expect("printable"));
        params.distinguished_name.push(DnType::OrganizationName, text("Acme"));
        params.distinguished_name.push(DnType::CommonName, text("edr"));
    });
    scene.accepted("edr").await;
    scene.accepted("printable").await;

    let strangers: [(&str, (&str, &str)); 7] = [
        ("other", ("soc", "Acme")),
        ("elsewhere", ("edr", "Evil")),
        ("short", ("edr", "")),
        ("case", ("EDR", "Acme")),
        ("blank", ("edr ", "Acme")),
        // One name that looks like two.
        ("joined", ("edr,O=Acme", "")),
        ("nul", ("edr\0", "Acme")),
    ];
    let mut bodies = vec![scene.refused(None, &[], "client_certificate_missing").await];
    for (file, names) in strangers {
        pki.client(file, ours, names, |_| ());
        bodies.push(scene.refused(Some(file), &[], "client_certificate_mismatch").await);
    }
    pki.client("reversed", ours, ("x", ""), |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "edr");
        params.distinguished_name.push(DnType::OrganizationName, "Acme");
    });
    bodies.push(scene.refused(Some("reversed"), &[], "client_certificate_mismatch").await);
    // Whoever has the certificate still has to sign.
    let forged = [("webhook-signature", "v1,bm90IGEgc2lnbmF0dXJlIG9mIDMyIGJ5dGVzLi4uLi4=")];
    let unsigned =
        scene.client(Some("edr")).post(url(scene.at.alerts, "/v1/alerts/edr")).header(forged[0].0, forged[0].1);
    let answer = unsigned.body("{}").send().await.expect("an answer");
    assert_eq!(answer.status(), 401);
    bodies.push(answer.json().await.expect("JSON"));
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "the sender cannot tell them apart: {bodies:#?}");
    // They are about one person, so their jobs may have become one.
    let alerts = scene.app.app.store.alerts(None, 10).await.expect("alerts").items;
    assert_eq!(alerts.len(), 2, "one for each that was accepted");
}

#[tokio::test]
async fn alternative_names_are_compared_as_a_whole() {
    let scene = scene(r#"["dns:edr.acme.com", "uri:spiffe://acme.com/edr"]"#).await;
    let san = |name: &str| match name.split_once(':') {
        Some(("dns", name)) => SanType::DnsName(name.try_into().expect("a name")),
        Some(("mail", name)) => SanType::Rfc822Name(name.try_into().expect("a name")),
        _ => SanType::URI(name.try_into().expect("a name")),
    };
    for (number, (name, is_taken)) in [
        ("dns:edr.acme.com", true),
        ("dns:EDR.Acme.Com", true),
        ("spiffe://acme.com/edr", true),
        ("dns:*.acme.com", false),
        ("dns:edr.acme.com.evil.com", false),
        ("dns:xedr.acme.com", false),
        ("spiffe://acme.com/edr/", false),
        ("spiffe://acme.com/EDR", false),
        ("mail:edr.acme.com", false),
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("client{number}");
        scene.pki.client(&file, &scene.ours, ("edr.acme.com", ""), |params| params.subject_alt_names = vec![san(name)]);
        let (status, _) = scene.deliver(&scene.client(Some(&file)), &[]).await.expect("an answer");
        assert_eq!(status == 202, is_taken, "{name}: {status}");
    }
}

#[tokio::test]
async fn a_certificate_of_a_stranger_or_of_yesterday_gets_no_connection() {
    let scene = scene(r#"["CN=edr,O=Acme"]"#).await;
    let stranger = scene.pki.authority("stranger");
    scene.pki.client("forged", &stranger, ("edr", "Acme"), |_| ());
    scene.pki.client("expired", &scene.ours, ("edr", "Acme"), |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    });
    scene.pki.client("early", &scene.ours, ("edr", "Acme"), |params| params.not_before = date_time_ymd(4000, 1, 1));
    for shown in ["forged", "expired", "early"] {
        let answer = scene.deliver(&scene.client(Some(shown)), &[]).await;
        assert!(answer.is_err(), "{shown}: {answer:?}");
    }
    assert!(scene.app.jobs(None).await.is_empty());
    // Others are not disturbed.
    scene.pki.client("edr", &scene.ours, ("edr", "Acme"), |_| ());
    scene.accepted("edr").await;
}

#[tokio::test]
async fn a_header_is_no_certificate() {
    let scene = scene(r#"["CN=edr,O=Acme"]"#).await;
    let pem = String::from_utf8(scene.pki.read("ca.pem")).expect("text").replace('\n', "%0A");
    for (name, value) in [
        ("x-forwarded-client-cert", "Hash=00;Subject=\"CN=edr,O=Acme\";URI=spiffe://acme.com/edr"),
        ("client-cert-subject", "CN=edr,O=Acme"),
        ("x-ssl-client-s-dn", "CN=edr,O=Acme"),
        ("x-ssl-client-verify", "SUCCESS"),
        ("ssl-client-cert", pem.as_str()),
    ] {
        scene.refused(None, &[(name, value)], "client_certificate_missing").await;
    }
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_certificate() {
    let scene = scene(r#"["CN=edr,O=Acme"]"#).await;
    scene.pki.client("edr", &scene.ours, ("edr", "Acme"), |params| params.not_after = date_time_ymd(2030, 1, 1));
    let client = scene.client(Some("edr"));
    assert_eq!(scene.deliver(&client, &[]).await.expect("an answer").0, 202);
    scene.app.clock.advance(Duration::from_secs(5 * 365 * 24 * 60 * 60));
    assert_eq!(scene.deliver(&client, &[]).await.expect("an answer").0, 401);
    assert_eq!(scene.last_refusal(), "client_certificate_expired");
}

#[tokio::test]
async fn a_stranger_is_refused_before_the_body_is_read() {
    let scene = scene(r#"["CN=edr,O=Acme"]"#).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&scene.pki.read("ca.pem")).expect("PEM")).expect("a root");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(scene.at.alerts).await.expect("connected");
    let name = "localhost".try_into().expect("a name");
    let mut stream = TlsConnector::from(std::sync::Arc::new(config)).connect(name, stream).await.expect("a handshake");
    // A body that would be too large and of the wrong type, of which not a byte comes.
    let head = "POST /v1/alerts/edr HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/html\r\ncontent-length: 99999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut answer = [0; 12];
    let read = tokio::time::timeout(Duration::from_secs(8), stream.read_exact(&mut answer)).await;
    read.expect("an answer before the time for a body is over").expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 401");
}

#[tokio::test]
async fn operators_need_a_certificate_besides_the_token() {
    let scene = Scene::with_ca("").await;
    scene.pki.client("oncall", &scene.ours, ("oncall", "Acme"), |_| ());
    let at = url(scene.at.admin.expect("an operator API"), "/v1/status");
    let ask = |shown: Option<&str>, token: &str| scene.client(shown).get(&at).bearer_auth(token).send();
    assert!(ask(None, OPERATOR).await.is_err(), "no certificate, no connection");
    assert_eq!(ask(Some("oncall"), OPERATOR).await.expect("an answer").status(), 200);
    assert_eq!(ask(Some("oncall"), "another-token-0123456789").await.expect("an answer").status(), 401);
    // On the other listener it is for the sources to say.
    assert_eq!(scene.deliver(&scene.client(None), &[]).await.expect("an answer").0, 202);
}
