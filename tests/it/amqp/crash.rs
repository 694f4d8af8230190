//! kill -9 of sever between any two steps: what was not acknowledged comes again, and is known.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sever::clock::{Clock, SystemClock};
use sever::sandbox::Sandbox;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::okta::Person;
use sever::verify::Signer;

use super::scene::{config, queue_name};
use crate::kill::{all_jobs, judge, wait_until_idle};
use crate::process::Server;
use crate::support::broker::{Broker, Outgoing, until, url};
use crate::testapp::{TOKEN, signing, stolen};

const KILLS: u32 = 10;
const MESSAGES: usize = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_message_is_lost_over_kills() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let sandbox = Sandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&clock)).await.expect("a port");
    let admin = Person::new("admin@example.com");
    sandbox.okta().add_person(admin.clone());
    sandbox.okta().accept_ssws(TOKEN, &admin.id);
    sandbox.okta().faults().inject(Injection::once(Fault::Latency { duration_ms: 10 }).until_cleared());
    let (folder, queue, broker) = (tempfile::tempdir().expect("a folder"), queue_name(), Broker::at(&url()).await);
    broker.queues(&queue).await;
    let file = folder.path().join("sever.yaml");
    // A small prefetch makes each process take many rounds.
    let text = config(&url(), &queue, ", prefetch: 40").replace("{okta}", &sandbox.okta().url());
    std::fs::write(&file, text.replace("{dir}", &folder.path().display().to_string())).expect("written");

    let signer = Signer::new(&signing()).expect("a signer");
    let mut published = BTreeMap::new();
    for n in 0..MESSAGES {
        let person = Person::new(&format!("person-{n}@example.com"));
        sandbox.okta().add_person(person.clone());
        sandbox.okta().sign_in(&person.id);
        let body = stolen(&format!("edr-{n}"), json!([{"ids": {"okta": person.id}}]));
        let headers = signer.sign(&format!("msg_{n}"), clock.now(), body.to_string().as_bytes()).expect("signed");
        broker.publish(&queue, &Outgoing::new(&body, headers)).await;
        published.insert(format!("edr-{n}"), person);
    }
    for round in 0..KILLS {
        let server = Server::start(&file).expect("it starts after every kill");
        // From hardly connected to deep in work.
        tokio::time::sleep(Duration::from_millis(u64::from(round * 47 % 400))).await;
        server.kill();
    }
    let server = Server::start(&file).expect("it starts after every kill");
    until("the queue is empty", async || (broker.waiting(&queue).await == 0).then_some(())).await;
    wait_until_idle(sandbox.okta()).await;
    let (status, _) = server.terminate();
    assert_eq!(status, Some(0));
    broker.assert_empty(&queue).await;
    let jobs = all_jobs(&folder.path().join("sever.db"), &clock).await;
    judge(sandbox.okta(), &published, &jobs);
    assert_eq!(jobs.len(), MESSAGES);
}
