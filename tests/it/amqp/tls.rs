//! A broker that takes nobody without a certificate.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::scene::Scene;
use crate::support::broker::{Broker, Node};
use crate::testapp::by_email;

/// An authority with a certificate for the broker and one for us, and a stranger's.
struct Certificates(tempfile::TempDir);

impl Certificates {
    fn new() -> Self {
        let all = Self(tempfile::tempdir().expect("a folder"));
        let authority = all.authority("ca");
        all.leaf("broker", &authority);
        all.leaf("client", &authority);
        let stranger = all.authority("stranger");
        all.leaf("intruder", &stranger);
        all
    }

    fn authority(&self, name: &str) -> Issuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(self.0.path().join(format!("{name}.pem")), certificate.pem()).expect("written");
        Issuer::new(params, key)
    }

    fn leaf(&self, name: &str, issuer: &Issuer<'static, KeyPair>) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, issuer).expect("a certificate");
        std::fs::write(self.0.path().join(format!("{name}.pem")), certificate.pem()).expect("written");
        std::fs::write(self.0.path().join(format!("{name}.key")), key.serialize_pem()).expect("written");
    }

    fn path(&self, file: &str) -> String {
        self.0.path().join(file).display().to_string()
    }

    /// What stands in a source's `amqp`.
    fn settings(&self, ca: &str, client: &str) -> String {
        let (ca, cert, key) = (self.path(ca), self.path(&format!("{client}.pem")), self.path(&format!("{client}.key")));
        format!(", tls: {{ca: {ca}, cert: {cert}, key: {{file: {key}}}}}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_shown_and_checked_on_both_sides() {
    let certificates = Certificates::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let node = Node::prepare(
        "[].",
        &format!(
            "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
            certificates.path("ca.pem"),
            certificates.path("broker.pem"),
            certificates.path("broker.key"),
        ),
    );
    node.ready().await;
    let url = format!("amqps://guest:guest@localhost:{port}");
    let ours = certificates.settings("ca.pem", "client");
    let scene = Scene::apart(&node.url(), &url, &ours).await;
    scene.app.app.consume_queues();
    scene.until_consuming().await;
    scene.publish(&scene.signed("msg_1", &by_email("edr-1", "ana@example.com"))).await;
    scene.until_counted("accepted", 1).await;
    scene.assert_all_answered().await;

    for (what, url, settings) in [
        ("a broker of a stranger", url.clone(), certificates.settings("stranger.pem", "client")),
        ("a broker that the system does not know", url.clone(), String::new()),
        ("no certificate of ours", url.clone(), format!(", tls: {{ca: {}}}", certificates.path("ca.pem"))),
        ("a certificate of a stranger", url.clone(), certificates.settings("ca.pem", "intruder")),
        ("another name", format!("amqps://guest:guest@127.0.0.2:{port}"), ours.clone()),
        ("no TLS", format!("amqp://guest:guest@localhost:{port}"), String::new()),
    ] {
        let scene = Scene::apart(&node.url(), &url, &settings).await;
        scene.app.app.consume_queues();
        scene.until_degraded("no connection to its broker").await;
        assert!(!scene.degraded().await.is_empty(), "{what}");
    }
    assert!(Broker::try_at(&node.url()).await.is_ok());
}
