//! Messages that are to leave: made with the change, fenced, and kept until they are taken.

use std::time::Duration;

use sever::domain::{DeadReason, HoldReason, Next, NoticeKind, Origin, Outcome, TargetName};
use sever::store::{Message, MessageEnd, Routes, StoreError};

use crate::support::store::{Bench, Changed, HOUR, LEASE, Mail, SECOND, SqliteBackend, contract_tests, okta, operator};

fn soc() -> TargetName {
    "soc".parse().expect("a name")
}

fn routes() -> Routes {
    let targets = [(soc(), NoticeKind::ALL.into())].into_iter().collect();
    Routes { targets, ..Routes::default() }
}

async fn told(bench: &Bench) {
    bench.ops().set_routes(routes()).await.expect("set");
}

async fn claim(bench: &Bench) -> Vec<Message> {
    bench.ops().claim_messages(&soc(), 100, LEASE).await.expect("messages")
}

fn data(message: &Message) -> serde_json::Value {
    let body: serde_json::Value = serde_json::from_str(&message.body).expect("JSON");
    assert_eq!(body["type"], message.kind.as_str());
    body["data"].clone()
}

async fn finish(bench: &Bench, next: Next) {
    for claim in bench.claim("okta", 100).await {
        bench.settle(&claim, next).await;
    }
}

async fn nobody_is_told_where_nobody_is_named(bench: Bench) {
    bench.job("a", okta("ana@example.com")).await;
    finish(&bench, Next::Done(Outcome::Confirmed)).await;
    told(&bench).await;
    bench.advance(HOUR);
    assert_eq!(claim(&bench).await, []);
}

async fn an_alert_is_told_when_its_last_job_ends(bench: Bench) {
    told(&bench).await;
    let jobs = ["ana@x", "ben@x", "cyd@x"].map(okta);
    bench.admit(&Mail::new("a").alert("a", jobs)).await;
    let claims = bench.claim("okta", 3).await;
    bench.settle(&claims[0], Next::Done(Outcome::Confirmed)).await;
    bench.settle(&claims[1], Next::Dead(DeadReason::Refused)).await;
    assert!(claim(&bench).await.iter().all(|message| message.kind != NoticeKind::AlertDone));
    bench.ops().requeue(claims[0].job, operator(), String::new()).await.expect("requeued");
    bench.settle(&claims[2], Next::Done(Outcome::UnknownAccount)).await;
    assert!(claim(&bench).await.is_empty(), "one of them is open again");
    bench.ops().cancel(claims[0].job, operator(), String::new()).await.expect("cancelled");
    let messages = claim(&bench).await;
    assert_eq!(messages.len(), 1);
    let told = data(&messages[0]);
    assert_eq!(told["totals"], serde_json::json!({"cancelled": 1, "dead": 1, "unknown_account": 1}));
    assert_eq!((&told["count"], told["jobs"].as_array().map(Vec::len)), (&3.into(), Some(3)));
}

async fn a_change_that_is_refused_tells_nothing(bench: Bench) {
    told(&bench).await;
    let job = bench.job("a", okta("ana@example.com")).await;
    let first = bench.claim_one("okta").await;
    bench.advance(LEASE + SECOND);
    bench.claim_one("okta").await;
    let late = crate::support::store::settlement(&first, Next::Done(Outcome::Confirmed));
    assert!(matches!(bench.jobs().settle(&first, &late).await, Err(StoreError::LeaseLost)));
    bench.ops().cancel(job, operator(), String::new()).await.expect_err("it is leased");
    bench.advance(SECOND);
    assert_eq!(claim(&bench).await, []);
}

async fn a_message_is_fenced(bench: Bench) {
    told(&bench).await;
    bench.ops().pause(None, operator(), "drill".to_owned()).await.expect("paused");
    let first = claim(&bench).await.remove(0);
    assert_eq!(claim(&bench).await, [], "it is leased");
    bench.advance(LEASE + SECOND);
    let second = claim(&bench).await.remove(0);
    assert_eq!((second.id.as_str(), second.attempt), (first.id.as_str(), 2));
    let note = || "no".to_owned();
    for end in [
        MessageEnd::Delivered,
        MessageEnd::Retry { due_at: bench.now(), note: note() },
        MessageEnd::Dead { note: note() },
    ] {
        let refused = bench.ops().settle_message(&first, end).await;
        assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
    }
    let due_at = bench.now() + HOUR;
    bench.ops().settle_message(&second, MessageEnd::Retry { due_at, note: note() }).await.expect("settled");
    bench.advance(HOUR - SECOND);
    assert_eq!(claim(&bench).await, []);
    bench.advance(SECOND);
    let third = claim(&bench).await.remove(0);
    bench.ops().settle_message(&third, MessageEnd::Delivered).await.expect("settled");
    let again = bench.ops().settle_message(&third, MessageEnd::Delivered).await;
    assert!(matches!(again, Err(StoreError::LeaseLost)));
    bench.advance(HOUR * 100);
    assert_eq!(claim(&bench).await, []);
}

async fn messages_survive_the_process(mut bench: Bench) {
    told(&bench).await;
    bench.job("a", okta("ana@example.com").origin(Origin::Held(HoldReason::Approval, "ask".to_owned()))).await;
    bench.ops().pause(None, operator(), "drill".to_owned()).await.expect("paused");
    let before = claim(&bench).await.remove(0);
    bench.reopen();
    told(&bench).await;
    // Where other processes may live, leases of one that ended run out first.
    bench.advance(LEASE);
    let after = claim(&bench).await.remove(0);
    assert_eq!((after.id, after.body), (before.id, before.body));
    bench.advance(Duration::from_secs(60));
    let kinds: Vec<_> = claim(&bench).await.into_iter().map(|message| message.kind).collect();
    assert!(kinds.contains(&NoticeKind::JobsHeld), "{kinds:?}");
}

async fn what_is_gathered_is_one_message_a_minute(bench: Bench) {
    told(&bench).await;
    let mut sizes = Vec::new();
    for second in 0..180 {
        let held = okta(&format!("p{second}@x")).origin(Origin::Held(HoldReason::Approval, "ask".to_owned()));
        bench.job(&format!("a{second}"), held).await;
        bench.advance(SECOND);
        for message in claim(&bench).await {
            sizes.push(data(&message)["count"].as_u64().expect("a number"));
            bench.ops().settle_message(&message, MessageEnd::Delivered).await.expect("settled");
        }
    }
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!(sizes[0] <= 3 && sizes[1..].iter().all(|size| (58..=62).contains(size)), "{sizes:?}");
}

#[tokio::test]
async fn what_nobody_else_can_have_is_due_at_once() {
    let mut bench = Bench::new(Box::new(SqliteBackend::new()));
    told(&bench).await;
    bench.ops().pause(None, operator(), "drill".to_owned()).await.expect("paused");
    let before = claim(&bench).await.remove(0);
    bench.reopen();
    told(&bench).await;
    assert_eq!(claim(&bench).await.remove(0).id, before.id);
}

contract_tests!(
    nobody_is_told_where_nobody_is_named,
    an_alert_is_told_when_its_last_job_ends,
    a_change_that_is_refused_tells_nothing,
    a_message_is_fenced,
    messages_survive_the_process,
    what_is_gathered_is_one_message_a_minute,
);
