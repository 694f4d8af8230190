//! Certificates that change while the service runs.

use std::time::Duration;

use super::Scene;

impl Scene {
    async fn until(&self, what: &str, done: impl AsyncFn() -> bool) {
        for _ in 0..300 {
            if done().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("waited half a minute in vain: {what}");
    }

    /// The server's files, replaced by those of another name.
    fn swap(&self, name: &str) {
        for end in ["pem", "key"] {
            std::fs::rename(self.pki.path(&format!("{name}.{end}")), self.pki.path(&format!("server.{end}")))
                .expect("moved");
        }
    }

    fn metric(&self, name: &str) -> String {
        let metrics = self.app.app.metrics.render();
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{listener=\"listen\"")));
        line.and_then(|line| line.split(' ').nth(1)).unwrap_or_else(|| panic!("{name} is not in {metrics}")).to_owned()
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let scene = Scene::start().await;
    let old = scene.client(None);
    assert_eq!(scene.deliver(&old, &[]).await.expect("an answer").0, 202);
    let next = scene.pki.authority("next");
    scene.pki.server("renewed", &next);
    scene.swap("renewed");
    let renewed = async || scene.deliver(&scene.client_of("next.pem", None), &[]).await.is_ok();
    scene.until("the new certificate is shown", renewed).await;
    assert_eq!(scene.deliver(&old, &[]).await.expect("the old connection goes on").0, 202);
    assert!(scene.deliver(&scene.client(None), &[]).await.is_err(), "a new one is shown the new certificate");
    assert_eq!(scene.metric("sever_tls_reload_ok"), "1");
}

#[tokio::test]
async fn a_bad_file_leaves_the_old_in_use_and_is_told_until_it_is_mended() {
    let scene = Scene::start().await;
    let good = String::from_utf8(scene.pki.read("server.key")).expect("text");
    scene.pki.client("other", &scene.ours, ("other", ""), |_| ());
    let foreign = String::from_utf8(scene.pki.read("other.key")).expect("text");
    for bad in ["", "garbage", &good[..good.len() / 2], &foreign] {
        scene.pki.write("server.key", bad);
        let told = async || scene.ready().await["degraded"].to_string().contains("listen: changed files for TLS");
        scene.until("it is told", told).await;
        assert_eq!(scene.metric("sever_tls_reload_ok"), "0");
        assert_eq!(scene.deliver(&scene.client(None), &[]).await.expect("an answer").0, 202, "{bad}");
        scene.pki.write("server.key", &good);
        let mended = async || scene.ready().await["degraded"] == serde_json::json!([]);
        scene.until("it is mended", mended).await;
        assert_eq!(scene.metric("sever_tls_reload_ok"), "1");
    }
}

#[tokio::test]
async fn an_authority_that_is_taken_away_lets_in_nobody_new() {
    let scene = Scene::with_ca(r#"    client_subjects: ["CN=edr,O=Acme"]"#).await;
    scene.pki.client("edr", &scene.ours, ("edr", "Acme"), |_| ());
    assert_eq!(scene.deliver(&scene.client(Some("edr")), &[]).await.expect("an answer").0, 202);
    let other = scene.pki.authority("other");
    scene.pki.client("newcomer", &other, ("edr", "Acme"), |_| ());
    std::fs::rename(scene.pki.path("other.pem"), scene.pki.path("clients.pem")).expect("moved");
    let taken =
        async || scene.deliver(&scene.client(Some("newcomer")), &[]).await.is_ok_and(|(status, _)| status == 202);
    scene.until("the new authority counts", taken).await;
    assert!(scene.deliver(&scene.client(Some("edr")), &[]).await.is_err(), "the old one does not");
}
