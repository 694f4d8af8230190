//! The commands that speak to brokers, run as people run them.

use std::path::Path;
use std::process::Output;

use base64::Engine;
use serde_json::{Value, json};
use sever::sandbox::okta::Person;

use super::scene::{Scene, queue_name};
use crate::process::sever;
use crate::service::{OKTA_TOKEN, Setup};
use crate::support::broker::{Broker, Node, until};
use crate::testapp::{SECRET, by_email};

/// `sever send` of an alert to the scene's queue at this broker.
pub(super) fn send(scene: &Scene, url: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let alert = by_email("edr-sent", "ana@example.com");
    publish(folder.path(), url, &["--queue", &scene.queue], &alert)
}

fn publish(folder: &Path, url: &str, place: &[&str], alert: &Value) -> Output {
    let (body, secret) = (folder.join("alert.json"), folder.join("secret"));
    std::fs::write(&body, alert.to_string()).expect("written");
    std::fs::write(&secret, SECRET).expect("written");
    let mut command = sever();
    command.arg("send").arg(&body).args(["--scheme", "standard-webhooks", "--secret-file"]).arg(&secret);
    command.args(["--amqp", url]).args(place).output().expect("it runs")
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    format!("{out}{err}")
}

/// A config of `init` with a queue, whose broker wants this user.
async fn with_queue(node: &Node, user: &str, more: &str) -> (Setup, String) {
    let (setup, queue) = (Setup::new().await, queue_name());
    Broker::at(&node.url()).await.queues(&queue).await;
    let folder = setup.folder.path();
    std::fs::write(folder.join("secrets/amqp"), format!("amqp://{user}@127.0.0.1:{}", node.port)).expect("written");
    std::fs::write(folder.join("secrets/soc"), SECRET).expect("written");
    let place = folder.join("secrets").display().to_string();
    let source = format!(
        "sources:\n  soc:\n    amqp: {{urls: [{{file: {place}/amqp}}], queue: {queue}{more}}}\n    \
         verify: {{scheme: standard-webhooks, secrets: [{{file: {place}/soc}}], tolerance: 24h}}\n"
    );
    let text = std::fs::read_to_string(setup.config()).expect("the config");
    std::fs::write(setup.config(), text.replace("sources:\n", &source)).expect("written");
    (setup, queue)
}

