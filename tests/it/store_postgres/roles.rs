//! Processes that share the work: one takes alerts in, the other ends sessions.

use std::path::Path;
use std::time::Duration;

use sever::sandbox::okta::Person;
use sever::store::{ReplicaRole, StatusView};

use crate::process::{Server, sever};
use crate::service::{OKTA_TOKEN, Setup};
use crate::support::postgres::Schema;
use crate::support::store::name;
use crate::testapp::by_email;

fn on_postgres(config: &Path) {
    let text = std::fs::read_to_string(config).expect("the config");
    let (before, rest) = text.split_once("\nstore:").expect("a store");
    let (_, after) = rest.split_once('\n').expect("more");
    std::fs::write(config, format!("{before}\nstore: {{url: {{env: DATABASE_URL}}}}\n{after}")).expect("written");
}

async fn status(server: &Server, path: &str) -> (u16, String) {
    #[expect(clippy::disallowed_methods, reason = "asks as a load balancer does")]
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
    let answer = client.get(format!("http://{}{path}", server.alerts)).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a body"))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_takes_an_alert_in_and_another_ends_the_sessions() {
    let (setup, schema) = (Setup::new().await, Schema::new());
    on_postgres(&setup.config());
    let url = schema.url();
    let environment = [("OKTA_TOKEN", OKTA_TOKEN), ("DATABASE_URL", url.as_str())];
    let start = |role| Server::start_as(role, &setup.config(), &environment).unwrap_or_else(|said| panic!("{said}"));
    let intake = start("intake");
    let ana = Person::new("ana@example.com");
    setup.sandbox.okta().add_person(ana.clone());
    setup.sandbox.okta().sign_in(&ana.id);
    let (taken, body) = setup.deliver(&intake, &by_email("edr-1", "ana@example.com")).await;
    assert_eq!(taken, 202, "{body}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(setup.sandbox.okta().ledger().is_empty(), "one that takes alerts in called the provider");

    let (first, second) = (start("worker"), start("worker"));
    setup.wait_until("the session ends", |world| world.okta().sessions_of(&ana.id) == 0).await;
    let (refused, _) = setup.deliver(&first, &by_email("edr-2", "ana@example.com")).await;
    assert_eq!(refused, 404, "one that works took an alert in");
    for server in [&intake, &first, &second] {
        assert_eq!(status(server, "/readyz").await.0, 200);
        assert_eq!(status(server, "/healthz").await.0, 200);
    }
    let seen = setup.admin(&second, "/v1/status", &setup.secret("oncall")).await;
    assert!(seen.contains("\"done\":1"), "{seen}");
    assert_eq!(setup.sandbox.okta().revocations_of(&ana.id), 1);
    let status: StatusView = serde_json::from_str(&seen).expect("a status");
    let roles: Vec<_> = status.replicas.iter().map(|it| it.roles.as_slice()).collect();
    assert_eq!(roles, [&[ReplicaRole::Intake][..], &[ReplicaRole::Worker], &[ReplicaRole::Worker]]);
    let share = status.shares[&name("okta")];
    assert_eq!((share.workers, share.concurrency), (2, 4), "half of the default");
    let metrics = setup.admin(&intake, "/metrics", &setup.secret("oncall")).await;
    assert!(metrics.contains("sever_replicas_live 3"), "{metrics}");

    assert_eq!(second.terminate().0, Some(0));
    let seen = setup.admin(&first, "/v1/status", &setup.secret("oncall")).await;
    let status: StatusView = serde_json::from_str(&seen).expect("a status");
    assert_eq!((status.replicas.len(), status.workers()), (2, 1), "one that ends leaves at once: {seen}");
    for server in [intake, first] {
        let log = server.log();
        let (status, took) = server.terminate();
        assert_eq!(status, Some(0), "{log:?}");
        assert!(took < Duration::from_secs(25), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_work_needs_a_store_that_is_shared() {
    let setup = Setup::new().await;
    for role in ["intake", "worker"] {
        let mut serve = sever();
        serve.args(["serve", "--role", role, "-c"]).arg(setup.config()).env("OKTA_TOKEN", OKTA_TOKEN);
        let ended = serve.output().expect("it runs");
        assert_eq!(ended.status.code(), Some(2));
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains("leave --role out") && said.contains("postgres://"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_url_is_a_config_error_that_does_not_show_it() {
    let setup = Setup::new().await;
    on_postgres(&setup.config());
    let mut check = sever();
    check.args(["check", "-c"]).arg(setup.config()).env("OKTA_TOKEN", OKTA_TOKEN);
    let ended =
        check.env("DATABASE_URL", "postgres://sever:canary@db/sever?sslmode=sometimes").output().expect("it runs");
    assert_eq!(ended.status.code(), Some(2));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("store") && said.contains("sslmode is disable, prefer, require or verify-full"), "{said}");
    assert!(!said.contains("canary"), "{said}");
}
