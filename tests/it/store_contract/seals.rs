//! Sealing the record and shortening it: what is signed is what stands there, and nothing goes without a stub.

use std::collections::HashSet;

use jiff::Timestamp;
use sever::audit::{Check, PublicKeys, Report, Seal, Signed, SigningKey, Stub};
use sever::clock::Clock;
use sever::domain::{HoldReason, JobId, Next, Outcome};
use sever::store::{AuditFilter, Removal, StoreError};

use crate::audit::{key, sealer};
use crate::support::store::{Bench, DAY, Mail, SECOND, contract_tests, okta, operator};

/// A job from its alert to its end.
async fn finished(bench: &Bench, name: &str) -> JobId {
    let job = bench.job(name, okta(&format!("{name}@example.com"))).await;
    for claim in bench.claim("okta", 10).await {
        bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    }
    job
}

/// The record, checked as whoever has only these faces of the store can.
async fn checked(bench: &Bench, keys: &PublicKeys) -> Report {
    let mut check = Check::new(keys);
    bench.ops().stubs().await.expect("stubs").iter().for_each(|stub| check.stub(stub));
    for seal in bench.ops().seals(None, 1000).await.expect("seals").items {
        check.seal(seal);
    }
    for row in bench.audit().await {
        check.row(&row.row().expect("a row"));
    }
    check.finish(bench.clock.now())
}

fn removed(stubs: &[Signed<Stub>]) -> u64 {
    stubs.iter().map(|stub| stub.statement.removed).sum()
}

fn public(key: &SigningKey) -> PublicKeys {
    [key.public()].into_iter().collect()
}

async fn a_seal_says_where_the_chain_stands(bench: Bench) {
    let key = key();
    let keys = public(&key);
    let sealer = sealer(&bench, key);
    let heads = bench.ops().audit_heads().await.expect("heads");
    assert_eq!((heads.heads, heads.last_seal, heads.is_changed), (Vec::new(), 0, false));
    assert_eq!(sealer.seal().await.expect("an answer"), None, "there is nothing to seal");

    finished(&bench, "a").await;
    let last = bench.audit().await.pop().expect("a row");
    let seal = sealer.seal().await.expect("sealed").expect("a seal");
    let head = &seal.statement.heads[0];
    assert_eq!((head.seq, &head.hash, &head.writer), (last.seq, &last.hash, &last.writer));
    assert_eq!((seal.statement.number, seal.statement.at), (1, bench.clock.now()));
    assert_eq!(keys.verify(&seal), Ok(()));

    // The row about the seal alone is nothing new.
    let row = bench.audit().await.pop().expect("a row");
    assert_eq!((row.event.as_str(), row.actor.as_str()), ("sealed", "sever"));
    assert_eq!((&row.detail["seal"], &row.detail["digest"]), (&1.into(), &seal.digest().into()));
    assert_eq!(sealer.seal().await.expect("an answer"), None);
    bench.ops().pause(None, operator(), "drill".to_owned()).await.expect("paused");
    let second = sealer.seal().await.expect("sealed").expect("a seal");
    assert_eq!(second.statement.number, 2);
    assert_eq!(bench.ops().seals(None, 10).await.expect("seals").items, [second, seal]);
    let report = checked(&bench, &keys).await;
    assert_eq!((report.findings.len(), report.seals, report.unsealed), (0, 2, 0), "{report:?}");
}

async fn a_number_is_given_once(bench: Bench) {
    let key = key();
    bench.job("a", okta("ana@example.com")).await;
    let heads = bench.ops().audit_heads().await.expect("heads").heads;
    let seal =
        |number| key.sign(Seal { at: bench.clock.now(), heads: heads.clone(), key: key.id().to_owned(), number });
    bench.ops().keep_seal(seal(1)).await.expect("kept");
    let rows = bench.audit().await.len();
    for number in [0, 1, 3] {
        let refused = bench.ops().keep_seal(seal(number)).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{number}: {refused:?}");
    }
    assert_eq!(bench.audit().await.len(), rows, "what was refused left a row");
    for number in 2..=5 {
        bench.ops().keep_seal(seal(number)).await.expect("kept");
    }
    let first = bench.ops().seals(None, 2).await.expect("seals");
    let numbers = |page: &[Signed<Seal>]| page.iter().map(|seal| seal.statement.number).collect::<Vec<_>>();
    assert_eq!(numbers(&first.items), [5, 4]);
    let cursor = first.next_cursor.expect("a cursor").parse().expect("a number");
    let rest = bench.ops().seals(Some(cursor), 10).await.expect("seals");
    assert_eq!((numbers(&rest.items), rest.next_cursor), (vec![3, 2, 1], None));
}

