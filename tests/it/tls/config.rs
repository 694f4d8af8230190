//! What `sever check` says about TLS, and the commands that speak it.

use std::process::Output;

use rcgen::date_time_ymd;

use super::{OPERATOR, Scene, config};
use crate::process::sever;
use crate::support::pki::Pki;
use crate::testapp::{SECRET, by_email};

fn check(pki: &Pki, text: &str) -> (Option<i32>, String) {
    let text = text.replace("{okta}", "https://acme.okta.com").replace("{dir}", &pki.text(""));
    pki.write("sever.yaml", &text);
    let output = sever().args(["check", "-c", &pki.text("sever.yaml")]).output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn every_problem_of_the_files_is_told_with_its_place() {
    let pki = Pki::new();
    let ours = pki.authority("ca");
    pki.server("server", &ours);
    pki.server("other", &ours);
    pki.client("old", &ours, ("old", ""), |params| params.not_after = date_time_ymd(2020, 2, 1));
    pki.write("empty", "");
    let good = config(&pki, "", "", "");
    let (status, said) = check(&pki, &good);
    assert_eq!(status, Some(0), "{said}");
    let replaced = |from: &str, to: &str| good.replacen(&pki.text(from), &pki.text(to), 1);
    for (text, status, words) in [
        (replaced("server.pem", "missing"), 2, ["listen.tls.cert", "missing could not be read"]),
        (replaced("server.pem", "empty"), 2, ["listen.tls.cert", "holds no certificate"]),
        (replaced("server.key", "missing"), 2, ["listen.tls.key", "missing could not be read"]),
        (replaced("server.key", "server.pem"), 2, ["listen.tls.key", "is not a private key"]),
        (replaced("server.key", "other.key"), 2, ["listen.tls.key", "is not the key of the certificate in"]),
        (
            replaced("server.pem", "old.pem").replacen("server.key", "old.key", 1),
            0,
            ["listen.tls.cert", "expired on 2020-02-01"],
        ),
        (
            good.replacen("server.key}", "server.key, client_ca: /missing}", 1),
            2,
            ["listen.tls.client_ca", "could not be read"],
        ),
        (
            good.replace("server.key}}\n  tokens", "server.key}, client_ca: /missing}\n  tokens"),
            2,
            ["admin.tls.client_ca", "could not be read"],
        ),
    ] {
        let (found, said) = check(&pki, &text);
        assert_eq!(found, Some(status), "{words:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} are not in: {said}");
        assert!(!said.contains("PRIVATE KEY"), "{said}");
    }
}

#[test]
fn client_subjects_need_somebody_who_asks() {
    let pki = Pki::new();
    let ours = pki.authority("ca");
    pki.server("server", &ours);
    let ca = format!(", client_ca: {}", pki.text("ca.pem"));
    let subjects = r#"    client_subjects: ["CN=edr,O=Acme"]"#;
    let weak = |text: String| {
        text.replace("{scheme: standard-webhooks, ", "{scheme: bearer, ").replace(SECRET, "0123456789abcdef0123456789")
    };
    let plain = config(&pki, "", "", subjects);
    let plain = plain.replacen("tls:", "body_timeout: 10s} #", 1);
    for (text, status, words) in [
        (config(&pki, "", &ca, subjects), 0, ""),
        (config(&pki, "", &ca, ""), 0, "no source has `client_subjects`"),
        (config(&pki, "", "", subjects), 2, "set `listen.tls.client_ca`"),
        (plain, 2, "set `listen.tls.client_ca`"),
        (config(&pki, "", &ca, "    client_subjects: []"), 2, "names nobody"),
        (config(&pki, "", &ca, "    client_subjects: [\"CN = edr\"]"), 2, "write it as RFC 4514 does"),
        (
            config(&pki, "", &ca, &format!("{subjects}\n    amqp: {{urls: [amqp://localhost], queue: q}}")),
            2,
            "is for webhooks",
        ),
        (weak(config(&pki, "", "", "")), 0, "signs nothing"),
    ] {
        let (found, said) = check(&pki, &text);
        assert_eq!(found, Some(status), "{words}: {said}");
        assert!(said.contains(words), "{words:?} is not in: {said}");
    }
    let (_, said) = check(&pki, &weak(config(&pki, "", &ca, subjects)));
    assert!(!said.contains("signs nothing"), "the certificate vouches for the sender: {said}");
}

/// A command against the operator API or the listener of alerts.
async fn run(args: Vec<String>) -> Output {
    tokio::task::spawn_blocking(move || sever().args(args).output().expect("it runs")).await.expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_speak_tls() {
    let scene = Scene::with_ca(r#"    client_subjects: ["CN=oncall,O=Acme"]"#).await;
    scene.pki.client("oncall", &scene.ours, ("oncall", "Acme"), |_| ());
    scene.pki.write("token", OPERATOR);
    scene.pki.write("alert.json", &by_email("edr-1", "ana@example.com").to_string());
    scene.app.clock.set_wall(sever::clock::Clock::now(&sever::clock::SystemClock::new()));
    let file = |name: &str| scene.pki.text(name);
    let (admin, alerts) =
        (format!("https://{}", scene.at.admin.expect("an API")), format!("https://{}", scene.at.alerts));
    let status = |more: &[String]| {
        let args = ["status", "--url", &admin, "--token-file", &file("token")].map(str::to_owned);
        run(args.into_iter().chain(more.iter().cloned()).collect())
    };
    let [ca, cert, key] = [("--ca", "ca.pem"), ("--cert", "oncall.pem"), ("--key", "oncall.key")]
        .map(|(option, name)| [option.to_owned(), file(name)]);
    let all: Vec<String> = [ca.clone(), cert.clone(), key].concat();
    let fine = status(&all).await;
    assert!(fine.status.success(), "{}", String::from_utf8_lossy(&fine.stderr));
    for (what, args, code) in [
        ("nobody is trusted", Vec::new(), 1),
        ("no certificate of ours", ca.to_vec(), 1),
        ("half of it", cert.to_vec(), 2),
        (
            "another file",
            [ca.clone(), ["--cert".to_owned(), file("token")], ["--key".to_owned(), file("token")]].concat(),
            2,
        ),
    ] {
        let answer = status(&args).await;
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        assert_eq!(answer.status.code(), Some(code), "{what}: {said}");
        assert!(code == 2 || said.contains("--ca"), "{what}: {said}");
        assert!(!said.contains(OPERATOR), "{what}: {said}");
    }
    let config = scene.app.folder.path().join("sever.yaml").display().to_string();
    let args = ["send", &file("alert.json"), "-c", &config, "--source", "edr", "--url", &alerts].map(str::to_owned);
    let sent = run(args.into_iter().chain(all).collect()).await;
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    assert_eq!(scene.app.jobs(None).await.len(), 1);
}
