//! A provider that fails is left alone, tried by one job, and hurts no other.

use std::time::Duration;

use serde_json::json;
use sever::domain::{CircuitState, JobState, Outcome};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::okta::Operation;

use crate::testapp::{CONFIG, TestApp, stolen};

fn down() -> Injection<Operation> {
    Injection::once(Fault::Error { status: 503, code: String::new() }).until_cleared()
}

impl TestApp {
    async fn victims(&self, count: usize) {
        for number in 0..count {
            let login = format!("p{number}@example.com");
            self.person(&login, 2);
            self.deliver(stolen(&format!("alert-{number}"), json!([{"email": login}]))).await.assert_accepted();
        }
    }

    async fn circuit(&self) -> CircuitState {
        let name = "okta".parse().expect("a name");
        self.app.store.status().await.expect("a status").circuit(&name)
    }

    fn calls(&self) -> usize {
        self.okta().ledger().len()
    }

    async fn done(&self) -> usize {
        let jobs = self.jobs(Some(JobState::Done)).await;
        jobs.iter().filter(|job| job.outcome == Some(Outcome::Confirmed)).count()
    }
}

/// Time for one look at the store and whatever is due.
async fn tick(app: &TestApp, time: Duration) {
    app.clock.advance(time);
    app.app.worker.probe_gates().await;
    app.drain().await;
}

#[tokio::test]
async fn a_provider_that_is_down_is_tried_by_one_job_at_a_time_and_then_by_all() {
    let app = TestApp::start().await;
    app.okta().faults().inject(down());
    app.victims(40).await;
    app.drain().await;
    assert_eq!(app.circuit().await, CircuitState::Open);
    let called = app.calls();
    assert!(called < 40, "all the same, everyone was tried: {called} calls");

    // While it is left alone nothing is called, however much is due.
    tick(&app, Duration::from_secs(4)).await;
    assert_eq!(app.calls(), called);

    tick(&app, Duration::from_secs(1)).await;
    let tried = app.calls() - called;
    assert!((1..=2).contains(&tried), "one job tries it, and made {tried} calls");
    assert_eq!(app.circuit().await, CircuitState::Open);

    // It is back: whoever tries it next opens the way for all.
    app.okta().faults().clear();
    for _ in 0..20 {
        tick(&app, Duration::from_secs(30)).await;
    }
    assert_eq!(app.circuit().await, CircuitState::Closed);
    assert_eq!(app.done().await, 40);
    app.assert_nothing_open().await;
}

#[tokio::test]
async fn one_account_that_it_chokes_on_keeps_nobody_waiting() {
    let app = TestApp::start().await;
    app.okta().faults().inject(down());
    app.victims(1).await;
    for _ in 0..20 {
        tick(&app, Duration::from_secs(600)).await;
    }
    assert_eq!(app.circuit().await, CircuitState::Closed);
}

#[tokio::test]
async fn a_restarted_process_leaves_it_alone_until_one_job_has_tried_it() {
    let app = TestApp::start().await;
    app.okta().faults().inject(down());
    app.victims(40).await;
    app.drain().await;
    assert_eq!(app.circuit().await, CircuitState::Open);

    let app = app.restart_with(CONFIG).await;
    let called = app.calls();
    app.app.worker.probe_gates().await;
    app.clock.advance(Duration::from_secs(5));
    app.drain().await;
    let tried = app.calls() - called;
    assert!((1..=2).contains(&tried), "one job tries it, and made {tried} calls");
    app.okta().faults().clear();
    for _ in 0..20 {
        tick(&app, Duration::from_secs(30)).await;
    }
    assert_eq!((app.circuit().await, app.done().await), (CircuitState::Closed, 40));
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let app = TestApp::start().await;
    app.okta().faults().inject(Injection::once(Fault::Error { status: 400, code: "E0000001".into() }).until_cleared());
    app.victims(10).await;
    app.drain().await;
    assert_eq!(app.circuit().await, CircuitState::Closed);
}