async fn old_rows_go_and_a_stub_stays(mut bench: Bench) {
    let key = key();
    let keys = public(&key);
    let sealer = sealer(&bench, key);
    finished(&bench, "a").await;
    sealer.step().await.expect("sealed");
    let before = bench.audit().await;
    bench.advance(401 * DAY);
    // The job is gone long since; the row about that is new.
    bench.prune().await;
    sealer.step().await.expect("shortened");
    let rows = bench.audit().await;
    assert!(rows[0].seq > before.last().expect("a row").seq, "{rows:?}");
    assert!(rows.iter().any(|row| row.event == "pruned" && row.detail["audit"] == before.len()));
    let stubs = bench.ops().stubs().await.expect("stubs");
    for Signed { statement: stub, .. } in &stubs {
        let of_writer: Vec<_> = before.iter().filter(|row| row.writer == stub.writer).collect();
        let last = of_writer.last().expect("a row");
        assert_eq!((stub.seq, &stub.hash, stub.removed), (last.seq, &last.hash, of_writer.len() as u64));
    }
    assert_eq!(removed(&stubs), before.len() as u64);
    assert_eq!(checked(&bench, &keys).await.findings, []);

    drop(sealer);
    bench.reopen();
    finished(&bench, "b").await;
    assert_eq!(checked(&bench, &keys).await.findings, [], "the chain goes on");
    // Once more, with a stub in the place of a stub.
    let sealer = crate::audit::sealer(&bench, crate::audit::key());
    sealer.step().await.expect("sealed");
    bench.advance(402 * DAY);
    bench.prune().await;
    sealer.step().await.expect("shortened");
    let stubs = bench.ops().stubs().await.expect("stubs");
    let writers: HashSet<_> = stubs.iter().map(|stub| &stub.statement.writer).collect();
    assert_eq!(writers.len(), stubs.len());
    assert!(removed(&stubs) > before.len() as u64);
    assert!(stubs.iter().any(|stub| stub.statement.seq > before.last().expect("a row").seq));
    assert!(!checked(&bench, &keys).await.is_fine(), "the other key is not believed");
}

async fn what_a_kept_job_refers_to_stays(bench: Bench) {
    let sealer = sealer(&bench, key());
    finished(&bench, "gone").await;
    bench.advance(DAY);
    let held = bench.job("held", okta("held@example.com")).await;
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Held(HoldReason::Account)).await;
    sealer.step().await.expect("sealed");
    let story = bench.story(held).await;
    bench.advance(1000 * DAY);
    bench.prune().await;
    sealer.step().await.expect("shortened");
    assert!(!bench.ops().stubs().await.expect("stubs").is_empty(), "what is older than the job went");
    assert_eq!(bench.story(held).await, story);
    let detail = bench.ops().job(held).await.expect("an answer").expect("the job");
    assert_eq!(detail.history.len(), 1);
}

async fn what_is_not_sealed_stays(bench: Bench) {
    let sealer = sealer(&bench, key());
    finished(&bench, "a").await;
    bench.advance(500 * DAY);
    bench.prune().await;
    let before = Timestamp::MAX;
    assert_eq!(bench.ops().prunable_audit(before).await.expect("an answer"), []);
    sealer.seal().await.expect("sealed");
    bench.admit(&Mail::new("b").alert("b", [])).await;
    let removals = bench.ops().prunable_audit(before).await.expect("an answer");
    let sealed = bench.ops().seals(None, 1).await.expect("seals").items[0].statement.heads[0].seq;
    assert_eq!(removals.iter().map(|it| it.seq).max(), Some(sealed));
}

