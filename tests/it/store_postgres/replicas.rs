//! Two stores that do the same thing at the same moment.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sever::audit::Actor;
use sever::clock::Clock;
use sever::domain::{HoldReason, JobState, Next, Outcome};
use sever::store::{Admitted, Bound, JobFilter, JobStore, Operations, PostgresStore, StoreError};
use sever::telemetry::Metrics;

use super::{Pair, admit, claim, receipt};
use crate::support::postgres::{Schema, connect, run};
use crate::support::store::{HOUR, LEASE, Mail, SECOND, account, first_break, okta, okta_id, operator, settlement};

async fn all_jobs(store: &PostgresStore) -> Vec<sever::store::JobView> {
    store.jobs(JobFilter { limit: 1000, ..JobFilter::default() }).await.expect("jobs").items
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_is_claimed_twice_however_many_claim_at_once() {
    let pair = Arc::new(Pair::new());
    let jobs = (0..300).map(|number| okta(&format!("p{number}@x")));
    admit(&pair.one, &pair.clock, &Mail::new("d").alert("a", jobs)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let pair = Arc::clone(&pair);
        tasks.spawn(async move {
            let (mut mine, mut empty) = (Vec::new(), 0);
            // What another one has locked is passed over, so nothing found once does not mean that nothing is there.
            while empty < 5 {
                let claims = claim(pair.both()[number % 2], 7).await;
                empty = if claims.is_empty() { empty + 1 } else { 0 };
                mine.extend(claims.into_iter().map(|claim| (claim.job, claim.attempt)));
            }
            mine
        });
    }
    let claimed: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let distinct: HashSet<_> = claimed.iter().map(|(job, _)| job).collect();
    assert_eq!((claimed.len(), distinct.len()), (300, 300));
    assert!(claimed.iter().all(|(_, attempt)| *attempt == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_is_taken_over_by_the_other_and_the_late_end_is_refused() {
    let pair = Pair::new();
    admit(&pair.one, &pair.clock, &Mail::new("d").alert("a", [okta("ana@example.com")])).await;
    let stale = claim(&pair.one, 1).await.remove(0);
    pair.one.bind(&stale, &account("00u1"), None, &[]).await.expect("bound");
    assert!(claim(&pair.other, 1).await.is_empty(), "the lease of another process is respected");
    pair.clock.advance(LEASE);
    let fresh = claim(&pair.other, 1).await.remove(0);
    assert_eq!((fresh.job, fresh.attempt, fresh.call_open), (stale.job, 2, true));
    let late = pair.one.settle(&stale, &settlement(&stale, Next::Done(Outcome::Confirmed))).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)), "{late:?}");
    assert!(matches!(pair.one.bind(&stale, &account("00u1"), None, &[]).await, Err(StoreError::LeaseLost)));
    assert_eq!(pair.one.renew(vec![(stale.row, stale.attempt)], LEASE).await.expect("an answer"), [false]);
    pair.other.bind(&fresh, &account("00u1"), None, &[]).await.expect("bound");
    pair.other.settle(&fresh, &settlement(&fresh, Next::Done(Outcome::Confirmed))).await.expect("settled");
    let job = pair.one.job(fresh.job).await.expect("an answer").expect("the job");
    assert_eq!((job.job.state, job.job.repeated, job.job.attempts), (JobState::Done, 1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_delivery_that_comes_to_both_is_stored_once() {
    let pair = Pair::new();
    for number in 0..25 {
        let mail = Mail::new(&format!("d{number}")).alert(&format!("a{number}"), [okta(&format!("p{number}@x"))]);
        let (one, other) = tokio::join!(admit(&pair.one, &pair.clock, &mail), admit(&pair.other, &pair.clock, &mail));
        let new = [&one, &other].iter().filter(|admitted| matches!(admitted, Admitted::New(_))).count();
        assert_eq!(new, 1, "{one:?} {other:?}");
        assert_eq!(receipt(one).alerts[0].jobs[0].id, receipt(other).alerts[0].jobs[0].id);
    }
    assert_eq!(all_jobs(&pair.one).await.len(), 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_alert_by_two_doors_at_once_is_one_job() {
    let pair = Pair::new();
    for number in 0..25 {
        let job = || [okta(&format!("p{number}@x"))];
        let webhook = Mail::new(&format!("w{number}")).alert(&format!("a{number}"), job());
        let queue = Mail::new(&format!("q{number}")).through("soc-queue").alert(&format!("a{number}"), job());
        let (one, other) =
            tokio::join!(admit(&pair.one, &pair.clock, &webhook), admit(&pair.other, &pair.clock, &queue));
        assert_eq!(receipt(one).alerts[0].jobs[0].id, receipt(other).alerts[0].jobs[0].id);
    }
    assert_eq!(all_jobs(&pair.one).await.len(), 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_alert_that_both_widen_gets_each_new_subject_once() {
    let pair = Pair::new();
    for number in 0..25 {
        let (alert, ana, ben) = (format!("a{number}"), format!("ana{number}@x"), format!("ben{number}@x"));
        admit(&pair.one, &pair.clock, &Mail::new(&format!("d{number}")).alert(&alert, [okta(&ana)])).await;
        let wider = |id: &str| Mail::new(&format!("{id}{number}")).alert(&alert, [okta(&ana), okta(&ben)]);
        let (one, other) = (wider("e"), wider("f"));
        tokio::join!(admit(&pair.one, &pair.clock, &one), admit(&pair.other, &pair.clock, &other));
    }
    assert_eq!(all_jobs(&pair.one).await.len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_alerts_in_any_order_at_both_end_without_an_error() {
    let pair = Arc::new(Pair::new());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40_u32 {
        let pair = Arc::clone(&pair);
        tasks.spawn(async move {
            // The same alerts and people, in another order each time.
            let mut mail = Mail::new(&format!("d{number}"));
            for step in 0..10 {
                let at = (number * 7 + step * (1 + number % 3)) % 10;
                mail = mail.alert(&format!("a{at}"), [okta(&format!("p{at}@x")), okta_id(&format!("00u{at}"))]);
            }
            admit(pair.both()[number as usize % 2], &pair.clock, &mail).await;
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("admitted");
    }
    let jobs = all_jobs(&pair.one).await;
    let per_alert: HashSet<_> = jobs.iter().map(|job| (job.alert_ids.clone(), job.subject.clone())).collect();
    assert_eq!((jobs.len(), per_alert.len()), (20, 20), "an alert has two jobs for one subject");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jobs_for_one_account_do_not_call_at_once() {
    let pair = Pair::new();
    for number in 0..25 {
        let (mail, id) = (okta(&format!("p{number}@x")), okta_id(&format!("00u{number}")));
        admit(&pair.one, &pair.clock, &Mail::new(&format!("d{number}")).alert(&format!("a{number}"), [mail])).await;
        admit(&pair.one, &pair.clock, &Mail::new(&format!("e{number}")).alert(&format!("b{number}"), [id])).await;
        let (first, second) = (claim(&pair.one, 1).await.remove(0), claim(&pair.other, 1).await.remove(0));
        let account = account(&format!("00u{number}"));
        let (one, other) =
            tokio::join!(pair.one.bind(&first, &account, None, &[]), pair.other.bind(&second, &account, None, &[]));
        let bound = [one.expect("bound"), other.expect("bound")];
        assert!(bound.contains(&Bound::Proceed) && bound.contains(&Bound::Busy), "{bound:?}");
        // So that the next round finds its own two.
        let called = if bound[0] == Bound::Proceed { (&pair.one, &first) } else { (&pair.other, &second) };
        called.0.settle(called.1, &settlement(called.1, Next::Done(Outcome::Confirmed))).await.expect("settled");
        pair.clock.advance(SECOND);
        let waited = claim(&pair.one, 1).await.remove(0);
        assert_eq!(pair.one.bind(&waited, &account, None, &[]).await.expect("bound"), Bound::Proceed);
        pair.one.settle(&waited, &settlement(&waited, Next::Done(Outcome::Confirmed))).await.expect("settled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_job_is_not_widened_while_the_other_claims_it() {
    let pair = Pair::new();
    // Both mean one account; the first was bound to it before and is queued again.
    let account = account("00u1");
    admit(&pair.one, &pair.clock, &Mail::new("d").alert("a", [okta("ana@example.com")])).await;
    let earlier = claim(&pair.one, 1).await.remove(0);
    pair.one.bind(&earlier, &account, None, &[]).await.expect("bound");
    admit(&pair.one, &pair.clock, &Mail::new("e").alert("b", [okta_id("00u1")])).await;
    let ours = claim(&pair.one, 1).await.remove(0);
    let retry = Next::Retry { due_at: pair.clock.steady(), failed: true };
    pair.one.settle(&earlier, &settlement(&earlier, retry)).await.expect("settled");
    // Another replica is just claiming it, and has not committed yet.
    let other = connect(&pair.schema.url()).await;
    let sql =
        "UPDATE jobs SET state = 1, lane = 6, attempts = attempts + 1, wake_at = wake_at + 60000000 WHERE seq = $1";
    other.batch_execute("BEGIN").await.expect("begun");
    other.execute(sql, &[&earlier.row]).await.expect("claimed");
    let commit = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        other.batch_execute("COMMIT").await.expect("committed");
    };
    let (bound, ()) = tokio::join!(pair.one.bind(&ours, &account, None, &[]), commit);
    assert_eq!(bound.expect("bound"), Bound::Proceed, "it was merged into a job that somebody works on already");
    let view = pair.one.job(earlier.job).await.expect("an answer").expect("the job").job;
    assert_eq!((view.state, view.alert_ids.len()), (JobState::Leased, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_one_closes_stops_the_other() {
    let pair = Pair::new();
    admit(&pair.one, &pair.clock, &Mail::new("d").alert("a", [okta("ana@example.com")])).await;
    let okta = crate::support::store::name("okta");
    tokio::join!(
        async { pair.one.close_gate(&okta, HoldReason::Credential, "401".to_owned()).await.expect("closed") },
        async { pair.other.close_gate(&okta, HoldReason::Credential, "401".to_owned()).await.expect("closed") },
    );
    assert_eq!(pair.one.gates().await.expect("gates").len(), 1);
    assert!(claim(&pair.other, 1).await.is_empty());
    pair.other.open_gate(&okta, HoldReason::Credential).await.expect("opened");
    assert_eq!(claim(&pair.one, 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_stores_wakes_the_other() {
    let pair = Pair::new();
    // What woke it since its start is used up first; its connection may still be on its way.
    for round in 0..50 {
        pair.other.wait_for_due(Duration::from_millis(50)).await;
        let waiting = tokio::time::timeout(Duration::from_secs(2), pair.other.wait_for_due(HOUR));
        let mail = Mail::new(&format!("d{round}")).alert(&format!("a{round}"), [okta("ana@example.com")]);
        let (woken, _) = tokio::join!(waiting, admit(&pair.one, &pair.clock, &mail));
        if woken.is_ok() {
            return;
        }
    }
    panic!("nothing that one stored woke the other");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_the_record_by_its_cursor_misses_no_row() {
    let pair = Arc::new(Pair::new());
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..8_usize {
        let pair = Arc::clone(&pair);
        writers.spawn(async move {
            for round in 0..40 {
                let store = pair.both()[number % 2];
                store.record_reading(round, Actor::operator("oncall")).await.expect("recorded");
            }
        });
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let is_over = writers.is_empty();
        let page = pair.one.audit(after, 5).await.expect("a page");
        after = page.items.last().map(|row| row.seq).or(after);
        if is_over && page.items.is_empty() {
            break;
        }
        seen.extend(page.items);
        while writers.try_join_next().is_some() {}
    }
    assert_eq!(seen.len(), 8 * 40, "a row was committed behind the cursor");
    assert_eq!(first_break(&seen), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_true_whoever_changed_them_and_after_folding() {
    let pair = Pair::new();
    for number in 0..20 {
        let mail = Mail::new(&format!("d{number}")).alert(&format!("a{number}"), [okta(&format!("p{number}@x"))]);
        admit(pair.both()[number % 2], &pair.clock, &mail).await;
        for claim in claim(pair.both()[(number + 1) % 2], 1).await.iter().filter(|_| number % 3 == 0) {
            pair.one.settle(claim, &settlement(claim, Next::Done(Outcome::Confirmed))).await.expect("settled");
        }
        if number % 5 == 0 {
            pair.one.prune(&crate::support::store::RETENTION, 0).await.expect("pruned");
        }
    }
    let status = pair.other.status().await.expect("a status");
    let mut recount = std::collections::BTreeMap::new();
    for job in all_jobs(&pair.one).await {
        *recount.entry(job.state).or_insert(0_u64) += 1;
    }
    assert_eq!(status.jobs[&crate::support::store::name("okta")], recount);
    let rows = connect(&pair.schema.url()).await.query("SELECT DISTINCT writer FROM job_counts", &[]).await;
    assert!(rows.expect("rows").len() <= 5, "rows of writers pile up");
}

#[test]
fn many_replicas_may_start_at_once_on_an_empty_database() {
    let schema = Schema::new();
    let url = schema.parsed();
    let opened = run(async {
        let open = || {
            let clock = Arc::new(sever::clock::SystemClock::new());
            PostgresStore::open(&url, clock, Arc::new(Metrics::new()))
        };
        futures_util::future::join_all((0..8).map(|_| open())).await
    });
    for store in opened {
        assert!(store.is_ok(), "{:#}", store.err().expect("an error"));
    }
}

#[test]
fn a_database_of_a_later_version_is_refused_and_left_alone() {
    let schema = Schema::new();
    let (url, clock) = (schema.parsed(), Arc::new(sever::clock::SystemClock::new()));
    let open = || run(PostgresStore::open(&url, clock.clone(), Arc::new(Metrics::new())));
    drop(open().expect("a store"));
    run(async {
        let client = connect(&schema.url()).await;
        client.batch_execute("INSERT INTO sever_schema (version) VALUES (99)").await.expect("a later version");
    });
    let told = format!("{:#}", open().err().expect("a refusal"));
    assert!(told.contains("schema 99") && told.contains("use a newer sever"), "{told}");
}

/// A claim that looked through the backlog would take longer than the server lets a statement take.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_made_while_the_tables_were_empty_serves_a_large_backlog() {
    let pair = Pair::new();
    // Each connection plans for itself; beside another change, now one claims and now the other.
    for _ in 0..30 {
        let (claims, renewed) = tokio::join!(claim(&pair.one, 10), pair.one.renew(Vec::new(), LEASE));
        assert!(claims.is_empty() && renewed.is_ok());
    }
    let sql =
        "INSERT INTO jobs (seq, id, provider, state, severity, lane, wake_at, dry_run, subject, subject_key, request,
           rules, created_at, received_at, occurred_at, alert_id, source)
         SELECT n, gen_random_uuid(), 'okta', 0, n % 5, n % 5, n, false, '{\"email\":\"p@x\"}', sha256(n::text::bytea),
           '{\"scope\":{\"kind\":\"all\"}}', '[]', n, n, n, gen_random_uuid(), 'edr' FROM generate_series(1, 80000) AS n";
    connect(&pair.schema.url()).await.batch_execute(sql).await.expect("a backlog");
    let claims = claim(&pair.one, 10).await;
    assert_eq!(claims.len(), 10);
    for claim in &claims {
        let id = format!("00u{}", claim.row);
        assert_eq!(pair.one.bind(claim, &account(&id), None, &[]).await.expect("bound"), Bound::Proceed);
        pair.one.settle(claim, &settlement(claim, Next::Done(Outcome::Confirmed))).await.expect("settled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_postgresql_cannot_hold_is_stored_all_the_same() {
    let pair = Pair::new();
    let odd = Mail::new("d\0").alert("a\0b", [okta("ana\0@example.com")]);
    let fine = Mail::new("e").alert("c", [okta("ben@example.com")]);
    let (one, other) = tokio::join!(admit(&pair.one, &pair.clock, &odd), admit(&pair.one, &pair.clock, &fine));
    assert_eq!((receipt(one).alerts[0].jobs.len(), receipt(other).alerts[0].jobs.len()), (1, 1));
    assert!(matches!(admit(&pair.one, &pair.clock, &odd).await, Admitted::Duplicate(_)));
    for claim in claim(&pair.one, 10).await {
        let held = settlement(&claim, Next::Held(HoldReason::Account));
        let attempt = sever::domain::Attempt { message: "it said \0".to_owned(), ..held.attempt.clone() };
        pair.one.settle(&claim, &sever::domain::Settlement { attempt, ..held }).await.expect("settled");
        pair.one.cancel(claim.job, operator(), "no\0".to_owned()).await.expect("cancelled");
    }
    assert_eq!(first_break(&pair.one.audit(None, 100).await.expect("a page").items), None);
}
