//! Decisions about more jobs than one transaction takes, when somebody else holds some of them.

use std::collections::HashSet;

use sever::audit::Actor;
use sever::domain::{HoldReason, JobState, NewJob, Origin};
use sever::store::{BulkDone, BulkOrder, Decision, JobFilter, Operations, PostgresStore, StoreError};

use super::{Pair, admit};
use crate::support::broker::until;
use crate::support::postgres::connect;
use crate::support::store::{Changed, Mail, okta, operator};

/// Two stretches, and a part of a third.
const JOBS: usize = 1200;
const IN_TWO_STRETCHES: u64 = 1000;

fn waiting(number: usize) -> NewJob {
    okta(&format!("p{number}@x")).origin(Origin::Held(HoldReason::Approval, "waits".to_owned()))
}

async fn approve(store: &PostgresStore, expect_count: u64) -> Result<BulkDone, StoreError> {
    let filter = JobFilter { hold_reason: Some(HoldReason::Approval), ..JobFilter::default() };
    let (actor, reason): (Actor, _) = (operator(), "drill".to_owned());
    store.decide(BulkOrder { decision: Decision::Approve, filter, expect_count, actor, reason, four_eyes: false }).await
}

async fn with_waiting() -> Pair {
    let pair = Pair::new();
    admit(&pair.one, &pair.clock, &Mail::new("d").alert("a", (0..JOBS).map(waiting))).await;
    pair
}

/// Holds the row of the last job.
const HOLD: &str = "BEGIN; SELECT 1 FROM jobs WHERE seq = (SELECT max(seq) FROM jobs) FOR UPDATE";

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ends_in_the_middle_goes_on_there_when_it_is_asked_for_again() {
    let pair = with_waiting().await;
    let somebody = connect(&pair.schema.url()).await;
    somebody.batch_execute(HOLD).await.expect("locked");
    let ended = approve(&pair.one, JOBS as u64).await;
    assert!(matches!(ended, Err(StoreError::Unavailable(_))), "{ended:?}");
    somebody.batch_execute("ROLLBACK").await.expect("let go");

    let left = JOBS as u64 - IN_TWO_STRETCHES;
    let again = approve(&pair.other, JOBS as u64).await;
    assert!(matches!(again, Err(StoreError::Miscounted(count)) if count == left), "whole stretches: {again:?}");
    assert_eq!(approve(&pair.other, left).await.expect("approved").changed, left);
    let mut approved = Vec::new();
    let mut after = None;
    loop {
        let page = pair.one.audit(after, 1000).await.expect("a page").items;
        let Some(last) = page.last() else { break };
        after = Some(last.seq);
        approved.extend(page.into_iter().filter(|row| row.event == "approved").filter_map(|row| row.job));
    }
    let distinct: HashSet<_> = approved.iter().collect();
    assert_eq!((approved.len(), distinct.len()), (JOBS, JOBS), "each of them once");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_moves_on_before_its_stretch_is_left_and_told() {
    let pair = with_waiting().await;
    let somebody = connect(&pair.schema.url()).await;
    somebody.batch_execute(HOLD).await.expect("locked");
    let moves_on = async {
        let sql = "SELECT count(*) FROM jobs WHERE state = 0";
        until("the last stretch waits", async || {
            let queued: i64 = somebody.query_one(sql, &[]).await.expect("a number").get(0);
            (queued >= IN_TWO_STRETCHES as i64).then_some(())
        })
        .await;
        let sql = "UPDATE jobs SET state = 6 WHERE seq = (SELECT max(seq) FROM jobs); COMMIT";
        somebody.batch_execute(sql).await.expect("cancelled");
    };
    let (done, ()) = tokio::join!(approve(&pair.one, JOBS as u64), moves_on);
    let done = done.expect("decided");
    assert_eq!((done.changed, done.left_count), (JOBS as u64 - 1, 1));
    assert!(done.left[0].reason.contains("moved on"), "{:?}", done.left);
    let job = pair.one.job(done.left[0].id).await.expect("an answer").expect("the job");
    assert_eq!(job.job.state, JobState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; run it by name where the ways of a decision about many have changed"]
async fn fifty_thousand_go_on_by_one_decision() {
    let pair = Pair::new();
    for mail in 0..50 {
        let jobs = (mail * 1000..(mail + 1) * 1000).map(waiting);
        admit(&pair.one, &pair.clock, &Mail::new(&format!("d{mail}")).alert(&format!("a{mail}"), jobs)).await;
    }
    assert_eq!(approve(&pair.one, 50_000).await.expect("approved").changed, 50_000);
}
