//! Stored deliveries, decoded and planned once more.

use sever::domain::{JobState, Next, Outcome};
use sever::store::{DeliveryStatus, ReceiptStatus, StoreError};

use crate::support::store::{Bench, Mail, contract_tests, okta, operator};

async fn a_quarantined_delivery_is_accepted_once(bench: Bench) {
    bench.admit(&Mail::new("d").quarantined("no mapping")).await;
    let seq = bench.ops().quarantine(None, 1).await.expect("a page").items[0].id;
    let mended = Mail::new("d").alert("a", [okta("ana@example.com")]);
    let receipt = bench.ops().replay(seq, mended.admission(bench.now()), operator()).await.expect("a receipt");
    assert_eq!(receipt.status, ReceiptStatus::Accepted);
    assert!(bench.ops().quarantine(None, 1).await.expect("a page").items.is_empty());
    assert!(bench.jobs().backlog().await.expect("a backlog").quarantine.is_empty());
    let again = bench.ops().replay(seq, mended.admission(bench.now()), operator()).await.expect("a receipt");
    assert_eq!(again.alerts, receipt.alerts);
    assert_eq!(bench.all_jobs().await.len(), 1);
    assert!(bench.jobs().backlog().await.expect("a backlog").quarantine.is_empty());
    let stored = bench.ops().delivery(seq).await.expect("an answer").expect("the delivery");
    assert_eq!((stored.status, stored.reason), (DeliveryStatus::Accepted, None));
    let events: Vec<_> = bench.audit().await.into_iter().map(|row| row.event).collect();
    assert_eq!(events, ["quarantined", "replayed", "admitted", "replayed", "admitted"]);
}

async fn what_is_still_broken_stays_in_quarantine_and_counts_once(bench: Bench) {
    bench.admit(&Mail::new("d").quarantined("no mapping")).await;
    let seq = bench.ops().quarantine(None, 1).await.expect("a page").items[0].id;
    for _ in 0..5 {
        let same = Mail::new("d").quarantined("still no mapping").admission(bench.now());
        let receipt = bench.ops().replay(seq, same, operator()).await.expect("a receipt");
        assert_eq!(receipt.status, ReceiptStatus::Quarantined);
    }
    let listed = bench.ops().quarantine(None, 10).await.expect("a page").items;
    assert_eq!((listed.len(), listed[0].reason.as_str()), (1, "still no mapping"));
    assert_eq!(bench.ops().status().await.expect("a status").quarantine.values().sum::<u64>(), 1);
}

async fn the_replay_of_an_alert_repeats_nothing(bench: Bench) {
    let mail = Mail::new("d").alert("a", [okta("ana@example.com")]);
    let receipt = bench.admit(&mail).await;
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    let alert = receipt.alerts[0].id;
    let stored = bench.ops().delivery_of(alert).await.expect("an answer").expect("the delivery");
    assert_eq!(&stored.body[..], b"the body");
    let wider = Mail::new("d").alert("a", [okta("ana@example.com"), okta("ben@example.com")]);
    let again = bench.ops().replay(stored.seq, wider.admission(bench.now()), operator()).await.expect("a receipt");
    let states: Vec<_> = again.alerts[0].jobs.iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Done, JobState::Queued]);
}

async fn an_element_that_is_no_alert_is_kept_while_the_others_act(bench: Bench) {
    let mail = Mail::new("d").alert("a", [okta("ana@example.com")]).bad_element(1, "no severity");
    let receipt = bench.admit(&mail).await;
    assert_eq!(receipt.status, ReceiptStatus::Accepted);
    assert_eq!((receipt.quarantined.len(), receipt.quarantined[0].element), (1, 1));
    let repeat = bench.repeat(&mail).await;
    assert_eq!((repeat.status, repeat.quarantined), (ReceiptStatus::Duplicate, receipt.quarantined));
    let kept = &bench.ops().quarantine(None, 2).await.expect("a page").items;
    assert_eq!((kept.len(), kept[0].reason.as_str()), (1, "element 1: no severity"));
    let stored = bench.ops().delivery(kept[0].id).await.expect("an answer").expect("the delivery");
    assert_eq!((stored.status, stored.elements.len()), (DeliveryStatus::Quarantined, 1));

    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    let mended = Mail::new("d").alert("a", [okta("ana@example.com")]).alert("b", [okta("ben@example.com")]);
    let receipt = bench.ops().replay(kept[0].id, mended.admission(bench.now()), operator()).await.expect("a receipt");
    let states: Vec<_> = receipt.alerts.iter().map(|alert| alert.jobs[0].state).collect();
    assert_eq!((states, receipt.quarantined), (vec![JobState::Done, JobState::Queued], Vec::new()));
    assert!(bench.jobs().backlog().await.expect("a backlog").quarantine.is_empty());
}

async fn an_alert_that_a_mended_mapping_names_anew_is_not_acted_on_again(bench: Bench) {
    bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com")]).bad_element(1, "no severity")).await;
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    let seq = bench.ops().quarantine(None, 1).await.expect("a page").items[0].id;
    let renamed = Mail::new("d").alert("a2", [okta("ana@example.com"), okta("ben@example.com")]);
    for _ in 0..2 {
        let receipt = bench.ops().replay(seq, renamed.admission(bench.now()), operator()).await.expect("a receipt");
        let states: Vec<_> = receipt.alerts[0].jobs.iter().map(|job| job.state).collect();
        assert_eq!(states, [JobState::Done, JobState::Queued]);
    }
    assert_eq!(bench.all_jobs().await.len(), 2);
    // Another delivery is another matter.
    let receipt = bench.admit(&Mail::new("e").alert("a3", [okta("ana@example.com")])).await;
    assert_eq!(receipt.alerts[0].jobs[0].state, JobState::Queued);
}

async fn an_unknown_delivery_cannot_be_replayed(bench: Bench) {
    let mail = Mail::new("d").alert("a", [okta("ana@example.com")]);
    let error = bench.ops().replay(7, mail.admission(bench.now()), operator()).await.expect_err("nothing there");
    assert!(matches!(error, StoreError::NotFound("delivery")));
    assert!(bench.all_jobs().await.is_empty());
}

contract_tests!(
    a_quarantined_delivery_is_accepted_once,
    what_is_still_broken_stays_in_quarantine_and_counts_once,
    the_replay_of_an_alert_repeats_nothing,
    an_element_that_is_no_alert_is_kept_while_the_others_act,
    an_alert_that_a_mended_mapping_names_anew_is_not_acted_on_again,
    an_unknown_delivery_cannot_be_replayed,
);