fn run(setup: &Setup, arguments: &[&str]) -> Output {
    let mut command = sever();
    command.args(arguments).arg("-c").arg(setup.config()).env("OKTA_TOKEN", OKTA_TOKEN);
    command.current_dir(setup.folder.path()).output().expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn send_publishes_and_waits_until_the_sessions_are_ended() {
    let (node, _turn) = Node::shared().await;
    let (setup, queue) = with_queue(node, "guest:guest", "").await;
    let ana = Person::new("ana@example.com");
    setup.sandbox.okta().add_person(ana.clone());
    setup.sandbox.okta().sign_in(&ana.id);
    let server = setup.serve(&[]);
    let admin = format!("http://{}", server.admin.expect("an operator API"));
    let write =
        |body: &Value| std::fs::write(setup.folder.path().join("alert.json"), body.to_string()).expect("written");
    write(&by_email("edr-1", "ana@example.com"));
    let send = ["send", "alert.json", "--source", "soc", "--amqp", "--wait", "--admin-url", &admin];
    let sent = run(&setup, &send);
    assert!(sent.status.success(), "{}", said(&sent));
    assert_eq!(setup.sandbox.okta().sessions_of(&ana.id), 0);
    assert!(said(&sent).contains("Alert edr-1"), "{}", said(&sent));

    // Again: the alert is known, and its job is done.
    assert!(run(&setup, &send).status.success());
    assert_eq!(setup.sandbox.okta().revocations_of(&ana.id), 1);

    // Nothing is told as done that waits for a person.
    let mut unknown = by_email("edr-2", "ana@example.com");
    unknown["severity"] = "informational".into();
    write(&unknown);
    let ignored = run(&setup, &send);
    assert_eq!(ignored.status.code(), Some(1), "{}", said(&ignored));
    assert!(said(&ignored).contains("no job came of it"), "{}", said(&ignored));
    drop(server);
    let left = Broker::at(&node.url()).await;
    left.assert_empty(&queue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn send_tells_what_became_of_a_message_that_cannot_be_placed() {
    let (node, _turn) = Node::shared().await;
    let folder = tempfile::tempdir().expect("a folder");
    let alert = by_email("edr-1", "ana@example.com");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let (url, wrong) = (node.url(), format!("amqp://guest:s3cr3t@127.0.0.1:{}", node.port));
    let full = queue_name();
    let broker = Broker::at(&node.url()).await;
    let number = lapin::types::AMQPValue::LongInt;
    let text = |text: &str| lapin::types::AMQPValue::LongString(text.into());
    broker.queue(&full, &[("x-max-length", number(1)), ("x-overflow", text("reject-publish"))]).await;
    let fill = |_: u32| publish(folder.path(), &url, &["--queue", &full], &alert);
    let refused = (0..20).map(fill).find(|sent| !sent.status.success()).expect("a queue for one message takes few");
    assert!(said(&refused).contains("the broker refused the message"), "{}", said(&refused));
    for (url, place, status, words) in [
        (url.as_str(), &["--queue", "no.such.queue"][..], 1, "leads nowhere"),
        (&url, &["--exchange", "no.such.exchange"], 1, "NOT_FOUND"),
        (&url, &["--exchange", "amq.direct", "--routing-key", "x"], 1, "leads nowhere"),
        (&wrong, &["--queue", &full], 1, "mend user, password or permissions"),
        (&format!("amqp://{nobody}"), &["--queue", &full], 1, "is the broker running there?"),
        (&url, &[], 2, "--queue or --exchange"),
        ("http://127.0.0.1", &["--queue", &full], 2, "write amqps://"),
    ] {
        let sent = publish(folder.path(), url, place, &alert);
        assert_eq!(sent.status.code(), Some(status), "{url} {place:?}: {}", said(&sent));
        assert!(said(&sent).contains(words), "{url} {place:?}: {}", said(&sent));
        assert!(!said(&sent).contains("s3cr3t"), "{}", said(&sent));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_looks_at_the_queue_and_at_where_dead_letters_go() {
    let (node, _turn) = Node::shared().await;
    let management = format!(", management: \"http://127.0.0.1:{}\"", node.management);
    let (setup, queue) = with_queue(node, "guest:guest", &management).await;
    let check = || {
        let checked = run(&setup, &["check", "--online"]);
        (checked.status.code(), said(&checked))
    };
    let (status, told) = until("the management API knows the queue", async || {
        let (status, told) = check();
        (!told.contains("is not known")).then_some((status, told))
    })
    .await;
    assert_eq!(status, Some(0), "{told}");
    for words in [
        "signed in as guest".to_owned(),
        format!("queue {queue:?} is there, 0 messages wait"),
        "no `delivery-limit` is set".to_owned(),
        // It expires with its queue, and so is bounded.
        format!("dead letters go to \"{queue}.dead\", which is bounded"),
    ] {
        assert!(told.contains(&words), "{words}\nis not in\n{told}");
    }
    let broker = Broker::at(&node.url()).await;
    broker.delete(&format!("{queue}.dead")).await;
    let (status, told) = until("the queue is missed", async || {
        let (status, told) = check();
        told.contains("missing: the dead-letter queue").then_some((status, told))
    })
    .await;
    assert_eq!(status, Some(1), "{told}");
    broker.delete(&queue).await;
    let (status, told) = check();
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("declare it, or set `declare: true`"), "{told}");
}

/// A queue that sever declares itself, again and again, and never in another way than it is.
#[tokio::test(flavor = "multi_thread")]
async fn declare_makes_the_queue_and_its_dead_letters_and_changes_nothing_that_is_there() {
    let (node, _turn) = Node::shared().await;
    let (setup, queue) = with_queue(node, "guest:guest", ", declare: true").await;
    let broker = Broker::at(&node.url()).await;
    let server = setup.serve(&[]);
    until("it refuses a queue that is made otherwise", async || {
        server.log().iter().any(|line| line.contains("leave `declare` out")).then_some(())
    })
    .await;
    broker.delete(&queue).await;
    broker.delete(&format!("{queue}.dead")).await;
    let consumed = async || server.log().iter().any(|line| line.contains("\"consuming\"")).then_some(());
    until("it declares what is not there", consumed).await;
    drop(server);
    let arguments = node.ctl("list_queues name arguments");
    let line = arguments.lines().find(|line| line.starts_with(&format!("{queue}\t"))).expect("the queue");
    for argument in ["at-least-once", "reject-publish", "x-delivery-limit", "x-max-length", "quorum"] {
        assert!(line.contains(argument), "{argument} is not in {line}");
    }
    let server = setup.serve(&[]);
    let consumed = async || server.log().iter().any(|line| line.contains("\"consuming\"")).then_some(());
    until("it takes what it declared before", consumed).await;
    let checked = run(&setup, &["check", "--online"]);
    assert!(checked.status.success(), "{}", said(&checked));
    let forged = crate::support::broker::Outgoing::new(&json!({}), []);
    broker.publish(&queue, &forged).await;
    broker.next(&format!("{queue}.dead")).await;
    drop(server);
    broker.delete(&queue).await;
    broker.delete(&format!("{queue}.dead")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_of_a_broker_leaves_the_process() {
    const PASSWORD: &str = "canaryPasswordOfTheBroker0001";
    let (node, _turn) = Node::shared().await;
    node.ctl(&format!("add_user canary {PASSWORD}"));
    node.ctl("set_permissions canary '.*' '.*' '.*'");
    let management = format!(", management: \"http://127.0.0.1:{}\"", node.management);
    let (setup, queue) = with_queue(node, &format!("canary:{PASSWORD}"), &management).await;
    let server = setup.serve(&[("RUST_LOG", "trace")]);
    let consumed = async || server.log().iter().any(|line| line.contains("\"consuming\"")).then_some(());
    until("it consumes", consumed).await;
    let broker = Broker::at(&node.url()).await;
    broker.publish(&queue, &crate::support::broker::Outgoing::new(&json!({}), [])).await;
    broker.next(&format!("{queue}.dead")).await;
    let mut told = vec![said(&run(&setup, &["check", "--online"]))];
    node.ctl("change_password canary another");
    node.ctl("close_all_user_connections canary mended");
    until("it is refused", async || server.log().iter().any(|line| line.contains("mend user")).then_some(())).await;
    told.push(said(&run(&setup, &["check", "--online"])));
    told.push(setup.admin(&server, "/v1/status", &setup.secret("oncall")).await);
    told.extend(server.log());
    drop(server);
    node.ctl("delete_user canary");
    assert!(told.iter().any(|text| text.contains("refuses the user")), "the management API was asked");
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("canary:{PASSWORD}"));
    for canary in [PASSWORD, &encoded, &format!("{:?}", PASSWORD.as_bytes())] {
        let leak = told.iter().find(|text| text.contains(canary));
        assert!(leak.is_none(), "a password was told: {}", leak.expect("found").chars().take(500).collect::<String>());
    }
}
