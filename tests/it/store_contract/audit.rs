//! The record: complete, in order, chained, and without what it must not hold.

use sever::domain::{HoldReason, Next, Outcome};
use sever::store::Consent;

use crate::support::store::{Bench, LEASE, Mail, contract_tests, first_break, name, okta, operator};

async fn every_transition_has_a_row_in_order(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    bench.job("b", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Held(HoldReason::Account)).await;
    bench
        .ops()
        .approve(
            job,
            operator(),
            Consent { account_id: Some("00u1".to_owned()), reason: "is her".to_owned(), ..Consent::default() },
        )
        .await
        .expect("approved");
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::CloseGate(HoldReason::Credential)).await;
    bench.jobs().open_gate(&name("okta"), HoldReason::Credential).await.expect("opened");
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    bench.ops().requeue(job, operator(), "once more".to_owned()).await.expect("requeued");
    bench.ops().cancel(job, operator(), "no".to_owned()).await.expect("cancelled");
    bench.admit(&Mail::new("c").alert("c", [])).await;
    bench.ops().pause(None, operator(), "drill".to_owned()).await.expect("paused");
    bench.ops().resume(None, operator()).await.expect("resumed");
    let rows = bench.audit().await;
    let events: Vec<&str> = rows.iter().map(|row| row.event.as_str()).collect();
    assert_eq!(
        events,
        [
            "admitted",
            "absorbed",
            "admitted",
            "claimed",
            "held",
            "approved",
            "claimed",
            "gate_closed",
            "retry_scheduled",
            "gate_opened",
            "claimed",
            "done",
            "requeued",
            "cancelled",
            "ignored",
            "paused",
            "resumed",
        ]
    );
    let approved = &rows[5];
    assert_eq!((approved.actor.as_str(), approved.job), ("operator:oncall", Some(job)));
    assert_eq!(approved.detail["account_id"], "00u1");
    assert!(rows.windows(2).all(|pair| pair[0].seq < pair[1].seq && pair[0].at <= pair[1].at));
    assert_eq!(first_break(&rows), None);
}

async fn the_chain_goes_on_after_a_restart(mut bench: Bench) {
    bench.job("a", okta("ana@example.com")).await;
    bench.reopen();
    bench.job("b", okta("ben@example.com")).await;
    bench.claim("okta", 2).await;
    bench.reopen();
    // Where other processes may live, leases of one that ended run out first.
    bench.advance(LEASE);
    bench.claim("okta", 2).await;
    let rows = bench.audit().await;
    assert_eq!(rows.len(), 8);
    assert_eq!(first_break(&rows), None);
}

async fn a_changed_removed_or_inserted_row_shows(bench: Bench) {
    for number in 0..5 {
        bench.job(&format!("a{number}"), okta(&format!("p{number}@x"))).await;
    }
    let rows = bench.audit().await;
    let mut changed = rows.clone();
    changed[2].detail["source"] = "other".into();
    assert_eq!(first_break(&changed), Some(rows[2].seq));
    let mut removed = rows.clone();
    removed.remove(2);
    assert_eq!(first_break(&removed), Some(rows[3].seq));
    let mut inserted = rows.clone();
    inserted.insert(3, rows[1].clone());
    assert_eq!(first_break(&inserted), Some(rows[1].seq));
    let mut swapped = rows.clone();
    swapped[1].actor = "operator:mallory".to_owned();
    assert_eq!(first_break(&swapped), Some(rows[1].seq));
}

async fn bodies_and_headers_are_not_in_the_record(bench: Bench) {
    let secret = Mail::new("d").body(b"s3cret-body").alert("a", [okta("ana@example.com")]);
    bench.admit(&secret).await;
    bench.admit(&Mail::new("q").body(b"s3cret-body").quarantined("cannot be read")).await;
    let seq = bench.ops().quarantine(None, 1).await.expect("a page").items[0].id;
    bench.ops().delivery(seq).await.expect("an answer").expect("the delivery");
    bench.ops().replay(seq, secret.admission(bench.now()), operator()).await.expect("a receipt");
    for row in bench.audit().await {
        let text = serde_json::to_string(&row).expect("JSON");
        assert!(!text.contains("s3cret") && !text.contains("a header"), "{text}");
    }
    for view in bench.ops().quarantine(None, 10).await.expect("a page").items {
        assert!(!format!("{view:?}").contains("s3cret"));
    }
}

async fn each_reading_of_a_body_is_recorded(bench: Bench) {
    let receipt = bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com")])).await;
    let delivery = bench.ops().delivery_of(receipt.alerts[0].id).await.expect("an answer").expect("the delivery");
    for _ in 0..2 {
        bench.ops().record_reading(delivery.seq, operator()).await.expect("recorded");
    }
    assert!(bench.ops().delivery(999).await.expect("an answer").is_none());
    let rows = bench.audit().await;
    let read: Vec<_> = rows.iter().filter(|row| row.event == "body_read").map(|row| row.actor.as_str()).collect();
    assert_eq!(read, ["operator:oncall", "operator:oncall"]);
}

contract_tests!(
    every_transition_has_a_row_in_order,
    the_chain_goes_on_after_a_restart,
    a_changed_removed_or_inserted_row_shows,
    bodies_and_headers_are_not_in_the_record,
    each_reading_of_a_body_is_recorded,
);