async fn a_stub_that_is_not_true_removes_nothing(bench: Bench) {
    let key = key();
    finished(&bench, "a").await;
    sealer(&bench, crate::audit::key()).seal().await.expect("sealed");
    bench.advance(500 * DAY);
    bench.prune().await;
    let rows = bench.audit().await;
    let removal = bench.ops().prunable_audit(bench.clock.now()).await.expect("an answer").remove(0);
    let stub = |change: fn(&mut Stub)| {
        let Removal { writer, seq, hash, removed, seal } = removal.clone();
        let mut stub = Stub { at: bench.clock.now(), hash, key: key.id().to_owned(), removed, seal, seq, writer };
        change(&mut stub);
        key.sign(stub)
    };
    let changes: [fn(&mut Stub); 4] = [
        |stub| stub.hash = "00".repeat(32),
        |stub| stub.removed += 1,
        |stub| stub.seq += 1000,
        |stub| stub.writer.push('x'),
    ];
    for change in changes {
        let refused = bench.ops().prune_audit(vec![stub(change)]).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
        // One that is true beside one that is not.
        let refused = bench.ops().prune_audit(vec![stub(|_| ()), stub(change)]).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    }
    assert_eq!(bench.audit().await, rows);
    assert_eq!(bench.ops().stubs().await.expect("stubs"), []);
    assert!(bench.ops().prune_audit(vec![stub(|_| ())]).await.expect("removed") > 0);
}

async fn old_seals_are_thinned_out(bench: Bench) {
    let key = key();
    let keys = public(&key);
    let sealer = sealer(&bench, key);
    for day in 0..3 {
        for round in 0..4 {
            bench.admit(&Mail::new(&format!("{day}-{round}")).alert(&format!("{day}-{round}"), [])).await;
            sealer.seal().await.expect("sealed");
            bench.advance(SECOND);
        }
        bench.advance(DAY);
    }
    let numbers = async || {
        let seals = bench.ops().seals(None, 100).await.expect("seals").items;
        seals.into_iter().map(|seal| seal.statement.number).collect::<Vec<_>>()
    };
    bench.advance(20 * DAY);
    sealer.step().await.expect("a step");
    assert_eq!(numbers().await.len(), 12, "none is a month old");
    bench.advance(20 * DAY);
    sealer.step().await.expect("a step");
    assert_eq!(numbers().await, [12, 8, 4], "one for each day");
    assert_eq!(checked(&bench, &keys).await.findings, []);
    bench.advance(1000 * DAY);
    sealer.step().await.expect("a step");
    assert_eq!(numbers().await, [12], "the newest stays");
    sealer.step().await.expect("a step");
    assert_eq!(numbers().await, [13], "there is a newer one");
    assert_eq!(checked(&bench, &keys).await.findings, []);
}

async fn rows_are_found_by_what_they_are_about(bench: Bench) {
    let job = finished(&bench, "a").await;
    finished(&bench, "b").await;
    bench.advance(DAY);
    let later = bench.clock.now();
    bench.ops().pause(None, operator(), "drill".to_owned()).await.expect("paused");
    let find = async |filter: AuditFilter| {
        let page = bench.ops().find_audit(AuditFilter { limit: 100, ..filter }).await.expect("a page");
        page.items.into_iter().map(|row| row.event).collect::<Vec<_>>()
    };
    assert_eq!(find(AuditFilter { job: Some(job), ..AuditFilter::default() }).await, bench.story(job).await);
    let actor = Some("operator:oncall".to_owned());
    assert_eq!(find(AuditFilter { actor, ..AuditFilter::default() }).await, ["paused"]);
    let event = Some("done".parse().expect("an event"));
    assert_eq!(find(AuditFilter { event, ..AuditFilter::default() }).await, ["done", "done"]);
    assert_eq!(find(AuditFilter { since: Some(later), ..AuditFilter::default() }).await, ["paused"]);
    let all = bench.audit().await.len();
    assert_eq!(find(AuditFilter { until: Some(later), ..AuditFilter::default() }).await.len(), all - 1);
    let alert = bench.view(job).await.alert_ids[0];
    let of_alert = find(AuditFilter { alert: Some(alert), ..AuditFilter::default() }).await;
    assert!(of_alert.iter().all(|event| event == "admitted"), "{of_alert:?}");

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let filter = AuditFilter { newest_first: true, after, limit: 2, ..AuditFilter::default() };
        let page = bench.ops().find_audit(filter).await.expect("a page");
        seen.extend(page.items.into_iter().map(|row| row.seq));
        let Some(cursor) = page.next_cursor else { break };
        after = Some(cursor.parse().expect("a number"));
    }
    let mut expected: Vec<_> = bench.audit().await.into_iter().map(|row| row.seq).collect();
    expected.reverse();
    assert_eq!(seen, expected);
}

contract_tests!(
    a_seal_says_where_the_chain_stands,
    a_number_is_given_once,
    old_rows_go_and_a_stub_stays,
    what_a_kept_job_refers_to_stays,
    what_is_not_sealed_stays,
    a_stub_that_is_not_true_removes_nothing,
    old_seals_are_thinned_out,
    rows_are_found_by_what_they_are_about,
);
